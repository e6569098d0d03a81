"""Training of TokLIP: the loss by hand, what stays frozen, the teacher's weights as a start, and what is refused."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from typing import Any

import handmade
import numpy as np
import pytest
import small
import torch
from safetensors.torch import load_file, save_file
from torch import Tensor

from fuselip.core.errors import UsageError, UserError
from fuselip.model.checkpoints import save_model
from fuselip.model.configs import FuseLIPConfig
from fuselip.model.late_fusion_config import LateFusionConfig
from fuselip.model.models import model_of
from fuselip.model.random_init import random_model
from fuselip.model.siglip_tower import SigLIPTower
from fuselip.model.toklip import TokLIP
from fuselip.model.toklip_config import SIZES, TokLIPConfig
from fuselip.train.config import Distil, Loss, Optim, Train
from fuselip.train.data import DataConfig, Part
from fuselip.train.flops import pair
from fuselip.train.gather import Peers
from fuselip.train.image_text import ImageOrText
from fuselip.train.loop import train
from fuselip.train.recipes import recipe
from fuselip.train.start import model_of_config
from fuselip.train.step import SHARES, Stepper
from fuselip.train.teacher import TRUNK, begin, teacher_of

PAIRS = 9


@pytest.fixture(scope="module")
def folder(small_config: FuseLIPConfig, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A teacher's checkpoint."""
    path = tmp_path_factory.mktemp("teacher")
    save_model(random_model(model_of(small.TEACHER).config, 5)[0], path)
    return path


def student() -> TokLIP:
    model, _ = random_model(TokLIPConfig("small"), 0)
    return model


def config_of(folder: Path, **settings: Any) -> Train:
    config = Train(
        small.TOKLIP,
        3,
        4,
        loss=Loss(kind="softmax"),
        distil=Distil(str(folder)),
        optim=Optim(lr=1e-2, warmup=0),
        device="cpu",
    )
    return replace(config, **settings)


def stepped(folder: Path, **settings: Any) -> tuple[Stepper, Tensor]:
    model = student()
    config = config_of(folder, **settings)
    stepper = Stepper(model, config, Peers(), torch.device("cpu"), teacher_of(str(folder), model.config))
    return stepper, stepper.gradients(handmade.batch(model.config, PAIRS, 4), 0, [PAIRS])


def test_the_loss_by_hand(folder: Path) -> None:
    """Symmetric cross entropies and 1000 times the mean of squared differences, over both sides' images."""
    stepper, shares = stepped(folder)
    model, teacher = stepper.model, stepper.teacher
    assert isinstance(model, TokLIP)
    assert teacher is not None
    batch = handmade.batch(model.config, PAIRS, 4)
    sides, errors = [], []
    for side in (batch.left, batch.right):
        assert side.pixels is not None
        found = np.zeros((PAIRS, 32))
        for row, number in enumerate(side.image_rows.tolist()):
            with torch.no_grad():
                if number >= 0:
                    pixels = side.pixels[number : number + 1].permute(0, 3, 1, 2).float() / 255
                    found[row] = model.image_embedding(pixels)[0].double().numpy()
                    target = teacher(pixels)[0].double().numpy()
                else:
                    found[row] = model.text_embedding(side.text_ids[row : row + 1])[0].double().numpy()
            found[row] /= np.linalg.norm(found[row])
            if number >= 0:
                errors.append(np.square(found[row] - target / np.linalg.norm(target)).mean())
        sides.append(found)
    logits = np.exp(model.logit_scale.item()) * sides[0] @ sides[1].T
    wanted = -np.mean(
        [each - np.log(np.exp(table).sum(1)) for table in (logits, logits.T) for each in [np.diag(table)]]
    )
    assert float(shares[0]) == pytest.approx(wanted, rel=1e-5)
    assert float(shares[SHARES.index("distil")]) == pytest.approx(1000 * np.mean(errors), rel=1e-4)
    assert len(errors) == 2 * 6


@pytest.mark.parametrize(
    ("setting", "value", "near"),
    [("chunk_pairs", 1, 1e-4), ("chunk_pairs", 4, 1e-4), ("checkpointing", True, 1e-4), ("precision", "bf16", 0.2)],
)
def test_what_must_not_change_the_gradients(folder: Path, setting: str, value: Any, near: float) -> None:
    """Chunks and recomputation not at all, lower precision a little."""
    (whole, shares), (parts, again) = stepped(folder), stepped(folder, **{setting: value})
    torch.testing.assert_close(again, shares, rtol=near / 10, atol=1e-8)
    assert whole.parameters.keys() == parts.parameters.keys()
    for name, parameter in whole.parameters.items():
        if parameter.grad is not None:
            size = float(parameter.grad.norm()) + 1e-3
            other = parts.parameters[name].grad
            assert other is not None, name
            assert float((other - parameter.grad).norm()) < near * size, name


def test_the_image_towers_other_parts_are_trained_with_and_without_a_cache(folder: Path, tmp_path: Path) -> None:
    """Codes and the teacher's features from the cache give the same weights; text tower and tokenizer stay."""
    data = DataConfig((Part("datagen.training:scenes", 1.0, {"kind": "captions", "size": 64, "count": 6}),))
    config = replace(config_of(folder), data=data)
    before = model_of_config(config, lambda line: None).state_dict()
    after = load_file(train(config, tmp_path / "out") / "model.safetensors")
    assert before.keys() == after.keys()
    changed = {key for key, value in after.items() if not torch.equal(value, before[key])}
    frozen = {key for key in before if key.startswith(("text.", f"{TRUNK}vq."))}
    frozen -= {key for key in before if key.startswith((f"{TRUNK}vq_table", f"{TRUNK}vq_mapping"))}
    assert frozen
    assert changed == before.keys() - frozen - {"logit_bias"}
    for out in ("first", "second"):  # which fills the cache, and which reads it
        cached = replace(config, data=replace(data, tokens=str(tmp_path / "tokens")))
        again = load_file(train(cached, tmp_path / out) / "model.safetensors")
        assert all(torch.equal(again[key], value) for key, value in after.items())
    assert len(list((tmp_path / "tokens").glob("*-vectors"))) == 1


def test_the_student_begins_as_the_teacher(folder: Path) -> None:
    model = student()
    teacher = teacher_of(str(folder), model.config)
    assert teacher is not None
    left = begin(model, teacher, "it")
    assert all(key.startswith(f"{TRUNK}attn_pool.") for key in left)
    config = model_of(small.TEACHER).config
    assert isinstance(config, LateFusionConfig)
    source, _ = random_model(config, 5)
    ids = torch.tensor([[2558, 7, 9, 2559, 0, 0], [2558, 8, 2559, 0, 0, 0]])
    with torch.no_grad():
        wanted = source.text_embedding(ids, torch.tensor([4, 3]))
        padded = torch.nn.functional.pad(ids, (0, 64 - 6))
        torch.testing.assert_close(model.text_embedding(padded), wanted, rtol=1e-4, atol=1e-5)
        longer = torch.nn.functional.pad(ids, (0, 64 - 6), value=5)  # what stands after EOT is not read
        torch.testing.assert_close(model.text_embedding(longer), model.text_embedding(padded))
    block = model.visual.trunk.blocks[1]
    assert torch.equal(block.attn.qkv.weight, source.model.visual.transformer.resblocks[1].attn.in_proj_weight)
    assert torch.equal(block.mlp.fc2.bias, source.model.visual.transformer.resblocks[1].mlp.c_proj.bias)


def siglip(path: Path, size: str) -> Path:
    """SigLIP 2's weights of that TokLIP's shape, as open_clip's file holds them."""
    tower, model = SigLIPTower(SIZES[size]), student()
    draws = torch.Generator().manual_seed(3)
    state = {key: value.clone() for key, value in model.state_dict().items() if not key.startswith("visual.")}
    state |= {f"{TRUNK}{key}": torch.randn(value.shape, generator=draws) for key, value in tower.state_dict().items()}
    save_file(state, path)
    return path


def test_a_siglip_teacher(folder: Path, tmp_path: Path) -> None:
    """All but the projector begins as its weights; and its tower sees every patch, whatever the order."""
    file = siglip(tmp_path / "open_clip_model.safetensors", "small")
    model = student()
    teacher = teacher_of(str(tmp_path), model.config)
    assert teacher is not None
    assert begin(model, teacher, "it") == []
    state = load_file(file)
    assert torch.equal(model.visual.trunk.attn_pool.latent, state[f"{TRUNK}attn_pool.latent"])
    assert torch.equal(model.visual.trunk.pos_embed, state[f"{TRUNK}pos_embed"])
    assert teacher(torch.rand(2, 3, 64, 64)).shape == (2, 32)
    tower = SigLIPTower(SIZES["small"])
    tower.load_state_dict({key.removeprefix(TRUNK): value for key, value in state.items() if key.startswith(TRUNK)})
    with torch.no_grad():
        tower.pos_embed.zero_()
        pixels = torch.rand(1, 3, 64, 64)
        upside = torch.cat(list(reversed(pixels.split(16, dim=2))), dim=2)  # the same patches, another order
        torch.testing.assert_close(tower(pixels), tower(upside), rtol=1e-3, atol=1e-3)
    del state[f"{TRUNK}pos_embed"]
    save_file(state | {f"{TRUNK}pos_embed": torch.zeros(1, 64, 32)}, tmp_path / "other.safetensors")
    with pytest.raises(UserError, match=r"does not fit the image tower.*pos_embed \[1, 64, 32\], not \[1, 16, 32\]"):
        teacher_of(str(tmp_path / "other.safetensors"), model.config)


def test_teachers_that_are_refused(folder: Path, tmp_path: Path) -> None:
    config = config_of(folder)

    def said(**settings: Any) -> str:
        with pytest.raises(UserError) as found:
            model_of_config(replace(config, distil=Distil(**settings)), lambda line: None)
        return str(found.value)

    assert "none is named: --set distil.teacher=PATH" in said()
    assert "holds no trained weights of small-sf" in said(teacher="small-sf")
    assert "neither a model that the package ships" in said(teacher=str(tmp_path / "nowhere"))
    save_model(random_model(model_of("siglip-ti-sf").config, 0)[0], tmp_path / "large")
    assert "of another size: it embeds pictures of 64 pixels a side in 160 numbers" in said(
        teacher=str(tmp_path / "large")
    )
    save_model(random_model(model_of("small-sf").config, 0)[0], tmp_path / "wide")
    assert "towers of another shape" in said(teacher=str(tmp_path / "wide"))
    assert teacher_of(str(tmp_path / "wide"), TokLIPConfig("small"))  # which may still teach
    save_model(student(), tmp_path / "student")
    assert "is no late-fusion model" in said(teacher=str(tmp_path / "student"))
    with pytest.raises(UsageError, match="distil is for TokLIP; small-sf is none"):
        model_of_config(replace(config, model="small-sf"), lambda line: None)


def test_without_a_teacher_it_is_contrastive_alone(folder: Path, tmp_path: Path) -> None:
    distil = Distil(weight=0.0, start=False, text="trained")
    config = replace(config_of(folder), distil=distil, batches="handmade:batches")
    after = load_file(train(config, tmp_path / "out") / "model.safetensors")
    before = model_of_config(config, lambda line: None).state_dict()
    assert not torch.equal(after["text.text_projection.weight"], before["text.text_projection.weight"])


def test_image_and_text_at_once_are_refused(folder: Path) -> None:
    model = student()
    side = handmade.batch(model.config, 4, 1).left
    with pytest.raises(UserError, match="no joint embedding to train; give data of pictures with their captions"):
        ImageOrText(model, replace(side, text_lengths=torch.full((4,), 5)), None)


def test_the_published_settings() -> None:
    config = recipe("toklip-s")
    optim = config.optim
    assert (optim.lr, optim.beta1, optim.beta2, optim.eps, optim.weight_decay) == (1e-5, 0.9, 0.95, 1e-6, 0.1)
    assert (optim.warmup, optim.clip, config.loss.kind, config.distil.weight) == (782, 0, "softmax", 1000)
    assert config.steps * config.batch_size == pytest.approx(32 * 10_968_539, rel=1e-6)
    for name, told in (("toklip-s", 219.1), ("toklip-l", 515.9)):  # GFLOP of one picture's tower, as measured by others
        cost = pair(model_of(name).config, 0.0, 1.0, 0.0)
        assert cost.model / 3e9 == pytest.approx(told, rel=0.02)
        assert cost.tokenizer > cost.model / 3
