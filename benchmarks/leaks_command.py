"""`fuselip-bench leaks`: which questions of the benchmark a training set gives away, and which are clean."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import click

from fuselip.core.console import debug_option


@click.command(short_help="What of the benchmark a training set gives away.")
@click.argument("training", metavar="INDEX")
@click.option("--training-root", help="Where relative paths of INDEX start.")
@click.option("--suite", default="photos", show_default=True, help="Whose tasks to compare with (see `list suites`).")
@click.option("--task", "tasks", multiple=True, help="A task or a pattern; may be given several times.")
@click.option("--source", help="Other pictures for the tasks.  [default: the suite's]")
@click.option("--data-root", help="Where the paths of --source start.")
@click.option("--data", type=click.Path(path_type=Path, file_okay=False), help="The folder of the public data sets.")
@click.option("--limit", type=click.IntRange(min=1), help="Use at most so many source images of the tasks.")
@click.option("--seed", type=int, default=0, show_default=True, help="Seed of the questions drawn.")
@click.option("--distance", type=int, default=8, show_default=True, help="Bits of 64 that two pictures may differ in.")
@click.option("--workers", type=click.IntRange(min=1), help="Threads.  [default: one a core]")
@click.option("--out", type=click.Path(path_type=Path, dir_okay=False), help="Write the keys of clean queries (JSON).")
@click.option("--json", "as_json", is_flag=True, help="Print JSON, with every overlap.")
@debug_option
def leaks(
    training: str,
    training_root: str | None,
    suite: str,
    tasks: tuple[str, ...],
    source: str | None,
    data_root: str | None,
    data: Path | None,
    limit: int | None,
    seed: int,
    distance: int,
    workers: int | None,
    out: Path | None,
    as_json: bool,
) -> None:
    """Which questions does the training set INDEX give away?

    INDEX is a set's folder, a mix's .parquet, or a source: folder:DIR, csv:FILE, wds:PATTERN, photos, or a path.
    """
    import json
    import os
    import time

    from benchmarks.leaks import Benchmark, Seen, clean_keys
    from benchmarks.leaks_training import training as stream
    from benchmarks.tasks import load_task, select
    from benchmarks.types import TaskContext
    from datagen.progress import Progressing
    from fuselip.core.files import write_json

    chosen, items = select([suite], tasks), stream(training, training_root)
    contexts = [TaskContext(source or default, data_root, limit, seed, data=data) for _, default in chosen]
    loaded = [(spec, load_task(spec, each)) for (spec, _), each in zip(chosen, contexts, strict=True)]
    benchmark = Benchmark(loaded, distance, workers or os.cpu_count() or 1)
    seen, began = Seen(), time.monotonic()
    with Progressing("leaks") as shown:
        for seen in benchmark.scan(items):
            rate = seen.items / (time.monotonic() - began)
            shown.show(seen.items, None, rate, f"{seen.items} items, {seen.images} images, {rate:.0f} items/s")
    report = benchmark.report(seen, training)
    if out is not None:
        write_json(out, clean_keys(report))
    click.echo(json.dumps(report, indent=2, ensure_ascii=False) if as_json else to_text(report), nl=as_json)


def to_text(report: dict[str, Any]) -> str:
    """A row a task, and the first overlaps below."""
    from benchmarks.listing import columns

    seen = report["training"]
    rows = [("task", "queries", "by image", "by text", "clean")]
    for name, found in report["tasks"].items():
        counts = (found["queries"], found["by_image"], found["by_text"], len(found["clean"]))
        rows.append((name, *map(str, counts)))
    text = columns(rows)
    for each in report["overlaps"][:10]:
        key, how = each["examples"][0]
        how = f"{how} of 64 bits differ" if each["kind"] == "image" else f"both say: {how}"
        text += columns([(f"{each['task']}: {each['part']} {each['key']} = {key} ({how}; {each['matches']} such)",)])
    if len(report["overlaps"]) > 10:
        text += f"and {len(report['overlaps']) - 10} more overlaps; --json lists all\n"
    text += f"compared with {seen['items']} items: {seen['images']} images, {seen['texts']} texts\n"
    if seen["unreadable"]:
        text += columns([(f"not read: {seen['unreadable']} ({'; '.join(seen['reasons'][:2])})",)])
    if seen["plain"] or report["plain"]:
        text += f"too plain to compare: {seen['plain']} images there, {report['plain']} of the benchmark's\n"
    return text
