"""A rush of submitters and readers on `fuselip-leaderboard serve` with the embedded default: what is lost, who waits.

    python tests/speed/bench_leaderboard.py [--submitters 50] [--readers 500] [--seconds 10] [--verify]

Every submitter has a token and a bundle of its own, sends it, and sends it again where it gets no receipt. Every reader
is a connection of its own that asks for the page, the board, rows and the health in turn, with a pause of a second.
Each has an address of its own, as behind a proxy: one alone would be slowed down by the limits on an address.
Lost is a submission whose receipt the store does not know, or whose bytes are not those sent. `--verify` waits until
all have a verdict: five accepted, the others, which are the same five runs under other names, refused as copies.
"""

from __future__ import annotations

import argparse
import asyncio
import hashlib
import sys
import tempfile
import time
from collections import Counter, defaultdict
from pathlib import Path

import numpy as np

sys.path.insert(0, str(Path(__file__).parents[1] / "leaderboard"))

from lb_bundles import make_bundle
from lb_server import API, get, serving, until

from leaderboard.store import Store

READS = ("/", f"{API}/board", f"{API}/rows?q=a&limit=20", f"{API}/healthz", "/compare.html")


class Tally:
    """Seconds by what was asked, and answers by status."""

    def __init__(self) -> None:
        self.seconds: dict[str, list[float]] = defaultdict(list)
        self.statuses: Counter[int] = Counter()

    def lines(self) -> list[str]:
        found = []
        for name, seconds in sorted(self.seconds.items()):
            p50, p95, p99 = np.percentile(seconds, [50, 95, 99]) * 1000
            found.append(f"{name}: {len(seconds)} answers, p50 {p50:.0f} ms, p95 {p95:.0f} ms, p99 {p99:.0f} ms")
        return found


class Line:
    """A kept connection that speaks as much HTTP/1.1 as this takes."""

    def __init__(self, port: int, address: str) -> None:
        self._port, self._address = port, address
        self._ends: tuple[asyncio.StreamReader, asyncio.StreamWriter] | None = None

    async def ask(self, method: str, path: str, body: bytes = b"", token: str = "") -> tuple[int, bytes]:
        if self._ends is None:
            self._ends = await asyncio.open_connection("127.0.0.1", self._port)
        reader, writer = self._ends
        head = f"{method} {path} HTTP/1.1\r\nHost: x\r\nAccept-Encoding: gzip\r\nContent-Length: {len(body)}\r\n"
        head += f"X-Forwarded-For: {self._address}\r\n"
        head += f"Authorization: Bearer {token}\r\n" if token else ""
        writer.write(head.encode() + b"\r\n" + body)
        try:
            await writer.drain()
            status, *headers = (await reader.readuntil(b"\r\n\r\n")).decode("latin-1").split("\r\n")
            told = dict(line.lower().split(": ", 1) for line in headers if line)
            return int(status.split()[1]), await reader.readexactly(int(told["content-length"]))
        except (OSError, asyncio.IncompleteReadError):
            self.close()
            raise

    def close(self) -> None:
        if self._ends:
            self._ends[1].close()
        self._ends = None


async def submitter(port: int, token: str, body: bytes, tally: Tally) -> tuple[str, str]:
    """(receipt, sha256); "" for a receipt that never came."""
    line = Line(port, f"submitter {token[:20]}")
    for _ in range(5):
        began = time.perf_counter()
        try:
            status, _ = await line.ask("POST", f"{API}/submissions", body, token)
        except (OSError, asyncio.IncompleteReadError):
            tally.statuses[0] += 1
            continue
        tally.seconds["submit"].append(time.perf_counter() - began)
        tally.statuses[status] += 1
        if status == 202:
            line.close()
            return hashlib.sha256(body).hexdigest(), token
        await asyncio.sleep(0.5)
    return "", token


async def reader(port: int, number: int, until_: float, tally: Tally) -> None:
    line = Line(port, f"reader {number}")
    await asyncio.sleep(number % 100 / 100)
    turn = number
    while time.perf_counter() < until_:
        path, began = READS[turn % len(READS)], time.perf_counter()
        try:
            status, _ = await line.ask("GET", path)
            tally.seconds[f"read {path}"].append(time.perf_counter() - began)
            tally.statuses[status] += 1
        except (OSError, asyncio.IncompleteReadError):
            tally.statuses[0] += 1
        turn += 1
        await asyncio.sleep(1)
    line.close()


async def rush(port: int, tokens: list[str], bodies: list[bytes], readers: int, seconds: float, tally: Tally) -> int:
    """How many have a receipt."""
    end = time.perf_counter() + seconds
    reading = [asyncio.create_task(reader(port, number, end, tally)) for number in range(readers)]
    await asyncio.sleep(1)
    sent = await asyncio.gather(
        *(submitter(port, token, body, tally) for token, body in zip(tokens, bodies, strict=True))
    )
    await asyncio.gather(*reading)
    return sum(bool(sha) for sha, _ in sent)


def main() -> None:
    parser = argparse.ArgumentParser()
    parser.add_argument("--submitters", type=int, default=50)
    parser.add_argument("--readers", type=int, default=500)
    parser.add_argument("--seconds", type=float, default=10)
    parser.add_argument("--verify", action="store_true")
    given = parser.parse_args()
    with tempfile.TemporaryDirectory() as name:
        folder, tally = Path(name) / "store", Tally()
        with Store.open(folder) as store:
            tokens = [store.token_create(["submit"], 1)[0] for _ in range(given.submitters)]
        made = [make_bundle(Path(name), f"Encoder {n}", 0.5, n % 5).read_bytes() for n in range(given.submitters)]
        options = ("--behind-proxy", "--workers", "1" if given.verify else "0")
        with serving(folder, *options) as (url, _):
            until(lambda: get(f"{url}{API}/board")[0] == 200)
            port = int(url.rpartition(":")[2])
            receipts = asyncio.run(rush(port, tokens, made, given.readers, given.seconds, tally))
            if given.verify:
                began = time.perf_counter()
                until(lambda: get(f"{url}{API}/healthz")[1]["waiting"] == 0, 600)
                print(f"verified after another {time.perf_counter() - began:.1f} s")
        with Store.open(folder) as store:
            kept = {each.sha256 for each in store.submissions()}
            wanted = {hashlib.sha256(body).hexdigest() for body in made}
            whole = {sha for sha in kept if hashlib.sha256(store.bundle_path(sha).read_bytes()).hexdigest() == sha}
            entries, _ = store.verify_journal()
            print(
                f"{given.submitters} submitters, {given.readers} readers: {receipts} receipts, {len(kept)} submissions"
            )
            print(f"lost: {len(wanted - kept) + len(kept - whole)}; audit log of {entries} entries is whole")
            print("states:", dict(Counter(each.state for each in store.submissions())))
        print("answers by status:", dict(sorted(tally.statuses.items())), "(0: no answer)")
        print("\n".join(tally.lines()))


if __name__ == "__main__":
    main()
