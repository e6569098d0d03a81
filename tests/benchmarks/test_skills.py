"""Skill curves and confusion from predictions alone."""

from __future__ import annotations

import json

import pytest
from scoring_cases import prediction

from benchmarks.skills import BINS, confusion, skill_curves
from benchmarks.types import Prediction
from fuselip.core.types import Scalar


def row(number: int, hit: bool, **tags: Scalar) -> Prediction:
    return prediction(4, (0 if hit else 1, 0, 1.0), query=f"q{number}", cluster=f"i{number}", tags=tags)


def test_accuracy_by_tag() -> None:
    rows = [row(n, n % 3 == 0, angle=30 * (n % 3) - 30, family="rotate", axis="xy"[n % 2]) for n in range(30)]
    curves = skill_curves(rows, "task")
    assert set(curves) == {"angle", "axis"}  # one family says nothing
    assert [(point["value"], point["n"], point["accuracy"]) for point in curves["angle"]] == [
        (-30, 10, 1),
        (0, 10, 0),
        (30, 10, 0),
    ]
    assert all(
        point["chance"] == 0.25 and point["low"] <= point["accuracy"] <= point["high"] for point in curves["angle"]
    )
    assert [point["value"] for point in curves["axis"]] == ["x", "y"]
    assert json.loads(json.dumps(curves)) == curves
    assert skill_curves(rows[::-1], "task") == curves


def test_many_numbers_are_binned_and_many_texts_left_out() -> None:
    rows = [row(n, n < 40, strength=n / 100, item=f"photo {n}") for n in range(100)]
    curves = skill_curves(rows)
    assert set(curves) == {"strength"}
    points = curves["strength"]
    assert len(points) == BINS
    assert [point["n"] for point in points] == [20] * 5
    assert points[0]["value"] == [0.0, 0.19]
    assert [point["accuracy"] for point in points] == [1, 1, 0, 0, 0]


def test_bins_of_uneven_numbers_keep_equal_values_together_and_lose_nobody() -> None:
    rows = [row(n, True, strength=0.0 if n < 60 else float(n)) for n in range(100)]
    points = skill_curves(rows)["strength"]
    assert sum(point["n"] for point in points) == 100
    assert points[0]["value"][0] == 0.0
    assert points[0]["n"] >= 60


def test_true_and_false_are_values_not_numbers_and_queries_without_the_tag_do_not_count() -> None:
    rows = [row(0, True, flipped=True), row(1, False, flipped=False), row(2, True)]
    assert [(p["value"], p["n"]) for p in skill_curves(rows)["flipped"]] == [("False", 1), ("True", 1)]
    assert skill_curves([prediction(4, tags={"angle": 1}), prediction(4, tags={"angle": 2})]) == {}


def test_confusion_shares_out_ties_and_rows_sum_to_queries() -> None:
    def cell(target: str, *top: tuple[str, float]) -> Prediction:
        return prediction(3, (0, 0, 1.0), tags={"cell": target}, top=tuple((f"img/crop/{key}", s) for key, s in top))

    rows = [
        cell("upper left", ("upper left", 0.9), ("centre", 0.1), ("lower right", 0.1)),
        cell("upper left", ("centre", 0.5), ("upper left", 0.5), ("lower right", 0.1)),
        cell("centre", ("lower right", 0.9), ("centre", 0.9 - 2e-6), ("upper left", 0.0)),
    ]
    found = confusion(rows, "cell")
    assert found["values"] == ["centre", "upper left"]
    assert found["picked"] == ["centre", "lower right", "upper left"]
    assert found["counts"] == [[0, 1, 0], [0.5, 0, 1.5]]
    assert skill_curves(rows)["cell confusion"] == found
    assert [sum(counts) for counts in found["counts"]] == pytest.approx([1, 2])
