"""The options that name an encoder on the command line, and the encoder that they name."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import click

from fuselip.core.console import debug_option
from fuselip.core.errors import UsageError

if TYPE_CHECKING:
    from collections.abc import Callable


def model_options(command: Callable[..., Any]) -> Callable[..., Any]:
    """The options that name an encoder, shared by all commands that run one."""
    for option in reversed(
        [
            click.option(
                "--model", required=True, help="A name (see `list models`), package.module:attr, or ./file.py:attr."
            ),
            click.option(
                "--model-arg",
                "model_args",
                multiple=True,
                metavar="KEY=VALUE",
                help="Passed to the encoder's class or factory.",
            ),
            click.option(
                "--weights", help="auto, cc3m-mm, cc12m-mm, random, a PATH, or hf:REPO[@REV].  [default: auto]"
            ),
            click.option("--device", help="auto, cpu, cuda or mps.  [default: auto]"),
            click.option("--precision", type=click.Choice(["fp32", "bf16", "fp16"]), help="[default: fp32]"),
            click.option(
                "--compile", "compile_", is_flag=True, default=None, help="Compile the model (pays off in long runs)."
            ),
            click.option("--offline", is_flag=True, default=None, help="Never touch the network."),
            debug_option,
        ]
    ):
        command = option(command)
    return command


def encoder_of(
    model: str,
    model_args: tuple[str, ...],
    weights: str | None,
    device: str | None,
    precision: str | None,
    compile_: bool | None,
    offline: bool | None,
) -> Any:
    """The encoder that the options name. Only options that were given are passed on."""
    from benchmarks.encoders import resolve

    given = {"weights": weights, "device": device, "precision": precision, "compile": compile_, "offline": offline}
    return resolve(model, _pairs(model_args), **{key: value for key, value in given.items() if value is not None})


def _pairs(values: tuple[str, ...]) -> dict[str, str]:
    pairs = {}
    for value in values:
        key, separator, rest = value.partition("=")
        if not separator or not key:
            raise UsageError(f"--model-arg {value!r} is not KEY=VALUE")
        pairs[key] = rest
    return pairs
