"""The store in both engines: states, leases, rows, the audit log, export and import, backup, migrations."""

from __future__ import annotations

import hashlib
import subprocess
import sys
import threading
from collections.abc import Iterator
from datetime import timedelta
from pathlib import Path
from typing import Any

import numpy as np
import pytest

pytest.importorskip("sqlalchemy")
pytest.importorskip("alembic")

from lb_postgres import Server, postgres  # noqa: F401
from lb_store import ODD, TASKS, accept, fill, put, scored
from sqlalchemy import text
from sqlalchemy.exc import DBAPIError

from fuselip.core.errors import UsageError, UserError
from leaderboard.store import Store, Submission
from leaderboard.store.backup import backup
from leaderboard.store.database import locate
from leaderboard.store.dump import export, restore
from leaderboard.store.schema import current, migrate, revisions
from leaderboard.types import Badge, Fault

ENGINES = ["sqlite", "postgresql"]


@pytest.fixture(params=ENGINES)
def where(request: pytest.FixtureRequest, tmp_path: Path) -> str:
    return _new(request, request.param, tmp_path / "store")


@pytest.fixture
def store(where: str) -> Iterator[Store]:
    with Store.open(where) as opened:
        yield opened


def _new(request: pytest.FixtureRequest, engine: str, folder: Path) -> str:
    if engine == "sqlite":
        return str(folder)
    server: Server = request.getfixturevalue("postgres")
    return server.url(folder)


def _files(folder: Path) -> dict[str, str]:
    paths = sorted(path for path in folder.rglob("*") if path.is_file())
    return {str(path.relative_to(folder)): hashlib.sha256(path.read_bytes()).hexdigest() for path in paths}


def test_a_submission_goes_all_the_way(store: Store, tmp_path: Path) -> None:
    ids = fill(store, tmp_path)
    rows = store.rows()
    assert [row.id for row in rows] == [ids["first"], ids["second"]]
    assert rows[0].metadata == {"name": "encoder 1", "organisation": ODD}
    assert [told.task for told in rows[0].scores] == sorted(TASKS)
    assert rows[0].scores[1].numbers == vars(scored(TASKS[0], 1).numbers)
    assert rows[0].challenge is not None
    assert (rows[0].challenge["gap"], rows[1].challenge) == (0.1, None)
    units = store.units()
    assert list(units) == sorted(TASKS)
    assert np.array_equal(units[TASKS[0]].values[ids["second"]], np.array(scored(TASKS[0], 2).values))
    assert store.units([ids["first"]], [TASKS[1]])[TASKS[1]].values.keys() == {ids["first"]}
    assert store.sheet_units(TASKS[0]) == (list(scored().keys), list(scored().clusters))
    assert {other.id: len(other.prints) for other in store.others(ids["first"])} == {
        ids["second"]: 1,
        ids["withdrawn"]: 1,
    }
    assert [found.id for found in store.submissions("received")] == [ids["waiting"]]
    assert store.submission(ids["refused"]).faults[0]["what"] == ODD
    assert store.award(ids["first"], Badge.RERUN).badge == "re-run"
    assert store.verify_journal()[0] == len(store.events())
    assert [event.action for event in store.events(ids["first"])] == ["received", "claimed", "accepted", "awarded"]


def test_what_a_state_does_not_allow_is_refused(store: Store, tmp_path: Path) -> None:
    ids = fill(store, tmp_path)
    with pytest.raises(UserError, match="is received, not verifying"):
        store.refuse(ids["waiting"], [])
    with pytest.raises(UserError, match="is withdrawn, not accepted"):
        store.withdraw(ids["withdrawn"])
    with pytest.raises(UserError, match="no submission"):
        store.submission("s-none")
    with pytest.raises(UserError, match="used before"):
        store.challenge_settle("c-used", ids["second"], {})
    store.challenge_add("c-late", "1", [], "2001-01-01T00:00:00.000000+00:00")
    with pytest.raises(UserError, match="expired"):
        store.challenge_settle("c-late", ids["second"], {})
    with pytest.raises(UserError, match="no accepted submission"):
        store.challenge_settle("c-open", ids["withdrawn"], {})
    assert (store.find("s-none"), store.find("é"), store.find("x" * 65)) == (None, None, None)


def test_a_submission_may_try_a_few_challenges_a_week(
    store: Store, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    from leaderboard.store import challenges

    first, second = accept(store, tmp_path, 1), accept(store, tmp_path, 2)
    for number in range(5):
        store.challenge_add(f"c-{number}", "1", [], "2999-01-01T00:00:00.000000+00:00")
    for number in range(3):
        store.challenge_tries(first.id)
        store.challenge_settle(f"c-{number}", first.id, {"try": number}, award=number == 1)
    assert store.submission(first.id).badge == "challenged"
    told = [event.detail["try"] for event in store.events() if event.action == "challenge scored"]
    assert told == [1, 2, 3]
    for again in (lambda: store.challenge_tries(first.id), lambda: store.challenge_settle("c-3", first.id, {})):
        with pytest.raises(UserError, match=r"3 challenges within 7 days.*may be answered after 20\d\d-"):
            again()
    assert store.challenge("c-3").state == "open"
    store.challenge_settle("c-3", second.id, {})
    store.challenge_settle("c-4", first.id, {}, tries=4)
    monkeypatch.setattr(challenges, "SPAN", timedelta(0))
    store.challenge_tries(first.id)


def test_what_a_killed_process_held_waits_again_at_once(where: str, store: Store, tmp_path: Path) -> None:
    ids = [put(store, tmp_path, bytes([number])).id for number in range(3)]
    assert store.claim(ids[0]) is not None
    here = str(Path(__file__).parents[2])
    code = f"import sys; sys.path.insert(0, {here!r}); from leaderboard.store import Store\n"
    code += f"assert Store.open({where!r}).claim({ids[1]!r})"
    subprocess.run([sys.executable, "-c", code], check=True, timeout=60)
    with store.writing() as session:
        other = session.get_one(Submission, ids[2])
        other.state, other.leased = "verifying", "2999-01-01T00:00:00.000000+00:00"
    store.journal("worker elsewhere:1:1", "claimed", ids[2])
    assert store.orphans() == 1  # neither ours, which lives, nor another machine's
    assert [store.submission(id).state for id in ids] == ["verifying", "received", "verifying"]
    assert store.orphans() == 0
    taken = store.claim()
    assert taken is not None
    assert (taken.id, taken.attempts) == (ids[1], 2)


def test_the_same_bytes_are_one_submission(store: Store, tmp_path: Path) -> None:
    first = put(store, tmp_path, b"the same")
    assert put(store, tmp_path, b"the same").id == first.id
    assert store.claim(first.id) is not None
    store.refuse(first.id, [Fault("a", "b", "c")])
    again = put(store, tmp_path, b"the same")
    assert (again.id, again.state, again.faults) == (first.id, "received", [])
    assert store.bundle_path(first.sha256).read_bytes() == b"the same"


def test_a_killed_verification_is_taken_up_and_not_for_ever(store: Store, tmp_path: Path) -> None:
    one, two = put(store, tmp_path, b"one").id, put(store, tmp_path, b"two").id
    claimed = [store.claim(seconds=0), store.claim(one), store.claim(one, seconds=0)]
    assert [found.id if found else None for found in claimed] == [one, one, None]
    assert store.claim(seconds=60).id == two  # type: ignore[union-attr]
    assert store.claim() is None
    with store.engine.begin() as connection:  # the leases run out
        connection.execute(text("UPDATE submissions SET leased = '2001'"))
    third = store.claim(one, seconds=0)
    assert third is not None
    assert third.attempts == 3
    assert store.claim(one) is None
    assert store.submission(one).state == "refused"
    assert "3 attempts" in store.submission(one).faults[0]["what"]


def test_accept_is_one_transaction(store: Store, tmp_path: Path) -> None:
    accept(store, tmp_path, 1)
    id = put(store, tmp_path, b"second").id
    store.claim(id)
    before = (store.events()[-1].number, len(store.units()[TASKS[0]].values))
    found = {TASKS[1]: scored(TASKS[1], 2), "z/other-units": scored(TASKS[0], 2, units=5)}
    from lb_store import about

    with pytest.raises(UserError, match="other units than before"):
        store.accept(id, found, Badge.CONSISTENT, about=about())
    assert store.submission(id).state == "verifying"
    assert (store.events()[-1].number, len(store.units()[TASKS[0]].values)) == before
    store.accept(id, {TASKS[1]: scored(TASKS[1], 2)}, Badge.CONSISTENT, about=about())
    with pytest.raises(UserError, match="is accepted, not verifying"):
        store.accept(id, {}, Badge.CONSISTENT, about=about())


@pytest.mark.parametrize(
    "statement", ["UPDATE events SET actor = 'x'", "DELETE FROM events", "DELETE FROM events WHERE number = 1"]
)
def test_the_audit_log_only_grows(store: Store, statement: str) -> None:
    store.journal("someone", "did", "something", {"odd": ODD})
    with pytest.raises(DBAPIError, match="only grows"), store.engine.begin() as connection:
        connection.execute(text(statement))
    if store.is_postgres:
        with pytest.raises(DBAPIError, match="only grows"), store.engine.begin() as connection:
            connection.execute(text("TRUNCATE events"))
    assert store.verify_journal()[0] == 1


@pytest.mark.parametrize("change", ["detail = '{}'", "at = '2001'", "digest = previous", "number = 9"])
def test_a_changed_audit_log_is_found(store: Store, tmp_path: Path, change: str) -> None:
    for number in range(3):
        store.journal("someone", "did", f"thing {number}", {"number": number})
    off = ["DROP TRIGGER events_no_update"]
    if store.is_postgres:
        off = ["DROP TRIGGER events_no_change ON events"]
    with store.engine.begin() as connection:
        for statement in [*off, f"UPDATE events SET {change} WHERE number = 2"]:
            connection.execute(text(statement))
    with pytest.raises(UserError, match="audit log was changed at entry"):
        export(store, tmp_path / "out")
    assert not (tmp_path / "out").exists()


@pytest.mark.parametrize("there", ENGINES)
def test_export_import_export_gives_the_same_bytes(
    request: pytest.FixtureRequest, store: Store, tmp_path: Path, there: str
) -> None:
    fill(store, tmp_path)
    export(store, tmp_path / "first")
    with Store.at(_new(request, there, tmp_path / "other")) as other:
        assert restore(tmp_path / "first", other) == 5
        export(other, tmp_path / "second")
        assert _files(tmp_path / "first") == _files(tmp_path / "second")
        assert other.rows() == store.rows()
        with pytest.raises(UserError, match="not empty"):
            restore(tmp_path / "first", other)
    with pytest.raises(UsageError, match="there already"):
        export(store, tmp_path / "first")


@pytest.mark.parametrize("victim", ["scores.jsonl", "events.jsonl", "manifest.json", "bundle"])
def test_a_changed_export_is_not_imported(tmp_path: Path, victim: str) -> None:
    with Store.open(tmp_path / "store") as store:
        fill(store, tmp_path)
        export(store, tmp_path / "out")
    path = next((tmp_path / "out/bundles").iterdir()) if victim == "bundle" else tmp_path / "out" / victim
    path.write_bytes(path.read_bytes().replace(b"e", b"f", 1))
    with Store.at(tmp_path / "new") as new, pytest.raises(UserError):
        restore(tmp_path / "out", new)
    with Store.open(tmp_path / "new") as new:
        assert (new.submissions(), new.tokens(), new.events()) == ([], [], [])


def test_migration_down_and_up_with_data(where: str, tmp_path: Path) -> None:
    with Store.open(where) as store:
        fill(store, tmp_path)
        before = _all(store)
        assert migrate(store.engine, "0001") == ("0002", "0001")
        older = _all(store)
        lost = {"submissions": {"attempts", "throughput"}}
        assert older.keys() == before.keys() - {"fingerprints"}
        for table, rows in older.items():
            expected = [{k: v for k, v in row.items() if k not in lost.get(table, ())} for row in before[table]]
            assert rows[: len(expected)] == expected
        assert len(older["events"]) == len(before["events"]) + 1
        export(store, tmp_path / "older")
    with pytest.raises(UserError, match="fuselip-leaderboard migrate"):
        Store.open(where)
    with Store.at(where) as store:
        assert migrate(store.engine) == ("0001", "0002")
        assert migrate(store.engine) == ("0002", "0002")
        with pytest.raises(UsageError, match="no revision"):
            migrate(store.engine, "0009")
    with Store.open(where) as store:
        after = _all(store)
        assert after["scores"] == before["scores"]
        assert len(store.rows()) == 2
        assert [event.action for event in store.events()][-2:] == ["migrated", "migrated"]
        store.verify_journal()
    with Store.at(tmp_path / "from-older") as new:
        restore(tmp_path / "older", new)
        assert len(new.rows()) == 2
        with new.snapshot() as connection:
            assert current(connection) == revisions()[-1]


def _all(store: Store) -> dict[str, list[dict[str, Any]]]:
    from leaderboard.store.dump import _tables

    with store.snapshot() as connection:
        return {
            table.name: [
                dict(row) for row in connection.execute(table.select().order_by(*table.primary_key.columns)).mappings()
            ]
            for table in _tables(connection)
        }


def test_the_models_are_what_the_migrations_make(store: Store) -> None:
    from alembic.autogenerate import compare_metadata
    from alembic.migration import MigrationContext

    from leaderboard.store.models import Base

    with store.engine.connect() as connection:
        found = compare_metadata(MigrationContext.configure(connection), Base.metadata)
    assert found == []


def test_a_backup_under_writers_is_consistent(store: Store, tmp_path: Path) -> None:
    fill(store, tmp_path)
    stop, written = threading.Event(), []

    def write() -> None:
        number = 100
        while not stop.is_set():
            written.append(accept(store, tmp_path, number).id)
            number += 1

    writer = threading.Thread(target=write)
    writer.start()
    try:
        while len(written) < 3:
            assert writer.is_alive()
        count = backup(store, tmp_path / "copy")
        during = len(written)
        while len(written) < during + 2:
            assert writer.is_alive()
    finally:
        stop.set()
        writer.join()
    if store.is_postgres:
        with Store.at(tmp_path / "restored") as empty:
            restore(tmp_path / "copy", empty)
    with Store.open(tmp_path / ("restored" if store.is_postgres else "copy")) as copy:
        assert len(copy.submissions()) == count
        assert 5 + 3 <= count <= 5 + len(written)
        assert {row.id for row in copy.rows()} <= {row.id for row in store.rows()}
        copy.verify_journal()
        for found in copy.submissions():
            assert hashlib.sha256(copy.bundle_path(found.sha256).read_bytes()).hexdigest() == found.sha256
            scores = [len(row.scores) for row in copy.rows() if row.id == found.id]
            assert scores == ([len(TASKS)] if found.state == "accepted" else [])


@pytest.mark.parametrize("workers", [50])
def test_concurrent_receivers_lose_nothing(store: Store, tmp_path: Path, workers: int) -> None:
    found: list[str] = []
    failed: list[BaseException] = []

    def receive(number: int) -> None:
        try:
            found.append(put(store, tmp_path, f"bundle {number % 40}".encode()).sha256)  # ten come twice
        except BaseException as error:
            failed.append(error)

    threads = [threading.Thread(target=receive, args=[number]) for number in range(workers)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert failed == []
    assert {row.sha256 for row in store.submissions()} == set(found)
    assert (len(found), len(set(found)), store.verify_journal()[0]) == (workers, 40, 40)
    claimed = set()

    def claim() -> None:
        while (got := store.claim()) is not None:
            assert got.id not in claimed
            claimed.add(got.id)

    threads = [threading.Thread(target=claim) for _ in range(6)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert len(claimed) == 40


@pytest.mark.parametrize(
    ("where", "wrong"),
    [
        ("mysql://host/board", "sqlite or postgresql"),
        ("postgresql://me:secret@host/board", r"\*\*\*@host/board does not say where bundles"),
        ("sqlite://", "needs a file"),
        ("no url://", "no URL"),
    ],
)
def test_a_wrong_store_is_told(where: str, wrong: str) -> None:
    with pytest.raises(UsageError, match=wrong) as caught:
        locate(where)
    assert "secret" not in str(caught.value)


@pytest.mark.parametrize("name", ["../../etc/passwd", "A" * 64, "0" * 63, "0" * 64 + "\n", ""])
def test_only_hashes_name_files(tmp_path: Path, name: str) -> None:
    with Store.open(tmp_path) as store, pytest.raises(UserError, match="not the sha256"):
        store.bundle_path(name)
