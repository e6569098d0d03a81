"""TGIT transforms give the reference's pixels and the reference's draws."""

from __future__ import annotations

import io
import json
from pathlib import Path
from typing import Any

import numpy as np
import PIL
import pytest
from PIL import Image

from datagen.sources.photos import Photos
from datagen.sources.types import SourceItem
from datagen.transforms import colorize, crop, flip, jitter, rotate
from datagen.transforms.base import BASE, SIDE
from datagen.transforms.edit import Edit, Steps
from datagen.transforms.families import FAMILIES
from datagen.transforms.paper import PaperDraws, evaluation_mixture, training_mixture
from fuselip.core.errors import UserError
from fuselip.core.operations import apply
from fuselip.core.types import ImageRef, Operation
from tests.datagen.synthetic import pixel_hash, synthetic

# Ours, of the synthetic image. Other versions of Pillow may resample differently, so this is asked of one version only.
PINNED_PILLOW = "13.0.0"
PINNED = {
    "source": "002d18b3535ccffd9f1e",
    "base": "4334ae9dc677b777d44b",
    "crop to upper left": "f31695e1f74adfdfae24",
    "crop to center right": "51d5854c3eebb495ff73",
    "rotate 10 degrees clockwise": "5968ba7e4d2fc4f4012b",
    "rotate 90 degrees counter-clockwise": "95e9c4dc2a9ae1f925f7",
    "horizontal flip": "aa8fcb9e124f25bd2406",
    "vertical flip": "469241791b99da1512a4",
    "grayscale": "bda05a839f77e8d5c2b2",
    "colorize": "4334ae9dc677b777d44b",
}
SOURCE = ImageRef.from_pil(synthetic())
# How the reference's recordings name the images that its pairs stand between.
FILES = {"base": "base", "gray": "gray", "horizontal": "horizontalflip", "vertical": "verticalflip"}


@pytest.fixture(scope="module")
def golden(shared: Path) -> dict[str, Any]:
    loaded: dict[str, Any] = json.loads((shared / "reference/golden/tgit/manifest.json").read_text())
    return loaded


def made(steps: Steps) -> str:
    return pixel_hash(SOURCE.then(BASE, *steps).load())


def told(edits: tuple[Edit, ...]) -> list[tuple[str, str]]:
    return [(edit.text, made(edit.right)) for edit in edits]


def recorded(rows: list[dict[str, Any]]) -> list[tuple[str, str]]:
    return [(row["text"], row["rgb_sha256_20"]) for row in rows]


@pytest.mark.skipif(PIL.__version__ != PINNED_PILLOW, reason=f"pixels are pinned for Pillow {PINNED_PILLOW}")
def test_pixels_are_the_pinned_ones() -> None:
    edits = (*crop.EDITS, *rotate.EDITS, *flip.EDITS[::2], *colorize.EDITS)
    ours = {"source": pixel_hash(SOURCE.load()), "base": made(()), **dict(told(edits))}
    assert {name: ours[name] for name in PINNED} == PINNED


def test_base_crop_rotate_and_flip_are_the_references(golden: dict[str, Any]) -> None:
    of = golden["images"]["synthetic"]
    assert pixel_hash(SOURCE.load()) == of["source"]["rgb_sha256_20"]
    assert made(()) == of["base"]["rgb_sha256_20"]
    assert told(crop.EDITS) == recorded(of["crop"])
    assert told(rotate.EDITS) == recorded(of["rotate"])
    assert told(flip.EDITS) == recorded(of["flip"])
    assert told(colorize.EDITS) == recorded(of["colorize_grayscale"])
    assert len(crop.EDITS) == 9
    assert len(rotate.EDITS) == 18


def test_jitter_is_the_references(golden: dict[str, Any]) -> None:
    """By the factors that it recorded in its instructions, and by those that we draw from its seed."""
    rows = golden["images"]["synthetic"]["colorjitterv2_after_random_seed_0"]
    edits = []
    for row in rows:
        brightness, contrast, saturation = (float(part.split()[-1]) for part in row["text"].split(" and "))
        edits.append(jitter.edit((brightness, contrast, saturation)))
    assert told(tuple(edits)) == recorded(rows)
    assert [edit.text for edit in PaperDraws(0)._edits("jitter", 10)] == [edit.text for edit in edits]


def test_left_images_are_the_references(golden: dict[str, Any]) -> None:
    of = golden["images"]["synthetic"]
    hashes = {row["file"]: row["rgb_sha256_20"] for name in ("flip", "colorize_grayscale") for row in of[name]}
    for name, edits in (("flip", flip.EDITS), ("colorize_grayscale", colorize.EDITS)):
        assert [made(edit.left) for edit in edits] == [hashes[row["left"]] for row in of[name]]


def test_every_recorded_picture_is_ours(golden: dict[str, Any], shared: Path) -> None:
    """The pictures themselves, so that a difference can be looked at; few are kept."""
    ours = {
        "synthetic_source": SOURCE.load(),
        **{f"synthetic_{FILES[edit.target]}": SOURCE.then(BASE, *edit.right).load() for edit in flip.EDITS},
        **{f"synthetic_{FILES[edit.target]}": SOURCE.then(BASE, *edit.right).load() for edit in colorize.EDITS},
    }
    for name, image in ours.items():
        theirs = Image.open(shared / f"reference/golden/tgit/{name}.png").convert("RGB")
        assert np.array_equal(np.asarray(image), np.asarray(theirs)), name


def test_base_of_photos_is_the_references(shared: Path) -> None:
    photos = {item.key: item.image for item in Photos(quick=True).items() if isinstance(item, SourceItem)}
    recorded = sorted((shared / "reference/golden/photos").glob("*_256.png"))
    assert len(recorded) == 4
    for path in recorded:
        ours = photos[path.name.removesuffix("_256.png")].then(BASE).load()
        assert np.array_equal(np.asarray(ours), np.asarray(Image.open(path).convert("RGB"))), path.name


def test_evaluation_draws_are_the_references(golden: dict[str, Any]) -> None:
    """Recorded over a data set of two images, family after family on one seed; the rows of the first are kept."""
    draws = PaperDraws(0)
    for name, family in FAMILIES.items():
        mixture = evaluation_mixture(name)
        edits, _ = draws.item(mixture), draws.item(mixture)
        (row,) = golden["dataset_eval_after_set_seed_0"][family.paper_name]["rows"]
        assert [edit.text for edit in edits] == row["texts_left"]
        assert [made(edit.left) for edit in edits] == row["images_left"]
        assert [made(edit.right) for edit in edits] == row["candidates"]
        assert len({made(edit.right) for edit in edits}) == row["n_distinct_candidates"]
        assert (edits[0].text, made(edits[0].left)) == (row["query_text"], row["query_image"])


@pytest.mark.parametrize("name", ["flip", "colorize"])
def test_orders_are_the_references(golden: dict[str, Any], name: str) -> None:
    for order in golden["orders"][FAMILIES[name].paper_name]:
        edits = PaperDraws(order["seed"]).item(evaluation_mixture(name))
        names = {made(edit.right): edit.target for edit in (*edits, *FAMILIES[name].edits)}
        assert [
            {
                "left": f"synthetic_{FILES[names[made(edit.left)]]}.png",
                "text": edit.text,
                "right": f"synthetic_{FILES[edit.target]}.png",
            }
            for edit in edits
        ] == order["pairs"]


def test_training_mixture_is_the_references(golden: dict[str, Any]) -> None:
    for setting, expected in golden["training"].items():
        share, several = (part.partition("=")[2] for part in setting.split(","))
        mixture = training_mixture(float(share), several == "True")
        assert [FAMILIES[name].paper_name for name in mixture.weights] == expected["augmentations"]
        assert list(mixture.weights.values()) == pytest.approx(expected["weights"], rel=1e-12)
        assert list(mixture.counts.values()) == expected["n_augs"]
        assert mixture.pairs_if_edited == pytest.approx(expected["avg_n_augmented"], rel=1e-12)
        assert mixture.prob_identity == pytest.approx(expected["prob_identity_per_item"], rel=1e-12)
        assert mixture.pairs_per_item == pytest.approx(expected["expected_pairs_per_item"], rel=1e-12)
        unimodal = mixture.prob_identity / mixture.pairs_per_item
        assert unimodal == pytest.approx(expected["expected_unimodal_fraction_of_pairs"], rel=1e-12)


@pytest.mark.parametrize("share", [-0.1, 1.1, float("nan")])
def test_training_mixture_refuses_what_is_no_share(share: float) -> None:
    with pytest.raises(ValueError, match="from 0 to 1"):
        training_mixture(share)


def test_draws_follow_the_mixture_and_the_seed() -> None:
    mixture = training_mixture(0.5)
    items = [PaperDraws(3).item(mixture)] + [draws.item(mixture) for draws in [PaperDraws(4)] for _ in range(2000)]
    assert sum(not edits for edits in items) / len(items) == pytest.approx(mixture.prob_identity, abs=0.04)
    assert sum(max(len(edits), 1) for edits in items) / len(items) == pytest.approx(mixture.pairs_per_item, abs=0.15)
    assert {len(edits) for edits in items} == {0, 9, 3, 4, 2}
    assert PaperDraws(3).item(mixture) == items[0]


def test_directions_are_as_seen() -> None:
    """A white spot at the top middle goes right when turned clockwise; crops and flips show it where they say."""
    pixels = np.zeros((SIDE, SIDE, 3), np.uint8)
    pixels[16:32, 120:136] = 255
    spot = ImageRef.from_pil(Image.fromarray(pixels))

    def place(steps: Steps) -> tuple[int, int]:
        y, x = np.nonzero(np.asarray(spot.then(*steps).load())[..., 0] > 128)
        return round(float(x.mean())), round(float(y.mean()))

    by = {edit.text: place(edit.right) for edit in (*rotate.EDITS, flip.EDITS[0], flip.EDITS[2])}
    assert by["rotate 90 degrees clockwise"] == pytest.approx((232, 128), abs=2)
    assert by["rotate 90 degrees counter-clockwise"] == pytest.approx((24, 128), abs=2)
    assert by["vertical flip"] == pytest.approx((128, 232), abs=2)
    assert by["horizontal flip"] == pytest.approx((128, 24), abs=2)
    cells = {edit.text: edit.right for edit in crop.EDITS}
    assert place(cells["crop to upper center"]) == pytest.approx((128, 48), abs=3)
    assert place(cells["crop to upper left"])[0] > 192
    assert place(cells["crop to upper right"])[0] < 64


@pytest.mark.parametrize("mode", ["P", "RGBA", "CMYK", "L", "1", "LA"])
def test_base_resizes_in_the_files_own_mode_first(mode: str) -> None:
    image = synthetic().convert(mode)
    if mode == "RGBA":
        image.putalpha(Image.radial_gradient("L").resize(image.size))
    stream = io.BytesIO()
    image.save(stream, "TIFF" if mode == "CMYK" else "PNG")
    file = Image.open(stream)
    expected = file.resize((SIDE, SIDE), Image.Resampling.BICUBIC).convert("RGB")
    assert np.array_equal(np.asarray(apply(BASE, file)), np.asarray(expected))
    if mode in ("P", "RGBA"):
        other = file.convert("RGB").resize((SIDE, SIDE), Image.Resampling.BICUBIC)
        assert not np.array_equal(np.asarray(other), np.asarray(expected)), "the order would not matter"


def test_edits_have_names_of_their_own() -> None:
    for family in FAMILIES.values():
        assert len({edit.key for edit in family.edits}) == len(family.edits)
        for edit in family.edits:
            same = [other for other in family.edits if (other.text, other.left) == (edit.text, edit.left)]
            assert same == [edit], "one instruction on one image leads to one image"
    factors = set(jitter.FACTORS)
    assert 1.0 not in factors
    assert len(factors) == 17
    assert (min(factors), max(factors)) == (0.3, 2.0)


@pytest.mark.parametrize(
    ("operation", "message"),
    [
        (Operation.of("tgit.crop", 1, row="middle", column="left"), "no cell 'middle' 'left'"),
        (Operation.of("tgit.flip", 1, axis="diagonal"), "no axis 'diagonal'"),
        (Operation.of("tgit.rotate", 2, angle=10), "no version 2"),
        (Operation.of("tgit.rotate", 1, angle="10"), "angle is to be int"),
        (Operation.of("tgit.rotate", 1, degrees=10), "recorded by another version"),
        (Operation.of("tgit.base", 1, side=10**6), "sides must be 1 to"),
        (Operation.of("tgit.base", 1, side=0), "sides must be 1 to"),
    ],
)
def test_recorded_parameters_are_checked(operation: Operation, message: str) -> None:
    with pytest.raises(UserError, match=message):
        SOURCE.then(operation).load()


@pytest.mark.parametrize("mode", ["L", "RGBA"])
def test_edits_of_other_modes_become_rgb(mode: str) -> None:
    ref = ImageRef.from_pil(synthetic().convert(mode))
    for edit in (rotate.EDITS[0], crop.EDITS[0], flip.EDITS[0], colorize.GRAYSCALE, jitter.edit((0.5, 1.5, 2.0))):
        expected = ImageRef.from_pil(synthetic().convert(mode).convert("RGB")).then(*edit.right).load()
        assert pixel_hash(ref.then(*edit.right).load()) == pixel_hash(expected)
