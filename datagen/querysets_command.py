"""`fuselip-datagen build-queries`: query sets like OI-Crop and OI-Pos, from Open Images boxes."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import TYPE_CHECKING

import click

from fuselip.core.console import debug_option

if TYPE_CHECKING:
    from datagen.querysets import Annotated
    from datagen.sources.types import Rejected


@click.command("build-queries")
@click.option("--boxes", type=click.Path(path_type=Path, file_okay=False), required=True, help="Folder of Open Images.")
@click.option("--kind", type=click.Choice(["crop", "position"]), required=True, help="As OI-Crop or as OI-Pos.")
@click.option("--out", type=click.Path(path_type=Path, dir_okay=False), required=True, help="The JSON to write.")
@click.option("--subset", default="test", show_default=True, help="Name of the split, for the record.")
@click.option("--seed", type=int, default=0, show_default=True, help="Of the draws of crop queries.")
@debug_option
def build_queries(boxes: Path, kind: str, out: Path, subset: str, seed: int) -> None:
    """Crops of one class among crops of the same image, or the left one of two, in the published JSON format."""
    from datagen import querysets
    from datagen.sources.open_images import OpenImages
    from fuselip.core.errors import UserError
    from fuselip.core.files import write_json

    left_out: Counter[str] = Counter()
    pictures = _usable(querysets.annotated(OpenImages(boxes)), left_out)
    if kind == "crop":
        made = querysets.to_json_crop(querysets.crop_queries(pictures, seed=seed), subset)
        count = len(made["data"])
    else:
        made = querysets.to_json_position(querysets.position_queries(pictures), subset)
        count = sum(map(len, made["data"].values()))
    if not count:
        raise UserError(f"no query can be made of the boxes in {boxes}: too few images, classes, or boxes that fit")
    write_json(out, made)
    reasons = "; ".join(f"{number} {reason}" for reason, number in left_out.most_common(3))
    click.echo(f"{count} queries written to {out}" + (f"; images left out: {reasons}" if reasons else ""))


def _usable(found: Iterable[Annotated | Rejected], left_out: Counter[str]) -> Iterator[Annotated]:
    from datagen.sources.types import Rejected

    for each in found:
        if isinstance(each, Rejected):
            left_out[each.reason] += 1
        else:
            yield each
