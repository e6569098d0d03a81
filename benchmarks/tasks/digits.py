"""Real handwritten digits, bundled with scikit-learn: zero-shot classification by prompts, and a linear probe."""

from __future__ import annotations

from dataclasses import replace
from functools import lru_cache

import numpy as np

from benchmarks.tasks.drawn import balanced, query, task
from benchmarks.types import Candidate, TaskContext, TaskData, TaskSpec
from fuselip.core import seeds
from fuselip.core.errors import UserError
from fuselip.core.types import ImageRef, Input, Operation

CLASSES = ("zero", "one", "two", "three", "four", "five", "six", "seven", "eight", "nine")
TEMPLATES = ("a photo of the digit {}", "the number {}", "a handwritten {}")
EACH = 10
TRAINING_EACH = 15
SIDE = 64

_ALIKE = TaskSpec(
    name="digits/zero-shot",
    version=1,
    loader="benchmarks.tasks.digits:zero_shot",
    description="which handwritten digit is it? Real ones of 8x8 pixels, ten of each; prompts of a class are pooled",
    also=("mrr", "strict@1", "class_mean@1"),
    modalities="image -> text",
    source="scikit-learn's digits (the test set of UCI's Optical Recognition of Handwritten Digits), as installed",
    licence="as scikit-learn distributes them",
    chance=1 / len(CLASSES),
)
ROWS = (
    _ALIKE,
    replace(
        _ALIKE,
        name="digits/linear-probe",
        loader="benchmarks.tasks.digits:linear_probe",
        description=f"the same digits by a linear probe, fitted to {TRAINING_EACH} others of each",
        params={"probe": True},
    ),
)


def zero_shot(spec: TaskSpec, context: TaskContext) -> TaskData:
    """`digits/zero-shot`: picture -> class."""
    _, rows = _halves()
    labelled = [rows[int(place)] for place in seeds.generator("digits", context.seed).permutation(len(rows))]
    chosen = balanced(labelled, lambda row: row[2], CLASSES, EACH)
    candidates = {name: Candidate(name, tuple(Input(form.format(name)) for form in TEMPLATES)) for name in CLASSES}
    queries = [query(key, Input(image=image), name, None, key, tags={"digit": name}) for key, image, name in chosen]
    return task(queries, candidates, context)


def linear_probe(spec: TaskSpec, context: TaskContext) -> TaskData:
    """`digits/linear-probe`: the same questions, of the second half of the set; training is of the first half."""
    data = zero_shot(spec, context)
    rows, _ = _halves()
    labelled = [rows[int(place)] for place in seeds.generator("digits train", context.seed).permutation(len(rows))]
    chosen = balanced(labelled, lambda row: row[2], CLASSES, TRAINING_EACH)
    return TaskData(
        data.queries, data.candidates, training=tuple((Input(image=image), name) for _, image, name in chosen)
    )


Digit = tuple[str, ImageRef, str]
"""(key, picture of SIDE pixels a side, class)."""


@lru_cache(maxsize=1)
def _halves() -> tuple[list[Digit], list[Digit]]:
    """All digits in the order of the set, cut in half: writers follow each other, so that hardly one is in both."""
    try:
        from sklearn.datasets import load_digits
    except ImportError as error:
        raise UserError("the handwritten digits come with scikit-learn; run `pip install scikit-learn`") from error
    from PIL import Image

    found = load_digits()
    enlarged = Operation.of("resize", width=SIDE, height=SIDE)
    rows = []
    for number, (values, label) in enumerate(zip(found.images, found.target, strict=True)):  # values: 0 to 16
        picture = Image.fromarray(np.rint(values * 255 / 16).astype(np.uint8), "L")
        rows.append((f"digit-{number:04d}", ImageRef.from_pil(picture).then(enlarged), CLASSES[int(label)]))
    return rows[: len(rows) // 2], rows[len(rows) // 2 :]
