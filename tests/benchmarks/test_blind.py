"""Blind baselines: what they rank by, where they apply, and that they learn from other folds alone."""

from __future__ import annotations

import json
import time
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scoring_cases import ask, candidates

from benchmarks import blind, controls, predictions
from benchmarks.metrics import METRICS
from benchmarks.score import TIE
from benchmarks.types import Candidate, Prediction, Query, TaskData
from fuselip.core.types import ImageRef, Input, Operation


def accuracy(rows: list[Prediction]) -> float:
    return float(np.mean([unit.value for unit in METRICS["hit@1"].units(rows)]))


def pairs(texts: list[tuple[str, str]], cluster: str = "") -> TaskData:
    """Questions with two captions, (right, wrong), about pictures of which nothing is known but a name."""
    pool: dict[str, Candidate] = {}
    queries = []
    for number, (right, wrong) in enumerate(texts):
        keys = (f"{number}/right", f"{number}/wrong")
        pool |= {key: Candidate(key, (Input(text),)) for key, text in zip(keys, (right, wrong), strict=True)}
        image = Input(image=ImageRef(f"{number:064x}"))
        queries.append(Query(f"q{number}", image, {keys[0]: 1.0}, keys, cluster=cluster))
    return TaskData(tuple(queries), pool)


def test_fewer_characters_win_and_equal_lengths_are_a_tie() -> None:
    found = blind.predictions(pairs([("a cat", "a black cat"), ("two black cats", "a cat"), ("a cat", "a dog")]))
    assert [METRICS["hit@1"].units([row])[0].value for row in found["characters"]] == [1.0, 0.0, 0.5]


def test_a_candidate_of_many_texts_counts_by_their_mean_length() -> None:
    pool = {"long": Candidate("long", (Input("a"), Input("a" * 9))), "short": Candidate("short", (Input("a" * 4),))}
    found = blind.predictions(TaskData((ask("q", {"short": 1}),), pool))
    assert accuracy(found["characters"]) == 1


def test_words_of_wrong_answers_are_learned_from_the_other_folds() -> None:
    animals = [f"animal{number}" for number in range(60)]
    found = blind.predictions(pairs([(f"a {name} sits", f"a striped {name} sits") for name in animals]))
    assert accuracy(found["bag_of_words"]) == 1
    # One source: one fold, and nothing is left to learn from.
    alone = blind.predictions(pairs([(f"a {name} sits", f"a striped {name} sits") for name in animals], "one"))
    assert accuracy(alone["bag_of_words"]) == 0.5


def test_equal_bags_of_words_are_tied() -> None:
    found = blind.predictions(pairs([(f"red{n} on blue{n % 3}", f"blue{n % 3} on red{n}") for n in range(30)]))
    assert [row.targets[0].tied for row in found["bag_of_words"]] == [1] * 30


def test_words_shared_with_the_query_count() -> None:
    pool, queries = {}, []
    for number in range(60):
        for kind, text in {"yes": f"thing{number} here", "no": f"other{number} here"}.items():
            pool[f"{number}/{kind}"] = Candidate(f"{number}/{kind}", (Input(text),))
        names = (f"{number}/yes", f"{number}/no")
        queries.append(Query(f"q{number}", Input(f"where is thing{number}?"), {names[0]: 1}, names))
    assert accuracy(blind.predictions(TaskData(tuple(queries), pool))["bag_of_words"]) == 1


def test_a_popular_answer_of_a_gallery_is_known() -> None:
    gallery = candidates({f"c{number}": f"answer {number}" for number in range(300)})
    queries = tuple(ask(f"q{number}", {"c7": 1}) for number in range(40))
    assert accuracy(blind.predictions(TaskData(queries, gallery))["bag_of_words"]) == 1


def crop(key: str, left: int, top: int, right: int, bottom: int) -> Candidate:
    box = Operation.of("box", left=left, top=top, right=right, bottom=bottom)
    return Candidate(key, (Input(image=ImageRef("a" * 64).then(box, Operation.of("resize", width=9, height=9))),))


def test_the_larger_box_wins_where_all_candidates_are_boxes() -> None:
    pool = {row.key: row for row in (crop("small", 0, 0, 3, 4), crop("large", 5, 5, 9, 9))}
    query = ask("q", {"large": 1})
    assert set(found := blind.predictions(TaskData((query,), pool))) == {"box_area"}
    assert accuracy(found["box_area"]) == 1
    step = Operation.of("dilated_crop", left=1, top=1, width=6.5, height=1.0, dilation=0.7)
    other = Candidate("other", (Input(image=ImageRef("a" * 64).then(step)),))
    assert accuracy(blind.predictions(TaskData((query,), {**pool, "other": other}))["box_area"]) == 1
    whole = {**pool, "whole": Candidate("whole", (Input(image=ImageRef("b" * 64)),))}
    assert blind.predictions(TaskData((query,), whole)) == {}


def test_pictures_and_mixed_candidates_have_no_text_to_go_by() -> None:
    mixed = {"a": Candidate("a", (Input("a"),)), "b": Candidate("b", (Input(image=ImageRef("b" * 64)),))}
    assert blind.predictions(TaskData((ask("q", {"a": 1}),), mixed)) == {}
    assert blind.predictions(TaskData((), {})) == {}


def test_queries_of_one_source_or_one_group_share_a_fold() -> None:
    queries = [
        ask(f"q{n}", {"a": 1}, cluster=f"i{n // 2}", group=f"g{(n + 1) // 2}" if n < 20 else "") for n in range(60)
    ]
    found = blind.folds(queries)
    assert len(set(found[:20])) == 1  # a chain: each group joins two sources
    assert found[20::2] == found[21::2]
    assert set(found) == set(range(blind.FOLDS))
    assert blind.folds(queries[::-1]) == found[::-1]


@settings(max_examples=30, deadline=None)
@given(st.lists(st.integers(-5, 5) | st.floats(-1e3, 1e3), min_size=1, max_size=40))
def test_spaced_scores_keep_order_and_ties(worth: list[float]) -> None:
    values = np.round(np.array(worth, dtype=float), 6)
    scores = blind.spaced(values)
    assert (scores == scores.astype(np.float32)).all()
    for one, score in zip(values, scores, strict=True):
        assert ((scores > score + TIE) == (values > one)).all()
        assert ((np.abs(scores - score) <= TIE) == (values == one)).all()


def test_predictions_are_those_of_a_run(tmp_path: Path) -> None:
    data = pairs([(f"a {n} b", f"a {n % 4} c d") for n in range(12)])
    found = controls.predictions(data)
    assert {"characters", "bag_of_words"} <= set(found)
    predictions.write(
        tmp_path / "p", {"model": found["random"], **found}, {"task": "t", "version": "1", "data_hash": "d"}
    )
    assert predictions.read(tmp_path / "p").variants["bag_of_words"] == sorted(
        found["bag_of_words"], key=lambda row: row.query
    )


def test_a_large_gallery_is_ranked_at_once() -> None:
    generator = np.random.default_rng(0)
    words = [" ".join(row) for row in generator.choice([f"w{n}" for n in range(500)], (5000, 8))]
    gallery = candidates({f"c{number}": text for number, text in enumerate(words)})
    queries = tuple(ask(f"q{number}", {f"c{number}": 1}) for number in range(500))
    data = TaskData(queries, gallery)
    began = time.perf_counter()
    found = blind.predictions(data)
    assert time.perf_counter() - began < 10  # about 0.3 s; a comparison of words for each pair would take minutes
    assert {len(rows) for rows in found.values()} == {500}


@pytest.mark.parametrize(
    ("subset", "n", "share"), [("add_att", 692, 0.996), ("add_obj", 2062, 0.990), ("replace_rel", 1406, 0.642)]
)
def test_sugarcrepe_is_solved_by_length_as_measured(shared: Path, subset: str, n: int, share: float) -> None:
    path = shared / "data" / "sugarcrepe" / f"{subset}.json"
    if not path.exists():
        pytest.skip("SugarCrepe's annotations are not there")
    rows = json.loads(path.read_text())
    found = blind.predictions(pairs([(row["caption"], row["negative_caption"]) for row in rows.values()]))
    assert len(found["characters"]) == n
    assert accuracy(found["characters"]) == pytest.approx(share, abs=0.001)


def both(key: str, cluster: str, text: str = "turn it") -> Query:
    return Query(key, Input(text, ImageRef(f"{key:0>64}")), {"a": 1}, cluster=cluster)


def test_every_image_is_swapped_for_one_of_another_source() -> None:
    queries = [both(f"{n}", f"i{n // 3}") for n in range(12)] + [ask("text", {"a": 1})]
    found = controls.swapped(queries)
    assert found is not None
    assert found == controls.swapped(queries)
    assert found[-1] == queries[-1]
    source = {query.input.image: query.cluster for query in queries}
    assert all(source[new.input.image] != old.cluster for new, old in zip(found[:-1], queries, strict=False))
    assert len({query.input.image for query in found[:-1]}) == 12
    assert [(q.key, q.input.text, q.cluster) for q in found] == [(q.key, q.input.text, q.cluster) for q in queries]


def test_a_source_with_most_queries_is_swapped_too_and_one_source_is_not() -> None:
    queries = [both(f"{n}", "most" if n < 9 else f"i{n}") for n in range(11)]
    found = controls.swapped(queries)
    assert found is not None
    source = {query.input.image: query.cluster for query in queries}
    assert all(source[new.input.image] != old.cluster for new, old in zip(found, queries, strict=True))
    assert controls.swapped(queries[:9]) is None
    assert controls.swapped([ask("q", {"a": 1})]) is None
    data = TaskData(tuple(queries), candidates({"a": "a"}))
    assert "swapped_image" not in controls.query_variants(data)
    assert controls.query_variants(data, swap=True)["swapped_image"] == found
