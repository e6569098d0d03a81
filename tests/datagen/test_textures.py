"""Textures: the same for ever, different from their mirror images, coloured, natural in spectrum."""

from __future__ import annotations

import hashlib
import subprocess
import sys

import numpy as np
import PIL
import pytest
from hypothesis import given
from hypothesis import strategies as st

from datagen.sources.registry import open_source
from datagen.sources.textures import Textures
from datagen.textures.render import KINDS, reference
from fuselip.core.errors import UsageError, UserError
from fuselip.core.types import ImageRef, Operation

VISIBLE = 2.0  # gray levels: below it two candidates of a task count as the same picture

# Of seed 1 at 64 pixels, by Pillow 13.0.0 and numpy 2.4.6; other builds may round otherwise.
PINNED = {
    "leaves": "e411acceca895b57",
    "fractals": "dd6d5e5ef94d4df8",
    "gradients": "4c24fe8c2714e86f",
    "noise": "69ac1e7f3e55d680",
}


def pixels(kind: str, seed: int, size: int = 128) -> np.ndarray:
    return np.asarray(reference(kind, seed, size).load(), np.int16)


@pytest.mark.parametrize("kind", KINDS)
def test_edits_are_visible_in_every_picture(kind: str) -> None:
    for seed in range(25):
        picture = pixels(kind, seed)
        gray = picture @ np.array([0.299, 0.587, 0.114])
        changed = {
            "horizontal flip": picture[:, ::-1],
            "vertical flip": picture[::-1],
            "half turn": picture[::-1, ::-1],
            "quarter turn": picture.transpose(1, 0, 2)[:, ::-1],
            "grayscale": np.repeat(gray[:, :, None], 3, 2),
        }
        for name, other in changed.items():
            assert np.abs(picture - other).mean() > 2 * VISIBLE, (kind, seed, name)
        quarters = [picture[y : y + 64, x : x + 64] for y in (0, 64) for x in (0, 64)]
        assert min(np.abs(a - b).mean() for i, a in enumerate(quarters) for b in quarters[:i]) > VISIBLE


def test_pictures_differ_from_each_other() -> None:
    seen = [pixels(kind, seed, 64) for kind in KINDS for seed in range(8)]
    assert min(np.abs(a - b).mean() for i, a in enumerate(seen) for b in seen[:i]) > 10


def test_noise_falls_off_as_natural_images_do() -> None:
    slopes = []
    for seed in range(12):
        gray = pixels("noise", seed, 256).mean(2)
        window = np.outer(np.hanning(256), np.hanning(256))
        amplitude = np.abs(np.fft.fft2((gray - gray.mean()) * window))
        frequency = np.hypot(*np.meshgrid(np.fft.fftfreq(256), np.fft.fftfreq(256)))
        bands = [(2**-n, 2 ** -(n - 1)) for n in range(2, 7)]
        levels = [amplitude[(frequency > low) & (frequency <= high)].mean() for low, high in bands]
        slopes.append(-np.polyfit(np.log([low for low, _ in bands]), np.log(levels), 1)[0])
    assert 0.7 < np.mean(slopes) < 1.5


def test_the_same_in_every_process() -> None:
    code = (
        "import hashlib; from datagen.textures.render import KINDS, reference\n"
        "print([hashlib.sha256(reference(k, 1, 64).load().tobytes()).hexdigest()[:16] for k in KINDS])"
    )
    printed = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True).stdout.strip()
    found = {kind: hashlib.sha256(reference(kind, 1, 64).load().tobytes()).hexdigest()[:16] for kind in KINDS}
    assert printed == str(list(found.values()))
    if (PIL.__version__, np.__version__) == ("13.0.0", "2.4.6"):
        assert found == PINNED


def test_items_do_not_depend_on_the_count() -> None:
    few, many = Textures(5, seed=3), Textures(10**6, seed=3)
    assert list(few.items()) == [many.item(index) for index in range(5)]
    assert len({item.image.key for item in Textures(200).items()}) == 200  # type: ignore[union-attr]
    assert Textures(5, seed=4).item(0) != few.item(0)


def test_specs() -> None:
    assert open_source("textures").name == "textures?count=1000&seed=0&size=256"
    assert open_source("textures?count=3&size=64").name == "textures?count=3&seed=0&size=64"
    for spec, says in [
        ("textures?cuont=3", "did you mean 'count'"),
        ("textures?count=x", "whole number"),
        ("textures?count=0", "count must be"),
        ("textures?size=9999", "size must be"),
        ("texturs", "did you mean 'textures'"),
    ]:
        with pytest.raises(UsageError, match=says):
            open_source(spec)


@given(st.text(max_size=8), st.integers(), st.integers())
def test_recorded_parameters_are_bounded(kind: str, seed: int, size: int) -> None:
    if kind in KINDS and 0 <= seed < 2**63 and 32 <= size <= 1024:
        return
    with pytest.raises(UserError):
        ImageRef("", (Operation.of("texture", 1, kind=kind, seed=seed, size=size),)).load()
