"""`fuselip-bench reproduce paper`: the paper's numbers beside ours."""

from __future__ import annotations

import json
from collections.abc import Sequence
from pathlib import Path

import click

from benchmarks.model_options import encoder_of, model_options
from fuselip.core.errors import UsageError

FOLDER = click.Path(path_type=Path, file_okay=False)


@click.command(short_help="The paper's table, beside our numbers.")
@click.argument("what", type=click.Choice(["paper"]))
@model_options
@click.option("--trained-on", type=click.Choice(["cc3m-mm", "cc12m-mm"]), help="Row of the table.  [default: weights']")
@click.option("--row", help="Whose row of the table to compare with.  [default: --model]")
@click.option("--data", type=FOLDER, help="The folder of the public data sets.  [default: what `fetch` filled]")
@click.option("--output", type=FOLDER, help="Write the run here; the same command again resumes it.")
@click.option("--json", "as_json", is_flag=True, help="Print JSON.")
def reproduce(
    what: str,
    model: str,
    model_args: tuple[str, ...],
    weights: str | None,
    device: str | None,
    precision: str | None,
    compile_: bool | None,
    offline: bool | None,
    trained_on: str | None,
    row: str | None,
    data: Path | None,
    output: Path | None,
    as_json: bool,
) -> int:
    """Run every column of the paper's table whose data is there, beside what was published.

    Ends with 1 where a column differs by more than the tolerance.
    """
    from benchmarks.console import ConsoleListener
    from benchmarks.evaluation import evaluate
    from benchmarks.published import DATA, MODELS
    from benchmarks.reproduce import reproduce as compute
    from benchmarks.reproduce import to_json
    from benchmarks.types import Result, TaskContext

    name = row or model
    if name not in MODELS:
        raise UsageError(f"the paper has no row {name!r}; choose one by --row: {', '.join(MODELS)}")
    encoder = encoder_of(model, model_args, weights, device, precision, compile_, offline)
    location = encoder.info.weights.location.lower() if encoder.info.weights else ""
    guess = next((data for data in reversed(DATA) if data in location), DATA[-1])
    with ConsoleListener() as listener:
        listener.introduce(encoder)

        def run(tasks: Sequence[str]) -> Sequence[Result]:
            return evaluate(
                encoder, tasks=tasks, output=output, data=data, offline=bool(offline), listener=listener
            ).results

        context = TaskContext(offline=bool(offline), data=data)
        rows = compute(name, trained_on or guess, context, run)
    told = to_json(name, trained_on or guess, rows)
    click.echo(json.dumps(told, indent=2) if as_json else _table(told, encoder.info.label), nl=as_json)
    return 1 if any(row.verdict == "differs" for row in rows) else 0


def _table(told: dict[str, object], label: str) -> str:
    from benchmarks.listing import columns

    lines = [("column", "published", "ours [95%]", "tasks", "verdict", "")]
    rows = told["rows"]
    assert isinstance(rows, list)
    for row in rows:
        ours = "" if row["value"] is None else f"{row['value']:.1f} [{row['low']:.1f}, {row['high']:.1f}]"
        why = row["why"] if len(row["why"]) < 100 else f"{row['why'][:97]}..."
        lines.append(
            (row["title"], f"{row['published']:.1f}", ours, f"{row['tasks']}/{row['of']}", row["verdict"], why)
        )
    head = f"{label} beside the paper's {told['model']} trained on {told['training_data']}"
    return f"{head}\n{columns(lines)}tolerance {told['tolerance']} points; {told['source']}\n"
