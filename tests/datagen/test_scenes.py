"""Scenes: the texts are true of the pictures, the splits hold, the edits lead back, and nothing is given away."""

from __future__ import annotations

import hashlib
import re
from collections import Counter, defaultdict

import numpy as np
import PIL
import pytest
from hypothesis import given
from hypothesis import strategies as st

from datagen.scenes.draws import Draws
from datagen.scenes.negatives import Negative, negatives
from datagen.scenes.render import visible_fractions, visible_map
from datagen.scenes.sample import MIN_VISIBLE, sample_scene
from datagen.scenes.spec import format_spec, parse_spec
from datagen.scenes.truth import RELATIONS, cell
from datagen.scenes.types import Scene, Thing
from datagen.scenes.vocabulary import COLOURS, HALF_SIZES, HELD_OUT, INKS, SHAPES, TEXTURES
from datagen.sources.registry import open_source
from datagen.sources.scenes import Scenes
from datagen.sources.types import Question
from fuselip.core.errors import UsageError, UserError
from fuselip.core.types import ImageRef, Operation

NUMBERS = ("zero", "one", "two", "three", "four", "five", "six", "seven", "eight")


def spec_of(image: ImageRef) -> Scene:
    return parse_spec(str(dict(image.operations[0].params)["spec"]))


@pytest.fixture(scope="module", params=["train", "test"])
def source(request: pytest.FixtureRequest) -> Scenes:
    return Scenes(request.param, count=400, seed=5, size=96)


def test_held_out_combinations_stay_out_of_training() -> None:
    for seed in range(5000):
        for thing in sample_scene(seed, "train").things:
            assert (thing.colour, thing.shape) not in HELD_OUT
            assert (thing.texture, thing.shape) not in HELD_OUT
    assert all(sample_scene(seed, "test").held_out for seed in range(1000))


def test_held_out_words_stay_out_of_training_texts() -> None:
    texts = [text for item in Scenes("train", 300).items() for text in every_text(item)]
    pairs = [f"{word} {shape}" for word, shape in HELD_OUT]
    assert len(texts) > 3000
    assert not [text for text in texts for pair in pairs if f" {pair}" in f" {text}"]


def every_text(item: object) -> list[str]:
    texts = [*item.captions, *(region.phrase for region in item.regions)]  # type: ignore[attr-defined]
    texts += [part for question in item.questions for part in (question.question, question.answer)]  # type: ignore[attr-defined]
    return texts + [part for edit in item.edits for part in (edit.instruction, edit.inverse, *edit.captions)]  # type: ignore[attr-defined]


def test_pixels_show_what_the_scene_says(source: Scenes) -> None:
    source = Scenes(source.split, seed=source.seed, size=256)
    for index in range(60):
        scene = source.scene(index)
        pixels = np.asarray(source.item(index).image.load(), np.int16)
        labels = visible_map(scene, source.size)
        assert min(visible_fractions(scene)) >= MIN_VISIBLE
        for number, thing in enumerate(scene.things):
            shown = pixels[labels == number]
            fill = np.abs(shown - COLOURS[thing.colour]).max(1) <= 2
            ink = np.abs(shown - INKS[thing.colour]).max(1) <= 2
            assert fill.mean() > 0.15, thing
            assert thing.texture == "plain" or ink.mean() > 0.05, thing
            rows, columns = np.nonzero(labels == number)
            if visible_fractions(scene)[number] == 1:
                middle = (columns.min() + columns.max()) / 2, (rows.min() + rows.max()) / 2
                assert np.abs(np.array(middle) / source.size * 1000 - (thing.x, thing.y)).max() < 90


# An oracle of its own: it reads the words of a question and looks at the things, and shares no code with the generator.


def means(words: str, thing: Thing) -> bool:
    parts = words.replace("object", "").replace("the ", "")
    shape = next((shape for shape in sorted(SHAPES, key=len, reverse=True) if shape in parts), "")
    said = parts.replace(shape, "").split() if shape else parts.split()
    return (not shape or thing.shape == shape) and all(
        word in (thing.colour, thing.texture, thing.size) for word in said
    )


def one(words: str, scene: Scene) -> Thing:
    (found,) = [thing for thing in scene.things if means(words, thing)]
    return found


def singular(words: str) -> str:
    for shape in (*SHAPES, "object"):
        for plural in (f"{shape}es", f"{shape}s"):
            if words.endswith(plural):
                return words.removesuffix(plural) + shape
    return words


ASKING = "|".join(
    (
        "^What color is the ",
        "^Which (color|shape) does the ",
        "^What shape is the ",
        "^What is the texture of the ",
        "^What size is the ",
        "^Is the ",
        "^Which way does the ",
        "^In which direction does the ",
        "^In which part of the picture is the ",
        "^Where in the picture is the ",
        " (have|point)$",
        " plain, striped, dotted or checkered$",
        " small, medium or large$",
    )
)


def answer(question: Question, scene: Scene) -> str:
    text = question.question.rstrip("?")
    kind = question.kind
    if kind in ("color", "shape", "texture", "size", "direction", "position"):
        words = re.sub(ASKING, "", text)
        thing = one(words, scene)
        if kind == "direction":
            return {0: "right", 90: "down", 180: "left", 270: "up"}[thing.rotation]
        if kind == "position":
            return cell(thing)
        return {"color": thing.colour, "shape": thing.shape, "texture": thing.texture, "size": thing.size}[kind]
    if kind == "existence":
        words = text.removeprefix("Is there ").removeprefix("Can you see ").removeprefix("Does the picture show ")
        words = words.removesuffix(" in the picture").removeprefix("an ").removeprefix("a ")
        return "yes" if any(means(words, thing) for thing in scene.things) else "no"
    if kind == "count":
        words = text.removeprefix("How many ").removeprefix("What is the number of ")
        words = singular(words.removesuffix(" are there").removesuffix(" are in the picture"))
        return NUMBERS[sum(means(words, thing) for thing in scene.things)]
    if kind == "relation":
        choices = "left or right of" if "left or right" in text else "above or below"
        first, _, second = text.removeprefix("Is the ").partition(f" {choices} the ")
        a, b = one(first, scene), one(second, scene)
        if choices.startswith("left"):
            return "left" if a.x < b.x else "right"
        return "above" if a.y < b.y else "below"
    assert kind == "comparison", kind
    if text.startswith("Which is "):
        word, _, rest = text.removeprefix("Which is ").partition(", the ")
        first, _, second = rest.partition(" or the ")
        larger = HALF_SIZES[one(first, scene).size] > HALF_SIZES[one(second, scene).size]
        return first if larger == (word == "larger") else second
    if text.startswith("Do the "):
        rest, _, field = text.removeprefix("Do the ").partition(" have the same ")
        first, _, second = rest.partition(" and the ")
        name = {"color": "colour"}.get(field, field)
        return "yes" if getattr(one(first, scene), name) == getattr(one(second, scene), name) else "no"
    first, _, second = text.removeprefix("Are there more ").partition(" than ")
    counts = [sum(means(singular(words), thing) for thing in scene.things) for words in (first, second)]
    return "yes" if counts[0] > counts[1] else "no"


def test_every_answer_follows_from_the_scene(source: Scenes) -> None:
    asked = 0
    for index in range(source.count):
        scene = source.scene(index)
        for question in source.item(index).questions:
            assert answer(question, scene) == question.answer, (format_spec(scene), question)
            asked += 1
    assert asked > 4 * source.count


def test_no_kind_of_question_is_answered_by_one_word() -> None:
    answers: dict[str, Counter[str]] = defaultdict(Counter)
    for item in Scenes("train", 1000).items():
        for question in item.questions:
            answers[question.kind][question.answer] += 1
    assert len(answers) == 10
    for kind, found in answers.items():
        assert found.most_common(1)[0][1] / found.total() <= 0.6, (kind, found.most_common(3))


def test_regions_mean_one_thing_and_lie_around_it(source: Scenes) -> None:
    for index in range(100):
        scene, item = source.scene(index), source.item(index)
        for region in item.regions:
            words = region.phrase.removeprefix("the ")
            first, _, rest = words.partition(" ")
            order = {"leftmost": (1, 0), "rightmost": (-1, 0), "topmost": (0, 1), "bottommost": (0, -1)}.get(first)
            fitting = [thing for thing in scene.things if means(rest if order else words, thing)]
            if order:
                fitting = [min(fitting, key=lambda thing, o=order: thing.x * o[0] + thing.y * o[1])]  # type: ignore[misc]
            (thing,) = fitting
            left, top, right, bottom = (value / source.size * 1000 for value in region.box)
            assert left < thing.x < right
            assert top < thing.y < bottom
            assert 0 <= region.box[0] < region.box[2] <= source.size


def test_edits_change_what_they_say_and_lead_back(source: Scenes) -> None:
    kinds: Counter[str] = Counter()
    for index in range(source.count):
        before, item = source.scene(index), source.item(index)
        for edit in item.edits:
            after = spec_of(edit.image)
            kinds[edit.kind] += 1
            assert after.background == before.background
            assert after.held_out == before.held_out or before.held_out
            gone, come = Counter(before.things) - Counter(after.things), Counter(after.things) - Counter(before.things)
            changed = (gone.total(), come.total())
            assert (
                changed
                == {"recolour": (1, 1), "move": (1, 1), "remove": (1, 0), "add": (0, 1), "swap": (2, 2)}[edit.kind]
            )
            for words, scene, thing in named(edit.kind, edit.instruction, edit.inverse, before, after, gone, come):
                assert one(words, scene) == thing, (edit, words)
    assert set(kinds) == {"recolour", "move", "remove", "add", "swap"}
    assert min(kinds.values()) > source.count / 3


def named(
    kind: str, there: str, back: str, before: Scene, after: Scene, gone: Counter[Thing], come: Counter[Thing]
) -> list[tuple[str, Scene, Thing]]:
    """The words for the thing that is changed, with the scene they are said of."""
    if kind == "recolour":
        said = there.removeprefix("change the color of").removeprefix("make").removeprefix("color").split()
        said = said[: said.index("to")] if "to" in said else said[:-1]
        return [(" ".join(said).removeprefix("the "), before, next(iter(gone)))]
    if kind == "move":
        return [(re.split(" to the | in the ", there)[0].partition(" the ")[2], before, next(iter(gone)))]
    if kind == "remove":
        return [(there.partition(" the ")[2].removesuffix(" away"), before, next(iter(gone)))]
    if kind == "add":
        return [(back.partition(" the ")[2].removesuffix(" away"), after, next(iter(come)))]
    return []


def all_negatives(split: str, count: int) -> list[tuple[Scene, Negative]]:
    source = Scenes(split, count, seed=9)
    scenes = [source.scene(index) for index in range(count)]
    return [(scene, each) for index, scene in enumerate(scenes) for each in negatives(scene, Draws(index))]


def test_negatives_are_false_and_captions_are_true() -> None:
    for scene, each in all_negatives("train", 400):
        assert holds(each.caption, scene), (each, format_spec(scene))
        assert not holds(each.negative, scene), (each, format_spec(scene))
        if each.kind.startswith("swap"):
            assert sorted(words(each.caption)) == sorted(words(each.negative))


def words(text: str) -> list[str]:
    return [word for word in text.replace(",", "").split() if word not in ("a", "an")]


def holds(caption: str, scene: Scene) -> bool:
    """Whether a caption of `negatives` is true, read from its words alone."""
    text = caption.removeprefix("there is ")
    if text.startswith("no "):
        return not any(means(text.removeprefix("no "), thing) for thing in scene.things)
    for relation, (right, down) in RELATIONS.items():
        first, found, second = text.partition(f" {relation} ")
        if found:
            a, b = (one(bare(part), scene) for part in (first, second))
            return (a.x - b.x) * right + (a.y - b.y) * down > 0
    parts = text.replace(" and ", ", ").split(", ")
    return all(any(means(bare(part), thing) for thing in scene.things) for part in parts)


def bare(words: str) -> str:
    return words.removeprefix("an ").removeprefix("a ")


def test_neither_length_nor_words_give_negatives_away() -> None:
    """Words: trained on one half of the scenes, asked on the other."""
    found = defaultdict(list)
    for _, each in all_negatives("train", 2400):
        found[each.kind].append(each)
    assert len(found) == 7
    for kind, rows in found.items():
        half = len(rows) // 2
        shorter = np.mean([0.5 + 0.5 * np.sign(len(row.negative) - len(row.caption)) for row in rows])
        weights: Counter[str] = Counter()
        for row in rows[:half]:
            weights.update(words(row.caption))
            weights.subtract(words(row.negative))
        scored = [
            sum(weights[w] for w in words(r.caption)) - sum(weights[w] for w in words(r.negative)) for r in rows[half:]
        ]
        by_words = np.mean([0.5 + 0.5 * np.sign(score) for score in scored])
        assert abs(shorter - 0.5) < 0.08, (kind, shorter, len(rows))
        assert abs(by_words - 0.5) < 0.08, (kind, by_words, len(rows))


def test_scenes_and_pictures_are_frozen() -> None:
    specs = "\n".join(
        format_spec(sample_scene(seed, split)) for split in ("train", "val", "test") for seed in range(20)
    )
    assert hashlib.sha256(specs.encode()).hexdigest()[:16] == "592e87d75cc06b0e"
    pixels = b"".join(item.image.load().tobytes() for item in Scenes("test", 12, size=64).items())
    if (PIL.__version__, np.__version__) == ("13.0.0", "2.4.6"):
        assert hashlib.sha256(pixels).hexdigest()[:16] == "dd9582d3071635a9"


def test_items_do_not_depend_on_the_count() -> None:
    few, many = Scenes("val", 4), Scenes("val", 10**8)
    assert list(few.items()) == [many.item(index) for index in range(4)]


def test_specs_of_the_source() -> None:
    assert open_source("scenes").name == "scenes:train?count=1000&seed=0&size=128"
    assert open_source("scenes:test?count=3&size=64").name == "scenes:test?count=3&seed=0&size=64"
    for spec, says in [
        ("scenes:tset", "did you mean 'test'"),
        ("scenes?cuont=3", "did you mean 'count'"),
        ("scenes?count=-1", "whole number"),
        ("scenes?size=5", "size must be"),
    ]:
        with pytest.raises(UsageError, match=says):
            open_source(spec)


@given(
    st.text(max_size=60)
    | st.from_regex(
        r"(plain|noise),(dark blue|x),(dark blue),[0-9]{1,5}(/[a-z]+,red,plain,small,[0-9]+,[0-9]+,[0-9]+){0,2}",
        fullmatch=True,
    )
)
def test_specs_from_outside_are_parsed_strictly(spec: str) -> None:
    try:
        scene = parse_spec(spec)
    except UserError:
        with pytest.raises(UserError):
            ImageRef("", (Operation.of("scene", 1, spec=spec, size=32),)).load()
    else:
        assert format_spec(scene) == spec


def test_all_words_are_used() -> None:
    seen = {
        word
        for seed in range(600)
        for t in sample_scene(seed, "train").things
        for word in (t.shape, t.colour, t.texture)
    }
    assert seen == {*SHAPES, *COLOURS, *TEXTURES}
