"""`fuselip-leaderboard pack`: a finished run as one file to submit, and a word on what that file gives away."""

from __future__ import annotations

from pathlib import Path

import click

from fuselip.core.console import debug_option


@click.command("pack")
@click.argument("run", metavar="RUN", type=click.Path(path_type=Path, file_okay=False))
@click.option("--metadata", type=click.Path(path_type=Path, dir_okay=False), metavar="FILE", help="Who and what: JSON.")
@click.option("--out", required=True, type=click.Path(path_type=Path, dir_okay=False), help="The bundle to write.")
@debug_option
def command(run: Path, metadata: Path | None, out: Path) -> None:
    """Pack a finished run (`fuselip-bench run --output RUN`) into one file to submit.

    FILE is a JSON object with name, organisation, link, revision, licence, parameters, dimension, fusion_policy,
    training_data and contact; and quantised ("int8", "binary") for a run with --quantise. Where there is no such file
    it is written, with what the run recorded, to be filled in.
    """
    from leaderboard.pack import pack
    from leaderboard.template import offer

    if metadata is None or not metadata.exists():
        raise offer(run, metadata)
    packed = pack(run, metadata, out)
    click.echo(f"{out}: {len(packed.tasks)} tasks of {packed.manifest.suite}, {out.stat().st_size:,} bytes")
    click.echo(f"sha256 {packed.sha256}")
    for name, why in packed.left_out.items():
        click.echo(f"left out: {name}: {why}")
    click.echo("leaves this machine: your metadata; the encoder's record; settings, versions, platform, processor and")
    click.echo("command line of the run; what the encoder answered, with scores; what the run said of each task")
    for place, now in packed.cut:
        click.echo(f"cut: {place} is now {now}")
    click.echo(f"next: fuselip-leaderboard check {out}")
