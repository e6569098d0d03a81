"""Any object with an `encode` method made uniform: keywords passed only where taken, output checked and converted."""

from __future__ import annotations

import inspect
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from functools import cached_property
from typing import Any

import numpy as np

from benchmarks.encoders.faults import blame
from benchmarks.encoders.origin import origin_of
from fuselip.core.encoder import EncoderInfo, Role, info_of, limits_of
from fuselip.core.errors import UserError
from fuselip.core.provenance import redact
from fuselip.core.types import FileBytes, Input, PixelBytes


@dataclass(frozen=True)
class Prepared:
    """What the encoder's own `prepare` made of inputs; they are kept so that errors can name them."""

    inputs: tuple[Input, ...]
    payload: Any


class Adapted:
    """An encoder as the rest of the benchmarks sees it (`fuselip.core.embed.Embedder`).

    `info.roles` and `info.instructions` are "ignored" where `encode` does not take the keyword, whatever was declared.
    """

    def __init__(self, encoder: Any, arguments: Mapping[str, Any] | None = None) -> None:
        """`arguments`: what the encoder was made with, where that is known; recorded in `origin`."""
        self.encoder = encoder
        self.arguments = dict(arguments or {})
        self.takes = keywords(encoder.encode)
        self.info = _settle(info_of(encoder), self.takes, declared=isinstance(_info(encoder), EncoderInfo))
        self.limits = limits_of(encoder)
        self.prepares = callable(getattr(encoder, "prepare", None))
        self._dim = self.info.dim
        if self.limits.images < 1 or self.limits.inputs < 1:
            raise UserError(f"encoder {self.info.name} declares {self.limits}; both must be at least 1")

    @cached_property
    def origin(self) -> dict[str, str]:
        """Where its code came from (`origin_of`) and, where no fingerprint covers them, its arguments."""
        found = origin_of(self.encoder)
        if self.arguments and self.info.fingerprint is None:
            given = sorted(self.arguments.items())
            found["arguments"] = ", ".join(redact(f"{name}={value}") for name, value in given)
        return found

    def prepare(self, inputs: Sequence[Input]) -> Prepared:
        """What the encoder's own `prepare` makes of the inputs (decoding, say); the inputs where it has none."""
        held = tuple(inputs)
        return Prepared(held, self._call(held, self.encoder.prepare, list(held)) if self.prepares else list(held))

    def encode(self, inputs: Sequence[Input] | Prepared, *, role: Role = "query", instruction: str = "") -> np.ndarray:
        """float32 [N, D], one finite row per input, D the same in every call; the caller's own array.

        Raises UserError, naming the encoder and the input, for anything else and for any error in the encoder's code
        but those of memory, which are passed on so that the batch can be split.
        """
        output = self.raw(inputs, role=role, instruction=instruction)
        matrix = to_matrix(output, f"encoder {self.info.name}")
        self._check(matrix, inputs.inputs if isinstance(inputs, Prepared) else inputs)
        return matrix

    def raw(self, inputs: Sequence[Input] | Prepared, *, role: Role, instruction: str) -> Any:
        """What the encoder's own `encode` returns, unchecked; with the keywords that it takes."""
        held, payload = (inputs.inputs, inputs.payload) if isinstance(inputs, Prepared) else (inputs, inputs)
        offered = {"role": role, "instruction": instruction}
        return self._call(held, self.encoder.encode, payload, **{name: offered[name] for name in self.takes})

    def _call(self, inputs: Sequence[Input], function: Callable[..., Any], *args: Any, **kwargs: Any) -> Any:
        try:
            return function(*args, **kwargs)
        except (UserError, MemoryError):
            raise
        except Exception as error:
            if type(error).__name__ == "OutOfMemoryError" or "out of memory" in str(error):
                raise
            first = f", the first being {describe(inputs[0])}" if inputs else ""
            raise UserError(
                f"encoder {self.info.name} failed on a batch of {len(inputs)}{first}: {blame(error)}; "
                "mend it there (`fuselip-bench check` tries each kind of input by itself)"
            ) from error

    def _check(self, matrix: np.ndarray, inputs: Sequence[Input]) -> None:
        name, shape = self.info.name, list(matrix.shape)
        if matrix.ndim != 2 or matrix.shape[0] != len(inputs) or matrix.shape[1] < 1:
            raise UserError(
                f"encoder {name} returned shape {shape} for {len(inputs)} inputs; "
                f"return [{len(inputs)}, D]: one row per input, in their order"
            )
        if self._dim is not None and matrix.shape[1] != self._dim:
            before = "its info declares" if self._dim == self.info.dim else "it returned before"
            raise UserError(
                f"encoder {name} returned vectors of {matrix.shape[1]} numbers where {before} {self._dim}; "
                "all must have one length"
            )
        self._dim = matrix.shape[1]
        finite = np.isfinite(matrix).all(axis=1)
        if not finite.all():
            row = int(np.argmin(finite))
            value = matrix[row][~np.isfinite(matrix[row])][0]
            raise UserError(
                f"encoder {name} returned {value} for {describe(inputs[row])} ({int((~finite).sum())} of {len(inputs)} "
                "rows of this batch); vectors must be finite: look for a division by a zero norm, or an overflow in "
                "half precision"
            )


def adapt(encoder: Any) -> Adapted:
    """The encoder made uniform. Raises UserError where it has no `encode` method."""
    if isinstance(encoder, Adapted):
        return encoder
    if not is_encoder(encoder):
        raise UserError(f"{encoder!r} is no encoder: it needs a method encode(inputs) that returns one row per input")
    return Adapted(encoder)


def is_encoder(value: Any) -> bool:
    """Has it an `encode` of its own? A class has not (it makes encoders), and that of a str is another thing."""
    return not isinstance(value, type | str) and callable(getattr(value, "encode", None))


def keywords(encode: Callable[..., Any]) -> tuple[str, ...]:
    """Which of role and instruction `encode` takes as keywords."""
    try:
        parameters = inspect.signature(encode).parameters
    except (TypeError, ValueError):
        return ()
    if any(each.kind is each.VAR_KEYWORD for each in parameters.values()):
        return ("role", "instruction")
    by_name = {
        name for name, each in parameters.items() if each.kind in (each.POSITIONAL_OR_KEYWORD, each.KEYWORD_ONLY)
    }
    return tuple(name for name in ("role", "instruction") if name in by_name)


def to_matrix(output: Any, what: str) -> np.ndarray:
    """A new float32 array of an array, a tensor (known by its `detach`, so torch is not imported), or a list of these.

    Raises UserError for rows of different length and for what is not made of real numbers.
    """
    if isinstance(output, list | tuple):
        output = [_to_numpy(row) for row in output]
    try:
        array = np.asarray(_to_numpy(output))
    except ValueError as error:
        raise UserError(f"{what} returned rows of different length; all must have one length") from error
    if array.dtype.kind not in "fiu":
        kind = type(output).__name__ if array.dtype == object else f"{array.dtype} numbers"
        raise UserError(f"{what} returned {kind}; return a float array of shape [N, D]")
    with np.errstate(over="ignore"):  # a float64 beyond float32 becomes infinite, which is reported as such
        return np.array(array, dtype=np.float32, order="C")


def describe(item: Input) -> str:
    """The input in words that let a person find it: its kind, the start of its text, its image file."""
    words = [f"text {item.text[:57] + '...' if len(item.text) > 60 else item.text!r}"] if item.text else []
    if item.image is not None:
        words.append(f"image {_where(item)}")
    return " + ".join(words)


def _where(item: Input) -> str:
    assert item.image is not None
    locator = item.image.locator
    steps = "".join(f" > {operation.name}" for operation in item.image.operations)
    if isinstance(locator, FileBytes):
        return f"{locator.path}{f' (at byte {locator.offset})' if locator.offset else ''}{steps}"
    if isinstance(locator, PixelBytes):
        return f"object {locator.mode} {locator.size[0]}x{locator.size[1]}{steps}"
    return f"{item.image.key[:12]}{steps}"


def _to_numpy(value: Any) -> Any:
    return value.detach().cpu().float().numpy() if hasattr(value, "detach") else value


def _info(encoder: Any) -> Any:
    return getattr(encoder, "info", None)


def _settle(info: EncoderInfo, takes: tuple[str, ...], declared: bool) -> EncoderInfo:
    if "role" not in takes:
        info = replace(info, roles="ignored")
    if "instruction" not in takes:
        return replace(info, instructions="ignored")
    return info if declared else replace(info, instructions="native")
