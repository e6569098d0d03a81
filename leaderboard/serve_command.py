"""`fuselip-leaderboard serve`: the API, the pages and the verification, in one command."""

from __future__ import annotations

import ipaddress
from pathlib import Path

import click

from fuselip.core.console import debug_option
from fuselip.core.errors import UsageError


@click.command("serve")
@click.option("--store", default="leaderboard", show_default=True, metavar="DIR|URL", help="Made where it is missing.")
@click.option("--host", default="127.0.0.1", show_default=True)
@click.option("--port", type=click.IntRange(0, 65535), default=8080, show_default=True, help="0: any that is free.")
@click.option("--workers", type=click.IntRange(0, 64), default=1, show_default=True, help="Verification processes.")
@click.option("--public", is_flag=True, help="Allow a --host that other machines reach.")
@click.option("--behind-proxy", is_flag=True, help="Take clients' addresses from a proxy's X-Forwarded-For.")
@click.option("--data", type=click.Path(path_type=Path, file_okay=False), help="The folder of the public data sets.")
@click.option("--work", type=click.Path(path_type=Path, file_okay=False), help="This server's files.  [default: DIR]")
@click.option("--verify-memory-mb", type=click.IntRange(min=256), default=2048, show_default=True)
@click.option("--verify-seconds", type=click.IntRange(min=1), default=600, show_default=True)
@debug_option
def command(
    store: str,
    host: str,
    port: int,
    workers: int,
    public: bool,
    behind_proxy: bool,
    data: Path | None,
    work: Path | None,
    verify_memory_mb: int,
    verify_seconds: int,
) -> None:
    """Serve a leaderboard. Ctrl-C or SIGTERM ends it in order: uploads that run are finished, nothing is lost."""
    try:
        from leaderboard.server.serve import Options, serve
    except ImportError as error:
        raise UsageError(f"the server needs {error.name}; pip install 'fuselip[leaderboard]'") from None
    if not _is_local(host) and not public:
        raise UsageError(f"--host {host} lets other machines in; add --public if that is meant, with TLS before it")
    options = Options(store, host, port, workers, behind_proxy, data, work, verify_memory_mb, verify_seconds)
    serve(options, click.echo)
    click.echo("stopped")


def _is_local(host: str) -> bool:
    try:
        return host == "localhost" or ipaddress.ip_address(host).is_loopback
    except ValueError:
        return False
