"""Operations on images: what they give, what is refused, and what is decoded or made once only."""

from __future__ import annotations

import threading
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from fuselip.core import images
from fuselip.core.errors import UserError
from fuselip.core.operations import OPERATIONS
from fuselip.core.types import ImageRef, Operation
from tests.core.pictures import save
from tests.datagen.synthetic import synthetic


@pytest.fixture(autouse=True)
def _nothing_decoded() -> Iterator[None]:
    images._decoded.clear()
    yield
    images._decoded.clear()


def test_callers_own_image_each_time(tmp_path: Path) -> None:
    """Also where an operation has nothing to do and gives back the image that it got."""
    ref = ImageRef.from_file(save(tmp_path / "a.png"))
    for each in (ref, ref.then(Operation.of("edit.translate", 1, way="right", percent=10)), base_of(ref)):
        expected = np.asarray(each.load()).copy()
        for _ in range(2):
            got = each.decode()
            got.paste((1, 2, 3), (0, 0, *got.size))
        assert np.array_equal(np.asarray(each.load()), expected)


def test_operation_that_gives_back_its_image_does_not_hand_out_the_cached_one(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setitem(OPERATIONS, "test.nothing", f"{__name__}:nothing")
    ref = ImageRef.from_file(save(tmp_path / "a.png"))
    got = ref.then(Operation.of("test.nothing")).decode()
    got.paste((1, 2, 3), (0, 0, *got.size))
    assert np.array_equal(np.asarray(ref.load()), np.asarray(synthetic()))


def nothing(image: Image.Image, version: int) -> Image.Image:
    return image


def base_of(ref: ImageRef) -> ImageRef:
    return ref.then(Operation.of("tgit.base", 1, side=256))


def test_one_decode_for_many_operations(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    ref = ImageRef.from_file(save(tmp_path / "a.png"))
    decode, calls = images.decode_bytes, []
    monkeypatch.setattr(images, "decode_bytes", lambda data, name: calls.append(name) or decode(data, name))
    for angle in range(10, 100, 10):
        base_of(ref).then(Operation.of("tgit.rotate", 1, angle=angle)).load()
    assert len(calls) == 1


def test_threads_get_the_same_pixels(tmp_path: Path) -> None:
    refs = [base_of(ImageRef.from_file(save(tmp_path / f"{n}.png", synthetic().rotate(n)))) for n in range(4)]
    turned = [ref.then(Operation.of("tgit.rotate", 1, angle=angle)) for ref in refs for angle in (10, 20, 30)]
    expected = [ref.load().tobytes() for ref in turned]
    wrong: list[int] = []

    def work() -> None:
        for _ in range(3):
            images._decoded.clear()
            wrong.extend(n for n, ref in enumerate(turned) if ref.load().tobytes() != expected[n])

    threads = [threading.Thread(target=work) for _ in range(6)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert wrong == []


def test_box_and_resize(tmp_path: Path) -> None:
    ref = ImageRef.from_file(save(tmp_path / "a.png"))
    box = Operation.of("box", 1, left=10, top=20, right=110, bottom=60)
    assert np.array_equal(np.asarray(ref.then(box).load()), np.asarray(synthetic())[20:60, 10:110])
    small = ref.then(box, Operation.of("resize", 1, width=50, height=30)).load()
    expected = synthetic().crop((10, 20, 110, 60)).resize((50, 30), Image.Resampling.BICUBIC)
    assert small.tobytes() == expected.tobytes()


@pytest.mark.parametrize(
    ("operation", "message"),
    [
        (Operation.of("box", 1, left=0, top=0, right=321, bottom=10), "reaches outside the image of 320x240"),
        (Operation.of("box", 1, left=5, top=0, right=5, bottom=10), "is empty or reaches outside"),
        (Operation.of("box", 1, left=-1, top=0, right=5, bottom=10), "is empty or reaches outside"),
        (Operation.of("resize", 1, width=0, height=10), "sides must be 1 to"),
        (Operation.of("resize", 1, width=10, height=10**6), "sides must be 1 to"),
        (Operation.of("resize", 1, width=10.5, height=10), "width is to be int, not 10.5"),
        (Operation.of("resize", 1, width=10), "missing a required argument: 'height'"),
        (Operation.of("resize", 1, width=10, height=10, depth=1), "unexpected keyword argument 'depth'"),
        (Operation.of("resize", 2, width=10, height=10), "no version 2 here"),
        (Operation.of("resise", 1, width=10, height=10), "unknown image operation 'resise'; did you mean 'resize'"),
        (Operation.of("os:system", 1, command="true"), "unknown image operation"),
    ],
)
def test_operations_that_cannot_be(operation: Operation, message: str) -> None:
    with pytest.raises(UserError, match=message):
        ImageRef.from_pil(synthetic()).then(operation).load()


def test_operation_without_an_image() -> None:
    with pytest.raises(UserError, match="first step of one without source bytes"):
        ImageRef("", (Operation.of("resize", 1, width=10, height=10),)).load()
