"""How fast a suite is, against evaluation that encodes one input at a time, alternating in one run.

    python tests/speed/bench_suites.py [--model fuselip-s] [--suite core] [--queries 3] [--repeats 2] [--prompts 4000]

Each repeat times our run of the whole suite (nothing cached) and then, for `--queries` questions of every task, the
loop of the usual evaluation scripts: the question, then each of its candidates, each in a call of its own. That loop's
time for the whole suite follows from its time per question and task; it would take hours to run it out.
A shared gallery is encoded once in the loop too, as those scripts do. Weights are random; speed does not depend on it.
"""

from __future__ import annotations

import argparse
import statistics
import time
from typing import Any

import numpy as np

import fuselip
from benchmarks.encoders import adapt
from benchmarks.evaluation import evaluate
from benchmarks.tasks import load_task, select
from benchmarks.types import Query, TaskContext, TaskData, TaskSpec
from fuselip.core.types import Input

TEMPLATES = ("a photo of a {}.", "a drawing of the {}.", "one large {} in the picture", "a bad photo of a {}.")


def alone(encoder: Any, item: Input) -> np.ndarray:
    vector: np.ndarray = encoder.encode([item])[0]
    return vector


def one_by_one(encoder: Any, data: TaskData, query: Query) -> None:
    """A question and its own pool, each input in a call of its own."""
    asked = alone(encoder, query.input)
    pool = [np.mean([alone(encoder, part) for part in candidate.inputs], axis=0) for candidate in data.pool(query)]
    int(np.argmax(np.stack(pool) @ asked))


def loop_seconds(encoder: Any, data: TaskData, queries: int) -> float:
    """What the loop would take for the whole task, from its first questions (and, of a gallery, its first entries)."""
    chosen = list(data.queries[: queries * 7 : 7])[:queries]
    if data.training:
        return extrapolated(
            encoder, [item for item, _ in data.training], queries, len(data.training) + len(data.queries)
        )
    if data.queries[0].candidates is None:
        parts = [part for candidate in data.candidates.values() for part in candidate.inputs]
        gallery = extrapolated(encoder, parts, queries * 3, len(parts))
        return gallery + extrapolated(encoder, [query.input for query in chosen], queries, len(data.queries))
    began = time.perf_counter()
    for query in chosen:
        one_by_one(encoder, data, query)
    return (time.perf_counter() - began) / len(chosen) * len(data.queries)


def extrapolated(encoder: Any, items: list[Input], sample: int, count: int) -> float:
    taken = items[:: max(1, len(items) // sample)][:sample]
    began = time.perf_counter()
    for item in taken:
        alone(encoder, item)
    return (time.perf_counter() - began) / len(taken) * count


def kind(spec: TaskSpec) -> str:
    """The tasks of the suite by family, so that the table stays short."""
    family, _, name = spec.name.partition("/")
    return f"{family}/{name.partition('-')[0]}" if family == "scenes" else family


def prompts(encoder: Any, count: int) -> tuple[float, float]:
    """Texts a second: in the run's own batches, and one at a time."""
    texts = [Input(TEMPLATES[number % 4].format(f"thing {number}")) for number in range(count)]
    began = time.perf_counter()
    for start in range(0, count, encoder.limits.texts or encoder.limits.inputs):
        encoder.encode(texts[start : start + (encoder.limits.texts or encoder.limits.inputs)])
    batched = count / (time.perf_counter() - began)
    began = time.perf_counter()
    for item in texts[:40]:
        alone(encoder, item)
    return batched, 40 / (time.perf_counter() - began)


def bench(model: str, suite: str, queries: int, repeats: int, count: int) -> None:
    encoder = fuselip.load(model, weights="random")
    loaded = [(spec, load_task(spec, TaskContext(source=source))) for spec, source in select([suite])]
    asked = sum(len(data.queries) for _, data in loaded)
    encoder.encode([loaded[0][1].queries[0].input])  # a warm-up
    ratios, engine, loops = [], [], []
    by_kind: dict[str, list[float]] = {}
    for _ in range(repeats):
        began = time.perf_counter()
        evaluation = evaluate(adapt(encoder), suite, cache=False)
        engine.append(time.perf_counter() - began)
        rows: dict[str, float] = {}
        for spec, data in loaded:
            rows[kind(spec)] = rows.get(kind(spec), 0) + loop_seconds(encoder, data, queries)
        for name, seconds in rows.items():
            by_kind.setdefault(name, []).append(seconds)
        loops.append(sum(rows.values()))
        ratios.append(loops[-1] / engine[-1])
    record = evaluation.summary["embedding"]
    print(f"{model} on {suite}: {len(loaded)} tasks, {asked} questions, {record['inputs']} distinct inputs encoded")
    print(f"our run, s: {told(engine)}; peak memory {evaluation.summary['peak_memory_mb']:.0f} MiB")
    print(f"share of it outside encode(): {1 - record['encode_seconds'] / engine[-1]:.2f}")
    print(f"one input at a time, s (from {queries} questions a task): {told(loops)}")
    for name, seconds in by_kind.items():
        print(f"  of which {name:20s} {told(seconds)}")
    print(f"times faster: {told(ratios)}")
    batched, single = zip(*(prompts(encoder, count) for _ in range(repeats)), strict=True)
    print(f"prompts/s in batches: {told(batched)}; one at a time: {told(single)}")
    print(f"80,000 prompts in batches would take {80_000 / statistics.median(batched):.0f} s")


def told(values: Any) -> str:
    return f"{statistics.median(values):.2f} [{min(values):.2f}, {max(values):.2f}]"


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--model", default="fuselip-s")
    parser.add_argument("--suite", default="core")
    parser.add_argument("--queries", type=int, default=3)
    parser.add_argument("--repeats", type=int, default=2)
    parser.add_argument("--prompts", type=int, default=4000)
    given = parser.parse_args()
    bench(given.model, given.suite, given.queries, given.repeats, given.prompts)
