"""Questions by grammar: what it asks, that all of it keeps the rules, and how much it finds in real captions."""

from __future__ import annotations

import json
from collections import Counter
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from datagen.sources.types import Question
from datagen.vqa.chunks import chunks, progressive
from datagen.vqa.offline import Offline, drafts, pairs
from datagen.vqa.rules import Rules, grounded, opening
from datagen.vqa.types import Row, Said
from fuselip.core import seeds

SUGARCREPE = Path(__file__).parents[2].parent / "shared" / "data" / "sugarcrepe"


def asked(caption: str) -> set[tuple[str, str]]:
    return {(question, draft.answer) for draft in drafts(caption) for question in draft.questions}


@pytest.mark.parametrize(
    ("caption", "question", "answer"),
    [
        ("A man with a red umbrella", "What color is the umbrella?", "The umbrella is red."),
        ("A man with a red umbrella", "What does the man have?", "A red umbrella"),
        ("A black and white cat on a sofa", "Which color does the cat have?", "The cat is black and white."),
        ("Three dogs are playing in the snow.", "How many dogs are there?", "Three dogs"),
        ("Three dogs are playing in the snow.", "What are the dogs doing?", "Playing in the snow"),
        ("A young woman holding a cell phone", "What is the young woman holding?", "A cell phone"),
        ("A young woman holding a cell phone", "Who is holding a cell phone?", "A young woman"),
        ("A cat sits on top of a wooden table", "Where is the cat sitting?", "On top of a wooden table"),
        ("There is a plate of food next to a laptop", "Where is the plate of food?", "Next to a laptop"),
        ("A picture of a bus parked on the side of the road", "Where is the bus parked?", "On the side of the road"),
        ("A couple of elephants stand near a river", "Which animal is standing near a river?", "A couple of elephants"),
        ("A room has two beds", "What does the room have?", "Two beds"),
        ("A dog that is sitting on a chair", "Where is the dog sitting?", "On a chair"),
        ("Two pieces of pizza are served on a plate", "Where are the pieces of pizza?", "On a plate"),
        ("A bowl filled with green apples", "What is the bowl filled with?", "Green apples"),
    ],
)
def test_questions(caption: str, question: str, answer: str) -> None:
    assert (question, answer) in asked(caption)


@pytest.mark.parametrize(
    ("caption", "never"),
    [
        ("A man in a yellow shirt", "Where is the man?"),  # worn, not a place
        ("A red car next to a blue car", "What color is the car?"),  # which of them
        ("A woman holding a phone with both hands", "What does the phone have?"),
        ("A two story building in a city", "How many story building are there?"),
        ("A white man on a street", "What color is the man?"),
        ("A dog and a cat sleeping on a bed", "What is the cat doing?"),  # both are
    ],
)
def test_questions_it_must_not_ask(caption: str, never: str) -> None:
    assert never not in {question for question, _ in asked(caption)}


@pytest.mark.parametrize(
    ("verb", "form"),
    [
        ("sits", "sitting"),
        ("ride", "riding"),
        ("flies", "flying"),
        ("lies", "lying"),
        ("carries", "carrying"),
        ("watches", "watching"),
        ("crosses", "crossing"),
        ("goes", "going"),
        ("parked", "parked"),
    ],
)
def test_progressive(verb: str, form: str) -> None:
    assert progressive(verb) == form


def test_the_same_row_gives_the_same_pair_wherever_it_stands() -> None:
    rows = [Row.of("k", "ab", "Two brown dogs lie on a red couch", number, {}) for number in range(6)]
    both = Offline(3).ask(rows)
    assert both == [Offline(3).ask([row])[0] for row in rows]
    said = [each.text for each in both if isinstance(each, Said)]
    assert len(said) == len(set(said)) >= 4
    assert any(Offline(seed).ask(rows) != both for seed in range(5))


def test_an_opening_to_avoid() -> None:
    for seed in range(30):
        found = pairs("A brown dog lies on a couch", seeds.generator(seed), avoid="what")
        assert found
        assert all(opening(question) != "what" for _, question, _ in found)


@given(st.text(max_size=200))
def test_any_text_can_be_a_caption(caption: str) -> None:
    assert all(each.words for each in chunks(caption))
    pairs(caption, seeds.generator(0))


TEXT = "a the two red dog dogs is are on with of and sitting has very 7 , . man old couple that who"
WORDS = TEXT.split()


@given(st.lists(st.sampled_from(WORDS), max_size=12).map(" ".join))
def test_any_run_of_words_can_be_a_caption(caption: str) -> None:
    for _, question, answer in pairs(caption, seeds.generator(0)):
        assert question.endswith("?")
        assert len(answer.split()) >= 2


def captions() -> list[str]:
    if not SUGARCREPE.is_dir():
        pytest.skip("the captions of SugarCrepe are not here")
    found = {row["caption"] for file in SUGARCREPE.glob("*.json") for row in json.loads(file.read_text()).values()}
    return sorted(found)


def test_coverage_and_rules_on_real_captions() -> None:
    known = captions()
    rules = Rules()
    openings, kinds, judged = Counter[str](), Counter[str](), Counter[str]()
    for caption in known:
        found = pairs(caption, seeds.generator(caption))
        for _, question, answer in found:
            verdict = rules.judge(Said(f"Question: {question}\nAnswer: {answer}"), caption)
            judged["ok" if isinstance(verdict, Question) else verdict.reason] += 1
        if found:
            openings[opening(found[0][1])] += 1
            kinds[found[0][0]] += 1
    assert openings.total() / len(known) > 0.99
    assert kinds["shown"] / len(known) < 0.25, "the last resort stays one"
    assert max(openings.values()) / openings.total() < 0.4
    assert judged["ok"] / judged.total() > 0.999
    assert len([kind for kind in kinds if kinds[kind] > 0.05 * len(known)]) == 7


def test_the_grounding_check_tells_captions_apart() -> None:
    """An answer passes with its own caption and fails with another's: how well, in figures."""
    known = captions()
    found = [(caption, pairs(caption, seeds.generator(caption))) for caption in known]
    answers = [(caption, each[0][2]) for caption, each in found if each]
    own = sum(grounded(answer, caption) >= 0.7 for caption, answer in answers) / len(answers)
    others = [grounded(answer, answers[(index + 1931) % len(answers)][0]) for index, (_, answer) in enumerate(answers)]
    wrong = sum(share >= 0.7 for share in others) / len(answers)
    assert own > 0.999
    assert wrong < 0.03
