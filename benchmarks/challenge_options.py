"""The options of `fuselip-bench run` that answer a leaderboard's challenge in place of running a suite."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

import click
from click.core import ParameterSource

from fuselip.core.errors import UsageError

OPTIONS = ("challenge", "token_file", "submission", "send")
TOGETHER = {"model", "model_args", "weights", "device", "precision", "compile_", "offline", "debug", "output"}
"""Options that mean the same with a challenge."""


def challenge_options(command: Callable[..., Any]) -> Callable[..., Any]:
    for option in reversed(
        [
            click.option("--challenge", metavar="FILE|URL", help="Answer a leaderboard's challenge instead."),
            click.option(
                "--submission", default="", metavar="ID", help="The submission that the challenge is to support."
            ),
            click.option(
                "--token-file", type=click.Path(path_type=Path, dir_okay=False), help="Holds the token for the URL."
            ),
            click.option(
                "--send",
                type=click.Choice(["scores", "embeddings"]),
                default="scores",
                show_default=True,
                help="What a response to a challenge holds.",
            ),
        ]
    ):
        command = option(command)
    return command


def refuse_mixed(asked: Mapping[str, Any], context: click.Context) -> None:
    """UsageError for options of a challenge without one, and for those of a suite with one."""
    given = {
        name for name in context.params if context.get_parameter_source(name) not in (None, ParameterSource.DEFAULT)
    }
    odd = given - TOGETHER - set(OPTIONS) if asked["challenge"] else given & set(OPTIONS)
    if odd:
        names = ", ".join(sorted(f"--{name.strip('_').replace('_', '-')}" for name in odd))
        why = "a challenge says itself what is asked" if asked["challenge"] else "these are for --challenge"
        raise UsageError(f"{names}: {why}; leave it out")


def answer_challenge(encoder: Any, output: Path | None, asked: Mapping[str, Any]) -> str:
    """What is told of the response that was written."""
    from benchmarks.challenge import answer
    from benchmarks.console import ConsoleListener

    with ConsoleListener() as listener:
        listener.introduce(encoder)
        done = answer(
            encoder,
            asked["challenge"],
            output or Path("response.zip"),
            submission=asked["submission"],
            token_file=asked["token_file"],
            send=asked["send"],
            listener=listener,
        )
    told = f"{done.questions} questions answered, written to {done.path}"
    return f"{told}\n{done.reply}" if done.reply else f"{told}; send it to whoever gave you the challenge"
