"""Geometry of the embeddings of a run: gap between modalities, uniformity, alignment, effective rank.

None of these is a score: a collapsed encoder is perfectly aligned, a random one perfectly uniform.
"""

from __future__ import annotations

from collections.abc import Mapping
from itertools import combinations
from typing import Any

import numpy as np

from benchmarks.vectors import ROWS, unit
from fuselip.core import seeds

SAMPLE = 2000
"""Vectors of which all pairs are compared: 2 million pairs."""


def geometry(
    by_modality: Mapping[str, np.ndarray], queries_PD: np.ndarray | None = None, answers_PD: np.ndarray | None = None
) -> dict[str, Any]:
    """Of the vectors [N, D] of each modality ("image", "text", "image+text"), and of P queries beside their answers.

    {"count": {modality: N}, "gap": {"image | text": distance of the means of unit vectors, 0 to 2}, "uniformity" and
    "effective_rank": {modality: number}, "alignment": mean squared distance of query and answer, 0 to 4, or None}.
    A modality without vectors is left out; uniformity is None where there are fewer than two.
    """
    held = {name: rows for name, rows in sorted(by_modality.items()) if len(rows)}
    means = {name: _mean(rows) for name, rows in held.items()}
    samples = {name: unit(_sample(rows, name)) for name, rows in held.items()}
    aligned = queries_PD is not None and answers_PD is not None and len(queries_PD) > 0
    return {
        "count": {name: len(rows) for name, rows in held.items()},
        "gap": {
            f"{one} | {other}": float(np.linalg.norm(means[one] - means[other])) for one, other in combinations(held, 2)
        },
        "uniformity": {name: uniformity(rows) for name, rows in samples.items()},
        "effective_rank": {name: effective_rank(rows) for name, rows in samples.items()},
        "alignment": alignment(queries_PD, answers_PD) if aligned else None,  # type: ignore[arg-type]
        "sample": SAMPLE,
    }


def uniformity(units_ND: np.ndarray) -> float | None:
    """log of the mean of exp(-2 d^2) over pairs of distinct rows: 0 where all are one point, about -4 where they fill
    the sphere (Wang and Isola 2020, section 4.1.2). None for fewer than two rows.
    """
    count = len(units_ND)
    if count < 2:
        return None
    rows = units_ND.astype(np.float64)
    lengths = np.sum(rows**2, axis=1)  # 1, or 0 for a vector without direction
    squares = np.maximum(0, lengths[:, None] + lengths - 2 * (rows @ rows.T))[np.triu_indices(count, 1)]
    return float(np.log(np.mean(np.exp(-2 * squares))))


def alignment(queries_PD: np.ndarray, answers_PD: np.ndarray) -> float:
    """Mean squared distance of the unit vectors of query and answer (Wang and Isola 2020, with alpha = 2)."""
    if queries_PD.shape != answers_PD.shape:
        raise ValueError(f"{queries_PD.shape} queries and {answers_PD.shape} answers: there must be one answer each")
    total = 0.0
    for start in range(0, len(queries_PD), ROWS):
        apart = unit(queries_PD[start : start + ROWS]) - unit(answers_PD[start : start + ROWS])
        total += float(np.sum(np.square(apart, dtype=np.float64)))
    return total / len(queries_PD)


def effective_rank(units_ND: np.ndarray) -> float:
    """exp of the entropy of the singular values' shares (Roy and Vetterli 2007), 1 to min(N, D); rows not centred."""
    values = np.linalg.svd(units_ND.astype(np.float64), compute_uv=False)
    if values.sum() == 0:
        return 0.0
    shares = values / values.sum()
    shares = shares[shares > 0]
    return float(np.exp(-np.sum(shares * np.log(shares))))


def lines(found: Mapping[str, Any]) -> list[str]:
    """The same for people: a line a modality, then the gaps and the alignment."""
    text = []
    for name, count in found["count"].items():
        even = found["uniformity"][name]
        spread = "n/a" if even is None else f"{even:.2f}"
        text.append(f"{name}: {count} vectors, uniformity {spread}, effective rank {found['effective_rank'][name]:.1f}")
    text += [f"gap {pair}: {distance:.3f}" for pair, distance in found["gap"].items()]
    if found["alignment"] is not None:
        text.append(f"alignment: {found['alignment']:.3f} (mean squared distance of query and answer)")
    return text


def _mean(rows_ND: np.ndarray) -> np.ndarray:
    total = np.zeros(rows_ND.shape[1])
    for start in range(0, len(rows_ND), ROWS):
        total += unit(rows_ND[start : start + ROWS]).sum(axis=0, dtype=np.float64)
    return total / len(rows_ND)


def _sample(rows_ND: np.ndarray, name: str) -> np.ndarray:
    if len(rows_ND) <= SAMPLE:
        return rows_ND
    return rows_ND[np.sort(seeds.generator("geometry", name).choice(len(rows_ND), SAMPLE, replace=False))]
