"""Source specs as written on a command line: `photos`, `folder:DIR`, `csv:FILE`, `wds:PATTERN`, or a bare path."""

from __future__ import annotations

import os
from pathlib import Path

from datagen.sources.folder import Folder
from datagen.sources.photos import Photos
from datagen.sources.table import Table
from datagen.sources.types import Source
from datagen.sources.webdataset import WebDataset
from fuselip.core.errors import UsageError
from fuselip.core.plugins import did_you_mean, load

KINDS = {
    "photos": "the photos bundled with scikit-image and scikit-learn, whole and in tiles",
    "photos:quick": "five of those photos, whole",
    "scenes:SPLIT": "drawn scenes with complete ground truth; scenes:train?count=1000&seed=0&size=128, or test, val",
    "textures": "dead leaves, fractals, gradients and 1/f noise; textures?count=1000&seed=0&size=256",
    "folder:DIR": "images in a folder and its subfolders",
    "csv:FILE": "a CSV file with the columns path,caption",
    "wds:PATTERN": "webdataset tars, e.g. 'wds:cc3m-{0000..0009}.tar'",
    "questions:FILE::SOURCE": "a source with the questions of a CSV or JSONL (path,question,answer)",
    "vg-regions:DIR": "Visual Genome's region phrases; ?grouping=paper for the paper's groups of four",
    "vg-questions:DIR": "Visual Genome's questions and answers; ?grouping=paper as above",
    "open-images:DIR": "Open Images boxes: a box CSV, the class descriptions and images/",
    "hq-edit:PATTERN": "HQ-Edit's parquet files, e.g. 'hq-edit:data/*.parquet'",
    "parquet:PATTERN": "parquet files with images in them; ?image=COLUMN&caption=COLUMN",
    "hf:REPO": "a data set of the Hugging Face hub, streamed; ?split=train&config=NAME&revision=COMMIT",
}

# Made of nothing: there is no path behind their name, only options.
MADE = ("scenes", "textures")

# Sources that bring more code than most runs need: opened by (rest of the spec, data_root).
_OPENERS = {
    "scenes": "datagen.sources.scenes:open_scenes",
    "textures": "datagen.sources.textures:open_textures",
    "questions": "datagen.vqa.source:open_questions",
    "vg-regions": "datagen.sources.annotated:vg_regions",
    "vg-questions": "datagen.sources.annotated:vg_questions",
    "open-images": "datagen.sources.annotated:open_images",
    "hq-edit": "datagen.sources.annotated:hq_edit",
    "parquet": "datagen.sources.annotated:parquet",
    "hf": "datagen.sources.annotated:hub",
}


def open_source(spec: str, data_root: str | None = None) -> Source:
    """The source that `spec` names. Relative paths start at `data_root` (default: the working directory).

    For a CSV, `data_root` is also the folder its paths are relative to. Raises UsageError for an unknown spec,
    UserError where what it names is missing.
    """
    data_root = os.path.expanduser(data_root) if data_root else None
    root = Path(data_root or "")
    if spec in ("photos", "photos:quick"):
        return Photos(quick=spec == "photos:quick")
    kind, separator, rest = spec.partition(":")
    bare, _, options = spec.partition("?")
    if bare in MADE:
        kind, separator, rest = bare, ":", f"?{options}"
    if separator and kind in _OPENERS:
        opened: Source = load(_OPENERS[kind])(rest, data_root)
        return opened
    if separator and kind in ("folder", "csv", "wds"):
        if not rest:
            raise UsageError(f"the source {spec!r} names no path; write {kind}:PATH")
        return _open(kind, os.path.expanduser(rest), root, data_root)  # shells leave the ~ of folder:~/x as it is
    kind = _recognise(root / spec) if spec else ""
    if not kind:
        words = [known.partition(":")[0] for known in KINDS]
        hint = did_you_mean(spec, KINDS) or did_you_mean(spec.partition(":")[0], words)
        raise UsageError(
            f"unknown source {spec!r}{hint}; known: {', '.join(KINDS)}, or the path of a folder, CSV or tar"
        )
    return _open(kind, spec, root, data_root)


def _open(kind: str, rest: str, root: Path, data_root: str | None) -> Source:
    if kind == "folder":
        return Folder(root / rest)
    if kind == "csv":
        return Table(root / rest, Path(data_root) if data_root else None)
    return WebDataset(rest, root)


def _recognise(path: Path) -> str:
    """What a bare path is: a folder, a CSV file, a tar or a pattern of tars; an empty string where it is none."""
    if path.is_dir():
        return "folder"
    if path.suffix == ".csv" and path.is_file():
        return "csv"
    return "wds" if path.suffix == ".tar" or path.name.endswith(".tar.gz") else ""
