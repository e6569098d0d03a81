"""Identities of Inputs and images, and what people may pass for them."""

from __future__ import annotations

import pickle
import subprocess
import sys
from pathlib import Path

import pytest
from PIL import Image

from fuselip.core.types import ImageRef, Input, Operation


@pytest.fixture
def picture(tmp_path: Path) -> Path:
    path = tmp_path / "a.png"
    Image.new("RGB", (5, 4), (255, 0, 0)).save(path)
    return path


def test_what_people_pass(picture: Path) -> None:
    image = Image.open(picture)
    assert Input.of("a.png") == Input(text="a.png")  # a str is always text, also when it names a file
    assert Input.of(picture).modality == "image"
    assert Input.of(image).modality == "image"
    assert Input.of((image, "a cat")).modality == "image+text"
    assert Input.of((picture, "")).modality == "image"
    assert Input.of((None, "a cat")) == Input("a cat")
    assert Input.of(Input("x")) == Input("x")


@pytest.mark.parametrize("value", [3, None, b"bytes", ["a", 3], ("a cat", 1), (1, "a")])
def test_anything_else_is_a_type_error(value: object) -> None:
    with pytest.raises(TypeError):
        Input.of(value)


@pytest.mark.parametrize("value", ["", (None, ""), (None, None)])
def test_an_empty_input_is_a_value_error(value: object) -> None:
    with pytest.raises((ValueError, TypeError)):
        Input.of(value)


def test_identity_is_the_recipe_not_the_place(picture: Path, tmp_path: Path) -> None:
    other = tmp_path / "elsewhere.png"
    other.write_bytes(picture.read_bytes())
    first, second = ImageRef.from_file(picture), ImageRef.from_file(other)
    assert first == second
    assert first.key == second.key
    assert len({first, second}) == 1
    turned = first.then(Operation.of("tgit.rotate", degrees=10))
    assert turned.key != first.key
    assert turned != first
    assert Operation.of("x", a=1, b=2) == Operation.of("x", b=2, a=1)


def test_image_ref_travels_to_another_process(picture: Path) -> None:
    ref = ImageRef.from_file(picture)
    assert ref.load().size == (5, 4)
    copy = pickle.loads(pickle.dumps(ref))
    assert copy == ref
    assert copy.load().getpixel((0, 0)) == (255, 0, 0)


def test_keys_are_the_same_in_every_process() -> None:
    code = "from fuselip.core.types import Input; print(Input('a cat').key)"
    printed = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True).stdout.strip()
    assert printed == Input("a cat").key


def test_stripping_a_modality() -> None:
    image = ImageRef("0" * 64)
    both = Input("text", image)
    assert both.without_text() == Input(image=image)
    assert both.without_image() == Input("text")
    assert Input("text").without_image() is None
    assert Input(image=image).without_text() is None
