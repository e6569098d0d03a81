"""schemathesis on the whole API: whatever comes, an answer that the documentation knows, never a failure of ours."""

from __future__ import annotations

import sys
from collections import Counter
from pathlib import Path
from typing import Any

import pytest

pytest.importorskip("fastapi")
pytest.importorskip("sqlalchemy")
pytest.importorskip("jinja2")
pytest.importorskip("schemathesis")

import schemathesis
from hypothesis import HealthCheck, Phase, given, settings
from lb_bundles import make_bundle
from lb_server import Site, bearer
from schemathesis.specs.openapi.checks import positive_data_acceptance  # names on the board are no matter of form

from leaderboard.server.limits import Limits, Rate

LOOSE = Rate(1e9, 1e9)
CASES = 40
"""For each operation, but for the one that renders hundreds of pictures at each."""
FEW = 5


@schemathesis.serializer("application/zip")
def _zip(_: Any, value: Any) -> bytes:
    """As a zip begins, so that more than the first four bytes is looked at."""
    return b"PK\x03\x04" + (value if isinstance(value, bytes) else str(value).encode())


@pytest.mark.slow
def test_fuzz(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    limits = Limits(reads=LOOSE, writes=LOOSE, token_writes=LOOSE, failures=LOOSE)
    site = Site(tmp_path / "store", tmp_path / "answers", limits)
    token = site.token()
    site.submit(make_bundle(tmp_path).read_bytes(), token)
    site.verify()
    site.publish()
    before = site.store.submissions("accepted")
    answers: Counter[int] = Counter()
    schema = schemathesis.openapi.from_asgi("/api/openapi.json", site.app)
    operations = [found.ok() for found in schema.get_all_operations()]
    for operation in operations:
        _fuzz(operation, token, answers)
    with capsys.disabled():
        told = ", ".join(f"{status}: {count}" for status, count in sorted(answers.items()))
        sys.stdout.write(f"\n{answers.total()} cases on {len(operations)} operations; by status {told}\n")
    assert answers.total() > 10 * len(operations)
    assert not [status for status in answers if status >= 500]
    assert [each.id for each in site.store.submissions("accepted")] == [each.id for each in before]
    site.store.verify_journal()


def _fuzz(operation: object, token: str, answers: Counter[int]) -> None:
    @settings(
        max_examples=FEW if operation.label.startswith("POST /api/v1/challenges") else CASES,  # type: ignore[attr-defined]
        database=None,
        derandomize=True,
        phases=[Phase.generate],
        suppress_health_check=list(HealthCheck),
    )
    @given(operation.as_strategy())  # type: ignore[attr-defined]
    def run(case: object) -> None:
        reply = case.call(headers=bearer(token))  # type: ignore[attr-defined]
        answers[reply.status_code] += 1
        case.validate_response(reply, excluded_checks=[positive_data_acceptance])  # type: ignore[attr-defined]

    run()
