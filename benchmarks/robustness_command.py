"""`fuselip-bench robustness`: what is left of a score when the questions are damaged."""

from __future__ import annotations

from typing import Any

import click

from benchmarks.model_options import encoder_of, model_options
from benchmarks.task_options import questions, task_options


@click.command(short_help="Scores without, or with corrupted, image or text.")
@model_options
@task_options
@click.option("--no-cache", is_flag=True, help="Neither read nor write embeddings shared between runs.")
@click.option("--json", "as_json", is_flag=True, help="Print JSON.")
def robustness(
    model: str,
    model_args: tuple[str, ...],
    weights: str | None,
    device: str | None,
    precision: str | None,
    compile_: bool | None,
    offline: bool | None,
    no_cache: bool,
    as_json: bool,
    **chosen: Any,
) -> None:
    """What is left of a score without the image, without the text, or with either one corrupted?"""
    import json

    from benchmarks.console import ConsoleListener
    from benchmarks.robustness import robustness as measure
    from benchmarks.robustness import to_text

    encoder = encoder_of(model, model_args, weights, device, precision, compile_, offline)
    with ConsoleListener() as listener:
        listener.introduce(encoder)
        found = measure(encoder, questions(chosen, offline, listener), listener, cache=not no_cache)
    click.echo(json.dumps(found, indent=2, ensure_ascii=False) + "\n" if as_json else to_text(found), nl=False)
