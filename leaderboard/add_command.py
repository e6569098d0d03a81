"""`fuselip-leaderboard add`: a maintainer without a server takes bundles in, verifies and accepts or refuses them."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from fuselip.core.console import debug_option
from fuselip.core.errors import UsageError

if TYPE_CHECKING:
    from leaderboard.store import Store, Submission


@click.command("add", short_help="Verify bundles and put them into a store, without a server.")
@click.argument("bundles", nargs=-1, type=click.Path(path_type=Path, exists=True, dir_okay=False))
@click.option("--results", type=click.Path(path_type=Path, exists=True, file_okay=False), help="A folder of bundles.")
@click.option("--store", "where", required=True, metavar="DIR|URL", help="The leaderboard's store.")
@click.option("--data", type=click.Path(path_type=Path, file_okay=False), help="The folder of the public data sets.")
@debug_option
def command(bundles: tuple[Path, ...], results: Path | None, where: str, data: Path | None) -> int:
    """Exit code 1 where one was refused. Bundles that were taken in before are left as they are."""
    paths = [*bundles, *(sorted(results.glob("**/*.zip")) if results else ())]
    if not paths:
        raise UsageError("name a bundle, or --results with a folder that holds some (.zip)")
    from fuselip.core.files import cache_home
    from leaderboard.answers import Book
    from leaderboard.store import Store

    book = Book(cache_home() / "leaderboard", data)
    states = []
    with Store.open(where) as store:
        for path in paths:
            found = add(store, path, book)
            states.append(found.state)
            click.echo(f"{path}: {found.id} {found.state}" + (f" ({found.badge})" if found.badge else ""))
            for fault in found.faults:
                click.echo(f"  {fault['where']}: {fault['what']}; {fault['mend']}")
    return 1 if "refused" in states else 0


def add(store: Store, path: Path, book: Any) -> Submission:
    """Receive, verify and settle one bundle; the submission as it is then."""
    from leaderboard.bundle import BundleError, read
    from leaderboard.store import About
    from leaderboard.verify import verify

    found = store.receive(path)
    claimed = store.claim(found.id, worker="maintainer")
    if claimed is None:  # accepted or withdrawn before, or being verified by another process
        return store.submission(found.id)
    try:
        bundle = read(store.bundle_path(claimed.sha256))
        verdict = verify(bundle, book, others=store.others(claimed.id))
    except BundleError as error:
        return store.refuse(claimed.id, error.faults, actor="maintainer")
    if verdict.badge is None:
        return store.refuse(claimed.id, verdict.faults, actor="maintainer")
    return store.accept(
        claimed.id,
        verdict.scored,
        verdict.badge,
        verdict.flags,
        about=About.of(bundle),
        notes=verdict.notes,
        prints=verdict.prints,
        actor="maintainer",
    )
