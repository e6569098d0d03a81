"""`fuselip-leaderboard challenge`: fresh questions made, their answers scored, seeds published, files derived again."""

from __future__ import annotations

from datetime import UTC, datetime
from pathlib import Path
from typing import TYPE_CHECKING

import click

from fuselip.core.console import Group, debug_option
from fuselip.core.errors import UsageError, UserError

if TYPE_CHECKING:
    from leaderboard.challenge import Record
    from leaderboard.challenge.compare import Gap, Side
    from leaderboard.challenge.kept import Kept

STORE = click.option("--store", required=True, metavar="DIR|URL", help="The leaderboard's store.")
FILE = click.Path(path_type=Path, dir_okay=False)


@click.group("challenge", cls=Group, short_help="Ask an encoder fresh questions, and compare.")
def command() -> None:
    """Ask an encoder fresh questions, and compare what it scores with its public score."""


@command.command("new")
@STORE
@click.option("--tasks", multiple=True, metavar="PATTERN", help="Tasks on drawn scenes.  [default: all of them]")
@click.option("--questions", type=click.IntRange(min=1), metavar="N", help="At most N of each task.  [default: all]")
@click.option("--hours", type=float, default=24.0, show_default=True, help="How long it may be answered.")
@click.option("--out", type=FILE, default=Path("challenge.zip"), show_default=True, help="The file for the submitter.")
@debug_option
def new(store: str, tasks: tuple[str, ...], questions: int | None, hours: float, out: Path) -> None:
    """Make a challenge from a new secret seed, which the store keeps."""
    from fuselip.core.files import write_bytes
    from leaderboard.challenge import make, sign

    if out.exists():
        raise UsageError(f"{out} exists; name another --out")
    held = _kept(store)
    data, record = make.make(sign.new_seed(), held.challenge_key(), tasks, questions, datetime.now(UTC), hours)
    write_bytes(out, data)
    held.challenge_add(record)
    click.echo(f"{record.id}: {len(record.tasks)} tasks, {len(data) / 2**20:.1f} MiB, open until {record.expires}")
    click.echo(
        f"written to {out}; answered by `fuselip-bench run --model X --challenge {out} --submission ID`", err=True
    )


@command.command("score")
@click.argument("response", type=FILE)
@STORE
@click.option("--tries", type=click.IntRange(min=1), metavar="N", help="Of a submission, in a week.  [default: 3]")
@debug_option
def score(response: Path, store: str, tries: int | None) -> int:
    """Score a response and keep the outcome. Exit status 1 where the public score is not credible."""
    from benchmarks.challenge_file import RESPONSE_CAPS
    from leaderboard.challenge.score import settle

    held = _kept(store, tries)
    try:
        with open(response, "rb") as stream:
            data = stream.read(RESPONSE_CAPS.total + 1)
    except OSError as error:
        raise UserError(f"{response} cannot be read ({error.strerror})") from error
    outcome = settle(held, data, held.public, now=datetime.now(UTC))
    click.echo(f"{'task':30} {'fresh':>7} {'public':>7} {'gap':>7}  95%")
    for each in outcome.tasks:
        click.echo(_row(each.task, each.challenge, each.public, each.gap))
    click.echo(_row("all", outcome.challenge, outcome.public, outcome.gap))
    click.echo(outcome.sentence)
    return 0 if outcome.credible else 1


@command.command("reveal")
@click.argument("id")
@STORE
@debug_option
def reveal(id: str, store: str) -> None:
    """Print the seed of a challenge that has expired, and what else the file was made of, as JSON."""
    import msgspec

    from leaderboard.challenge import reveal as publish

    found = publish(_found(_kept(store), id), datetime.now(UTC))
    click.echo(msgspec.json.format(msgspec.json.encode(found), indent=2).decode())


@command.command("list")
@STORE
@debug_option
def list_(store: str) -> None:
    """All challenges, oldest first."""
    now = datetime.now(UTC)
    for each in _kept(store).challenges():
        click.echo(f"{each.id}  {each.state(now):7}  {each.created} to {each.expires}  {each.used_by or '-'}")


@command.command("check")
@click.argument("file", type=FILE)
@click.option("--seed", metavar="HEX", help="The published seed.")
@click.option("--tasks", multiple=True, metavar="PATTERN", help="As published.  [default: all]")
@click.option("--questions", type=click.IntRange(min=1), metavar="N", help="As published.  [default: all]")
@click.option("--revealed", type=FILE, help="What `reveal` printed, in place of the others.")
@debug_option
def check(file: Path, seed: str | None, tasks: tuple[str, ...], questions: int | None, revealed: Path | None) -> int:
    """Does a challenge follow, byte by byte, from its published seed?"""
    import msgspec

    from leaderboard.challenge import Revealed
    from leaderboard.challenge.make import check as derive

    if (seed is None) == (revealed is None) or (revealed and (tasks or questions)):
        raise UsageError("give either --seed (with --tasks and --questions as published), or --revealed")
    try:
        told = (
            msgspec.json.decode(revealed.read_bytes(), type=Revealed)
            if revealed
            else Revealed("", seed or "", tasks, questions)
        )
        data = file.read_bytes()
    except (OSError, msgspec.DecodeError) as error:
        raise UserError(f"cannot be read: {error}") from error
    found = derive(data, told)
    if found.difference:
        click.echo(found.difference)
        return 1
    click.echo(
        "the very bytes" if found.same_bytes else "the same questions and pixels; zlib packed them otherwise here"
    )
    return 0


def _kept(where: str, tries: int | None = None) -> Kept:
    from leaderboard.challenge.kept import Kept
    from leaderboard.store import Store

    return Kept(Store.open(where), "maintainer", tries)


def _found(held: Kept, id: str) -> Record:
    found = held.challenge(id)
    if found is None:
        raise UserError(f"there is no challenge {id[:80]!r}; `challenge list` shows all")
    return found


def _row(name: str, fresh: Side, public: Side | None, gap: Gap | None) -> str:
    told = f"{name:30} {100 * fresh.value:7.1f}"
    if public is None or gap is None:
        return f"{told} {'-':>7}"
    return f"{told} {100 * public.value:7.1f} {100 * gap.value:+7.1f}  [{100 * gap.low:+.1f}, {100 * gap.high:+.1f}]"
