"""`fuselip-datagen index-negatives`: what `build-negatives` needs to know of a whole source before it sees one item."""

from __future__ import annotations

import os
import sys
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click
import numpy as np

from datagen.negatives.types import KINDS
from fuselip.core.console import debug_option
from fuselip.core.errors import UsageError

if TYPE_CHECKING:
    from datagen.sources.types import Source, SourceItem

BATCH = 64


@click.command("index-negatives")
@click.option("--source", required=True, help="The captioned images, as in `list sources`.")
@click.option("--data-root", help="Where relative paths of the source start.")
@click.option("--out", type=click.Path(path_type=Path, dir_okay=False), required=True, help="The index to write.")
@click.option(
    "--mode",
    type=click.Choice(["text", "neighbours"]),
    default="text",
    show_default=True,
    help="Altered captions, or the nearest other images.",
)
@click.option("--kinds", default=",".join(KINDS), show_default=True, help="Kinds of text negatives.")
@click.option("--encoder", default="", help="Neighbours by package.module:attr, an encoder or what makes one.")
@click.option("--neighbours", "k", type=click.IntRange(min=1), default=3, show_default=True, help="Of each image.")
@debug_option
def index_negatives(source: str, data_root: str | None, out: Path, mode: str, kinds: str, encoder: str, k: int) -> None:
    """Find what stands against what: captions changed in one thing (balanced), or the nearest other images."""
    from datagen.negatives.build import neighbour_index, text_index
    from datagen.sources.registry import open_source

    opened = open_source(source, data_root)
    if mode == "text":
        if encoder:
            raise UsageError("--encoder is for --mode neighbours; text negatives need none")
        counts = text_index(opened, out, [kind.strip() for kind in kinds.split(",")])
        click.echo("".join(f"{kind:12} {count}\n" for kind, count in sorted(counts.items())), nl=False)
    else:
        if not encoder:
            raise UsageError("--mode neighbours needs --encoder package.module:attr")
        items = _captioned(opened)
        dropped = neighbour_index(items, _vectors(items, encoder), out, k, encoder=encoder)
        click.echo(
            f"{len(items)} images; left out: " + (", ".join(f"{n} {why}" for why, n in dropped.items()) or "none")
        )
    click.echo(f"written to {out}; build-negatives takes it as --set mode={mode} --set index={out}")


def _captioned(source: Source) -> list[SourceItem]:
    from datagen.sources.types import SourceItem

    return [item for item in source.items() if isinstance(item, SourceItem) and item.captions]


def _vectors(items: list[SourceItem], target: str) -> np.ndarray:
    """float32 [N, D] of the items' images."""
    from fuselip.core.plugins import load
    from fuselip.core.types import Input

    sys.path.append(os.getcwd())  # last: a user's own `datagen` folder hides nothing
    found: Any = load(target)
    encoder = found if callable(getattr(found, "encode", None)) and not isinstance(found, type) else found()
    if not callable(getattr(encoder, "encode", None)):
        raise UsageError(f"{target} is no encoder: it has no encode method")
    blocks = [items[start : start + BATCH] for start in range(0, len(items), BATCH)]
    rows = [np.asarray(encoder.encode([Input(image=item.image) for item in block]), np.float32) for block in blocks]
    return np.concatenate(rows) if rows else np.zeros((0, 1), np.float32)
