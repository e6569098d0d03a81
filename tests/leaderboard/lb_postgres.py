"""A private PostgreSQL for tests: a server of its own in a temporary folder, run by an unprivileged user."""

from __future__ import annotations

import os
import pwd
import shutil
import socket
import subprocess
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

USER = "postgres"
NEED = "FUSELIP_NEED_POSTGRES"


class Server:
    """Makes empty databases; `url` is complete but for the folder of files."""

    def __init__(self, bin: Path, folder: Path, port: int, as_user: list[str]) -> None:
        self.bin, self.folder, self.port, self.as_user = bin, folder, port, as_user
        self._made = 0

    def url(self, files: Path) -> str:
        """A new database, with the store's files in `files`."""
        self._made += 1
        name = f"board{self._made}"
        self.sql("postgres", f"CREATE DATABASE {name}")
        return f"postgresql://{USER}@/{name}?host={self.folder}&port={self.port}&files={files}"

    def sql(self, database: str, statement: str) -> str:
        command = [self.bin / "psql", "-h", self.folder, "-p", self.port, "-U", USER, "-d", database, "-Atc", statement]
        return self.run(*command)

    def run(self, *command: object) -> str:
        """As the server's own user; its output."""
        words = [*self.as_user, *map(str, command)]
        done = subprocess.run(words, capture_output=True, text=True, timeout=120, cwd="/", check=False)
        assert done.returncode == 0, done.stderr
        return done.stdout


@contextmanager
def serving() -> Iterator[Server]:
    """A server from initdb to its end; skips where the programs are absent, unless FUSELIP_NEED_POSTGRES=1."""
    bin = _programs()
    as_user = _unprivileged()
    with tempfile.TemporaryDirectory(prefix="lbpg-", dir="/tmp") as made:  # a socket's path is short
        folder = Path(made)
        if as_user:
            shutil.chown(folder, USER)
        server = Server(bin, folder, _free_port(), as_user)
        data = folder / "data"
        server.run(bin / "initdb", "-D", data, "-U", USER, "-A", "trust", "-E", "UTF8", "--locale=C.UTF-8", "--no-sync")
        options = f"-k {folder} -p {server.port} -c listen_addresses= -c max_connections=120 -c fsync=off"
        server.run(bin / "pg_ctl", "-D", data, "-l", folder / "log", "-w", "-o", options, "start")
        try:
            yield server
        finally:
            server.run(bin / "pg_ctl", "-D", data, "-m", "immediate", "-w", "stop")


@pytest.fixture(scope="session")
def postgres() -> Iterator[Server]:
    pytest.importorskip("psycopg")
    with serving() as server:
        yield server


def _programs() -> Path:
    found = [*Path("/usr/lib/postgresql").glob("*/bin/initdb"), *Path("/usr/local/opt").glob("postgresql*/bin/initdb")]
    named = shutil.which("initdb")
    found += [Path(named)] if named else []
    if not found:
        _lack("PostgreSQL's programs (initdb, pg_ctl) are not installed: apt-get install postgresql, or .ci/postgres")
    return found[0].parent


def _unprivileged() -> list[str]:
    """What a command is begun with, so that root does not run it: PostgreSQL refuses root."""
    if os.geteuid() != 0:
        return []
    try:
        pwd.getpwnam(USER)
    except KeyError:
        done = subprocess.run(["useradd", "--system", "--no-create-home", USER], capture_output=True, text=True)
        if done.returncode != 0:
            _lack(f"there is no user {USER}, and useradd cannot make it: {done.stderr.strip()}")
    if shutil.which("runuser") is None:
        _lack("runuser is not installed, and PostgreSQL does not run as root")
    return ["runuser", "-u", USER, "--"]


def _lack(reason: str) -> None:
    if os.environ.get(NEED) == "1":
        pytest.fail(f"{reason} ({NEED}=1)")
    pytest.skip(reason)


def _free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port: int = probe.getsockname()[1]
        return port
