"""A submission's way: received, verifying under a lease, accepted or refused, perhaps withdrawn."""

from __future__ import annotations

import hashlib
import os
import secrets
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any

import msgspec
import numpy as np
from sqlalchemy import or_, select
from sqlalchemy.exc import IntegrityError
from sqlalchemy.orm import Session

from fuselip.core.errors import UserError
from fuselip.core.files import explain, fsync_folder
from leaderboard.store import journal
from leaderboard.store.database import Database
from leaderboard.store.models import Fingerprint, Score, Sheet, Submission, Token, dumps, now
from leaderboard.types import Badge, Fault, Scored

if TYPE_CHECKING:
    from leaderboard.bundle import Bundle
    from leaderboard.copies import Print

_BLOCK = 1 << 20


@dataclass(frozen=True)
class About:
    """What a bundle says of its encoder and its run: plain data, redacted when it was packed."""

    metadata: Mapping[str, Any]
    encoder: Mapping[str, Any] = field(default_factory=dict)
    config: Mapping[str, Any] = field(default_factory=dict)
    provenance: Mapping[str, Any] = field(default_factory=dict)
    suite: str = ""
    throughput: Mapping[str, Any] = field(default_factory=dict)

    @classmethod
    def of(cls, bundle: Bundle) -> About:
        told = (bundle.encoder, bundle.config, bundle.provenance, bundle.suite, bundle.throughput)
        return cls(msgspec.to_builtins(bundle.metadata), *told)


class Submissions(Database):
    """Submissions and their states. What is not possible in the state a submission is in raises UserError."""

    def receive(self, path: Path, token: Token | None = None) -> Submission:
        """Keep a copy of the file at `path`, unread, and queue it. On return it is on disk and will not be lost.

        The same bytes are one submission, whoever sends them and however often; one that was refused is queued again.
        `token` None: a maintainer's doing.
        """
        sha256 = self._keep(path)
        try:
            with self.writing() as session:
                return self._enter(session, sha256, token)
        except IntegrityError:  # another process was faster with the same bytes
            with self.writing() as session:
                return self._enter(session, sha256, token)

    def _enter(self, session: Session, sha256: str, token: Token | None) -> Submission:
        actor = _actor(token)
        found = session.scalar(select(Submission).where(Submission.sha256 == sha256).with_for_update())
        if found is not None and found.state != "refused":
            return found
        if found is None:
            found = Submission(id=f"s-{secrets.token_hex(6)}", sha256=sha256, created=now())
            found.token_id = token.id if token else None
            session.add(found)
        found.state, found.attempts, found.faults, found.verified = "received", 0, [], None
        log(session, actor, "received", found.id, {"sha256": sha256})
        return found

    def _keep(self, path: Path) -> str:
        """Copy into the folder of bundles under the hash of what was copied; its sha256."""
        part = self.folder / "bundles" / f".{secrets.token_hex(16)}.part"
        digest = hashlib.sha256()
        try:
            with open(path, "rb") as source, open(part, "xb") as target:
                while block := source.read(_BLOCK):
                    digest.update(block)
                    target.write(block)
                target.flush()
                os.fsync(target.fileno())
            os.replace(part, self.bundle_path(digest.hexdigest()))
            fsync_folder(part.parent)
        except BaseException as error:
            part.unlink(missing_ok=True)
            if isinstance(error, FileNotFoundError | IsADirectoryError):
                raise UserError(f"{path} is not there; check its name") from error
            raise (explain(error, part.parent) if isinstance(error, OSError) else error) from error
        return digest.hexdigest()

    def accept(
        self,
        id: str,
        scored: Mapping[str, Scored],
        badge: Badge,
        flags: Sequence[str] = (),
        *,
        about: About,
        notes: Sequence[str] = (),
        prints: Mapping[str, Print] | None = None,
        actor: str = "worker",
    ) -> Submission:
        """Scores, fingerprints and the new state, all or nothing. Only from "verifying": the first of two wins."""
        from leaderboard.copies import encode

        with self.writing() as session:
            found = self._get(session, id, "verifying")
            for name, value in asdict(about).items():
                setattr(found, "metadata_" if name == "metadata" else name, value)
            found.state, found.badge, found.verified, found.leased = "accepted", str(badge), now(), None
            found.flags, found.notes, found.faults = list(flags), list(notes), []
            for task in sorted(scored):
                _keep_sheet(session, scored[task])
                session.add(_score(id, scored[task]))
            session.add(Fingerprint(submission_id=id, prints=encode(prints or {})))
            log(session, actor, "accepted", id, {"badge": str(badge), "tasks": len(scored)})
            return found

    def refuse(self, id: str, faults: Sequence[Fault], *, actor: str = "worker") -> Submission:
        with self.writing() as session:
            return refused(session, self._get(session, id, "verifying"), faults, actor)

    def withdraw(self, id: str, *, actor: str = "maintainer") -> Submission:
        """Take an accepted submission off the board. Its bundle and scores are kept."""
        with self.writing() as session:
            found = self._get(session, id, "accepted")
            found.state = "withdrawn"
            log(session, actor, "withdrawn", id, {})
            return found

    def award(self, id: str, badge: Badge, *, actor: str = "worker") -> Submission:
        """Give an accepted submission another badge: challenged, or re-run."""
        with self.writing() as session:
            found = self._get(session, id, "accepted")
            before, found.badge = found.badge, str(badge)
            log(session, actor, "awarded", id, {"badge": str(badge), "before": before})
            return found

    def submission(self, id: str) -> Submission:
        """Raises UserError where there is none."""
        with self.reading() as session:
            return self._get(session, id)

    def find(self, name: str) -> Submission | None:
        """By its id, or by the sha256 of its bundle; None where there is none."""
        if not name.isascii() or not name.isprintable() or len(name) > 64:
            return None
        with self.reading() as session:
            return session.scalar(select(Submission).where(or_(Submission.id == name, Submission.sha256 == name)))

    def submissions(self, state: str | None = None) -> Sequence[Submission]:
        """Oldest first."""
        wanted = select(Submission).order_by(Submission.created, Submission.id)
        with self.reading() as session:
            return session.scalars(wanted if state is None else wanted.where(Submission.state == state)).all()

    @staticmethod
    def _get(session: Session, id: str, state: str | None = None) -> Submission:
        found = session.get(Submission, id, with_for_update=state is not None)
        if found is None:
            raise UserError(f"there is no submission {id[:80]!r}")
        if state is not None and found.state != state:
            raise UserError(f"submission {id} is {found.state}, not {state}")
        return found


def _actor(token: Token | None) -> str:
    return f"token {token.id}" if token else "maintainer"


def log(session: Session, actor: str, action: str, subject: str, detail: Mapping[str, Any]) -> None:
    """The change's entry of the audit log, in its own transaction."""
    session.flush()
    journal.append(session.connection(), actor, action, subject, detail)


def refused(session: Session, found: Submission, faults: Sequence[Fault], actor: str) -> Submission:
    """In the caller's transaction; `actor` "": the store itself."""
    found.state, found.verified, found.leased = "refused", now(), None
    found.faults = [asdict(fault) for fault in faults]
    log(session, actor or "store", "refused", found.id, {"faults": len(faults)})
    return found


def _keep_sheet(session: Session, scored: Scored) -> None:
    """The task's units, once. Raises UserError where they are others than those of an earlier submission."""
    sheet, units = scored.sheet, _units(scored)
    mine = hashlib.sha256(units).hexdigest()
    held = session.get(Sheet, (sheet.task, sheet.version, sheet.data_hash))
    if held is None:
        key = {"task": sheet.task, "version": sheet.version, "data_hash": sheet.data_hash}
        kind = Sheet.__table__
        values = {**key, "created": now(), "units": units, "units_hash": mine}
        session.execute(_insert(session)(kind).values(**values).on_conflict_do_nothing())
        held = session.get_one(Sheet, tuple(key.values()))
    if held.units_hash != mine:
        raise UserError(f"{sheet.task} has other units than before, on the same data; raise its version")


def _insert(session: Session) -> Any:
    """`INSERT ... ON CONFLICT`: two verifications may end with the first scores of a task at once."""
    from sqlalchemy.dialects import postgresql, sqlite

    return postgresql.insert if session.get_bind().dialect.name == "postgresql" else sqlite.insert


def _units(scored: Scored) -> bytes:
    return dumps([list(scored.keys), list(scored.clusters)]).encode()


def _score(id: str, scored: Scored) -> Score:
    sheet, numbers = scored.sheet, scored.numbers
    main = {name: getattr(numbers, name) for name in ("value", "low", "high", "chance", "n", "clusters", "interval")}
    return Score(
        submission_id=id,
        task=sheet.task,
        version=sheet.version,
        data_hash=sheet.data_hash,
        metric=sheet.metric,
        numbers=msgspec.to_builtins(vars(numbers)),
        unit_values=np.asarray(scored.values, "<f8").tobytes(),
        units_hash=hashlib.sha256(_units(scored)).hexdigest(),
        **main,
    )
