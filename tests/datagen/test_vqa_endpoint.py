"""Questions from a server: what it says, how it fails, what is retried, and that no key leaks."""

from __future__ import annotations

import json
import time
from pathlib import Path
from typing import Any

import pytest
from vqa_server import Captions, Plan, caption, serving

from datagen.vqa.endpoint import Endpoint
from datagen.vqa.making import Work, generate, plan
from fuselip.core.errors import UsageError, UserError
from fuselip.core.http import Backoff, HttpFailure, retry_after, split


def ask(base: str, folder: Path, count: int, *, retry: tuple[str, ...] = (), **options: Any) -> dict[str, Any]:
    options = {"threads": 8, "timeout": 1.0, "attempts": 2, **options}
    return generate(Work(Captions(count), Endpoint(base, "tiny", **options)), folder, retry=retry)


def outputs(folder: Path) -> dict[str, bytes]:
    return {name: (folder / name).read_bytes() for name in ("questions.csv", "questions.jsonl", "rejects.jsonl")}


def test_every_row_is_asked_once_and_written_in_order(tmp_path: Path) -> None:
    with serving(seconds=0.01) as server:
        summary = ask(server.base, tmp_path / "a", 60)
        assert summary["reasons"] == {"ok": 60}
        assert set(server.asked.values()) == {1}
        assert 2 <= server.most <= 8
        assert ask(server.base, tmp_path / "a", 60)["asked"] == {}  # nothing is left to ask
        ask(server.base, tmp_path / "b", 60, threads=1)
    rows = (tmp_path / "a/questions.csv").read_text().splitlines()
    assert rows[0] == "path,question,answer"
    assert rows[3] == f"2.jpg,Which scene is it?,{caption(2)}."
    assert [row.partition(",")[0] for row in rows[1:]] == [f"{number}.jpg" for number in range(60)]
    assert outputs(tmp_path / "a") == outputs(tmp_path / "b")
    body = server.bodies[0]
    assert (body["temperature"], body["max_tokens"], body["model"]) == (1.0, 50, "tiny")
    assert len(body["messages"]) == 9  # four worked examples
    assert len({each["seed"] for each in server.bodies[:60]}) == 60


MODES = {
    0: ("ok", "ok"),
    1: ("say I think it is nice", "unparsable"),
    2: ("say Question: What is red?\nAnswer: Kite", "single_word"),
    3: ("say Question: What is in the caption?\nAnswer: A red kite", "mentions_caption"),
    4: ("say Question: What is it?\nAnswer: A purple submarine", "ungrounded"),
    5: ("say I'm sorry, I cannot help with that.", "refused"),
    6: ("status 500", "http_500"),
    7: ("status 418", "http_418"),
    8: ("hang", "timeout"),
    9: ("drip", "timeout"),
    10: ("truncated", "truncated"),
    11: ("huge", "too_large"),
    12: ("json <html>", "not_json"),
    13: ('json {"error": 1}', "bad_schema"),
    14: ("json " + "[" * 100_000, "not_json"),
    15: ("vanish", "connection"),
    16: ("cut Question: What is there?\nAnswer: a red kite over", "cut_short"),
    17: ('json {"choices": [{"message": {"content": "Question: Is \\ud800 it?\\nAnswer: a red kite\\u0000"}}]}', "ok"),
    18: ('json {"choices": [{"message": {"content": null, "refusal": "no"}}]}', "refused"),
}


def misbehave(asked: str, times: int) -> str:
    return MODES[int(asked.rpartition(" ")[2])][0]


def test_failures_are_counted_by_reason_and_asked_again_by_reason(tmp_path: Path) -> None:
    began = time.monotonic()
    with serving(misbehave) as server:
        summary = ask(server.base, tmp_path, len(MODES))
        assert server.sent < 16 << 20, "reading a reply of 256 MB ends at its bound"
        assert server.asked[caption(6)] == 2
        assert server.asked[caption(7)] == 1  # I'm a teapot: no use to ask again
        expected: dict[str, int] = {}
        for _, reason in MODES.values():
            expected[reason] = expected.get(reason, 0) + 1
        assert summary["reasons"] == expected
        server.plan = lambda asked, times: "ok"
        server.asked.clear()
        summary = ask(server.base, tmp_path, len(MODES), retry=("timeout", "refused"))
        assert set(server.asked) == {caption(number) for number in (5, 8, 9, 18)}
        assert summary["reasons"]["ok"] == 6
        with pytest.raises(UsageError, match=r"no row failed for timeout; reasons: .*http_500 \(1\)"):
            ask(server.base, tmp_path, len(MODES), retry=("timeout",))
        assert ask(server.base, tmp_path, len(MODES), retry=("all",))["reasons"] == {"ok": len(MODES)}
    assert time.monotonic() - began < 20
    rejects = (tmp_path / "rejects.jsonl").read_text()
    assert rejects == ""


def test_retry_after_is_honoured_by_all_threads(tmp_path: Path) -> None:
    refusals: list[float] = []

    def busy(asked: str, times: int) -> str:
        if not refusals:
            refusals.append(time.monotonic())
            return "status 429 1"
        return "ok"

    with serving(busy) as server:
        summary = ask(server.base, tmp_path, 4, threads=2, attempts=3)
    assert summary["reasons"] == {"ok": 4}
    assert summary["seconds"] >= 1
    assert server.asked.total() == 5


def test_a_server_that_wants_too_long_a_wait_is_given_up_on(tmp_path: Path) -> None:
    with serving(lambda asked, times: "status 429 9999") as server:
        assert ask(server.base, tmp_path, 2)["reasons"] == {"http_429": 2}


def test_a_passing_error_is_asked_again_at_once(tmp_path: Path) -> None:
    with serving(lambda asked, times: "ok" if times else "status 503") as server:
        assert ask(server.base, tmp_path, 5)["reasons"] == {"ok": 5}
        assert set(server.asked.values()) == {2}


def test_a_retried_question_has_another_seed_and_avoids_the_opening(tmp_path: Path) -> None:
    def what(asked: str, times: int) -> str:
        return f"say Question: What is it?\nAnswer: {asked}" if not times else "ok"

    with serving(what) as server:
        summary = ask(server.base, tmp_path, 40)
        assert summary["reasons"] == {"ok": 20, "repeated_opening": 20}
        first = {body["seed"] for body in server.bodies}
        server.bodies.clear()
        summary = ask(server.base, tmp_path, 40, retry=("repeated_opening",))
    assert summary["reasons"]["ok"] > 32
    assert max(summary["openings"].values()) / sum(summary["openings"].values()) <= 0.6
    assert len(server.bodies) == 20
    assert not first & {body["seed"] for body in server.bodies}
    assert all("Do not begin the question with What." in body["messages"][-1]["content"] for body in server.bodies)


def test_no_key_is_written_anywhere(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    key = "plain-secret-123"
    monkeypatch.setenv("MY_KEY", key)

    def echo(asked: str, times: int) -> str:
        return "status 500" if asked.endswith("0") else f"say Question: Is it {key}?\nAnswer: {asked}"

    with serving(echo) as server:
        ask(server.base, tmp_path, 3, key_name="MY_KEY")
        assert server.keys == {f"Bearer {key}"}
        server.plan = lambda asked, times: "status 401"
        with pytest.raises(UserError, match="set MY_KEY in the environment") as refused:
            ask(server.base, tmp_path, 5, key_name="MY_KEY")
    assert key not in str(refused.value)
    assert all(key.encode() not in path.read_bytes() for path in tmp_path.iterdir())
    assert "***" in (tmp_path / "journal.jsonl").read_text()


@pytest.mark.parametrize("value", ["", "a\nb", "ключ"])
def test_a_key_that_is_none(value: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("MY_KEY", value)
    with pytest.raises(UsageError, match="MY_KEY") as error:
        Endpoint("http://localhost/v1", "m", key_name="MY_KEY")
    assert not value or value not in str(error.value)


@pytest.mark.parametrize(
    ("url", "message"),
    [
        ("localhost:8000", "is no http"),
        ("ftp://host/v1", "is no http"),
        ("http://", "is no http"),
        ("http://host:99999/v1", "cannot be read"),
        ("https://me:secret@host/v1", "holds credentials"),
        ("https://host/v1?key=secret", "holds credentials"),
        ("http://host/v1 x", "is no http"),
    ],
)
def test_urls_that_are_refused(url: str, message: str) -> None:
    with pytest.raises(UsageError, match=message) as error:
        split(url)
    assert "secret" not in str(error.value)


@pytest.mark.parametrize("mode", ["status 404", "status 403"])
def test_what_no_row_can_mend_ends_the_run(mode: str, tmp_path: Path) -> None:
    with serving(lambda asked, times: mode) as server, pytest.raises(UserError, match=f"answers {mode[-3:]}"):
        ask(server.base, tmp_path, 50)
    assert (tmp_path / "journal.jsonl").read_bytes() == b""


def test_a_dead_server_ends_the_run(tmp_path: Path) -> None:
    with serving() as server:
        base = server.base
    with pytest.raises(UserError, match=r"the last 30 requests all failed \(connection: .*refused"):
        ask(base, tmp_path, 500, attempts=1)
    assert len((tmp_path / "journal.jsonl").read_text().splitlines()) < 60


def test_a_reply_that_never_comes_does_not_hold_up_the_end(tmp_path: Path) -> None:
    """Ctrl-C while a request hangs: what was finished is kept, and the wait for the rest ends."""
    began = time.monotonic()
    hang: Plan = lambda asked, times: "hang" if asked.endswith(" 3") else "ok"  # noqa: E731

    def interrupt(done: int, total: int | None, rate: float, text: str) -> None:
        if "7 asked" in text:
            raise KeyboardInterrupt

    with serving(hang) as server:
        work = Work(Captions(8), Endpoint(server.base, "tiny", threads=2, timeout=30))
        with pytest.raises(KeyboardInterrupt):
            generate(work, tmp_path, show=interrupt)
        assert time.monotonic() - began < 5
        assert plan(work, tmp_path) == (8, 7)
        server.plan = lambda asked, times: "ok"
        assert ask(server.base, tmp_path, 8)["reasons"] == {"ok": 8}
        assert server.asked[caption(3)] == 2
        assert server.asked.total() == 9


def test_backoff_waits_longer_each_time_and_stops_when_told(monkeypatch: pytest.MonkeyPatch) -> None:
    bounds: list[float] = []
    monkeypatch.setattr("fuselip.core.http.random.uniform", lambda low, high: bounds.append(high) or 0.0)
    backoff = Backoff(attempts=8, base=1, longest=20)

    def fail() -> None:
        raise HttpFailure("timeout", "", retried=True)

    with pytest.raises(HttpFailure, match="timeout"):
        backoff.call(fail)
    assert bounds == [1, 2, 4, 8, 16, 20, 20]
    backoff.stop.set()
    with pytest.raises(HttpFailure, match="stopped"):
        backoff.call(fail)


def test_retry_after_takes_seconds_and_dates() -> None:
    assert retry_after("12") == 12
    assert retry_after("Wed, 21 Oct 2015 07:28:00 GMT") == 0
    assert (retry_after("Wed, 21 Oct 2099 07:28:00 GMT") or 0) > 1e8
    assert [retry_after(text) for text in ("", "soon", "-1", "1e3")] == [None] * 4


def test_summary_says_how_it_was_made(tmp_path: Path) -> None:
    with serving() as server:
        ask(server.base, tmp_path, 3, seed=5)
        port = str(server.server_port)
    summary = json.loads((tmp_path / "summary.json").read_text())
    assert summary["settings"]["model"] == "tiny"
    assert summary["settings"]["seed"] == 5
    assert len(summary["settings"]["prompt"]) == 64
    assert "Question:" in summary["prompt"][0]["content"]
    assert port not in json.dumps({**summary, "made": None})
