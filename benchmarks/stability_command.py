"""`fuselip-bench stability`: does a score depend on batch size, order or precision?"""

from __future__ import annotations

from typing import Any

import click

from benchmarks.model_options import encoder_of, model_options
from benchmarks.task_options import questions, task_options


@click.command(short_help="Does a score depend on batches, order, precision?")
@model_options
@task_options
@click.option("--json", "as_json", is_flag=True, help="Print JSON.")
def stability(
    model: str,
    model_args: tuple[str, ...],
    weights: str | None,
    device: str | None,
    precision: str | None,
    compile_: bool | None,
    offline: bool | None,
    as_json: bool,
    **chosen: Any,
) -> None:
    """Does a score depend on how the inputs are batched and ordered, or on the precision?

    Everything is encoded six times; --limit and --task keep that short.
    """
    import json

    from benchmarks.console import ConsoleListener
    from benchmarks.encoders import Adapted
    from benchmarks.stability import stability as measure
    from benchmarks.stability import to_text

    def remake(other: str) -> Adapted:
        made: Adapted = encoder_of(model, model_args, weights, device, other, compile_, offline)
        return made

    encoder = encoder_of(model, model_args, weights, device, precision, compile_, offline)
    with ConsoleListener() as listener:
        listener.introduce(encoder)
        found = measure(encoder, questions(chosen, offline, listener), remake, listener)
    click.echo(json.dumps(found, indent=2, ensure_ascii=False) + "\n" if as_json else to_text(found), nl=False)
