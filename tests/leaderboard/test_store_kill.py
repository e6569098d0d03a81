"""kill -9 in the midst of what the store does: nothing is lost or half there, and the next start carries on."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
from pathlib import Path

import pytest

pytest.importorskip("sqlalchemy")
pytest.importorskip("alembic")

from lb_postgres import Server, postgres  # noqa: F401
from lb_store import TASKS, accept, fill, put, scored
from sqlalchemy import text

from leaderboard.store import Store
from leaderboard.store.dump import export, restore
from leaderboard.store.schema import current, migrate

DIES = """
import os, signal, sys
from pathlib import Path
sys.path[:0] = [{root!r}, {here!r}]
import sqlalchemy
import sqlalchemy.engine.default
from sqlalchemy import Engine, event
from leaderboard.store import Store
from leaderboard.store.database import Database

def die(*_):
    os.kill(os.getpid(), signal.SIGKILL)

def at_statement(number):
    seen = [0]
    @event.listens_for(Engine, "before_cursor_execute")
    def count(*_):
        seen[0] += 1
        if seen[0] == number:
            die()

def after_commit():
    whole = sqlalchemy.engine.default.DefaultDialect.do_commit
    def commit(self, connection):
        whole(self, connection)
        die()
    sqlalchemy.engine.default.DefaultDialect.do_commit = commit

where, point, folder = sys.argv[1], sys.argv[2], Path(sys.argv[3])
{code}
print("finished")
"""

RECEIVE = """
store = Store.open(where)
if point == "replace":
    os.replace = die
elif point == "synced":
    import leaderboard.store.submissions as s
    s.fsync_folder = die
elif point == "commit":
    event.listen(Engine, "commit", die)
elif point == "committed":
    after_commit()
else:
    at_statement(int(point))
store.receive(folder / "upload")
"""

ACCEPT = """
from lb_store import accept, about, fingerprint, scored, TASKS
from leaderboard.types import Badge
store = Store.open(where)
id = (store.claim(seconds=0) or store.submissions("verifying")[0]).id
if point == "commit":
    event.listen(Engine, "commit", die)
elif point == "committed":
    after_commit()
else:
    at_statement(int(point))
store.accept(id, {task: scored(task, 5) for task in TASKS}, Badge.CONSISTENT, about=about(), prints=fingerprint(5))
"""

MIGRATE = """
from leaderboard.store.schema import migrate
store = Store.at(where)
to, at = point.split(":")
if at == "commit":
    event.listen(Engine, "commit", die)
elif at == "committed":
    after_commit()
else:
    at_statement(int(at))
migrate(store.engine, to)
"""

SETTLE = """
store = Store.open(where)
id = store.submissions("accepted")[0].id
if point == "commit":
    event.listen(Engine, "commit", die)
elif point == "committed":
    after_commit()
else:
    at_statement(int(point))
store.challenge_settle("c-1", id, {"gap": 0.0}, award=True)
"""

EXPORT = """
import leaderboard.store.dump as dump
store = Store.open(where)
if point == "rename":
    os.rename = die
elif point == "bundles":
    dump.copy_bundles = die
elif point == "scores":
    whole = dump._write
    dump._write = lambda connection, table, path: die() if table.name == "scores" else whole(connection, table, path)
else:
    at_statement(int(point))
dump.export(store, folder / "out")
"""

IMPORT = """
from leaderboard.store.dump import restore
store = Store.at(where)
if point == "commit":
    seen = []
    event.listen(Engine, "commit", lambda *_: seen.append(1) or len(seen) == 2 and die())
else:
    at_statement(int(point))
restore(folder / "source", store)
"""


def _killed(code: str, where: str, point: str, folder: Path) -> None:
    root, here = str(Path(__file__).parents[2]), str(Path(__file__).parent)
    script = DIES.format(root=root, here=here, code=code)
    command = [sys.executable, "-c", script, where, point, str(folder)]
    done = subprocess.run(command, capture_output=True, text=True, timeout=60, check=False)
    assert done.returncode == -signal.SIGKILL, (done.returncode, done.stdout, done.stderr[-2000:])


@pytest.fixture(params=["sqlite", "postgresql"])
def where(request: pytest.FixtureRequest, tmp_path: Path) -> str:
    if request.param == "sqlite":
        return str(tmp_path / "store")
    server: Server = request.getfixturevalue("postgres")
    return server.url(tmp_path / "store")


@pytest.mark.slow
@pytest.mark.parametrize("point", ["replace", "synced", "1", "2", "3", "commit", "committed"])
def test_receiving(where: str, tmp_path: Path, point: str) -> None:
    with Store.open(where) as store:
        kept = put(store, tmp_path, b"before").id
    (tmp_path / "upload").write_bytes(b"content" * 1000)
    _killed(RECEIVE, where, point, tmp_path)
    with Store.open(where) as store:
        assert len(store.submissions()) == 1 + (point == "committed")
        assert store.submissions()[0].id == kept
        store.verify_journal()
        again = store.receive(tmp_path / "upload")
        assert store.bundle_path(again.sha256).read_bytes() == b"content" * 1000
        parts = list((tmp_path / "store/bundles").glob(".*.part"))
        assert len(parts) == (point == "replace")
        for path in parts:
            os.utime(path, (0, 0))
    with Store.open(where) as store:
        assert sorted(path.name for path in (tmp_path / "store/bundles").iterdir()) == sorted(
            f"{found.sha256}.zip" for found in store.submissions()
        )
        assert len(store.submissions()) == 2


@pytest.mark.slow
@pytest.mark.parametrize("point", ["2", "4", "6", "9", "commit", "committed"])
def test_accepting(where: str, tmp_path: Path, point: str) -> None:
    with Store.open(where) as store:
        id = put(store, tmp_path, b"one").id
    _killed(ACCEPT, where, point, tmp_path)
    with Store.open(where) as store:
        store.verify_journal()
        if point == "committed":
            assert [(row.id, len(row.scores)) for row in store.rows()] == [(id, len(TASKS))]
            assert store.claim() is None
            return
        assert (store.submission(id).state, store.rows(), store.units()) == ("verifying", [], {})
        taken = store.claim()
        assert taken is not None
        assert (taken.id, taken.attempts) == (id, 2)
        from lb_store import about

        from leaderboard.types import Badge

        store.accept(id, {TASKS[0]: scored()}, Badge.CONSISTENT, about=about())
        assert len(store.rows()) == 1


@pytest.mark.slow
@pytest.mark.parametrize("direction", ["0001", "0002"])
@pytest.mark.parametrize("point", ["4", "6", "8", "10", "commit", "committed"])
def test_migrating(where: str, tmp_path: Path, direction: str, point: str) -> None:
    with Store.open(where) as store:
        fill(store, tmp_path)
        if direction == "0002":
            migrate(store.engine, "0001")
        before = store.events()
    _killed(MIGRATE, where, f"{direction}:{point}", tmp_path)
    with Store.at(where) as store:
        with store.snapshot() as connection:
            done = {"0001": "0002", "0002": "0001"}[direction] != current(connection)
        assert (done, len(store.events())) == (point == "committed", len(before) + (point == "committed"))
        assert migrate(store.engine, direction)[1] == direction
        migrate(store.engine)
    with Store.open(where) as store:
        assert len(store.rows()) == 2
        store.verify_journal()


@pytest.mark.slow
@pytest.mark.parametrize("point", ["3", "5", "7", "9", "commit", "committed"])
def test_settling_a_challenge(where: str, tmp_path: Path, point: str) -> None:
    """The use, the score and the badge: all of them, or none, and then the same answer counts when it comes again."""
    with Store.open(where) as store:
        id = accept(store, tmp_path, 1).id
        store.challenge_add("c-1", "1", [], "2999-01-01T00:00:00.000000+00:00")
    _killed(SETTLE, where, point, tmp_path)
    with Store.open(where) as store:
        store.verify_journal()
        done = point == "committed"
        assert store.challenge("c-1").state == ("scored" if done else "open")
        if not done:
            assert store.submission(id).badge == "consistent"
            store.challenge_settle("c-1", id, {"gap": 0.0}, award=True)
        assert (store.submission(id).badge, store.challenge("c-1").used_by) == ("challenged", id)
        actions = [event.action for event in store.events()]
        assert (actions.count("challenge scored"), actions.count("awarded")) == (1, 1)


@pytest.mark.slow
@pytest.mark.parametrize("point", ["3", "10", "15", "25"])
def test_setting_up(where: str, tmp_path: Path, point: str) -> None:
    _killed(f"at_statement({point})\nStore.open(where)", where, point, tmp_path)
    with Store.open(where) as store:
        put(store, tmp_path, b"one")
        assert len(store.submissions()) == 1


@pytest.mark.slow
@pytest.mark.parametrize("point", ["5", "scores", "bundles", "rename"])
def test_exporting(where: str, tmp_path: Path, point: str) -> None:
    with Store.open(where) as store:
        fill(store, tmp_path)
    _killed(EXPORT, where, point, tmp_path)
    assert not (tmp_path / "out").exists()
    with Store.open(where) as store:
        export(store, tmp_path / "out")
        assert not (tmp_path / ".out.part").exists()
        with Store.at(tmp_path / "new") as new:
            restore(tmp_path / "out", new)
            assert new.rows() == store.rows()


@pytest.mark.slow
@pytest.mark.parametrize("point", ["8", "30", "45", "commit"])
def test_importing(where: str, tmp_path: Path, point: str) -> None:
    with Store.open(tmp_path / "source-store") as source:
        fill(source, tmp_path)
        accept(source, tmp_path, 9)
        export(source, tmp_path / "source")
    _killed(IMPORT, where, point, tmp_path)
    with Store.at(where) as store:
        with store.engine.connect() as connection:
            revision = current(connection)
            if revision is not None:
                assert connection.execute(text("SELECT count(*) FROM submissions")).scalar_one() == 0
        restore(tmp_path / "source", store)
        assert len(store.rows()) == 3
        store.verify_journal()
