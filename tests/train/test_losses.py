"""The contrastive losses: the recorded values of the sigmoid loss, plain formulas, and what must not change them."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pytest
import torch
from torch.nn import functional as F

from fuselip.train import losses, softmax
from fuselip.train.losses import content_keys, sigmoid_loss, weight_of
from fuselip.train.softmax import softmax_loss


def plain(left: torch.Tensor, right: torch.Tensor, scale: torch.Tensor, bias: torch.Tensor) -> torch.Tensor:
    """The formula as the paper writes it, differentiated by autograd."""
    sign = 2 * torch.eye(len(left), dtype=left.dtype) - 1
    return -F.logsigmoid(sign * (scale.exp() * left @ right.T + bias)).sum() / len(left)


def inputs(count: int, width: int = 16) -> list[torch.Tensor]:
    generator = torch.Generator().manual_seed(count)
    left, right = (F.normalize(torch.randn(count, width, generator=generator), dim=-1) for _ in range(2))
    return [tensor.requires_grad_() for tensor in (left, right, torch.tensor(2.3), torch.tensor(-10.0))]


def test_the_recorded_loss_and_gradients(shared: Path) -> None:
    golden = shared / "reference" / "golden"
    told, arrays = json.loads((golden / "loss_siglip.json").read_text()), np.load(golden / "loss_siglip.npz")
    left, right = (torch.tensor(arrays[f"{side}_raw"], requires_grad=True) for side in ("left", "right"))
    scale, bias = torch.tensor(told["log_scale"], requires_grad=True), torch.tensor(told["bias"], requires_grad=True)
    loss = sigmoid_loss(F.normalize(left, dim=-1), F.normalize(right, dim=-1), scale, bias)
    loss.backward()  # type: ignore[no-untyped-call]
    assert loss.item() == pytest.approx(told["loss_normalised"], rel=1e-6)
    assert left.grad is not None
    assert right.grad is not None
    assert scale.grad is not None
    assert bias.grad is not None
    np.testing.assert_allclose(left.grad, arrays["grad_left_raw"], rtol=1e-5, atol=1e-7)
    np.testing.assert_allclose(right.grad, arrays["grad_right_raw"], rtol=1e-5, atol=1e-7)
    assert scale.grad.item() == pytest.approx(told["grad_log_scale"], rel=1e-5)
    assert bias.grad.item() == pytest.approx(told["grad_bias"], rel=1e-5)


@pytest.mark.parametrize("chunk", [1, 3, 7, 100])
def test_chunks_change_nothing(chunk: int, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(losses, "CHUNK", chunk)
    ours, theirs = inputs(7), inputs(7)
    found, wanted = sigmoid_loss(*ours), plain(*theirs)  # type: ignore[arg-type]
    (3 * found).backward()
    (3 * wanted).backward()
    assert found.item() == pytest.approx(wanted.item(), rel=1e-6)
    for a, b in zip(ours, theirs, strict=True):
        torch.testing.assert_close(a.grad, b.grad, rtol=1e-5, atol=1e-7)


def test_rights_of_equal_content_are_no_negatives() -> None:
    left, right, scale, bias = inputs(4)
    keys = content_keys(["a", "b", "a", "c"])
    found = sigmoid_loss(left, right, scale, bias, keys_N=keys)
    logits = scale.exp() * left @ right.T + bias
    terms = -F.logsigmoid((2 * torch.eye(4) - 1) * logits)
    terms = terms.masked_fill((keys[:, None] == keys) & ~torch.eye(4, dtype=torch.bool), 0)
    assert found.item() == pytest.approx(terms.sum().item() / 4, rel=1e-6)
    found.backward()  # type: ignore[no-untyped-call]
    assert left.grad is not None
    torch.testing.assert_close(left.grad, torch.autograd.grad(terms.sum() / 4, left)[0], rtol=1e-5, atol=1e-7)


def test_shares_of_unequal_processes() -> None:
    assert weight_of([3, 5], 0, "global") == weight_of([3, 5], 1, "global") == 1 / 8
    assert weight_of([3, 5], 0, "local") == 1 / 6
    assert weight_of([0, 0], 1, "global") == weight_of([0, 2], 0, "local") == 0


def plain_softmax(left: torch.Tensor, right: torch.Tensor, scale: torch.Tensor, apart: torch.Tensor) -> torch.Tensor:
    """CLIP's loss by torch's own cross entropy."""
    logits = (scale.exp() * left @ right.T).masked_fill(~apart, -torch.inf)
    places = torch.arange(len(left))
    return (F.cross_entropy(logits, places) + F.cross_entropy(logits.T, places)) / 2


@pytest.mark.parametrize("chunk", [1, 3, 100])
@pytest.mark.parametrize("scale", [2.3, 4.6])
@pytest.mark.parametrize("names", ["abcdefg", "aabcdda"])
def test_softmax_loss(chunk: int, scale: float, names: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(softmax, "CHUNK", chunk)
    ours, theirs = inputs(7), inputs(7)
    for given in (ours, theirs):
        given[2] = torch.tensor(scale, requires_grad=True)
    keys = content_keys(list(names))
    apart = (keys[:, None] != keys) | torch.eye(7, dtype=torch.bool)
    found = softmax_loss(*ours[:3], keys_N=keys)
    wanted = plain_softmax(*theirs[:3], apart)
    (3 * found).backward()
    (3 * wanted).backward()
    assert found.item() == pytest.approx(wanted.item(), rel=1e-6)
    for a, b in zip(ours[:3], theirs[:3], strict=True):
        assert a.grad is not None
        assert b.grad is not None
        assert (a.grad - b.grad).norm() < 2e-5 * b.grad.norm()
