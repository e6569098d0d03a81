"""Errors a user can cause: one sentence that says what, where and how to mend it."""

from __future__ import annotations


class UserError(ValueError):
    """The input is at fault, not the program. Command lines print the message alone and exit with `exit_code`."""

    exit_code = 1


class UsageError(UserError):
    """The command line (or the call) itself is wrong: an unknown name, a bad flag, an output folder of another run."""

    exit_code = 2
