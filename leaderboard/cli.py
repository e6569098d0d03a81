"""`fuselip-leaderboard`: pack, check and submit an encoder's results; verify, publish and serve them."""

from __future__ import annotations

from importlib import import_module

import click

from fuselip.core.console import Group

COMMANDS = (
    *("pack", "check", "submit", "status"),
    *("verify", "add", "build", "serve", "challenge"),
    *("token", "export", "import", "backup", "migrate"),
)


class Commands(Group):
    """Subcommands by name from leaderboard/<name>_command.py, imported only when one is asked for."""

    def list_commands(self, ctx: click.Context) -> list[str]:
        return list(COMMANDS)

    def get_command(self, ctx: click.Context, cmd_name: str) -> click.Command | None:
        if cmd_name not in COMMANDS:
            return None
        found: click.Command = import_module(f"leaderboard.{cmd_name}_command").command
        return found


@click.command(cls=Commands, context_settings={"help_option_names": ["-h", "--help"]})
@click.version_option(package_name="fuselip")
def main() -> None:
    """The leaderboard: submit an encoder's results, verify them, publish them."""


if __name__ == "__main__":
    main()
