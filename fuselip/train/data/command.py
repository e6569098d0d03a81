"""`fuselip prepare`: training groups made once, with pixels at the model's side, for many runs to read."""

from __future__ import annotations

import os
from dataclasses import dataclass
from pathlib import Path

import click

from fuselip.core.console import debug_option
from fuselip.core.errors import UsageError


@dataclass(frozen=True)
class Sized:
    """All that preparing needs to know of a model."""

    image_side: int


@click.command()
@click.argument("out", type=click.Path(path_type=Path, file_okay=False))
@click.option("--part", "specs", multiple=True, metavar="[WEIGHT*]SOURCE[?KEY=VALUE&...]", help="A source; may repeat.")
@click.option(
    "--data", "file", type=click.Path(path_type=Path, dir_okay=False), help="The parts, as JSON, or a saved config."
)
@click.option("--mixture", help="Parts by name, made on the fly: made, tgit, scenes.")
@click.option("--groups", type=click.IntRange(min=1), required=True, help="About so many groups.")
@click.option("--side", type=click.IntRange(8, 1024), default=64, show_default=True, help="Pixels a side.")
@click.option("--seed", type=click.IntRange(min=0), default=0, show_default=True, help="Seed of all draws.")
@click.option("--workers", type=click.IntRange(min=1), help="Processes.  [default: one a core]")
@debug_option
def prepare(
    out: Path,
    specs: tuple[str, ...],
    file: Path | None,
    mixture: str | None,
    groups: int,
    side: int,
    seed: int,
    workers: int | None,
) -> None:
    """Make training groups once and store them in OUT, with pixels at the model's side.

    Give the same command again to go on with what was begun. A set is read by naming OUT as a source.
    """
    from fuselip.core.files import read_json
    from fuselip.train.data.config import DataConfig, parse_part
    from fuselip.train.data.mixtures import mixture as named
    from fuselip.train.data.prepare import materialise

    if (file is not None) + (mixture is not None) + bool(specs) != 1:
        raise UsageError("give --part (one or several), or --mixture, or --data")
    if file is not None:
        data = DataConfig.from_json(read_json(file), str(file))
    else:
        data = DataConfig(named(mixture) if mixture is not None else tuple(map(parse_part, specs)))
    cores = len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1

    def report(done: int, total: int) -> None:
        click.echo(f"shard {done} of {total}", err=True)

    made = materialise(data, Sized(side), groups, out, seed=seed, workers=workers or cores, report=report)
    size = sum(path.stat().st_size for path in out.glob("*.np[yz]"))
    click.echo(
        f"{out}: {made['groups']:,} groups, {made['pairs']:,} pairs, {made['images']:,} images of {side} pixels, "
        f"{size / 2**20:,.0f} MiB ({size / max(made['pairs'], 1):,.0f} bytes a pair)"
    )
