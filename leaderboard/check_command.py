"""`fuselip-leaderboard check`: all that is wrong with a bundle, each with its mend, and what cannot be checked here."""

from __future__ import annotations

from pathlib import Path

import click

from fuselip.core.console import debug_option


@click.command("check")
@click.argument("bundle", metavar="BUNDLE", type=click.Path(path_type=Path, dir_okay=False))
@click.option("--data", type=click.Path(path_type=Path, file_okay=False), help="The folder of the public data sets.")
@debug_option
def command(bundle: Path, data: Path | None) -> int:
    """Check a bundle as a leaderboard would: form, metadata, and every score against answers built here.

    Exit code 1 where it would be refused.
    """
    from fuselip.core.files import cache_home
    from leaderboard.check import check

    found = check(bundle, cache_home() / "answers", data)
    for fault in found.faults:
        click.echo(f"wrong: {fault}")
    for name, (metric, value) in sorted(found.scores.items()):
        click.echo(f"computed: {name} {metric} {100 * value:.1f}%")
    for flag in found.flags:
        click.echo(f"flag: {flag}")
    for note in found.notes:
        click.echo(f"note: {note}")
    for what in found.unchecked:
        click.echo(f"not checked here: {what}")
    if found.faults:
        count = len(found.faults)
        click.echo(f"{bundle}: {count} {'thing is' if count == 1 else 'things are'} wrong; it would be refused")
        return 1
    shown = ", its flags are shown with its row" if found.flags else ""
    click.echo(f"{bundle}: nothing is wrong that can be seen here{shown}")
    click.echo(f"next: fuselip-leaderboard submit {bundle} --to URL --token-file FILE")
    return 0
