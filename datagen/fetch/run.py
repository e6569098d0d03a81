"""Fetching a list: a small trial first, then call by call, then failed rows again; resumable at any point.

OUT/fetch.json          what is fetched, and how; claims the folder
OUT/list.parquet        the list, numbered
OUT/shards/00000.tar    webdataset shards as img2dataset writes them, with its .parquet and _stats.json
OUT/rows/00000.parquet  what became of the rows of a shard; marks it as finished
OUT/manifest.parquet    every row of the list: status, shard, key, sha256, attempts
OUT/log.txt             what img2dataset printed
"""

from __future__ import annotations

import importlib.util
import json
import os
import signal
import subprocess
import sys
import time
from collections import Counter
from collections.abc import Callable, Sequence
from dataclasses import asdict, dataclass
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq

from datagen.fetch import outcome, urls
from datagen.fetch.guard import Limits
from datagen.fetch.outcome import OK, REFUSED, TRANSIENT, UNTRIED, State
from fuselip.core.errors import UsageError, UserError
from fuselip.core.files import lock, read_json, sha256_file, write_json
from fuselip.core.plugins import did_you_mean

SCHEMA = 1
# Rows a call of img2dataset: starting it takes some seconds, and between calls the share of successes is looked at.
CALL_ROWS = 100_000
TRIAL_ROWS = 1_000

Progress = Callable[[int, int, Counter[str]], None]


@dataclass(frozen=True)
class Options:
    """How to fetch. Sizes are pixels, `timeout` seconds; what is not in `claimed` may differ between sessions."""

    image_size: int = 512
    quality: int = 95
    shard_rows: int = 1000
    processes: int = 2
    threads: int = 32
    timeout: int = 10
    retries: int = 2
    retry: tuple[str, ...] = TRANSIENT
    min_success: float = 0.25

    def claimed(self) -> dict[str, Any]:
        return {"image_size": self.image_size, "quality": self.quality, "shard_rows": self.shard_rows}


def fetch(
    source: Path,
    out: Path,
    options: Options,
    limits: Limits,
    *,
    url_col: str = "",
    caption_col: str = "",
    progress: Progress | None = None,
) -> State:
    """Fetch what is missing. The same call again resumes, and tries failed rows again that have tries left.

    Raises UserError where img2dataset is not installed or fails, where too few rows succeed, UsageError for a folder
    of another list or a live run.
    """
    require()
    with lock(out / ".lock", f"{out} belongs to a fetch that is still going on; wait for it to end"):
        _claim(source, out, options, limits, url_col, caption_col)
        outcome.collect(out)
        state, tried = State(out), Counter[str]()
        while len(rows := _next(state, options, tried)):
            before = state.attempts[rows]
            _call(out, rows, options, limits, partial(_tell, progress, state))
            outcome.collect(out)
            state.refresh()
            if not np.any(state.attempts[rows] > before):
                raise UserError(f"img2dataset finished none of {len(rows)} rows; see the end of {out / 'log.txt'}")
            first = rows[before == 0]
            tried.update(rows=len(first), ok=int(np.isin(first, state.where(OK)).sum()))
            _check_share(state, tried, options)
        state.write_manifest(out / "manifest.parquet")
        return state


def require() -> None:
    """UserError unless img2dataset is installed."""
    if importlib.util.find_spec("img2dataset") is None:
        raise UserError("fetching needs img2dataset; install it with `pip install 'fuselip[fetch]'`")


def check_reasons(given: Sequence[str]) -> tuple[str, ...]:
    """Reasons as named on a command line: `transient`, or one such as http-404. UsageError for what is none."""
    known = ("transient", *TRANSIENT, "not-an-image", "too-large", "opted-out", "certificate", "http-404")
    found: list[str] = []
    for each in given:
        is_http = each.startswith("http-") and each[5:].isdigit()
        if each not in known and not is_http:
            raise UsageError(f"--retry {each}: no such reason{did_you_mean(each, known)}; known: {', '.join(known)}")
        found += TRANSIENT if each == "transient" else [each]
    return tuple(dict.fromkeys(found))


def _claim(source: Path, out: Path, options: Options, limits: Limits, url_col: str, caption_col: str) -> None:
    if not source.is_file():
        urls.rows(source)
    config = {
        "schema": SCHEMA,
        "list": {"name": source.name, "sha256": sha256_file(source), "url_col": url_col, "caption_col": caption_col},
        "allow_private": limits.allow_private,
        "max_bytes": limits.max_bytes,
        **options.claimed(),
    }
    path = out / "fetch.json"
    if path.exists():
        held = read_json(path)
        for key, value in config.items():
            if not isinstance(held, dict) or held.get(key) != value:
                raise UsageError(
                    f"{out} holds another fetch ({key} differs); choose another --out, or delete that folder"
                )
        return
    if strangers := [each.name for each in out.iterdir() if each.name not in (".lock", "list.parquet")]:
        raise UsageError(f"{out} holds other files ({', '.join(strangers[:3])}); choose a new or empty --out folder")
    urls.number(source, out / "list.parquet", limits, url_col, caption_col)
    (out / "shards").mkdir()
    (out / "rows").mkdir()
    write_json(path, config)


def _next(state: State, options: Options, tried: Counter[str]) -> np.ndarray:
    """The rows of the next call: a trial all over the list, then what is untried in order, then failures."""
    untried = state.where(UNTRIED)
    if len(untried) > 2 * TRIAL_ROWS and not tried:
        return np.sort(np.random.default_rng(0).choice(untried, TRIAL_ROWS, replace=False))
    if len(untried):
        return untried[:CALL_ROWS]
    failed = state.where(*options.retry)
    return failed[state.attempts[failed] <= options.retries][:CALL_ROWS]


def _check_share(state: State, tried: Counter[str], options: Options) -> None:
    """Of the rows tried for the first time in this session; so a mended network gets its chance."""
    if tried["rows"] and tried["ok"] < options.min_success * tried["rows"]:
        counts = state.counts()
        reasons = [
            f"{reason} {count}" for reason, count in counts.most_common() if reason not in (OK, REFUSED, UNTRIED)
        ]
        raise UserError(
            f"only {tried['ok']} of {tried['rows']} rows could be fetched ({', '.join(reasons)}), less than "
            f"--min-success {options.min_success:g}. Is the network (for dns: the name server) all right? Mend it, or "
            "lower --min-success, and give the same command again: it goes on from here"
        )


def _call(out: Path, rows: np.ndarray, options: Options, limits: Limits, tell: Callable[[int], None]) -> None:
    """One call of img2dataset, in a process group of its own, stopped when it hangs or we are interrupted."""
    call = out / "call.parquet"
    _write_call(out, call, rows)
    settings = {
        "url_list": str(call.absolute()),
        "output_folder": str((out / "shards").absolute()),
        "input_format": "parquet",
        "output_format": "webdataset",
        "url_col": "url",
        "caption_col": "caption",
        "save_additional_columns": ["row"],
        "image_size": options.image_size,
        "resize_mode": "keep_ratio",
        "resize_only_if_bigger": True,
        "skip_reencode": True,
        "encode_quality": options.quality,
        "extract_exif": False,
        "compute_hash": None,
        "number_sample_per_shard": options.shard_rows,
        "processes_count": min(options.processes, -(-len(rows) // options.shard_rows)),
        "thread_count": options.threads,
        "timeout": options.timeout,
        "incremental_mode": "extend",
        "enable_wandb": False,
    }
    write_json(out / "call.json", {"options": settings, "limits": asdict(limits)})
    worst = (limits.seconds + 10 * options.timeout) * -(-options.shard_rows // options.threads)
    rounds = -(-len(rows) // (options.shard_rows * options.processes))
    try:
        _supervise(out, 120 + 2 * worst * rounds, options.shard_rows, len(rows), tell)
    finally:
        for path in (call, out / "call.json"):
            path.unlink()


def _write_call(out: Path, path: Path, rows: np.ndarray) -> None:
    with pq.ParquetFile(out / "list.parquet") as file:
        tables = []
        for part in np.unique(rows // urls.BATCH).tolist():  # a row group holds BATCH rows
            table = file.read_row_group(part, columns=["row", "url", "caption"])
            inside = rows[(rows >= part * urls.BATCH) & (rows < (part + 1) * urls.BATCH)]
            tables.append(table.take(pa.array(inside - part * urls.BATCH)))
    pq.write_table(pa.concat_tables(tables), path)


def _supervise(out: Path, seconds: float, shard_rows: int, total: int, tell: Callable[[int], None]) -> None:
    command = [sys.executable, "-m", "datagen.fetch.worker", str(out / "call.json")]
    environment = {**os.environ, "NO_ALBUMENTATIONS_UPDATE": "1", "WANDB_MODE": "disabled"}
    before = len(list((out / "shards").glob("*_stats.json")))
    until = time.monotonic() + seconds
    with open(out / "log.txt", "ab") as log:
        child = subprocess.Popen(
            command, stdout=log, stderr=log, stdin=subprocess.DEVNULL, env=environment, start_new_session=True
        )
        try:
            while (code := _wait(child)) is None:
                done = len(list((out / "shards").glob("*_stats.json"))) - before
                tell(min(done * shard_rows, total))
                if time.monotonic() > until:
                    raise UserError(f"img2dataset has hung for {seconds:.0f} s and was stopped; give the command again")
        finally:
            if child.poll() is None:
                os.killpg(child.pid, signal.SIGKILL)
                child.wait()
    if code:
        tail = (out / "log.txt").read_text("utf-8", "replace").strip().splitlines()[-1:]
        raise UserError(f"img2dataset ended with an error ({''.join(tail)}); see {out / 'log.txt'}")


def _wait(child: subprocess.Popen[bytes]) -> int | None:
    try:
        return child.wait(timeout=0.5)
    except subprocess.TimeoutExpired:
        return None


def _tell(progress: Progress | None, state: State, done: int) -> None:
    if progress is not None:
        counts = state.counts()
        progress(len(state) - counts[UNTRIED] + done, len(state), counts)


def summary(state: State) -> dict[str, Any]:
    """Counts as JSON: rows, by status, tries."""
    return {"rows": len(state), "status": dict(state.counts().most_common()), "attempts": int(state.attempts.sum())}


def to_text(state: State, out: Path) -> str:
    counts = state.counts()
    lines = [f"{out}: {counts[OK]} of {len(state)} rows fetched ({counts[OK] / len(state):.1%})"]
    lines += [f"  {reason:<14}{count:>10}" for reason, count in counts.most_common()]
    lines.append(
        f"every row stands in {out / 'manifest.parquet'}; use the pictures as --source 'wds:{out}/shards/*.tar'"
    )
    return "\n".join(lines) + "\n"


def as_json(state: State) -> str:
    return json.dumps(summary(state), indent=2)
