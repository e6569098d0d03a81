"""Answers: sheets say what the task's own data says, come back from disk the same, and never from a damaged file."""

from __future__ import annotations

from pathlib import Path

import pytest
from scoring_cases import ask, data_of

from benchmarks import controls
from benchmarks import tasks as registry
from benchmarks.types import TaskContext, TaskData, TaskSpec
from leaderboard.answers import Book, NoAnswers, known_of, sheet

TASK = "tgit/flip"
SPEC = TaskSpec("made/up", 3, "nowhere:load", "a test")


def questions() -> tuple[TaskSpec, TaskData]:
    spec = registry.task(TASK)
    return spec, registry.load_task(spec, TaskContext(source="photos:quick"))


def key() -> tuple[str, int, str]:
    spec, data = questions()
    return spec.name, spec.version, data.data_hash


@pytest.mark.parametrize("task", [TASK, pytest.param("scenes/winoground", marks=pytest.mark.slow)])
def test_a_sheet_says_what_the_data_says(task: str) -> None:
    spec = registry.task(task)
    data = registry.load_task(spec, TaskContext(source="photos:quick"))
    found = sheet(task)
    assert (found.task, found.version, found.data_hash) == (task, spec.version, data.data_hash)
    assert list(found.answers) == sorted(query.key for query in data.queries)
    for query, best in zip(data.queries, controls.constant(data), strict=True):
        answer = found.answers[query.key]
        assert answer.pool == tuple(name for name, _ in best.top)
        assert dict(answer.gains) == {target.key: target.gain for target in best.targets}
        assert (answer.cluster, answer.group, answer.tags) == (query.cluster, query.group, query.tags)


def test_bundles_gains_and_exclusions() -> None:
    texts = {"a": "one", "b": "one", "c": "two", "d": "three", "e": "three"}
    data = data_of(
        texts, ask("whole", {"b": 1, "c": 1}), ask("less", {"b": 1}, exclude=frozenset({"a", "c"})), ask("hidden", {})
    )
    answers = known_of(SPEC, data).sheet.answers
    assert set(answers["whole"].pool) == {"a", "c", "d"}
    assert dict(answers["whole"].gains) == {"a": 0.5, "c": 1.0}
    assert set(answers["less"].pool) == {"b", "d"}
    assert dict(answers["less"].gains) == {"b": 1.0}
    assert dict(answers["hidden"].gains) == {}
    for query, best in zip(data.queries, controls.constant(data), strict=True):
        assert answers[query.key].pool == tuple(name for name, _ in best.top)


def test_it_comes_back_from_disk_and_never_damaged(tmp_path: Path) -> None:
    made = Book(tmp_path).known(*key())
    (path,) = tmp_path.iterdir()
    assert Book(tmp_path).known(*key()) == made
    whole = path.read_bytes()
    path.write_bytes(whole[:-1] + bytes([whole[-1] ^ 1]))
    assert Book(tmp_path).known(*key()) == made
    assert path.read_bytes() == whole
    assert made.variants == ("model", "image_only", "text_only")
    assert set(made.baselines) == {"constant", "random", "oracle"}


@pytest.mark.parametrize(
    ("changed", "message"),
    [
        ({"name": "tgit/flop"}, "has no task 'tgit/flop'"),
        ({"name": "*"}, "has no task"),
        ({"name": "../../etc"}, "has no task"),
        ({"version": 99}, "asks version 1 of tgit/flip, not version 99"),
        ({"data_hash": "0" * 64}, "other questions in tgit/flip: none of its data has hash 000000000000"),
        ({"name": "coco/i2t"}, "cannot read its own data"),
    ],
)
def test_what_is_not_ours_has_no_answers(tmp_path: Path, changed: dict[str, object], message: str) -> None:
    name, version, data_hash = key()
    if changed.get("name") == "coco/i2t":
        changed["name"] = next(task for task in registry.TASKS if task.startswith("coco/"))
        version = registry.task(str(changed["name"])).version
    asked = {"name": name, "version": version, "data_hash": data_hash, **changed}
    book = Book(tmp_path / "cache", tmp_path)
    for _ in range(2):
        with pytest.raises(NoAnswers, match=message):
            book.get(**asked)  # type: ignore[arg-type]
    assert not (tmp_path / "cache").exists()


@pytest.mark.slow
def test_the_audit_of_the_baselines_alone(tmp_path: Path) -> None:
    """Blind baselines that win a task say so; without an encoder nobody says that fusion is needed."""
    spec = registry.task("scenes/vqa-color")
    data = registry.load_task(spec, TaskContext(source="photos:quick"))
    found = known_of(spec, data).without_encoder()
    assert set(found.audit["blind"]) == {"characters", "bag_of_words"}
    assert found.audit["needs_fusion"] in (False, None)
    assert found.controls["constant"] == pytest.approx(found.chance)
    assert found.controls["oracle"] == found.value
