"""`fuselip-datagen mix`: several sets as one index, with their weights."""

from __future__ import annotations

from pathlib import Path

import click

from fuselip.core.console import debug_option
from fuselip.core.errors import UsageError


@click.command()
@click.argument("file", metavar="[YAML]", required=False, type=click.Path(path_type=Path, dir_okay=False))
@click.option("--preset", help="The paper's mixture: cc3m-mm or cc12m-mm; or name it in the YAML.")
@click.option("--root", type=click.Path(path_type=Path, file_okay=False), help="With --preset: where its sets are.")
@click.option("--seed", type=click.IntRange(min=0), default=0, show_default=True, help="With --preset: of the order.")
@click.option("--out", type=click.Path(path_type=Path, dir_okay=False), help="The index to write (.parquet).")
@click.option("--allow-missing", is_flag=True, help="Leave out sets that are not on this machine.")
@click.option("--json", "as_json", is_flag=True, help="Print JSON.")
@debug_option
def mix(
    file: Path | None,
    preset: str | None,
    root: Path | None,
    seed: int,
    out: Path | None,
    allow_missing: bool,
    as_json: bool,
) -> None:
    """Put sets together, with weights, as one index that training reads.

    YAML names sets and weights. Without --out, only what the mix holds is told.
    """
    import json

    from datagen.mix import config, make

    if (file is None) == (preset is None):
        raise UsageError("give a YAML file, or --preset with --root")
    if preset is not None and root is None:
        raise UsageError(f"--preset {preset} needs --root, the folder that holds its sets")
    if file is not None and (root is not None or seed):
        raise UsageError("--root and --seed go with --preset; in a YAML they are the keys `root` and `seed`")
    chosen = config.read(file) if file is not None else config.of_preset(str(preset), Path(str(root)), seed)
    if out is not None and out.suffix != ".parquet":
        raise UsageError(f"--out {out}: the index is a parquet file; let its name end with .parquet")
    mixed = make.gather(chosen)
    if out is not None:
        make.write(mixed, out, allow_missing)
    if as_json:
        lacking = [{"set": each.name, "why": why} for each, why in mixed.lacking]
        click.echo(json.dumps({"name": chosen.name, "sets": make.to_rows(mixed), "missing": lacking}, indent=2))
    else:
        click.echo(make.to_text(mixed) if mixed.found else "none of the sets is here\n", nl=False)
        if mixed.lacking:
            click.echo(f"missing:\n{make.told_lacking(mixed)}")
    if out is not None:
        click.echo(f"written to {out}", err=True)
