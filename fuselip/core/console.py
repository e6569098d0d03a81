"""What every command line of ours shares: errors as one sentence with the right exit code, `--debug` for tracebacks."""

from __future__ import annotations

import sys
from typing import Any

import click

from fuselip.core.errors import UserError
from fuselip.core.processes import end


class Group(click.Group):
    """A click group that prints what a user can mend without a traceback.

    Exit codes: 0 done, 1 failed, 2 wrong usage, 130 interrupted (run the same command again to resume).
    """

    def main(self, *args: Any, **kwargs: Any) -> Any:
        kwargs["standalone_mode"] = False
        try:
            result = super().main(*args, **kwargs)
        except click.exceptions.Exit as leave:
            end(leave.exit_code)
        except click.ClickException as error:
            error.show()
            end(error.exit_code)
        except (KeyboardInterrupt, click.Abort):
            click.echo("interrupted; what was finished is kept, run the same command again to resume", err=True)
            end(130)
        except BrokenPipeError:
            sys.stderr.close()
            end(1)
        except Exception as error:
            if self._debug():
                raise
            click.echo(describe(error), err=True)
            end(error.exit_code if isinstance(error, UserError) else 1)
        end(result if isinstance(result, int) else 0)

    @staticmethod
    def _debug() -> bool:
        return "--debug" in sys.argv


def describe(error: BaseException) -> str:
    """One paragraph for a person. What is not the user's doing is named as a defect of ours."""
    if isinstance(error, UserError):
        return f"error: {error}"
    if isinstance(error, MemoryError):
        return "error: out of memory; smaller images, batches or fewer workers need less"
    if isinstance(error, OSError):
        return f"error: {error}"
    return (
        f"error: unexpected {type(error).__name__}: {error}\nThis is a defect; --debug shows where. Please report it."
    )


def debug_option(command: Any) -> Any:
    """Adds `--debug`, read by Group from the command line itself so that it works in any position."""
    return click.option("--debug", is_flag=True, expose_value=False, help="Show a traceback when something fails.")(
        command
    )
