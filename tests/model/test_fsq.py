"""Finite scalar quantisation: every code is reached, ids and vectors agree, gradients pass."""

from __future__ import annotations

import math

import pytest
import torch

from fuselip.model.fsq import FSQ


@pytest.mark.parametrize("levels", [(5, 5, 5, 4, 4), (8, 3), (3, 7)])
def test_ids_and_vectors_are_inverse(levels: tuple[int, ...]) -> None:
    fsq = FSQ(levels)
    ids = torch.arange(fsq.num_codes)
    vectors = fsq.vectors(ids)
    assert fsq.num_codes == math.prod(levels) == len(vectors.unique(dim=0))
    assert vectors.abs().max() == 1
    half = torch.tensor([(n - 1) * 0.999 / 2 for n in levels])
    offset = torch.tensor([0.5 * (n % 2 == 0) for n in levels])
    steps = vectors * torch.tensor([n // 2 for n in levels])
    z = torch.atanh((steps + offset) / half * 0.999) - torch.atanh(offset / half)  # what is squeezed to those steps
    assert torch.equal(fsq.ids(z), ids)
    torch.testing.assert_close(fsq(z), vectors, atol=1e-6, rtol=0)


def test_extremes_reach_the_outer_levels() -> None:
    fsq = FSQ((5, 4))
    assert fsq.ids(torch.tensor([[-50.0, -50.0], [50.0, 50.0]])).tolist() == [0, 19]


def test_gradients_pass_the_rounding() -> None:
    z = torch.zeros(3, 5, requires_grad=True)
    FSQ((5, 5, 5, 4, 4))(z).sum().backward()
    assert z.grad is not None
    assert (z.grad > 0.5).all()
