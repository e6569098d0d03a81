"""`fuselip mine`: hard negatives of a prepared set, found by a trained model."""

from __future__ import annotations

from pathlib import Path

import click

from fuselip.core.console import debug_option

FOLDER = click.Path(path_type=Path, file_okay=False)


@click.command()
@click.argument("data", type=FOLDER)
@click.option("--out", type=FOLDER, required=True, help="Folder for the groups; begun ones are gone on with.")
@click.option("--model", default="fuselip-ti", show_default=True, help="The model that finds them.")
@click.option("--weights", default="bundled", show_default=True, help="Its weights, as in `fuselip embed`.")
@click.option("--size", type=click.IntRange(2, 1024), default=8, show_default=True, help="Pairs of a group.")
@click.option("--same", type=float, default=0.98, show_default=True, help="Answers of this cosine are equally right.")
@click.option("--seed", type=click.IntRange(min=0), default=0, show_default=True, help="Seed of the order of pairs.")
@click.option("--device", default="auto", show_default=True, help="auto, cpu, cuda or mps.")
@debug_option
def mine(data: Path, out: Path, model: str, weights: str, size: int, same: float, seed: int, device: str) -> None:
    """Group the pairs of DATA, a set made by `fuselip prepare`, by what a model confuses.

    OUT holds which pairs share a group (and so a batch); pictures stay in DATA.
    """
    from fuselip.train.data.mining import MINED, Mining
    from fuselip.train.data.mining import mine as run

    def report(done: int, total: int) -> None:
        click.echo(f"embedded {done} of {total} shards", err=True)

    made = run(data, out, Mining(model, weights, size, same, seed), device=device, report=report)
    click.echo(f"{out}: {made['groups']:,} groups of {made['pairs']:,} pairs, {made['left_out']:,} pairs left out")
    click.echo(f"read it as the part {MINED}?folder={out}&data={data}")
