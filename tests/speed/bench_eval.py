"""How fast the engine is, against the straightforward loop and against the machine's own matrix-product rate.

    python tests/speed/bench_eval.py [--model fuselip-b] [--photos 1] [--repeats 3] [--device cpu]

Everything alternates within one run, because timings drift between runs: each repeat times the engine, the loop that
asks one question at a time with its pool, the tokenizer and the transformer alone, and plain matrix products.
Printed are medians over the repeats and ratios within a repeat. Weights are random: speed does not depend on them.
"""

from __future__ import annotations

import argparse
import json
import statistics
import subprocess
import sys
from collections.abc import Callable, Sequence
from functools import partial
from typing import Any

import numpy as np
import torch
from timing import timed
from torch.nn import functional as F

import fuselip
from benchmarks.encoders import adapt
from benchmarks.evaluation import evaluate
from benchmarks.tasks import TASKS, load_task
from benchmarks.types import Query, TaskContext, TaskData
from fuselip.core.images import rgb_pixels
from fuselip.core.types import Input
from fuselip.model.configs import FuseLIPConfig
from fuselip.model.linear import linear
from fuselip.model.sizes import IMAGE_SIZE, NUM_PATCHES, PATCH_SIZE, TransformerSize

FAMILIES = ("crop", "rotate", "jitter", "flip", "colorize")


def block_flops(size: TransformerSize, tokens: int, rows: int) -> float:
    """One pre-norm block over `tokens`, of which only `rows` are read out. A multiply-add counts as two."""
    d = size.width
    keys_values, queries_out = 2 * 2 * tokens * d * d, 2 * 2 * rows * d * d
    attention, mlp = 2 * 2 * rows * tokens * d, 2 * 2 * rows * 4 * d * d
    return keys_values + queries_out + attention + mlp


def tokenizer_flops(config: FuseLIPConfig) -> float:
    """Per image: patches, blocks (the last for the latents alone), code distances."""
    variant = config.variant
    tokens = 1 + NUM_PATCHES + variant.num_latents
    blocks = (variant.size.layers - 1) * block_flops(variant.size, tokens, tokens)
    last = block_flops(variant.size, tokens, variant.num_latents)
    patches = 2 * NUM_PATCHES * 3 * PATCH_SIZE**2 * variant.size.width
    codes = 2 * variant.num_latents * (variant.num_codes + variant.size.width) * variant.code_dim
    return blocks + last + patches + codes


def transformer_flops(config: FuseLIPConfig, tokens: int) -> float:
    """Per sequence of `tokens`, pooled at one of them."""
    return (config.size.layers - 1) * block_flops(config.size, tokens, tokens) + block_flops(config.size, tokens, 1)


@torch.inference_mode()
def matrix_rate(
    product: Callable[..., torch.Tensor], shapes: Sequence[tuple[int, int, int]], device: str, seconds: float = 1.0
) -> float:
    """FLOP/s of fp32 matrix products of the shapes (M, K, N)."""
    flops = spent = 0.0
    for m, k, n in shapes:
        x, weight, bias = (torch.randn(*size, device=device) for size in ((m, k), (n, k), (n,)))
        work = partial(product, x, weight, bias)
        timed(work, device)
        shape_spent = 0.0
        while shape_spent < seconds / len(shapes):
            shape_spent += timed(work, device)
            flops += 2.0 * m * k * n
        spent += shape_spent
    return flops / spent


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


class Setup:
    """The encoder in two precisions, the tasks, and inputs of one planned batch for the parts measured alone."""

    def __init__(self, model: str, photos: int, device: str) -> None:
        self.device, self.photos = device, photos
        self.encoder = fuselip.load(model, weights="random", device=device)
        self.half = fuselip.load(model, weights="random", device=device, precision="bf16")
        self.config: FuseLIPConfig = self.encoder.model.config
        context = TaskContext(source="photos:quick", limit=photos)
        self.tasks = [load_task(TASKS[f"tgit/{family}"], context) for family in FAMILIES]
        found = [part.image for data in self.tasks for each in data.candidates.values() for part in each.inputs]
        self.images = [image for image in dict.fromkeys(found) if image][:16]
        pixels = torch.from_numpy(np.stack([rgb_pixels(image, IMAGE_SIZE) for image in self.images])).to(device)
        self.pixels_BCHW = pixels.permute(0, 3, 1, 2).float().div(255).contiguous()
        sequences = [self.encoder.sequence(Input("rotate 30 degrees clockwise", image)) for image in self.images]
        self.ids = torch.tensor(sequences, device=device)
        self.lengths = torch.full((len(sequences),), self.ids.shape[1], device=device)
        rows, d = len(self.images) * (1 + NUM_PATCHES + self.config.num_image_tokens), self.config.variant.size.width
        self.shapes = [(rows, d, 3 * d), (rows, d, d), (rows, d, 4 * d), (rows, 4 * d, d)]


def measure(setup: Setup, with_full_loop: bool) -> dict[str, float]:
    """One repeat: everything once, one after the other."""
    device, encoder = setup.device, setup.encoder
    done: list[Any] = []
    engine_s = timed(lambda: done.append(_engine(encoder, setup.photos)), device)
    summary = done[0].summary
    asked = sum(task["n"] for task in summary["tasks"])
    paper: list[int] = []
    paper_s = timed(lambda: paper.append(straightforward(encoder, setup.tasks, first_only=True)), device)
    with torch.inference_mode():
        tokenizer_s = timed(lambda: encoder.model.image_ids(setup.pixels_BCHW), device)
        transformer_s = timed(lambda: encoder.model.embed(setup.ids, setup.lengths), device)
        half_s = timed(lambda: setup.half.model.image_ids(setup.pixels_BCHW), device)
    plain = matrix_rate(F.linear, setup.shapes, device)
    rate = max(plain, matrix_rate(linear, setup.shapes, device))  # torch holds two CPU libraries; the faster counts
    tokenizer_rate = len(setup.images) * tokenizer_flops(setup.config) / tokenizer_s
    transformer_rate = len(setup.ids) * transformer_flops(setup.config, setup.ids.shape[1]) / transformer_s
    found = {
        "engine, questions/s": asked / engine_s,
        "the paper's loop (one question a family and photo), questions/s": paper[0] / paper_s,
        "engine over the paper's loop": asked / engine_s * paper_s / paper[0],
        "engine: share of time outside encode()": 1 - summary["embedding"]["encode_seconds"] / engine_s,
        "engine: share of time spent waiting for decoding": summary["embedding"]["wait_seconds"] / engine_s,
        "machine: matrix products of the tokenizer's shapes, GFLOP/s": rate / 1e9,
        "machine: the same through torch.nn.functional.linear, GFLOP/s": plain / 1e9,
        "tokenizer, GFLOP/s": tokenizer_rate / 1e9,
        "tokenizer, share of the machine's rate": tokenizer_rate / rate,
        "tokenizer, share of the rate of torch.nn.functional.linear": tokenizer_rate / plain,
        "tokenizer, ms/image": 1e3 * tokenizer_s / len(setup.images),
        "transformer, share of the machine's rate": transformer_rate / rate,
        "transformer, ms/input": 1e3 * transformer_s / len(setup.ids),
        "tokenizer in bf16, times faster than fp32": tokenizer_s / half_s,
    }
    if with_full_loop:
        loop_s = timed(lambda: straightforward(encoder, setup.tasks, first_only=False), device)
        found["engine over the loop that asks every question"] = loop_s / engine_s
    return found


def bench(model: str, photos: int, repeats: int, device: str) -> None:
    setup = Setup(model, photos, device)
    measure(setup, with_full_loop=False)  # a warm-up
    rounds = [measure(setup, with_full_loop=repeat == 0) for repeat in range(repeats)]  # minutes long: once
    print(f"{model} on {device}, {photos} photos; median of {repeats} repeats [min, max]")
    print(f"torch {torch.__version__}, {torch.get_num_threads()} threads")
    for name in rounds[0]:
        values = [row[name] for row in rounds if name in row]
        print(f"{name:64s} {statistics.median(values):9.3f}  [{min(values):.3f}, {max(values):.3f}]")
    print(f"bf16 against fp32: {json.dumps(setup.half.precision_report(setup.images))}")
    print(f"{'peak memory of a run in a process of its own, MiB':64s} {peak_mb(model, photos):9.0f}")


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
