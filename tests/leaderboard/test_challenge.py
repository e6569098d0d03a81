"""A challenge that is made: the same bytes for a seed, nothing in it that tells, and derived again by anybody."""

from __future__ import annotations

import io
import json
import struct
import zipfile
from collections import Counter, defaultdict
from collections.abc import Callable, Mapping, Sequence
from typing import Any

import numpy as np
import pytest
from lb_challenges import KEY, LATE, NOW, SEED, SOON, TASKS, made

from benchmarks import tasks as registry
from benchmarks.challenge_file import CHALLENGE, canonical, read_challenge
from benchmarks.tasks import tgit_made
from benchmarks.types import TaskContext
from fuselip.core.errors import UsageError, UserError
from leaderboard.challenge import Revealed, reveal, sign
from leaderboard.challenge.make import NOT_ASKED, build, check, choose, make, png

Rule = Callable[[dict[str, Any], int, str], float]


def _members(data: bytes) -> dict[str, bytes]:
    with zipfile.ZipFile(io.BytesIO(data)) as archive:
        return {info.filename: archive.read(info) for info in archive.infolist()}


def test_a_seed_gives_the_same_bytes_and_another_seed_other_questions() -> None:
    data, record = made()
    again, other = make(SEED, KEY, TASKS, 12, NOW, 24), make(b"\1" * 32, KEY, TASKS, 12, NOW, 24)
    assert again == (data, record)
    assert other[0] != data
    assert other[1].id != record.id
    ours, theirs = (set(_members(found)) - {CHALLENGE} for found in (data, other[0]))
    assert not ours & theirs


def test_the_public_tasks_stay_as_they_are() -> None:
    """The hashes that are published are of the rows as they stand; `fresh` gives other scenes of the same kind."""
    row = registry.task("tgit-scenes/flip")
    assert row.params["source"] == "scenes:test?count=4&seed=1&size=256"
    public, fresh = (registry.load_task(spec, TaskContext()) for spec in (row, tgit_made.fresh(row, 2**255)))
    assert tgit_made.fresh(row, 1).params == dict(row.params)
    assert public.data_hash != fresh.data_hash
    assert len(fresh.queries) == len(public.queries)


def test_nothing_but_questions_is_told() -> None:
    data, record = made()
    members = _members(data)
    document = json.loads(members[CHALLENGE])
    assert set(document) == {
        *("schema", "id", "created", "expires", "commitment", "instructions", "questions", "candidates", "signature"),
    }
    assert all(set(each) == {"id", "image", "text", "candidates"} for each in document["questions"])
    assert all(set(part) == {"image", "text"} for parts in document["candidates"].values() for part in parts)
    text = members[CHALLENGE].decode() + " ".join(members)
    built = build(SEED, record.tasks, 12, record.created, record.expires)
    secrets = [record.seed, str(sign.questions_seed(SEED)), "scene-", "winoground", "tgit", "zero-shot", "cluster"]
    secrets += record.tasks
    assert [word for word in secrets if word in text] == []
    keys = {query.key for _, part in built.tasks.values() for query in part.queries}
    assert not any(f'"{key}"' in text for key in keys)


def test_order_is_that_of_the_ids_and_files_have_no_times() -> None:
    data, _ = made()
    with zipfile.ZipFile(io.BytesIO(data)) as archive:
        infos = archive.infolist()
    assert [info.filename for info in infos] == sorted(info.filename for info in infos)
    assert {info.date_time for info in infos} == {(1980, 1, 1, 0, 0, 0)}
    assert {(info.extra, info.comment) for info in infos} == {(b"", b"")}
    document = json.loads(_members(data)[CHALLENGE])
    ids = [each["id"] for each in document["questions"]]
    assert ids == sorted(ids)
    assert all(each["candidates"] == sorted(set(each["candidates"])) for each in document["questions"])


def test_pictures_hold_pixels_alone() -> None:
    for name, body in _members(made()[0]).items():
        if name != CHALLENGE:
            at, kinds = 8, []
            while at < len(body):
                size, kind = struct.unpack_from(">I4s", body, at)
                kinds.append(kind)
                at += 12 + size
            assert set(kinds) == {b"IHDR", b"IDAT", b"IEND"}


def test_ids_need_the_secret() -> None:
    """What looks the same has one id; neither recipe, pixels nor content leads to it without the seed."""
    data, record = made()
    _, pictures = read_challenge(data, "made")
    built = build(SEED, record.tasks, 12, record.created, record.expires)
    pixels = Counter(ref.load().tobytes() for ref in pictures.values())
    assert max(pixels.values()) == 1
    for number, ref in list(built.pictures.items())[:10]:
        guesses = [ref.key, pictures[number].source, pictures[number].key]
        assert number not in {guess[:32] for guess in guesses}
        assert number != sign.opaque(bytes(32), "picture", "256x256", ref.key)
    candidates = [each for _, part in built.tasks.values() for each in part.candidates.values()]
    assert not {each.content[:32] for each in candidates} & set(built.candidate_ids.values())


def test_the_time_and_the_tasks_are_checked() -> None:
    for hours in (0, -1, 24 * 91):
        with pytest.raises(UsageError, match="hours"):
            make(SEED, KEY, TASKS, 2, NOW, hours)
    with pytest.raises(UsageError, match="only tasks that are drawn"):
        choose(["tgit/crop"])
    with pytest.raises(UsageError, match="answer of another"):
        choose(list(NOT_ASKED))
    with pytest.raises(UsageError, match="32 bytes"):
        build(b"short", TASKS, 2, "", "")
    assert len(choose()) == len(registry.match(["scenes/*", "tgit-scenes/*"])) - len(NOT_ASKED)


def test_the_seed_is_published_after_expiry_and_gives_the_very_bytes() -> None:
    data, record = made()
    with pytest.raises(UserError, match="open until"):
        reveal(record, SOON)
    told = reveal(record, LATE)
    assert check(data, told).same_bytes
    assert json.loads(_members(data)[CHALLENGE])["commitment"] == sign.commitment(SEED, told.tasks, told.questions)
    other = Revealed(told.id, (b"\1" * 32).hex(), told.tasks, told.questions)
    assert "does not follow" in check(data, other).difference
    with pytest.raises(UsageError, match="hex"):
        check(data, Revealed("", "no hex", told.tasks, 12))


def test_other_zlib_same_pixels_and_a_changed_picture_are_told_apart() -> None:
    from PIL import Image

    from benchmarks.challenge_file import write_zip

    data, record = made()
    members = _members(data)
    name = next(name for name in members if name != CHALLENGE)
    image = Image.open(io.BytesIO(members[name]))
    image.load()
    packed = io.BytesIO()
    image.save(packed, "PNG", compress_level=1)
    told = reveal(record, LATE)
    found = check(write_zip({**members, name: packed.getvalue()}), told)
    assert (found.same_bytes, found.difference) == (False, "")
    image.putpixel((0, 0), (1, 2, 3))
    assert "picture" in check(write_zip({**members, name: png(image)}), told).difference
    document = json.loads(members[CHALLENGE])
    document["questions"][0]["text"] += "?"
    assert "questions" in check(write_zip({**members, CHALLENGE: canonical(document)}), told).difference


def test_blind_rules_score_at_chance() -> None:
    tasks = ("scenes/winoground", "scenes/negatives-add", "scenes/position", "tgit-scenes/rotate")
    _assert_blind(_gains(tasks, b"\2")[0])


@pytest.mark.slow
@pytest.mark.parametrize("seed", [b"\3", b"\4"])
def test_blind_rules_score_at_chance_on_all_tasks(seed: bytes) -> None:
    """Byte sizes tell only what pixels show: an added thing takes bytes. Over all tasks they are worth chance too."""
    gains, sizes = _gains(choose(), seed)
    _assert_blind(gains)
    assert all(abs(float(each.mean())) < 0.06 for each in sizes.values())


def _assert_blind(gains: Mapping[str, Mapping[str, np.ndarray]]) -> None:
    for rule, by_task in gains.items():
        assert abs(float(np.mean([each.mean() for each in by_task.values()]))) < 0.06, rule
        for task, each in by_task.items():  # per source image, as its questions go together
            error = float(np.sqrt((each**2).mean() / len(each)))
            assert each.mean() <= 4.5 * error + 0.02, (rule, task, each.mean())


def _gains(tasks: tuple[str, ...], seed: bytes) -> tuple[dict[str, dict[str, np.ndarray]], dict[str, np.ndarray]]:
    """What rules that look at no pixel and no word win over chance: by rule and task, a number for each source image.

    And for rules by size of the files, means by task.
    """
    built = build(seed * 32, tasks, 24, "2026-01-01T00:00:00Z", "2026-01-02T00:00:00Z")
    document = built.document
    asked = {each["id"]: each for each in document["questions"]}
    size_of = {number: len(png(ref.load())) for number, ref in built.pictures.items()}
    rules = _rules(document)
    by_size = {"smallest": -1, "largest": 1}
    found: dict[str, dict[str, dict[str, float]]] = defaultdict(lambda: defaultdict(lambda: defaultdict(float)))
    for name, (_, data) in built.tasks.items():
        for query in data.queries:
            told = asked[built.question_ids[name, query.key]]
            right = {built.candidate_ids[name, key] for key, grade in query.relevance.items() if grade > 0}
            pool = told["candidates"]

            def win(worth: Sequence[float], pool: list[str] = pool, right: set[str] = right) -> float:
                best = [each for each, value in zip(pool, worth, strict=True) if value == max(worth)]
                return len(right & set(best)) / len(best) - len(right) / len(pool)

            for rule, worth in rules.items():
                found[rule][name][query.cluster] += win([worth(told, at, each) for at, each in enumerate(pool)])
            for rule, way in by_size.items():
                sizes = [
                    way * sum(size_of.get(part["image"], len(part["text"])) for part in document["candidates"][each])
                    for each in pool
                ]
                found[rule][name][query.cluster] += win(sizes) / len(data.queries)
    by_task = {
        rule: {name: np.array(list(each.values())) for name, each in rows.items()} for rule, rows in found.items()
    }
    sizes_ = {rule: np.array([each.sum() for each in by_task.pop(rule).values()]) for rule in by_size}
    scale = {name: len(data.queries) for name, (_, data) in built.tasks.items()}
    means = {
        rule: {name: each * len(each) / scale[name] for name, each in rows.items()} for rule, rows in by_task.items()
    }
    return means, sizes_


def _rules(document: dict[str, Any]) -> dict[str, Rule]:
    candidates = document["candidates"]
    used = Counter(each for asked in document["questions"] for each in asked["candidates"])
    pictures = Counter(asked["image"] for asked in document["questions"] if asked["image"])
    texts = Counter(asked["text"] for asked in document["questions"])

    def picture(each: str) -> str:
        return candidates[each][0]["image"] or ""

    return {
        "first": lambda asked, at, each: -at,
        "last": lambda asked, at, each: at,
        "least picture id": lambda asked, at, each: -int(picture(each) or "0", 16),
        "least sum with the question's id": lambda asked, at, each: (int(asked["id"], 16) + int(each, 16)) % 2**128,
        "most used": lambda asked, at, each: used[each],
        "least used": lambda asked, at, each: -used[each],
        "picture asked about": lambda asked, at, each: pictures[picture(each)],
        "picture not asked about": lambda asked, at, each: -pictures[picture(each)],
        "text that asks": lambda asked, at, each: sum(texts[part["text"]] for part in candidates[each] if part["text"]),
    }
