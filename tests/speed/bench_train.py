"""How fast a training step is, against the straightforward one and against the machine's own matrix-product rate.

    python tests/speed/bench_train.py [--model fuselip-ti ...] [--batch 128] [--repeats 3] [--device cpu]

The straightforward step does what a first version would: the image tokenizer in the loop, every picture of every pair,
every sequence padded to the context, torch's own linear kernels, the table of all similarities, AdamW as torch has it.
Of its prediction head only the hidden tokens are asked for, which favours it. Both begin with the same weights, the
same pairs and the same hidden tokens, and the first losses have to agree. All pictures of the batch are distinct.

Steps alternate within one run, because timings drift between runs. Printed are medians over the repeats [min, max].
"""

from __future__ import annotations

import argparse
import json
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, closing, contextmanager
from functools import partial
from itertools import islice
from pathlib import Path
from typing import Any
from unittest.mock import patch

import numpy as np
import torch
from timing import timed
from torch import Tensor
from torch.nn import functional as F
from torch.nn.utils import clip_grad_norm_

from fuselip.model import linear as kernels
from fuselip.model.checkpoints import Network
from fuselip.model.fuselip import FuseLIP
from fuselip.model.late_fusion import LateFusion
from fuselip.model.models import model_of
from fuselip.model.random_init import random_model
from fuselip.train.batch import Batch, Side
from fuselip.train.config import Loss, Mask, Train
from fuselip.train.data import DataConfig, Part, batches, materialise
from fuselip.train.data.frozen import FrozenTokenizer
from fuselip.train.early import codes_of, join
from fuselip.train.figures import peak_memory
from fuselip.train.flops import TEXT_TOKENS, pair
from fuselip.train.forward import floats
from fuselip.train.gather import Peers
from fuselip.train.masking import IGNORED, mask
from fuselip.train.optim import clamp_scale, decays, temperature, trainable
from fuselip.train.recipes import tiny
from fuselip.train.step import AUTOCAST, Stepper

BATCH = {"fuselip-ti": 128, "siglip-ti-sf": 128, "siglip-ti-mlf": 128, "fuselip-s": 8}
GROUPS = 16  # of the prepared set that the loader reads
LOADS = 10  # batches whose loading is timed
SECONDS = 0.5  # for each shape of matrix product


def config_of(name: str, batch: int, precision: str, device: str) -> Train:
    # The paper's losses, so that masked modelling is timed too.
    settings = {"batch_size": batch, "precision": precision, "device": device, "mask": Mask(), "loss": Loss()}
    return Train(**{**vars(tiny("bench", name)), "steps": 1000, **settings})


def pairs(config: Any, count: int) -> Batch:
    """Half are (picture + text, picture), half (picture, text): 1.5 pictures and one text a pair, as `flops.pair`."""
    rng = np.random.default_rng(0)
    edits = np.arange(count) % 2 == 0

    def side(images_N: np.ndarray, texts_N: np.ndarray) -> Side:
        words = rng.integers(TEXT_TOKENS // 2, TEXT_TOKENS * 3 // 2, count)
        lengths = torch.from_numpy(np.where(texts_N, words, 2))
        ids = torch.from_numpy(rng.integers(1, config.sot_id, (count, int(lengths.max()))))
        places = torch.arange(ids.shape[1])
        ids[:, 0] = config.sot_id
        ids[places == lengths[:, None] - 1] = config.eot_id
        ids[places >= lengths[:, None]] = 0
        rows = torch.from_numpy(np.where(images_N, np.cumsum(images_N) - 1, -1))
        pixels = rng.integers(0, 256, (int(images_N.sum()), config.image_side, config.image_side, 3), np.uint8)
        return Side(ids, lengths, rows, None, torch.from_numpy(pixels))

    left, right = side(np.ones(count, bool), edits), side(edits, ~edits)
    return Batch(left, right, torch.arange(count), tuple(map(str, range(count))))


class Ours:
    """The step of `fuselip train`, with the codes of a token cache."""

    def __init__(self, model: Network, config: Train, batch: Batch) -> None:
        self.stepper = Stepper(model, config, Peers(), torch.device(config.device))
        cached = [side if isinstance(model, LateFusion) else _with_codes(model, side) for side in _sides(batch)]
        self.batch = Batch(cached[0], cached[1], batch.groups, batch.right_keys)
        self.number = 0

    def step(self) -> float:
        """The loss."""
        report = self.stepper.step(self.batch, self.number, [len(self.batch)])
        self.number += 1
        return float(report.shares[:3].sum())


class Straightforward:
    """The step that a first version would have."""

    def __init__(self, model: Network, config: Train, batch: Batch) -> None:
        self.model, self.config, self.batch, self.number = model, config, batch, 0
        self.device = torch.device(config.device)
        named, rest = trainable(model), config.optim
        tables = [
            {"params": [p for name, p in named.items() if decays(name, p) == decay], "weight_decay": weight}
            for decay, weight in ((True, rest.weight_decay), (False, 0.0))
        ]
        self.parameters = list(named.values())
        self.optimizer = torch.optim.AdamW(tables, lr=rest.lr / rest.warmup, betas=(rest.beta1, rest.beta2))

    def step(self) -> float:
        """The loss."""
        self.optimizer.zero_grad()
        with patch.object(kernels, "_onednn", lambda: False), self._autocast():
            outputs = [
                self._embed(side, where) for where, side in zip(("left", "right"), _sides(self.batch), strict=True)
            ]
            left_ND, right_ND = (F.normalize(features.float(), dim=-1) for features, _ in outputs)
            log_scale, bias = temperature(self.model)
            logit_NN = log_scale.exp() * left_ND @ right_ND.T + bias
            sign_NN = 2 * torch.eye(len(logit_NN), device=self.device) - 1
            loss = -F.logsigmoid(sign_NN * logit_NN).sum() / len(logit_NN) + sum(hidden for _, hidden in outputs)
        loss.backward()
        clip_grad_norm_(self.parameters, self.config.optim.clip)
        self.optimizer.step()
        clamp_scale(self.model)
        self.number += 1
        return float(loss.detach())

    def _embed(self, side: Side, where: str) -> tuple[Tensor, Tensor]:
        """Features [N, D] and the weighted loss of the hidden tokens."""
        if isinstance(self.model, LateFusion):
            return self._late(self.model, side), torch.zeros((), device=self.device)
        model, config = self.model, self.model.config
        codes = codes_of(model, side)
        ids_NT, lengths_N = join(side, codes, config)
        masked = mask(
            ids_NT,
            lengths_N,
            config,
            ratio=self.config.mask.ratio,
            seed=("mask", 0, self.number, 0, where),
            paper=False,
        )
        fill = config.context_length - ids_NT.shape[1]
        ids_NT = F.pad(masked.ids, (0, fill)).to(self.device)
        labels_NT = F.pad(masked.labels, (0, fill), value=IGNORED).to(self.device)
        states_NTD = model.hidden(ids_NT, lengths_N.to(self.device))
        features_ND = model.ln_final(states_NTD[torch.arange(len(ids_NT)), lengths_N - 1])
        there_NT = labels_NT != IGNORED
        logits_MV = model.mask_prediction_head(states_NTD[there_NT])
        return features_ND, self.config.mask.weight * F.cross_entropy(logits_MV.float(), labels_NT[there_NT])

    def _late(self, model: LateFusion, side: Side) -> Tensor:
        there_N = side.image_rows >= 0
        assert side.pixels is not None
        images_ME = model.image_embedding(floats(side.pixels[side.image_rows[there_N]], self.device))
        ids_NT = F.pad(side.text_ids, (0, model.config.context_length - side.text_ids.shape[1])).to(self.device)
        texts_NE = model.text_embedding(ids_NT, side.text_lengths.to(self.device))
        images_NE = torch.zeros_like(texts_NE, dtype=images_ME.dtype)
        images_NE[there_N.to(self.device)] = images_ME
        return model.fuse(images_NE, texts_NE)

    def _autocast(self) -> AbstractContextManager[None]:
        precision = self.config.precision
        return torch.autocast(self.device.type, AUTOCAST[precision], enabled=precision != "fp32")


KINDS: dict[str, Callable[[Network, Train, Batch], Any]] = {"ours": Ours, "straightforward": Straightforward}


def make(kind: str, config: Train) -> Any:
    model, _ = random_model(model_of(config.model).config, 0)
    model.to(torch.device(config.device)).train()
    return KINDS[kind](model, config, pairs(model.config, config.batch_size))


@torch.no_grad()
def matrix_rate(shapes: list[tuple[int, int, int]], config: Train) -> float:
    """FLOP/s of products of the shapes (M, K, N), by the faster of the libraries that torch holds."""
    best = 0.0
    for product in (F.linear, kernels.linear):
        flops = spent = 0.0
        for m, k, n in shapes:
            x, weight = (
                torch.randn(*size, device=config.device, dtype=AUTOCAST[config.precision]) for size in ((m, k), (n, k))
            )
            work: Callable[[], Any] = partial(product, x, weight, None)
            timed(work, config.device)
            until = time.perf_counter() + SECONDS / len(shapes)
            while time.perf_counter() < until:
                spent += timed(work, config.device)
                flops += 2.0 * m * k * n
        best = max(best, flops / spent)
    return best


@contextmanager
def loader(config: Train) -> Iterator[Iterator[Any]]:
    """Batches of a small prepared set, with every code cached; the first epoch has filled the cache."""
    model, _ = random_model(model_of(config.model).config, 0)
    tokenizer = FrozenTokenizer(model) if isinstance(model, FuseLIP) else None
    given = DataConfig((Part("datagen.training:scenes", 1.0, {"kind": "flip+rotate"}),))
    with tempfile.TemporaryDirectory() as folder:
        made = materialise(given, model.config, GROUPS, Path(folder, "set"))
        tokens = str(Path(folder, "tokens")) if tokenizer else ""
        data = DataConfig((Part(str(Path(folder, "set"))),), tokens=tokens)
        stream: Any = batches(
            data, model_config=model.config, batch_size=config.batch_size, seed=0, tokenizer=tokenizer
        )
        with closing(stream):
            for _ in islice(stream, 2 * made["pairs"] // config.batch_size + 2):
                pass
            yield stream


def peak_mib(kind: str, config: Train) -> float:
    """Of two steps in a process of their own."""
    given = ["--model", config.model, "--batch", config.batch_size, "--device", config.device]
    given += ["--precision", config.precision, "--memory", kind]
    done = subprocess.run([sys.executable, __file__, *map(str, given)], capture_output=True, text=True, check=True)
    return float(json.loads(done.stdout))


def peak_bytes(device: str) -> float:
    """The most that this process has held; a child's `getrusage` on Linux would begin with its parent's."""
    if device == "cuda" or not Path("/proc/self/status").is_file():
        return peak_memory()
    lines = Path("/proc/self/status").read_text().splitlines()
    return 1024 * float(next(line for line in lines if line.startswith("VmHWM")).split()[1])


def bench(config: Train, repeats: int, with_memory: bool) -> None:
    shape = model_of(config.model).config
    steps = {kind: make(kind, config) for kind in KINDS}
    first = {kind: step.step() for kind, step in steps.items()}  # a warm-up, and both say the same
    assert abs(first["ours"] - first["straightforward"]) < 0.02 * abs(first["ours"]), first
    cost, width, rows = pair(shape, config.mask.ratio).model, shape.dim, config.batch_size * 64
    shapes = [(rows, width, 3 * width), (rows, width, width), (rows, width, 4 * width), (rows, 4 * width, width)]
    found: dict[str, list[float]] = {}
    with loader(config) as stream:
        for _ in range(repeats):
            rate = {kind: config.batch_size / timed(step.step, config.device) for kind, step in steps.items()}
            products, square = matrix_rate(shapes, config), matrix_rate([(2048, 2048, 2048)], config)
            loads = LOADS * config.batch_size / timed(lambda: [next(stream) for _ in range(LOADS)], "cpu")
            for name, value in {
                "our step, pairs/s": rate["ours"],
                "straightforward step, pairs/s": rate["straightforward"],
                "times faster": rate["ours"] / rate["straightforward"],
                "our step, GFLOP/s by flops.pair": rate["ours"] * cost / 1e9,
                "matrix products of the model's shapes, GFLOP/s": products / 1e9,
                "matrix products of 2048 x 2048, GFLOP/s": square / 1e9,
                "our step, share of the products of its shapes": rate["ours"] * cost / products,
                "our step, share of the square product's rate": rate["ours"] * cost / square,
                "loader without workers, pairs/s": loads,
                "loader over step": loads / rate["ours"],
            }.items():
                found.setdefault(name, []).append(value)
    print(f"{config.model}, {config.batch_size} pairs, {config.precision} on {config.device}: median of {repeats}")
    for name, values in found.items():
        print(f"  {name:50s} {statistics.median(values):10.3f}  [{min(values):.3f}, {max(values):.3f}]")
    for kind in KINDS if with_memory else ():
        print(f"  {f'peak memory, {kind}, MiB':50s} {peak_mib(kind, config):10.0f}")


def _sides(batch: Batch) -> tuple[Side, Side]:
    return batch.left, batch.right


def _with_codes(model: FuseLIP, side: Side) -> Side:
    return Side(side.text_ids, side.text_lengths, side.image_rows, codes_of(model, side))


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--model", nargs="+", default=["fuselip-ti", "siglip-ti-sf", "fuselip-s"])
    parser.add_argument("--batch", type=int, help="pairs; default: 128 for the tiny ones, 8 for fuselip-s")
    parser.add_argument("--repeats", type=int, default=3)
    parser.add_argument("--device", default="cpu", choices=["cpu", "cuda"])
    parser.add_argument("--precision", default="fp32", choices=list(AUTOCAST))
    parser.add_argument("--no-memory", action="store_true")
    parser.add_argument("--memory", choices=list(KINDS), help=argparse.SUPPRESS)
    args = parser.parse_args()
    configs = [config_of(name, args.batch or BATCH.get(name, 32), args.precision, args.device) for name in args.model]
    if args.memory:
        alone = make(args.memory, configs[0])
        alone.step(), alone.step()
        print(json.dumps(peak_bytes(args.device) / 2**20))
    else:
        print(f"torch {torch.__version__}, {torch.get_num_threads()} threads")
        for each in configs:
            bench(each, args.repeats, not args.no_memory)
