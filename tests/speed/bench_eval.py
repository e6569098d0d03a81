"""How fast the engine is, against the straightforward loop and against the machine's own matrix-product rate.

    python tests/speed/bench_eval.py [--model fuselip-b] [--photos 1] [--repeats 3] [--device cpu]

Everything alternates within one run, because timings drift between runs: each repeat times the engine, the loop that
asks one question at a time with its pool, the tokenizer and the transformer alone, and plain matrix products.
Printed are medians over the repeats and ratios within a repeat. Weights are random: speed does not depend on them.
"""

from __future__ import annotations

import argparse
import json
import resource
import statistics
import subprocess
import sys
import time
from collections.abc import Callable, Sequence
from typing import Any

import numpy as np
import torch

import fuselip
from benchmarks.encoders import adapt
from benchmarks.evaluation import evaluate
from benchmarks.tasks import TASKS, load_task
from benchmarks.types import Query, TaskContext, TaskData
from fuselip.core.images import rgb_pixels
from fuselip.core.types import Input
from fuselip.model.sizes import IMAGE_SIZE, NUM_PATCHES, PATCH_SIZE, FuseLIPConfig, TransformerSize

FAMILIES = ("crop", "rotate", "jitter", "flip", "colorize")


def block_flops(size: TransformerSize, tokens: int, rows: int) -> float:
    """One pre-norm block over `tokens`, of which only `rows` are read out. A multiply-add counts as two."""
    d = size.width
    keys_values, queries_out = 2 * 2 * tokens * d * d, 2 * 2 * rows * d * d
    attention, mlp = 2 * 2 * rows * tokens * d, 2 * 2 * rows * 4 * d * d
    return keys_values + queries_out + attention + mlp


def tokenizer_flops(config: FuseLIPConfig) -> float:
    """Per image: patches, blocks (the last for the latents alone), code distances."""
    variant = config.titok
    tokens = 1 + NUM_PATCHES + variant.num_latents
    blocks = (variant.size.layers - 1) * block_flops(variant.size, tokens, tokens)
    last = block_flops(variant.size, tokens, variant.num_latents)
    patches = 2 * NUM_PATCHES * 3 * PATCH_SIZE**2 * variant.size.width
    codes = 2 * variant.num_latents * (variant.num_codes + variant.size.width) * variant.code_dim
    return blocks + last + patches + codes


def transformer_flops(config: FuseLIPConfig, tokens: int) -> float:
    """Per sequence of `tokens`, pooled at one of them."""
    return (config.size.layers - 1) * block_flops(config.size, tokens, tokens) + block_flops(config.size, tokens, 1)


def timed(work: Callable[[], Any], device: str) -> float:
    synchronise(device)
    began = time.perf_counter()
    work()
    synchronise(device)
    return time.perf_counter() - began


def synchronise(device: str) -> None:
    if device == "cuda":
        torch.cuda.synchronize()


def matrix_rate(shapes: Sequence[tuple[int, int, int]], device: str, dtype: torch.dtype, seconds: float = 1.0) -> float:
    """FLOP/s of the model's own matrix products (M, K, N), the faster of the two CPU libraries torch has."""
    from fuselip.model.linear import linear

    best = 0.0
    for product in (torch.nn.functional.linear, linear):
        flops = spent = 0.0
        for m, k, n in shapes:
            x, w, b = (torch.randn(*size, device=device, dtype=dtype) for size in ((m, k), (n, k), (n,)))
            with torch.inference_mode():
                product(x, w, b)
                while_spent = 0.0
                while while_spent < seconds / len(shapes):
                    while_spent += timed(lambda x=x, w=w, b=b: product(x, w, b), device)
                    flops += 2.0 * m * k * n
                spent += while_spent
        best = max(best, flops / spent)
    return best


def questions_of(data: TaskData, first_only: bool) -> list[Query]:
    return list(data.queries[:1] if first_only else data.queries)


def straightforward(encoder: Any, tasks: Sequence[TaskData], first_only: bool) -> int:
    """One question at a time: its query, then its whole pool in one batch, as the paper's evaluation does."""
    asked = 0
    for data in tasks:
        for query in questions_of(data, first_only):
            query_vector = encoder.encode([query.input])
            pool = encoder.encode([part for candidate in data.pool(query) for part in candidate.inputs])
            int(np.argmax(pool @ query_vector[0]))
            asked += 1
    return asked


def peak_mb(model: str, photos: int) -> float:
    """Peak memory of a run in a process of its own."""
    code = (
        "import json, sys; from benchmarks.evaluation import evaluate; import fuselip;"
        f"e = evaluate(fuselip.load({model!r}, weights='random'), source='photos:quick', limit={photos}, cache=False);"
        "print(json.dumps(e.summary['peak_memory_mb']))"
    )
    return float(json.loads(subprocess.run([sys.executable, "-c", code], capture_output=True, text=True).stdout))


def bench(model: str, photos: int, repeats: int, device: str) -> None:
    encoder = fuselip.load(model, weights="random", device=device)
    half = fuselip.load(model, weights="random", device=device, precision="bf16")
    context = TaskContext(source="photos:quick", limit=photos)
    tasks = [load_task(TASKS[f"tgit/{family}"], context) for family in FAMILIES]
    config, width = encoder.config, encoder.config.titok.size.width
    images = [query.input.image for data in tasks for query in data.queries if query.input.image][:1]
    images += [part.image for data in tasks for c in data.candidates.values() for part in c.inputs if part.image]
    images = list(dict.fromkeys(images))[:16]
    pixels = torch.from_numpy(np.stack([rgb_pixels(image, IMAGE_SIZE) for image in images])).to(device)
    pixels_BCHW = pixels.permute(0, 3, 1, 2).float().div(255).contiguous()
    inputs = [Input("rotate 30 degrees clockwise", image) for image in images]
    length = len(encoder.sequence(inputs[0]))
    ids = torch.tensor([encoder.sequence(item) for item in inputs], device=device)
    lengths = torch.full((len(ids),), length, device=device)
    tokens = 1 + NUM_PATCHES + config.titok.num_latents
    d, rows = width, len(images) * tokens
    shapes = [(rows, d, 3 * d), (rows, d, d), (rows, d, 4 * d), (rows, 4 * d, d)]

    rows_out: dict[str, list[float]] = {}

    def note(name: str, value: float) -> None:
        rows_out.setdefault(name, []).append(value)

    for repeat in range(repeats + 1):  # the first is a warm-up
        result: list[Any] = []
        engine_s = timed(lambda r=result: r.append(_engine(encoder, photos)), device)
        summary = result[0].summary
        asked = sum(task["n"] for task in summary["tasks"])
        loop_s = timed(lambda: straightforward(encoder, tasks, first_only=False), device) if repeat <= 1 else 0.0
        paper: list[int] = []
        paper_s = timed(lambda p=paper: p.append(straightforward(encoder, tasks, first_only=True)), device)
        with torch.inference_mode():
            tokenizer_s = timed(lambda: encoder.model.image_ids(pixels_BCHW), device)
            transformer_s = timed(lambda: encoder.model.embed(ids, lengths), device)
            half_s = timed(lambda: half.model.image_ids(pixels_BCHW), device)
        rate = matrix_rate(shapes, device, torch.float32)
        if repeat == 0:
            continue
        if loop_s:
            note("engine over loop with every question, questions/s", (asked / engine_s) / (asked / loop_s))
        note("engine, questions/s", asked / engine_s)
        note("paper's loop (one question a family and photo), questions/s", paper[0] / paper_s)
        note("engine over the paper's loop, questions/s", (asked / engine_s) / (paper[0] / paper_s))
        overhead = (engine_s - summary["embedding"]["encode_seconds"]) / engine_s
        note("engine: share of time outside encode()", overhead)
        note("engine: share of time spent waiting for decoding", summary["embedding"]["wait_seconds"] / engine_s)
        note("machine: matrix products of the tokenizer's shapes, GFLOP/s", rate / 1e9)
        note("tokenizer, GFLOP/s", len(images) * tokenizer_flops(config) / tokenizer_s / 1e9)
        note("tokenizer, share of the machine's rate", len(images) * tokenizer_flops(config) / tokenizer_s / rate)
        note("tokenizer, ms/image", 1e3 * tokenizer_s / len(images))
        note(
            "transformer, share of the machine's rate",
            len(ids) * transformer_flops(config, length) / transformer_s / rate,
        )
        note("transformer, ms/input", 1e3 * transformer_s / len(ids))
        note("tokenizer in bf16, times faster than fp32", tokenizer_s / half_s)
    drift = half.precision_report(images)

    print(f"{model} on {device}, {photos} photos, {asked} questions, median of {repeats} repeats [min, max]")
    print(f"torch {torch.__version__}, {torch.get_num_threads()} threads")
    for name, values in rows_out.items():
        print(f"{name:66s} {statistics.median(values):9.3f}  [{min(values):.3f}, {max(values):.3f}]")
    print(f"bf16: {json.dumps(drift)}")
    print(f"{'peak memory of a run, MiB':66s} {peak_mb(model, photos):9.0f}")
    print(f"{'peak memory of this process, MiB':66s} {resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024:9.0f}")


def _engine(encoder: Any, photos: int) -> Any:
    return evaluate(adapt(encoder), source="photos:quick", limit=photos, cache=False)


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--model", default="fuselip-b")
    parser.add_argument("--photos", type=int, default=1)
    parser.add_argument("--repeats", type=int, default=3)
    parser.add_argument("--device", default="cpu")
    given = parser.parse_args()
    bench(given.model, given.photos, given.repeats, given.device)
