"""The contract kit: a sound encoder passes, and each defect is found under its own name."""

from __future__ import annotations

import zlib
from collections.abc import Callable, Sequence
from typing import Any

import numpy as np
import pytest

from benchmarks.testing import Finding, check
from benchmarks.testing.contract import distance
from fuselip.core.encoder import EncoderInfo, Limits
from fuselip.core.errors import UserError
from fuselip.core.types import Input


class Sound:
    """Pixels of a 6x6 thumbnail beside hashed words: small, and it keeps every promise."""

    def vector(self, item: Input) -> np.ndarray:
        row = np.full(108 + 64, 0.01, np.float32)
        if item.image is not None:
            row[:108] += np.asarray(item.image.load().resize((6, 6))).ravel() / 255
        for word in item.text.split():
            row[108 + zlib.crc32(word.encode()) % 64] += 1
        return row

    def encode(self, inputs: Sequence[Input]) -> Any:
        return np.stack([self.vector(item) for item in inputs])


def status(encoder: Any, **options: Any) -> dict[str, str]:
    return {finding.name: finding.status for finding in check(encoder, **options)}


def failures(encoder: Any) -> set[str]:
    return {name for name, value in status(encoder).items() if value == "fail"}


def test_sound_encoder_passes() -> None:
    assert set(status(Sound()).values()) == {"ok"}


def test_small_limits_are_respected() -> None:
    class Tight(Sound):
        limits = Limits(images=1, inputs=2)

        def encode(self, inputs: Sequence[Input]) -> Any:
            assert len(inputs) <= 2
            assert len({item.image for item in inputs if item.image}) <= 1
            return super().encode(inputs)

        def prepare(self, inputs: Sequence[Input]) -> Sequence[Input]:
            return inputs

    assert set(status(Tight()).values()) == {"ok"}


def test_controls() -> None:
    assert set(status("random").values()) == {"ok"}
    assert failures("constant") == {"told apart"}


def defect(**methods: Callable[..., Any]) -> Any:
    return type("Defect", (Sound,), methods)()


def _noise() -> Any:
    generator = np.random.default_rng(0)
    return lambda self, inputs: Sound.encode(self, inputs) + generator.normal(0, 0.1, (len(inputs), 172))


def _no_images(self: Sound, inputs: Sequence[Input]) -> Any:
    if any(item.modality == "image" for item in inputs):
        raise KeyError("text")
    return Sound.encode(self, inputs)


def _uniform_only(self: Sound, inputs: Sequence[Input]) -> Any:
    if len({item.modality for item in inputs}) > 1:
        raise TypeError("cannot stack")
    return Sound.encode(self, inputs)


def _sorts(self: Sound, inputs: list[Input]) -> Any:
    inputs.sort(key=lambda item: item.text)
    return Sound.encode(self, inputs)


def _centred(self: Sound, inputs: Sequence[Input]) -> Any:
    vectors = Sound.encode(self, inputs)
    return vectors - 0.3 * vectors.mean(axis=0)


def _deduplicates(self: Sound, inputs: Sequence[Input]) -> Any:
    return Sound.encode(self, list({item.key: item for item in inputs}.values()))


def _decodes_natively(self: Sound, inputs: Sequence[Input]) -> Any:
    for item in inputs:
        if item.image is not None:
            assert np.asarray(item.image.decode()).shape[2] == 3
    return Sound.encode(self, inputs)


def _short_texts(self: Sound, inputs: Sequence[Input]) -> Any:
    if any(len(item.text.split()) > 77 for item in inputs):
        raise IndexError("position 78")
    return Sound.encode(self, inputs)


def _blind(self: Sound, inputs: Sequence[Input]) -> Any:
    return Sound.encode(self, [Input(item.text or "nothing") for item in inputs])


def _nan(self: Sound, inputs: Sequence[Input]) -> Any:
    return Sound.encode(self, inputs) * np.array([[np.nan if item.image is None else 1.0] for item in inputs])


@pytest.mark.parametrize(
    ("encoder", "found"),
    [
        (defect(encode=_noise()), {"same twice", "batch size", "order", "repeated inputs"}),
        (defect(encode=_no_images), {"image alone"}),
        (defect(encode=_uniform_only), {"mixed batch"}),
        (defect(encode=_centred), {"batch size", "repeated inputs"}),
        (defect(encode=_deduplicates), {"batching"}),
        (defect(encode=_decodes_natively), {"odd images"}),
        (defect(encode=_short_texts), {"odd texts"}),
        (defect(encode=_blind), {"image inputs told apart"}),
        (defect(encode=_nan), {"text alone"}),
        (defect(prepare=lambda self, inputs: list(inputs)[::-1]), {"prepare"}),
        (defect(info=EncoderInfo("d", dim=7)), {"text alone", "image alone", "image+text alone"}),
    ],
)
def test_defects_are_found(encoder: Any, found: set[str]) -> None:
    assert failures(encoder) == found


def test_sorting_in_place_is_found() -> None:
    assert {"inputs kept", "order"} <= failures(defect(encode=_sorts))


def test_undeclared_use_of_role_and_instruction() -> None:
    class Uses(Sound):
        info = EncoderInfo("uses", instructions="ignored", roles="ignored")

        def encode(self, inputs: Sequence[Input], role: str = "query", instruction: str = "") -> Any:
            vectors = super().encode(inputs)
            vectors[:, 0] += len(instruction) + (role == "candidate")
            return vectors

    assert failures(Uses()) == {"role", "instruction"}
    Uses.info = EncoderInfo("uses", instructions="native", roles="used")
    assert failures(Uses()) == set()


def test_costs_are_warned_of() -> None:
    class Costly(Sound):
        info = "not an EncoderInfo"

        def encode(self, inputs: Sequence[Input], role: str = "query") -> Any:
            return super().encode(inputs).astype(np.float16)

    warned = {name for name, value in status(Costly()).items() if value == "warn"}
    assert warned == {"info", "role", "output type"}

    def image_wins(self: Sound, inputs: Sequence[Input]) -> Any:
        return Sound.encode(self, [Input(image=item.image) if item.image else item for item in inputs])

    assert status(defect(encode=image_wins))["text used in image+text"] == "warn"


def test_tolerance() -> None:
    assert "fail" in status(defect(encode=_noise()), tolerance=1e-4).values()
    assert status(defect(encode=_noise()), tolerance=0.5)["same twice"] == "ok"


def test_finding_as_text() -> None:
    assert str(Finding("order", "ok", "fine")) == "ok    order: fine"
    assert str(Finding("order", "fail", "not", "mend")).splitlines() == ["fail  order: not", "      -> mend"]


def test_no_encoder_is_an_error() -> None:
    with pytest.raises(UserError, match="needs a method encode"):
        check(object())


def test_distance() -> None:
    left = np.array([[1, 0], [1, 0], [0, 0], [0, 0], [3, 4]], np.float32)
    right = np.array([[2, 0], [-1, 0], [0, 0], [1, 0], [4, 3]], np.float32)
    np.testing.assert_allclose(distance(left, right), [0, 2, 0, 1, 1 - 24 / 25])
