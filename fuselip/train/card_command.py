"""`fuselip card` and `fuselip ship`: a trained run's model card, and its weights as data of this package."""

from __future__ import annotations

from pathlib import Path

import click

from fuselip.core.console import debug_option

FOLDER = click.Path(path_type=Path, file_okay=False)
SCORES = click.option(
    "--scores", "benches", type=FOLDER, multiple=True, metavar="BENCH_RUN", help="A fuselip-bench run of this model."
)


@click.command()
@click.argument("runs", type=FOLDER, nargs=-1, required=True, metavar="RUN...")
@SCORES
@click.option("--out", type=click.Path(path_type=Path, dir_okay=False), help="The file.  [default: to the terminal]")
@debug_option
def card(runs: tuple[Path, ...], benches: tuple[Path, ...], out: Path | None) -> None:
    """Write the card of the model that RUN left: data, seeds, cost, loss, scores, commands, sha256.

    Of a model trained in several legs, name all runs in their order.
    """
    from fuselip.core.files import write_bytes
    from fuselip.train.card import card as text_of

    text = text_of(runs, benches)
    if out is None:
        click.echo(text, nl=False)
    else:
        write_bytes(out, text.encode())
        click.echo(out)


@click.command()
@click.argument("runs", type=FOLDER, nargs=-1, required=True, metavar="RUN...")
@SCORES
@click.option("--name", help="The model's name.  [default: the one that was trained]")
@click.option("--into", type=FOLDER, help="Folder of the package's data.  [default: that of this checkout]")
@debug_option
def ship(runs: tuple[Path, ...], benches: tuple[Path, ...], name: str | None, into: Path | None) -> None:
    """Put the weights that RUN left into the package, with their card, as `--weights bundled`; print what NOTICE needs.

    Of a model trained in several legs, name all runs in their order.
    """
    from fuselip.train.ship import ship as put

    shipped = put(runs, benches, name, into)
    click.echo(
        f"{shipped.weights} ({shipped.bytes:,} bytes; all weights {shipped.total:,} of {shipped.limit:,})", err=True
    )
    click.echo(f"{shipped.card}", err=True)
    click.echo("NOTICE needs these lines, in place of older ones of this file:\n", err=True)
    click.echo(shipped.notice, nl=False)
