"""Specs of the sources with annotations: `KIND:WHERE?option=value&option=value`. One function a kind.

Each takes what stands behind `KIND:` and the folder where relative paths start; the rows of `registry` name them.
They raise UsageError for an unknown option, and UserError as the sources do.
"""

from __future__ import annotations

import os
import re
from pathlib import Path

from datagen.sources.hf_datasets import HubSet, ParquetSet
from datagen.sources.hq_edit import HQEdit
from datagen.sources.open_images import OpenImages
from datagen.sources.types import Source
from datagen.sources.visual_genome import VisualGenome
from fuselip.core.errors import UsageError
from fuselip.core.plugins import did_you_mean

# A pattern can hold "?" too: options are what is written as name=value behind the last one.
_OPTIONS = re.compile(r"(.*?)\?([a-z_]+=[^?]*)", re.DOTALL)


def vg_regions(rest: str, data_root: str | None) -> Source:
    where, options = _split("vg-regions", rest, ("grouping",))
    return VisualGenome(Path(data_root or "") / where, "regions", **options)


def vg_questions(rest: str, data_root: str | None) -> Source:
    where, options = _split("vg-questions", rest, ("grouping",))
    return VisualGenome(Path(data_root or "") / where, "questions", **options)


def open_images(rest: str, data_root: str | None) -> Source:
    where, options = _split("open-images", rest, ("boxes", "classes"))
    return OpenImages(Path(data_root or "") / where, **options)


def hq_edit(rest: str, data_root: str | None) -> Source:
    where, _ = _split("hq-edit", rest, ())
    return HQEdit(where, Path(data_root or ""))


def parquet(rest: str, data_root: str | None) -> Source:
    where, options = _split("parquet", rest, ("image", "caption"))
    return ParquetSet(where, Path(data_root or ""), **options)


def hub(rest: str, data_root: str | None) -> Source:
    """A hub id is no path, so `data_root` says nothing."""
    repo, options = _split("hf", rest, ("split", "config", "revision", "image", "caption", "data_files"))
    return HubSet(repo, **options)


def _split(kind: str, rest: str, known: tuple[str, ...]) -> tuple[str, dict[str, str]]:
    """What is meant, with ~ written out, and the options by name."""
    matched = _OPTIONS.fullmatch(rest)
    where, texts = (matched[1], matched[2].split("&")) if matched else (rest, [])
    if not where:
        raise UsageError(f"the source '{kind}:{rest}' names no path; write {kind}:PATH")
    options = dict(text.partition("=")[::2] for text in texts)
    for name in options:
        if name not in known:
            listed = ", ".join(known) or "it has none"
            raise UsageError(f"source {kind} has no option {name!r}{did_you_mean(name, known)}; known: {listed}")
    return os.path.expanduser(where), options
