"""How fast scoring is: one big gallery against the machine's own matrix-product rate, and many small pools.

    python tests/speed/bench_scoring.py [--full] [--queries 2000] [--candidates 100000] [--dim 256]

The vectors are random and half precision, on disk (np.memmap), as a precomputed gallery is. Printed are seconds, the
share of the time that the matrix product alone would take, and by how much the process grew beyond what it held before.
`--full` is 10,000 queries on 1,000,000 candidates.
"""

from __future__ import annotations

import argparse
import tempfile
import threading
import time
from pathlib import Path

import numpy as np

from benchmarks.score import rank
from benchmarks.types import Candidate, Query, TaskData
from fuselip.core.types import Input


def resident_mb() -> float:
    """Memory of this process's own: pages of files it has mapped do not count."""
    return float(Path("/proc/self/status").read_text().partition("RssAnon:")[2].split()[0]) / 1024


class Watched:
    """The highest `resident_mb` while the block runs, looked at every 20 ms."""

    def __enter__(self) -> Watched:
        self.before = self.peak = resident_mb()
        self._stop = threading.Event()
        self._thread = threading.Thread(target=self._look)
        self._thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._stop.set()
        self._thread.join()

    def _look(self) -> None:
        while not self._stop.wait(0.02):
            self.peak = max(self.peak, resident_mb())


def product_rate(dim: int, seconds: float = 1.0) -> float:
    """FLOP/s of float32 matrix products [2048, dim] @ [dim, 8192]."""
    numbers = np.random.default_rng(0)
    left, right = (numbers.standard_normal((rows, dim), dtype=np.float32) for rows in (2048, 8192))
    out = np.empty((2048, 8192), np.float32)
    np.matmul(left, right.T, out=out)
    done, began = 0, time.perf_counter()
    while time.perf_counter() - began < seconds:
        np.matmul(left, right.T, out=out)
        done += 1
    return 2 * 2048 * 8192 * dim * done / (time.perf_counter() - began)


def bench_gallery(num_queries: int, num_candidates: int, dim: int) -> None:
    candidates = {f"c{index}": Candidate(f"c{index}", (Input(text=f"{index}"),)) for index in range(num_candidates)}
    contents = sorted(candidate.content for candidate in candidates.values())
    step = max(1, num_candidates // num_queries)
    queries = [Query(f"q{row}", Input(text="?"), {f"c{row * step % num_candidates}": 1}) for row in range(num_queries)]
    numbers = np.random.default_rng(0)
    asked = numbers.standard_normal((num_queries, dim), dtype=np.float32)
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "vectors"
        vectors = np.memmap(path, np.float16, "w+", shape=(num_candidates, dim))
        for start in range(0, num_candidates, 1 << 16):
            rows = min(1 << 16, num_candidates - start)
            vectors[start : start + rows] = numbers.standard_normal((rows, dim), dtype=np.float32)
        before = product_rate(dim)
        with Watched() as memory:
            began = time.perf_counter()
            found = rank(queries, TaskData(tuple(queries), candidates), asked, contents, vectors)
            seconds = time.perf_counter() - began
    rate = max(before, product_rate(dim))  # what else runs on the machine only ever slows it
    floor = 2.0 * num_queries * num_candidates * dim / rate
    places = float(np.mean([row.targets[0].above for row in found])) / num_candidates
    print(f"{num_queries} queries x {num_candidates} candidates x {dim}")
    print(f"  {seconds:.1f} s; the product alone at {rate / 1e9:.0f} GFLOP/s: {floor:.1f} s ({floor / seconds:.0%})")
    print(f"  grew by {memory.peak - memory.before:.0f} MiB to {memory.peak:.0f} MiB; mean place {places:.3f}")


def bench_pools(num_pools: int, size: int, dim: int) -> None:
    keys = [f"{pool}/{index}" for pool in range(num_pools) for index in range(size)]
    candidates = {key: Candidate(key, (Input(text=key),)) for key in keys}
    queries = [
        Query(f"q{pool}", Input(text="?"), {f"{pool}/0": 1}, tuple(keys[pool * size : (pool + 1) * size]))
        for pool in range(num_pools)
    ]
    contents = sorted(candidate.content for candidate in candidates.values())
    numbers = np.random.default_rng(0)
    asked = numbers.standard_normal((num_pools, dim), dtype=np.float32)
    vectors = numbers.standard_normal((len(contents), dim), dtype=np.float32)
    times = []
    for _ in range(3):
        began = time.perf_counter()
        rank(queries, TaskData(tuple(queries), candidates), asked, contents, vectors)
        times.append(time.perf_counter() - began)
    print(f"{num_pools} pools of {size} x {dim}: {min(times):.3f} s, {1e6 * min(times) / num_pools:.0f} us a query")


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--queries", type=int, default=2_000)
    parser.add_argument("--candidates", type=int, default=100_000)
    parser.add_argument("--dim", type=int, default=256)
    parser.add_argument("--full", action="store_true", help="10,000 queries, 1,000,000 candidates")
    given = parser.parse_args()
    for pools, each in ((7_511, 2), (1_046, 10)):
        bench_pools(pools, each, 512)
    bench_gallery(*((10_000, 1_000_000) if given.full else (given.queries, given.candidates)), given.dim)
