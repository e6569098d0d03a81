"""`fuselip study`: the small studies of the paper's open questions, run row by row and written as tables."""

from __future__ import annotations

from pathlib import Path

import click

from fuselip.core.console import debug_option
from fuselip.core.errors import UsageError

FOLDER = click.Path(path_type=Path, file_okay=False)


@click.command()
@click.argument("name", required=False)
@click.option("--steps", type=click.IntRange(min=1), default=1000, show_default=True, help="Optimizer steps of a row.")
@click.option("--seeds", default="1", show_default=True, help="Seeds, such as 1,2,3: a run of each.")
@click.option("--data", default="", help="A set made by `fuselip prepare`, as in train.  [default: made on the fly]")
@click.option("--set", "settings", multiple=True, metavar="KEY=VALUE", help="A setting of all rows, as in train.")
@click.option("--only", multiple=True, metavar="ROW", help="Run this row alone; may repeat.")
@click.option("--tokenizers", type=FOLDER, help="Folder of trained image tokenizers: grid16, grid128, ...")
@click.option("--measure", help="Code that measures a run, module:attr.  [default: the study's own]")
@click.option("--runs", type=FOLDER, default=Path("runs/studies"), show_default=True, help="Folder of all runs.")
@click.option("--out", type=FOLDER, default=Path("docs/studies"), show_default=True, help="Folder of the tables.")
@click.option("--report", is_flag=True, help="Run nothing; write the tables of what is done.")
@click.option("--list", "listing", is_flag=True, help="The studies and their rows.")
@debug_option
def study(
    name: str | None,
    steps: int,
    seeds: str,
    data: str,
    settings: tuple[str, ...],
    only: tuple[str, ...],
    tokenizers: Path | None,
    measure: str | None,
    runs: Path,
    out: Path,
    report: bool,
    listing: bool,
) -> None:
    """Train and measure the rows of study NAME (`--list`) and write --out/NAME.md, .json and .svg.

    Rows of shipped weights as they are need no training, and rows of mined groups mine them from --data first.

    The same command again goes on where it stands; finished rows are kept, and the table is written after each.
    """
    from fuselip.train.data.config import parse_part
    from fuselip.train.studies import STUDIES, study_of, variants
    from fuselip.train.study import Setup, run_study
    from fuselip.train.study_report import write

    if listing:
        for known, each in STUDIES.items():
            click.echo(f"{known}: {each.question}\n    {'; '.join(each.rows)}")
        return
    if name is None:
        raise UsageError("name a study (`fuselip study --list`)")
    chosen = study_of(name)
    unknown = [row for row in only if row not in chosen.rows]
    if unknown:
        raise UsageError(f"the study {name} has no row {unknown[0]!r}; it has: {'; '.join(chosen.rows)}")
    if data and not Path(parse_part(data).source).is_dir():
        raise UsageError(f"--data {data} is not a folder; `fuselip prepare` makes one")
    call = measure or chosen.measure
    setup = Setup(steps, _numbers(seeds), runs, data, settings, tokenizers, call, chosen.parts)
    rows = () if report else only or tuple(chosen.rows)
    with variants():
        run_study(
            chosen,
            setup,
            rows,
            lambda line: click.echo(line, err=True),
            lambda found: click.echo(write(name, chosen, setup, found, out), err=True),
        )
    click.echo(out / f"{name}.md")


def _numbers(text: str) -> tuple[int, ...]:
    parts = [part.strip() for part in text.split(",")]
    if not all(part.isdecimal() for part in parts) or len(set(parts)) < len(parts):
        raise UsageError(f"--seeds {text!r}: write distinct whole numbers, such as 1,2,3")
    return tuple(map(int, parts))
