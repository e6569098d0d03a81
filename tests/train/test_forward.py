"""Sides through the models: the sequences of the encoder, its embeddings, and what is hidden from the model."""

from __future__ import annotations

import json
from pathlib import Path

import handmade
import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from name_seeded import name_seeded
from torch.nn import functional as F

from fuselip.core.errors import UserError
from fuselip.model import tokens
from fuselip.model.configs import FuseLIPConfig
from fuselip.model.models import model_of
from fuselip.model.random_init import random_model
from fuselip.train.batch import Side
from fuselip.train.early import Sequences, codes_of, join
from fuselip.train.forward import by_length
from fuselip.train.late import TwoTowers
from fuselip.train.losses import sigmoid_loss
from fuselip.train.masking import IGNORED, Masked, mask, masked_loss

TEXT = st.lists(st.sampled_from([0, 5, 300, 49406, 49407]), max_size=20)


@settings(max_examples=60, deadline=None)
@given(texts=st.lists(TEXT, min_size=1, max_size=6), seed=st.integers(0, 99), context=st.integers(10, 24))
def test_joined_as_the_encoder_joins(texts: list[list[int]], seed: int, context: int) -> None:
    config = FuseLIPConfig("small", "s128", context)
    rng = np.random.default_rng(seed)
    images = rng.integers(-1, 2, len(texts))
    codes = torch.from_numpy(rng.integers(0, 4096, (2, 8)))
    bodies = [[config.sot_id, *text, config.eot_id][:context] for text in texts]
    ids, lengths = tokens.pad(bodies)
    found, ends = join(Side(ids, lengths, torch.from_numpy(images), codes), codes, config)
    image_ids = [[] if row < 0 else (codes[row] + config.image_offset).tolist() for row in images]
    wanted = [tokens.join(image, body, context) for image, body in zip(image_ids, bodies, strict=True)]
    padded, sizes = tokens.pad(wanted)
    assert torch.equal(found, padded)
    assert torch.equal(ends, sizes)


def test_chunks_hold_every_row_once_and_little_padding() -> None:
    lengths = torch.tensor([180, 2, 130, 2, 3, 131, 12, 10])
    chunks = by_length(lengths, 0, 10)
    assert sorted(torch.cat(chunks).tolist()) == list(range(8))
    assert [lengths[chunk].tolist() for chunk in chunks] == [[2, 2, 3], [10, 12], [130, 131], [180]]
    assert len(by_length(lengths, 0, 10_000)) == 1
    assert by_length(lengths[:0], 0) == []
    assert max(len(chunk) for chunk in by_length(torch.full((7,), 5), 3)) == 3


def test_features_are_those_of_single_inputs_in_eval(small_config: FuseLIPConfig) -> None:
    model, _ = random_model(small_config, 0)
    side = handmade.batch(small_config, 9, 1).left
    ids, lengths = join(side, side.codes, small_config)
    prepared = Sequences(model, ids, lengths)
    rows = torch.arange(9)
    features = prepared.embed(rows, None).features
    for row in range(9):
        with torch.no_grad():
            alone = F.normalize(model.embed(ids[row : row + 1, : lengths[row]], lengths[row : row + 1]), dim=-1)
        torch.testing.assert_close(features[row], alone[0], rtol=0, atol=2e-6)
    features.square().sum().backward()
    assert model.positional_embedding.grad is not None
    assert all(parameter.grad is None for parameter in model.image_tokenizer.parameters())


def test_pixels_become_codes_and_wrong_codes_are_refused(small_config: FuseLIPConfig) -> None:
    model, _ = random_model(small_config, 0)
    side = handmade.batch(small_config, 4, 1, pixels=True).left
    codes = codes_of(model, side)
    assert codes is not None
    assert side.pixels is not None
    wanted = model.image_ids(side.pixels.permute(0, 3, 1, 2).float() / 255) - small_config.image_offset
    assert torch.equal(codes, wanted)
    for wrong in (codes[:, :-1], codes + small_config.num_codes):
        with pytest.raises(UserError, match="codes of another tokenizer"):
            codes_of(model, Side(side.text_ids, side.text_lengths, side.image_rows, wrong))


@pytest.mark.parametrize("name", ["small-sf", "small-mlf"])
def test_late_fusion_is_that_of_single_inputs(small_config: FuseLIPConfig, name: str) -> None:
    late = model_of(name).config
    model, _ = random_model(late, 0)
    side = handmade.batch(late, 6, 2).left
    features = TwoTowers(model, side).embed(torch.arange(6), None).features
    assert side.pixels is not None
    for row in range(6):
        text = model.text_embedding(
            side.text_ids[row : row + 1, : side.text_lengths[row]], side.text_lengths[row : row + 1]
        )
        number = int(side.image_rows[row])
        image = torch.zeros_like(text)
        if number >= 0:
            image = model.image_embedding(side.pixels[number : number + 1].permute(0, 3, 1, 2).float() / 255)
        torch.testing.assert_close(features[row], F.normalize(model.fuse(image, text), dim=-1)[0], rtol=0, atol=2e-6)


def test_what_is_hidden(small_config: FuseLIPConfig) -> None:
    side = handmade.batch(small_config, 200, 3).left
    ids, lengths = join(side, side.codes, small_config)
    ids[side.image_rows >= 0, 3] = small_config.image_offset
    ours = mask(ids, lengths, small_config, ratio=0.5, seed=("a",), paper=False)
    hidden = ours.labels != IGNORED
    assert torch.equal(ours.ids[hidden], torch.full_like(ours.ids[hidden], small_config.mask_id))
    assert torch.equal(torch.where(hidden, ours.labels, ours.ids), ids)
    assert not torch.isin(
        ours.labels, torch.tensor([0, small_config.sot_id, small_config.eot_id, small_config.mask_id])
    ).any()
    assert (ours.labels == small_config.image_offset).any()
    candidates = ~torch.isin(ids, torch.tensor([0, small_config.sot_id, small_config.eot_id]))
    assert abs(float(hidden[candidates].float().mean()) - 0.5) < 0.05
    paper = mask(ids, lengths, small_config, ratio=0.5, seed=("a",), paper=True)
    assert (paper.labels == small_config.sot_id).any()
    assert not (paper.labels == small_config.image_offset).any()
    assert not torch.equal(mask(ids, lengths, small_config, ratio=0.5, seed=("b",), paper=False).ids, ours.ids)


def test_nothing_hidden_is_no_loss_and_no_nan(small_config: FuseLIPConfig) -> None:
    model, _ = random_model(small_config, 0)
    side = handmade.batch(small_config, 3, 1).left
    ids, lengths = join(side, side.codes, small_config)
    prepared = Sequences(model, ids, lengths, Masked(ids, torch.full_like(ids, IGNORED)))
    loss = prepared.embed(torch.arange(3), 0.25).mask_loss
    assert loss is not None
    assert loss.item() == 0
    loss.backward()  # type: ignore[no-untyped-call]
    grad = model.mask_prediction_head.dense.weight.grad
    assert grad is not None
    assert not grad.any()


@pytest.mark.slow
def test_the_recorded_masked_losses(shared: Path) -> None:
    """FuseLIP-S on the recorded masked batch: losses, and the gradient of every parameter by norm."""
    golden = shared / "reference" / "golden"
    told, arrays = json.loads((golden / "loss_mmm_S.json").read_text()), np.load(golden / "loss_mmm_S.npz")
    model = name_seeded(FuseLIPConfig("small", "s128", padding="id"))
    features, terms = [], []
    for where in ("left", "right"):
        ids, labels = (torch.from_numpy(arrays[f"{where}_{kind}"].astype(np.int64)) for kind in ("masked", "labels"))
        lengths = (ids == model.config.eot_id).int().argmax(1) + 1
        prepared = Sequences(model, ids, lengths, Masked(ids, labels))
        output = prepared.embed(torch.arange(4), 1 / int((labels != IGNORED).sum()))
        assert output.mask_loss is not None
        assert output.mask_loss.item() == pytest.approx(told[f"ce_{where}"], rel=1e-6)
        features.append(output.features)
        terms.append(output.mask_loss)
    contrastive = sigmoid_loss(*features, model.logit_scale, model.logit_bias)
    assert contrastive.item() == pytest.approx(told["losses"]["contrastive_loss"], rel=1e-6)
    total = contrastive + 0.25 * sum(terms)
    assert total.item() == pytest.approx(told["total"], rel=1e-6)
    total.backward()
    norms = {name: p.grad.norm().item() for name, p in model.named_parameters() if p.grad is not None}
    assert np.sqrt(sum(norm**2 for norm in norms.values())) == pytest.approx(told["grad_norm_total"], rel=1e-4)
    for name, norm in norms.items():
        assert norm == pytest.approx(told["grad_norms"][name], rel=1e-3, abs=1e-5), name


def test_masked_loss_is_the_mean_with_the_right_weight() -> None:
    logits, labels = torch.randn(5, 9), torch.tensor([1, 2, 3, 4, 5])
    torch.testing.assert_close(masked_loss(logits, labels, 1 / 5), F.cross_entropy(logits, labels))
