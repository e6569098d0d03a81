"""The checks of the contract: each looks at one promise of an encoder and says what it saw and how to mend it."""

from __future__ import annotations

import tempfile
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal

import numpy as np

from benchmarks.encoders import Adapted, adapt, resolve
from benchmarks.testing import probes
from fuselip.core.encoder import EncoderInfo, Limits, Role
from fuselip.core.errors import UserError
from fuselip.core.types import Input

TIE = 1e-6
MODALITIES = ("text", "image", "image+text")


@dataclass(frozen=True)
class Finding:
    """One promise: whether it is kept ("warn": allowed, but it costs something), what was seen, how to mend it."""

    name: str
    status: Literal["ok", "warn", "fail"]
    seen: str
    mend: str = ""

    def __str__(self) -> str:
        return f"{self.status:4}  {self.name}: {self.seen}" + (f"\n      -> {self.mend}" if self.mend else "")


@dataclass(frozen=True)
class Bench:
    """The encoder under examination, with the plain inputs that it takes and its vectors for them."""

    encoder: Adapted
    tolerance: float
    folder: Path
    inputs: list[Input]
    vectors: np.ndarray

    def of(self, modality: str) -> np.ndarray:
        """The rows of one modality, [N, D], in the order of the scenes."""
        return self.vectors[[item.modality == modality for item in self.inputs]]

    def compare(self, name: str, vectors: np.ndarray, mend: str, against: np.ndarray | None = None) -> Finding:
        """Are these the same directions as before, within the tolerance?"""
        far = float(distance(self.vectors if against is None else against, vectors).max(initial=0.0))
        kept = far <= self.tolerance
        seen = f"cosine distance at most {far:.1e}"
        return Finding(name, "ok", seen) if kept else Finding(name, "fail", f"{seen}, over {self.tolerance:g}", mend)


def check(encoder: Any, tolerance: float = 1e-4) -> list[Finding]:
    """Examine an encoder (an object, or a name as on the command line) with some 70 small inputs.

    `tolerance` is the cosine distance within which two vectors of one input count as equal. Nothing raised by the
    encoder gets out: it becomes a finding. Raises UserError only for what is no encoder at all.
    """
    adapted = adapt(resolve(encoder) if isinstance(encoder, str) else encoder)
    with tempfile.TemporaryDirectory(prefix="fuselip-check-") as folder:
        inputs = probes.plain(Path(folder))
        findings, usable = _each_modality(adapted, inputs)
        mixed: list[Input] = [item for item in inputs if item.modality in usable]
        if not mixed:
            return findings
        try:
            vectors = encode(adapted, mixed)
        except (UserError, MemoryError, RuntimeError) as error:
            mend = "a batch may hold texts, images and pairs in any order; tell them apart by Input.modality"
            return [*findings, Finding("mixed batch", "fail", str(error), mend)]
        findings.append(Finding("mixed batch", "ok", f"{len(mixed)} inputs -> {list(vectors.shape)}"))
        bench = Bench(adapted, tolerance, Path(folder), mixed, vectors)
        for examine in CHECKS:
            findings += _guarded(examine, bench)
    return findings


def encode(encoder: Adapted, inputs: Sequence[Input], role: Role = "query", instruction: str = "") -> np.ndarray:
    """float32 [N, D], in batches within the encoder's limits."""
    parts = batches(inputs, encoder.limits)
    return np.concatenate([encoder.encode(part, role=role, instruction=instruction) for part in parts])


def batches(inputs: Sequence[Input], limits: Limits) -> list[list[Input]]:
    """The inputs in their order, in runs that one call may hold."""
    parts: list[list[Input]] = [[]]
    for item in inputs:
        images = {each.image for each in [*parts[-1], item] if each.image is not None}
        if parts[-1] and (len(parts[-1]) >= limits.inputs or len(images) > limits.images):
            parts.append([])
        parts[-1].append(item)
    return parts


def distance(left: np.ndarray, right: np.ndarray) -> np.ndarray:
    """1 - cosine, row by row, in double precision. Two zero rows are equal; a zero row is far from any other."""
    left, right = left.astype(np.float64), right.astype(np.float64)
    norms = np.linalg.norm(left, axis=-1) * np.linalg.norm(right, axis=-1)
    both_zero = (left == 0).all(axis=-1) & (right == 0).all(axis=-1)
    cosine = np.divide((left * right).sum(axis=-1), norms, out=np.zeros_like(norms), where=norms > 0)
    return np.where(both_zero, 0.0, np.maximum(0.0, 1 - cosine))


def _each_modality(encoder: Adapted, inputs: Sequence[Input]) -> tuple[list[Finding], list[str]]:
    findings, usable = [], []
    for modality in MODALITIES:
        try:
            vectors = encode(encoder, [item for item in inputs if item.modality == modality])
        except (UserError, MemoryError, RuntimeError) as error:
            mend = f"tasks with {modality} inputs cannot be run until encode takes them"
            findings.append(Finding(f"{modality} alone", "fail", str(error), mend))
        else:
            usable.append(modality)
            findings.append(Finding(f"{modality} alone", "ok", f"{list(vectors.shape)}, finite"))
    return findings, usable


def _guarded(examine: Callable[[Bench], Iterator[Finding]], bench: Bench) -> Iterator[Finding]:
    name = examine.__name__.replace("_", " ")
    try:
        yield from examine(bench)
    except (UserError, MemoryError, RuntimeError) as error:
        yield Finding(name, "fail", str(error), "the encoder must not fail here")


def output_type(bench: Bench) -> Iterator[Finding]:
    output = bench.encoder.raw(bench.inputs[:1], role="query", instruction="")
    kind = f"{type(output).__name__} of {getattr(output, 'dtype', 'rows')}"
    if "16" in kind:
        yield Finding("output type", "warn", kind, "near scores tie in half precision: return float32")
    else:
        yield Finding("output type", "ok", kind)


def deterministic(bench: Bench) -> Iterator[Finding]:
    again = encode(bench.encoder, bench.inputs)
    mend = "switch dropout and sampling off (eval mode), seed what is random, keep no state between calls"
    yield bench.compare("same twice", again, mend)


def batching(bench: Bench) -> Iterator[Finding]:
    single = np.concatenate([encode(bench.encoder, [item]) for item in bench.inputs])
    mend = "mask the padding, and normalise by no statistics of the batch"
    yield bench.compare("batch size", single, mend)
    turned = encode(bench.encoder, bench.inputs[::-1])[::-1]
    yield bench.compare("order", turned, "return the rows in the order of the inputs")
    rows = [0, 1, 2, 0, 1, 0]
    repeated = encode(bench.encoder, [bench.inputs[row] for row in rows])
    mend = "one row per input, also where an input comes twice"
    yield bench.compare("repeated inputs", repeated, mend, bench.vectors[rows])


def inputs_kept(bench: Bench) -> Iterator[Finding]:
    given, kept = (batches(bench.inputs, bench.encoder.limits)[0] for _ in range(2))
    bench.encoder.raw(given, role="query", instruction="")
    if given == kept:
        yield Finding("inputs kept", "ok", "the list was left as it was")
    else:
        mend = "work on a copy: sorted(inputs) and list(inputs) make one"
        yield Finding("inputs kept", "fail", "encode changed the list that it was given", mend)


def preparation(bench: Bench) -> Iterator[Finding]:
    if bench.encoder.prepares:
        few = batches(bench.inputs, bench.encoder.limits)[0]
        prepared = bench.encoder.encode(bench.encoder.prepare(few))
        mend = "encode(prepare(inputs)) must be encode(inputs)"
        yield bench.compare("prepare", prepared, mend, bench.vectors[: len(few)])


def odd_inputs(bench: Bench) -> Iterator[Finding]:
    usable = {item.modality for item in bench.inputs}
    for kind, odd in (("text", probes.odd_texts()), ("image", probes.odd_images(bench.folder))):
        if kind not in usable:
            continue
        failed = []
        for name, item in odd:
            try:
                encode(bench.encoder, [item])
            except (UserError, MemoryError, RuntimeError) as error:
                failed.append(f"{name} ({error})")
        if failed:
            mend = "cut long texts, and open images with item.image.load(), which gives RGB of at least 1x1 pixel"
            yield Finding(f"odd {kind}s", "fail", "; ".join(failed), mend)
        else:
            yield Finding(f"odd {kind}s", "ok", ", ".join(name for name, _ in odd))


def collapse(bench: Bench) -> Iterator[Finding]:
    zero = int((np.linalg.norm(bench.vectors, axis=1) == 0).sum())
    if zero:
        mend = "a zero vector has no direction and is as near to everything; give such inputs a fallback"
        yield Finding("zero vectors", "warn", f"{zero} of {len(bench.inputs)} inputs get one", mend)
    spread = _spread(bench.vectors)
    if spread.max() <= TIE:
        yield Finding("told apart", "fail", "every input gets the same vector", "it scores at chance on every task")
        return
    for modality in MODALITIES:
        apart = _spread(bench.of(modality))
        if not apart.size:
            continue
        if apart.max() <= TIE:
            seen = f"all {modality} inputs get the same vector"
            yield Finding(f"{modality} inputs told apart", "fail", seen, "is that part of the input read at all?")
        elif apart.min() <= TIE:
            seen = f"{int((apart <= TIE).sum())} of {apart.size} pairs get the same vector"
            yield Finding(f"{modality} inputs told apart", "warn", seen, "such candidates count as tied")
        else:
            yield Finding(f"{modality} inputs told apart", "ok", f"cosine distance at least {apart.min():.1e}")


def fusion(bench: Bench) -> Iterator[Finding]:
    fused = bench.of("image+text")
    for part, other in (("image", "text"), ("text", "image")):
        alone = bench.of(part)
        if not len(fused) or not len(alone):
            continue
        apart = distance(fused, alone).max()
        if apart <= TIE:
            mend = f"image+text gets the vector of its {part}; instructions and questions about images need both"
            yield Finding(f"{other} used in image+text", "warn", f"the {other} changes nothing", mend)
        else:
            yield Finding(f"{other} used in image+text", "ok", f"it moves the vector by up to {apart:.1e}")


def keywords(bench: Bench) -> Iterator[Finding]:
    cases: tuple[tuple[str, str, Role, str], ...] = (
        ("role", bench.encoder.info.roles, "candidate", ""),
        ("instruction", bench.encoder.info.instructions, "query", "Find the picture that the text describes."),
    )
    for name, declared, role, instruction in cases:
        if name not in bench.encoder.takes:
            yield Finding(name, "ok", "not taken by encode, so not passed")
            continue
        moved = float(distance(bench.vectors, encode(bench.encoder, bench.inputs, role, instruction)).max())
        changes = moved > bench.tolerance
        if declared == "ignored" and changes:
            mend = f'info declares {name}s "ignored", so vectors are shared across {name}s: declare it as used'
            yield Finding(name, "fail", f"it moves the vector by up to {moved:.1e}", mend)
        elif declared != "ignored" and not changes:
            mend = f'declare {name}s as "ignored" in info, and each input is encoded once instead of once per {name}'
            yield Finding(name, "warn", "taken, but it changes nothing", mend)
        else:
            yield Finding(
                name, "ok", f"it moves the vector by up to {moved:.1e}" if changes else "ignored, as declared"
            )


def identity(bench: Bench) -> Iterator[Finding]:
    for name, kind in (("info", EncoderInfo), ("limits", Limits)):
        declared = getattr(bench.encoder.encoder, name, None)
        if declared is not None and not isinstance(declared, kind):
            seen = f"it is a {type(declared).__name__}, so it is not read"
            yield Finding(name, "warn", seen, f"make it a fuselip.core.encoder.{kind.__name__}")
    info = bench.encoder.info
    if info.fingerprint is None:
        yield Finding("fingerprint", "ok", f"{info.name} declares none: vectors are not reused by later runs")
    else:
        yield Finding("fingerprint", "ok", f"{info.name}, {info.fingerprint[:12]}: vectors are reused by later runs")


def _spread(vectors: np.ndarray) -> np.ndarray:
    """Distances of all pairs of rows."""
    first, second = np.triu_indices(len(vectors), k=1)
    return distance(vectors[first], vectors[second])


CHECKS: tuple[Callable[[Bench], Iterator[Finding]], ...] = (
    output_type,
    deterministic,
    batching,
    inputs_kept,
    preparation,
    odd_inputs,
    collapse,
    fusion,
    keywords,
    identity,
)
