"""`fuselip`: train models, embed with them, look at their files. Commands are loaded by name, torch only to work."""

from __future__ import annotations

from typing import Any

import click

from fuselip.core.console import Group, debug_option
from fuselip.core.plugins import load

COMMANDS = {
    "train": "fuselip.train.command:train",
    "prepare": "fuselip.train.data.command:prepare",
    "mine": "fuselip.train.data.mine_command:mine",
    "train-tokenizer": "fuselip.train.tokenizer_command:train_tokenizer",
    "study": "fuselip.train.study_command:study",
    "card": "fuselip.train.card_command:card",
    "ship": "fuselip.train.card_command:ship",
    "embed": "fuselip.commands.embed:embed",
    "info": "fuselip.commands.info:info",
    "convert": "fuselip.commands.convert:convert",
}


class _ByName(Group):
    def list_commands(self, ctx: click.Context) -> list[str]:
        return list(COMMANDS)

    def get_command(self, ctx: click.Context, cmd_name: str) -> click.Command | None:
        found: Any = load(COMMANDS[cmd_name]) if cmd_name in COMMANDS else None
        return found


@click.group(cls=_ByName, context_settings={"help_option_names": ["-h", "--help"]})
@click.version_option(package_name="fuselip", prog_name="fuselip")
@debug_option
def main() -> None:
    """Early-fusion multimodal embeddings: train, embed, inspect."""


if __name__ == "__main__":
    main()
