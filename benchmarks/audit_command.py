"""`fuselip-bench audit`: what a task gives away to baselines that see half of it, or nothing."""

from __future__ import annotations

from pathlib import Path

import click

from fuselip.core.console import debug_option
from fuselip.core.errors import UsageError


@click.command(short_help="What a task gives away to baselines that see half of it.")
@click.argument("tasks", metavar="TASK...", nargs=-1, required=True)
@click.option("--data", type=click.Path(path_type=Path, file_okay=False), help="The folder of the public data sets.")
@click.option("--source", help="Pictures of tasks on any pictures: folder:DIR, csv:FILE, wds:PATTERN, photos, a path.")
@click.option("--data-root", type=click.Path(path_type=Path, file_okay=False), help="Where the paths of a CSV start.")
@click.option("--limit", type=click.IntRange(min=1), help="Use at most so many source images.")
@click.option("--seed", type=int, default=0, show_default=True, help="Seed of the questions drawn.")
@click.option("--model", help="An encoder, for what half a query and a wrong image score; needs the pictures.")
@click.option("--model-arg", "model_args", multiple=True, metavar="KEY=VALUE", help="Passed to the encoder.")
@click.option("--weights", help="As for `run`.")
@click.option("--device", help="As for `run`.")
@click.option("--offline", is_flag=True, default=None, help="Never touch the network.")
@click.option("--json", "as_json", is_flag=True, help="Print JSON; values are shares, with their intervals.")
@debug_option
def audit(
    tasks: tuple[str, ...],
    data: Path | None,
    source: str | None,
    data_root: Path | None,
    limit: int | None,
    seed: int,
    model: str | None,
    model_args: tuple[str, ...],
    weights: str | None,
    device: str | None,
    offline: bool | None,
    as_json: bool,
) -> int:
    """Which TASKs need no fusion, because a baseline that sees half of them or nothing gets far?

    TASK is a name or a pattern ('sugarcrepe/*'). Without --model, public sets need their annotation files only.
    """
    import json
    import shutil

    from benchmarks.audit import audit as examine
    from benchmarks.audit import to_text
    from benchmarks.console import ConsoleListener
    from benchmarks.encoders import resolve
    from benchmarks.types import TaskContext

    if wrong := next((value for value in model_args if "=" not in value), None):
        raise UsageError(f"--model-arg {wrong!r} is not KEY=VALUE")
    pairs = dict(value.split("=", 1) for value in model_args)
    given = {"weights": weights, "device": device, "offline": offline}
    chosen = {key: value for key, value in given.items() if value is not None}
    if model is None and (pairs or weights or device):
        raise UsageError("--model-arg, --weights and --device are of an encoder: name one with --model")
    context = TaskContext(source or "", str(data_root) if data_root else None, limit, seed, bool(offline), data)
    with ConsoleListener() as listener:
        encoder = resolve(model, pairs, **chosen) if model else None
        found = examine(tasks, context, encoder, listener=listener if model else None)
    width = shutil.get_terminal_size((120, 24)).columns
    text = json.dumps(found.to_json(), indent=2, ensure_ascii=False) + "\n" if as_json else to_text(found, width)
    click.echo(text, nl=False)
    return 1 if found.errors else 0
