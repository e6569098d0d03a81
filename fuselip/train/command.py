"""`fuselip train`: start a recipe, go on with a run, or say what it would cost."""

from __future__ import annotations

import json
from dataclasses import replace
from pathlib import Path

import click

from fuselip.core.console import debug_option
from fuselip.core.errors import UsageError


@click.command()
@click.argument("recipe", required=False)
@click.option(
    "--out", type=click.Path(path_type=Path, file_okay=False), help="Folder of the run; goes on where one is."
)
@click.option("--set", "settings", multiple=True, metavar="KEY=VALUE", help="A setting, such as optim.lr=5e-4.")
@click.option("--config", "file", type=click.Path(path_type=Path, dir_okay=False), help="A config as JSON; no recipe.")
@click.option(
    "--data",
    "specs",
    multiple=True,
    metavar="[WEIGHT*]SOURCE[?KEY=VALUE&...]",
    help="Instead of its parts; may repeat.",
)
@click.option("--init", help="Start from a checkpoint: a folder or hf:OWNER/NAME[@REVISION].")
@click.option("--list", "listing", is_flag=True, help="The recipes.")
@click.option("--show", is_flag=True, help="Print the resolved config as JSON, and do nothing else.")
@click.option("--dry-run", is_flag=True, help="Print steps, pairs, FLOPs and hours, and do nothing else.")
@click.option("--gpu", default="H100", show_default=True, help="For --dry-run: A100, H100 or H200, eight of them.")
@click.option("--share", type=float, default=0.4, show_default=True, help="For --dry-run: share of the bf16 peak.")
@debug_option
def train(
    recipe: str | None,
    out: Path | None,
    settings: tuple[str, ...],
    file: Path | None,
    specs: tuple[str, ...],
    init: str | None,
    listing: bool,
    show: bool,
    dry_run: bool,
    gpu: str,
    share: float,
) -> None:
    """Train RECIPE (`--list`) into --out.

    The same command again goes on where the run stands. Several processes: torchrun -m fuselip.cli train ...
    """
    from fuselip.core.files import read_json
    from fuselip.train import config as configs
    from fuselip.train.data.config import DataConfig, parse_part
    from fuselip.train.recipes import RECIPES
    from fuselip.train.recipes import recipe as named

    if listing:
        click.echo("\n".join(RECIPES))
        return
    if (recipe is None) == (file is None):
        raise UsageError("name a recipe (`fuselip train --list`), or a file with --config")
    base = configs.from_json(read_json(file), str(file)) if file is not None else named(str(recipe))
    if specs:
        parts = tuple(map(parse_part, specs))
        base = replace(base, data=replace(base.data, parts=parts) if base.data else DataConfig(parts))
    config = configs.override(base, [*settings, *([f"init={init}"] if init else [])])
    if show:
        click.echo(json.dumps(configs.to_json(config), indent=2))
    elif dry_run:
        from fuselip.train.estimate import estimate

        click.echo(estimate(config, gpu, share), nl=False)
    elif out is None:
        raise UsageError("--out is missing: the folder of the run")
    else:
        from fuselip.train.loop import train as run

        run(config, out, lambda line: click.echo(line, err=True))
