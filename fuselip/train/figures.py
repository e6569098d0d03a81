"""The figures of a window of steps: mean losses, accuracy by modality, throughput, memory."""

from __future__ import annotations

import math
import resource
import sys

import torch

from fuselip.train.step import SAME, SHARES

LOSSES = ("contrastive", "mask_left", "mask_right", "distil")


def figures(rows: list[dict[str, float]], seconds: float) -> dict[str, float]:
    """Means over the steps of a window; accuracies over all hidden tokens of it."""
    sums = {name: sum(row[name] for row in rows) for name in SHARES}
    means = {name: sums[name] / len(rows) for name in LOSSES}
    nothing = math.nan
    values = {"loss": sum(means.values()), **means, **{name: rows[-1][name] for name in SAME}}
    for kind in ("image", "text"):
        masked = sums[f"{kind}_masked"]
        values[f"mask_accuracy_{kind}"] = sums[f"{kind}_right"] / masked if masked else nothing
    values["pairs"] = sums["pairs"]
    values["pairs_per_second"] = sums["pairs"] / max(seconds, 1e-9)
    values["memory_gib"] = peak_memory() / 2**30
    return values


def peak_memory() -> float:
    """The most bytes that this process has held, on its GPU where it has one."""
    if torch.cuda.is_available():
        return float(torch.cuda.max_memory_allocated())
    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    return float(peak if sys.platform == "darwin" else peak * 1024)
