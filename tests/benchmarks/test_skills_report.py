"""Skill curves as text."""

from __future__ import annotations

from benchmarks.skills_report import render_skills


def test_curves_and_confusion() -> None:
    point = {"n": 5, "accuracy": 0.8, "low": 0.4, "high": 1.0, "chance": 0.1}
    skills = {
        "angle": [{**point, "value": -10}, {**point, "value": 10, "accuracy": 0.0}],
        "strength": [{**point, "value": [0.5, 1.25]}],
        "cell confusion": {"values": ["upper left"], "picked": ["upper left", "\x1b[31mlower"], "counts": [[4.0, 1.0]]},
    }
    text = render_skills({"tasks": [{"name": "tgit/rotate", "skills": skills}, {"name": "other", "skills": {}}]})
    lines = text.splitlines()
    assert lines[0] == "tgit/rotate by angle"
    assert "-10  n    5   80.0 [40.0, 100.0]" in lines[1]
    assert lines[1].count("█") == 19
    assert lines[2].count("█") == 0
    assert "0.5 to 1.25" in text
    assert "(1) upper left, (2) lower" in text
    assert "\x1b" not in text
    assert "  upper left   4.0   1.0" in text


def test_no_curves() -> None:
    assert render_skills({"tasks": []}) == "no task of this run has a skill curve\n"
