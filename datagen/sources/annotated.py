"""Specs of the sources with annotations: `KIND:WHERE?option=value&option=value`, one row a kind."""

from __future__ import annotations

import inspect
import re
from collections.abc import Callable
from pathlib import Path

from datagen.sources.hf_datasets import HubSet, ParquetSet
from datagen.sources.hq_edit import HQEdit
from datagen.sources.open_images import OpenImages
from datagen.sources.types import Source
from datagen.sources.visual_genome import VisualGenome
from fuselip.core.errors import UsageError
from fuselip.core.plugins import did_you_mean

KINDS = {
    "vg-regions:DIR": "Visual Genome's region phrases; ?grouping=paper for the paper's groups of four",
    "vg-questions:DIR": "Visual Genome's questions and answers; ?grouping=paper as above",
    "open-images:DIR": "Open Images boxes: a box CSV, the class descriptions and images/",
    "hq-edit:PATTERN": "HQ-Edit's parquet files, e.g. 'hq-edit:data/*.parquet'",
    "parquet:PATTERN": "parquet files with images in them; ?image=COLUMN&caption=COLUMN",
    "hf:REPO": "a data set of the Hugging Face hub, streamed; ?split=train&config=NAME&revision=COMMIT",
}

# A pattern can hold "?" too: options are what is written as name=value behind the last one.
_OPTIONS = re.compile(r"(.*?)\?([a-z_]+=[^?]*)", re.DOTALL)


def open_annotated(kind: str, rest: str, root: Path) -> Source:
    """The source that `kind:rest` means; relative paths start at `root`. `kind` is one of KINDS, without its argument.

    Raises UsageError for an unknown option, UserError as the sources do.
    """
    matched = _OPTIONS.fullmatch(rest)
    where, texts = (matched[1], matched[2].split("&")) if matched else (rest, [])
    options = dict(text.partition("=")[::2] for text in texts)
    if kind in ("vg-regions", "vg-questions"):
        return _call(
            kind, lambda grouping="clean": VisualGenome(root / where, kind.partition("-")[2], grouping), options
        )
    if kind == "open-images":
        return _call(kind, lambda boxes="", classes="": _open_images(root / where, boxes, classes), options)
    if kind == "hq-edit":
        return _call(kind, lambda: HQEdit(where, root), options)
    if kind == "parquet":
        return _call(kind, lambda image="", caption="": ParquetSet(where, root, image, caption), options)
    assert kind == "hf", f"{kind} is one of the kinds of this table"
    return _call(kind, _hub(where), options)


def _hub(repo: str) -> Callable[..., Source]:
    def make(
        split: str = "train",
        config: str = "",
        revision: str = "",
        image: str = "",
        caption: str = "",
        data_files: str = "",
    ) -> Source:
        return HubSet(repo, split, config, revision, image, caption, data_files)

    return make


def _open_images(root: Path, boxes: str, classes: str) -> Source:
    given = {name: value for name, value in (("boxes", boxes), ("classes", classes)) if value}
    return OpenImages(root, **given)


def _call(kind: str, make: Callable[..., Source], options: dict[str, str]) -> Source:
    known = list(inspect.signature(make).parameters)
    for name in options:
        if name not in known:
            listed = ", ".join(known) or "it has none"
            raise UsageError(f"source {kind} has no option {name!r}{did_you_mean(name, known)}; known: {listed}")
    return make(**options)
