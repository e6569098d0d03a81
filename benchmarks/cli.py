"""`fuselip-bench`: run an encoder on the tasks, show and recompute results, check an encoder, look after the cache."""

from __future__ import annotations

import sys
from pathlib import Path
from typing import Any

import click

from benchmarks.audit_command import audit
from benchmarks.challenge_options import answer_challenge, challenge_options, refuse_mixed
from benchmarks.compare_command import compare
from benchmarks.doctor_command import doctor
from benchmarks.export.command import export
from benchmarks.fetch_command import fetch
from benchmarks.leaks_command import leaks
from benchmarks.model_options import encoder_of, model_options
from benchmarks.reproduce_command import reproduce
from benchmarks.robustness_command import robustness
from benchmarks.stability_command import stability
from benchmarks.view.command import view
from fuselip.core.console import Group, debug_option
from fuselip.core.errors import UsageError

RUN_FOLDER = click.Path(path_type=Path, file_okay=False)


@click.group(cls=Group, context_settings={"help_option_names": ["-h", "--help"]})
@click.version_option(package_name="fuselip", prog_name="fuselip-bench")
@debug_option
def main() -> None:
    """Honest numbers for multimodal encoders: every score with its interval, its chance level and its controls."""


@main.command()
@model_options
@click.option(
    "--suite", "suites", multiple=True, help="A suite (see `list suites`), several times for several.  [default: quick]"
)
@click.option(
    "--task", "tasks", multiple=True, help="A task or a pattern such as 'tgit/*'; may be given several times."
)
@click.option("--source", help="Other pictures: folder:DIR, csv:FILE, wds:PATTERN, photos, or a path.")
@click.option("--data-root", type=click.Path(path_type=Path, file_okay=False), help="Where the paths of a CSV start.")
@click.option("--data", type=RUN_FOLDER, help="The folder of the public data sets.  [default: what `fetch` filled]")
@click.option("--limit", type=click.IntRange(min=1), help="Use at most so many source images.")
@click.option("--seed", type=int, default=0, show_default=True, help="Seed of the questions drawn.")
@click.option(
    "--output",
    type=click.Path(path_type=Path),
    help="Write the run here; the same command again resumes it. Of a challenge: the response.  [response.zip]",
)
@click.option("--truncate-dim", type=click.IntRange(min=1), help="Score the first so many numbers of each vector.")
@click.option("--quantise", type=click.Choice(["int8", "binary"]), help="Score vectors of 8-bit integers, or of signs.")
@click.option("--no-cache", is_flag=True, help="Neither read nor write embeddings shared between runs.")
@challenge_options
@click.option(
    "--format", "format_", type=click.Choice(["table", "csv", "md", "latex"]), default="table", show_default=True
)
def run(
    model: str,
    model_args: tuple[str, ...],
    weights: str | None,
    device: str | None,
    precision: str | None,
    compile_: bool | None,
    offline: bool | None,
    suites: tuple[str, ...],
    tasks: tuple[str, ...],
    source: str | None,
    data_root: Path | None,
    data: Path | None,
    limit: int | None,
    seed: int,
    output: Path | None,
    truncate_dim: int | None,
    quantise: str | None,
    no_cache: bool,
    format_: str,
    **asked: Any,
) -> None:
    """Score an encoder on suites or on tasks."""
    from benchmarks.console import ConsoleListener
    from benchmarks.distributed import peers
    from benchmarks.evaluation import evaluate
    from benchmarks.report import render

    others = peers()  # before the model takes a device: under torchrun each process has its own
    refuse_mixed(asked, click.get_current_context())
    encoder = encoder_of(model, model_args, weights, device, precision, compile_, offline)
    if asked["challenge"]:
        click.echo(answer_challenge(encoder, output, asked))
        return
    if output and output.is_file():
        raise UsageError(f"{output} is a file; a run is written to a folder")
    with ConsoleListener(quiet=others is not None and others.rank > 0) as listener:
        listener.introduce(encoder)
        evaluation = evaluate(
            encoder,
            suites,
            tasks=tasks,
            output=output,
            source=source,
            data_root=str(data_root) if data_root else None,
            data=data,
            limit=limit,
            seed=seed,
            cache=not no_cache,
            offline=bool(offline),
            truncate_dim=truncate_dim,
            quantise=quantise,
            listener=listener,
        )
    if not evaluation.summary:
        return  # process 0 of a run of several has it all
    click.echo(render(evaluation.summary, format_), nl=False)
    if output:
        click.echo(f"written to {output}", err=True)


@main.command("list")
@click.argument("what", type=click.Choice(["models", "tasks", "suites"]))
@click.option("--json", "as_json", is_flag=True, help="Print all that is known: sources, citations, licences, files.")
@debug_option
def list_(what: str, as_json: bool) -> None:
    """What there is: models, tasks or suites."""
    import json

    from benchmarks.listing import LISTINGS, to_json

    click.echo(json.dumps(to_json(what), indent=2, default=dict) if as_json else LISTINGS[what](), nl=as_json)


@main.command()
@click.argument("run_folder", metavar="RUN", type=RUN_FOLDER)
@click.option(
    "--format", "format_", type=click.Choice(["table", "csv", "md", "latex"]), default="table", show_default=True
)
@click.option("--skills", is_flag=True, help="Accuracy by angle, crop cell, jitter strength, flip axis, ...")
@click.option(
    "--clean",
    type=click.Path(path_type=Path, dir_okay=False),
    help="Scores of the questions that FILE calls clean (`leaks SET --out FILE`).",
)
@click.option("--geometry", is_flag=True, help="Modality gap, uniformity, alignment and effective rank.")
@debug_option
def show(run_folder: Path, format_: str, skills: bool, clean: Path | None, geometry: bool) -> None:
    """The results of a finished run."""
    if clean is not None:
        from benchmarks.clean import clean_scores, to_text

        click.echo(to_text(clean_scores(run_folder, clean)), nl=False)
        return
    from benchmarks.report import render
    from benchmarks.runs import RunFolder
    from benchmarks.skills_report import render_skills

    summary = RunFolder(run_folder).summary()
    if geometry:
        from benchmarks.geometry import lines

        found = summary.get("geometry")
        click.echo("\n".join(lines(found)) if found else "the run that wrote this encoded nothing, and has no geometry")
        return
    click.echo(render_skills(summary) if skills else render(summary, format_), nl=False)


@main.command()
@click.argument("run_folder", metavar="RUN", type=RUN_FOLDER)
@debug_option
def rescore(run_folder: Path) -> int:
    """Compute every number again from the predictions alone, and compare."""
    from benchmarks.rescore import rescore as compute

    checked = compute(run_folder)
    for row in checked:
        click.echo(str(row))
    return 1 if any(row.difference for row in checked) else 0


@main.command()
@model_options
def check(
    model: str,
    model_args: tuple[str, ...],
    weights: str | None,
    device: str | None,
    precision: str | None,
    compile_: bool | None,
    offline: bool | None,
) -> int:
    """Does an encoder keep the contract? Says what is wrong and how to mend it."""
    from benchmarks.testing import check as examine

    findings = examine(encoder_of(model, model_args, weights, device, precision, compile_, offline))
    for finding in findings:
        click.echo(str(finding))
    return 1 if any(finding.status == "fail" for finding in findings) else 0


@main.command("check-task")
@click.argument("name", metavar="TASK")
@click.option("--source", default="photos:quick", show_default=True, help="Pictures of a task on any pictures.")
@click.option("--data", type=RUN_FOLDER, help="The folder of the public data sets.")
@debug_option
def check_task(name: str, source: str, data: Path | None) -> int:
    """Is a task fair, readable and the same each time? Says what is wrong and how to mend it."""
    from benchmarks.tasks import task
    from benchmarks.testing import check_task as examine
    from benchmarks.types import TaskContext

    findings = examine(task(name), TaskContext(source=source, data=data))
    for finding in findings:
        click.echo(str(finding))
    return 1 if any(finding.status == "fail" for finding in findings) else 0


for command in (audit, compare, leaks, export, view, stability, robustness, fetch, doctor, reproduce):
    main.add_command(command)


@main.group()
def cache() -> None:
    """The embeddings kept between runs."""


@cache.command("info")
@debug_option
def cache_info() -> None:
    """Where the cache is, and what it holds."""
    from fuselip.core.files import cache_home
    from fuselip.core.store import usage

    rows = usage(cache_home())
    click.echo(f"{cache_home() / 'embeddings'}: {len(rows)} encoders, {sum(row[1] for row in rows) / 2**20:.1f} MiB")


@cache.command("prune")
@click.option("--max-size", default="0", show_default=True, help="Keep at most this much: bytes, or with K, M or G.")
@debug_option
def cache_prune(max_size: str) -> None:
    """Delete embeddings, the least recently used first. Those of runs under way stay."""
    from fuselip.core.files import cache_home
    from fuselip.core.store import prune

    deleted = prune(cache_home(), _bytes(max_size))
    click.echo(f"deleted {len(deleted)} encoders' embeddings, {sum(size for _, size in deleted) / 2**20:.1f} MiB")


def _bytes(text: str) -> int:
    scale = {"K": 2**10, "M": 2**20, "G": 2**30}.get(text[-1:].upper(), 1)
    number = text[:-1] if scale > 1 else text
    try:
        return int(float(number) * scale)
    except ValueError:
        raise UsageError(f"--max-size {text!r} is not a size; write 500M or 2G") from None


if __name__ == "__main__":
    sys.exit(main())
