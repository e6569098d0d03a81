"""Adapted encoders: output checked and converted, keywords passed where taken, errors that name the input."""

from __future__ import annotations

import re
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from PIL import Image

from benchmarks.encoders import adapt
from benchmarks.encoders.adapt import describe, to_matrix
from fuselip.core.encoder import EncoderInfo, Limits
from fuselip.core.errors import UserError
from fuselip.core.types import ImageRef, Input, Operation

INPUTS = [Input("a cat"), Input("a dog on a sofa")]


class Gives:
    """Returns what it was made with; remembers the keywords."""

    def __init__(self, output: Any) -> None:
        self.output = output

    def encode(self, inputs: Sequence[Input]) -> Any:
        return self.output


@pytest.mark.parametrize("kind", [np.float16, np.float32, np.float64, np.int64])
def test_output_becomes_float32(kind: type) -> None:
    given_array = np.arange(6, dtype=kind).reshape(2, 3)
    output = adapt(Gives(given_array)).encode(INPUTS)
    assert output.dtype == np.float32
    assert output.tolist() == [[0, 1, 2], [3, 4, 5]]
    output[:] = 9
    assert given_array.max() == 5


def test_tensors_and_lists() -> None:
    torch = pytest.importorskip("torch")
    tensor = torch.ones(2, 3, dtype=torch.bfloat16, requires_grad=True)
    for output in (tensor, [tensor[0], tensor[1]], tensor.tolist(), (np.ones(3), np.ones(3))):
        assert adapt(Gives(output)).encode(INPUTS).tolist() == [[1] * 3] * 2


@pytest.mark.parametrize(
    ("output", "message"),
    [
        (np.ones(2), r"shape \[2\] for 2 inputs; return \[2, D\]"),
        (np.ones((3, 2)), r"shape \[3, 2\] for 2 inputs"),
        (np.ones((2, 0)), r"shape \[2, 0\]"),
        (np.ones((2, 2, 1)), r"shape \[2, 2, 1\]"),
        ([[1.0, 2.0], [1.0]], "rows of different length"),
        (None, "returned NoneType"),
        ([["a", "b"], ["c", "d"]], "<U1 numbers|str"),
        (np.ones((2, 2), complex), "complex128 numbers"),
        (np.array([[1.0, 2], [np.nan, 1]]), "returned nan for text 'a dog on a sofa'"),
        (np.array([[1.0, 1e300], [1, 1]]), "returned inf for text 'a cat'"),
    ],
)
def test_unusable_output_is_told(output: Any, message: str) -> None:
    with pytest.raises(UserError, match=f"encoder Gives .*{message}"):
        adapt(Gives(output)).encode(INPUTS)


def test_dimension_must_stay() -> None:
    encoder = Gives(np.ones((2, 3)))
    adapted = adapt(encoder)
    adapted.encode(INPUTS)
    encoder.output = np.ones((2, 4))
    with pytest.raises(UserError, match="vectors of 4 numbers where it returned before 3"):
        adapted.encode(INPUTS)


class Keyworded:
    info = EncoderInfo("keyworded", dim=1, instructions="native", fingerprint="f")
    limits = Limits(2, 3)

    def encode(self, inputs: Any, role: str = "query", *, instruction: str = "") -> np.ndarray:
        assert isinstance(inputs, dict)
        return np.full((inputs["n"], 1), len(role) + len(instruction))

    def prepare(self, inputs: Sequence[Input]) -> dict[str, int]:
        return {"n": len(inputs)}


def test_keywords_prepare_and_declarations_are_used() -> None:
    adapted = adapt(Keyworded())
    assert (adapted.info, adapted.limits) == (Keyworded.info, Limits(2, 3))
    output = adapted.encode(adapted.prepare(INPUTS), role="candidate", instruction="find")
    assert output.tolist() == [[13], [13]]
    assert adapt(adapted) is adapted


def test_what_encode_does_not_take_is_recorded_as_ignored() -> None:
    info = adapt(Gives(None)).info
    assert (info.roles, info.instructions, info.name, info.fingerprint) == ("ignored", "ignored", "Gives", None)

    class Declares(Gives):
        info = EncoderInfo("d", instructions="native", roles="used")

    assert adapt(Declares(None)).info.instructions == "ignored"

    class Takes(Gives):
        def encode(self, inputs: Sequence[Input], **keywords: Any) -> Any:
            assert set(keywords) == {"role", "instruction"}
            return np.ones((len(inputs), 2))

    assert adapt(Takes(None)).info.instructions == "native"
    assert adapt(Takes(None)).encode(INPUTS).shape == (2, 2)


def test_no_encoder() -> None:
    for wrong in (3, "text", Gives, object()):
        with pytest.raises(UserError, match="needs a method encode"):
            adapt(wrong)


def test_errors_inside_encode_name_input_and_line_but_memory_passes() -> None:
    class Fails(Gives):
        def encode(self, inputs: Sequence[Input]) -> Any:
            raise self.output

    with pytest.raises(UserError, match=r"batch of 2, the first being text 'a cat': KeyError: 'k' \(\S*test_adapt.py:"):
        adapt(Fails(KeyError("k"))).encode(INPUTS)
    with pytest.raises(UserError, match=r"^broken\.png is damaged$"):
        adapt(Fails(UserError("broken.png is damaged"))).encode(INPUTS)
    for error in (MemoryError(), RuntimeError("CUDA out of memory. Tried"), KeyboardInterrupt()):
        with pytest.raises(type(error)):
            adapt(Fails(error)).encode(INPUTS)


def test_describe(tmp_path: Path) -> None:
    Image.new("RGB", (3, 2)).save(tmp_path / "cat.png")
    item = Input("x" * 99, ImageRef.from_file(tmp_path / "cat.png").then(Operation.of("resize", width=2, height=2)))
    assert re.fullmatch(r"text 'x{57}\.\.\.' \+ image .*cat\.png > resize", describe(item))
    assert describe(Input(image=ImageRef.from_pil(Image.new("L", (3, 2))))) == "image object L 3x2"


def test_matrix_of_nothing() -> None:
    assert to_matrix(np.zeros((0, 4)), "e").shape == (0, 4)
