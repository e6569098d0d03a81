"""`fuselip embed`: a table of texts and image paths to a file of unit vectors."""

from __future__ import annotations

import csv
import json
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from fuselip.core.console import debug_option
from fuselip.core.errors import UsageError, UserError

if TYPE_CHECKING:
    from fuselip.core.types import Input

FILE = click.Path(path_type=Path, dir_okay=False)
BATCH = 128


@click.command()
@click.argument("table", type=FILE)
@click.argument("out", type=FILE)
@click.option("--model", default="fuselip-b", show_default=True, help="The model's name.")
@click.option("--weights", default="auto", show_default=True, help="auto, a published name, hf:REPO[@REV] or a folder.")
@click.option(
    "--root", type=click.Path(path_type=Path, file_okay=False), help="Where image paths start; none may leave it."
)
@click.option("--device", default="auto", show_default=True, help="auto, cpu, cuda or mps.")
@click.option("--precision", default="fp32", show_default=True, help="fp32, bf16 or fp16.")
@debug_option
def embed(table: Path, out: Path, model: str, weights: str, root: Path | None, device: str, precision: str) -> None:
    """Embed the rows of TABLE (.csv or .jsonl with `text`, `image` or both) into OUT (.npy or .safetensors).

    OUT holds float32 [rows, width], in the table's order; .safetensors also tells which weights made it.
    """
    if out.suffix not in (".npy", ".safetensors"):
        raise UsageError(f"{out} should end in .npy or .safetensors")
    inputs = list(read_table(table, root or table.parent))
    if not inputs:
        raise UserError(f"{table} has no rows")
    import numpy as np

    from fuselip.core.files import atomic
    from fuselip.model.encoder import load

    encoder = load(model, weights=weights, device=device, precision=precision)
    record = encoder.info.weights
    click.echo(record.note if record else "", err=True)
    vectors = np.empty((len(inputs), encoder.info.dim or 0), np.float32)
    with click.progressbar(range(0, len(inputs), BATCH), label="embedding", file=sys.stderr) as starts:
        for start in starts:
            part = [_input(value, where) for value, where in inputs[start : start + BATCH]]
            vectors[start : start + BATCH] = encoder.encode(part)
    with atomic(out) as stream:
        if out.suffix == ".npy":
            np.save(stream, vectors)
        else:
            from safetensors.numpy import save

            about = {
                "model": model,
                "weights": record.note if record else "",
                "sha256": (record and record.sha256) or "",
            }
            stream.write(save({"embeddings": vectors}, metadata=about))
    click.echo(f"{out}: {vectors.shape[0]} vectors of {vectors.shape[1]} numbers")


def read_table(path: Path, root: Path) -> Iterator[tuple[Any, str]]:
    """(what `Input.of` takes, where it stands) of each row.

    Raises UserError naming file and row for what is no row, and for an image that is missing or outside `root`.
    """
    reader = {".csv": _csv, ".jsonl": _jsonl}.get(path.suffix)
    if reader is None:
        raise UsageError(f"{path} should end in .csv or .jsonl")
    try:
        for number, row in reader(path):
            yield _row(row, f"{path}, row {number}", root), f"{path}, row {number}"
    except (OSError, UnicodeDecodeError, csv.Error) as error:
        raise UserError(f"{path} cannot be read: {error}") from error


def _row(row: Any, where: str, root: Path) -> Any:
    if not isinstance(row, dict):
        raise UserError(f"{where} is not a table with text, image or both")
    text, image = (row.get(key) or "" for key in ("text", "image"))
    if not isinstance(text, str) or not isinstance(image, str) or not (text or image):
        raise UserError(f"{where} needs a text, an image path or both (columns `text` and `image`)")
    if not image:
        return text
    file = (root / image).resolve()
    if not file.is_relative_to(root.resolve()):
        raise UserError(f"{where}: the image {image!r} is outside {root}; name a folder that holds it with --root")
    if not file.is_file():
        raise UserError(f"{where}: there is no image {file}")
    return (file, text) if text else file


def _input(value: Any, where: str) -> Input:
    from fuselip.core.types import Input

    try:
        return Input.of(value)
    except ValueError as error:
        raise UserError(f"{where}: {error}") from error


def _csv(path: Path) -> Iterator[tuple[int, Any]]:
    with open(path, encoding="utf-8-sig", newline="") as stream:
        yield from enumerate(csv.DictReader(stream), 2)


def _jsonl(path: Path) -> Iterator[tuple[int, Any]]:
    with open(path, encoding="utf-8") as stream:
        for number, line in enumerate(stream, 1):
            if line.strip():
                try:
                    yield number, json.loads(line)
                except ValueError as error:
                    raise UserError(f"{path}, row {number} is not JSON: {error}") from error
