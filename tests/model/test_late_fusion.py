"""The late-fusion baselines: against recordings of the reference code, and what they promise as encoders."""

from __future__ import annotations

import json
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from golden_cases import GOLDEN, INPUTS, LATE, drawn, encoder_of, long_text, official, pixels_of
from PIL import Image
from tiny import LATE_TINY
from torch.nn import functional as F

import fuselip
from benchmarks.encoders.registry import resolve
from fuselip.core.errors import UsageError, UserError
from fuselip.core.towers import Separable
from fuselip.core.types import ImageRef, Input
from fuselip.model.checkpoints import blank, save_model
from fuselip.model.late_fusion_config import LateFusionConfig
from fuselip.model.late_fusion_encoder import LateFusionEncoder
from fuselip.model.models import MODELS
from fuselip.model.random_init import random_model
from fuselip.model.tokens import pad

TOLERANCE = 1e-5
RECORDED = {"siglip-s-sf": "S_SF", "siglip-s-mlf": "S_MLF", "siglip-b-sf": "B_SF", "siglip-b-mlf": "B_MLF"}


@pytest.fixture(scope="module", params=LATE)
def golden(request: pytest.FixtureRequest) -> tuple[str, LateFusionEncoder]:
    encoder = encoder_of(official(request.param))
    assert isinstance(encoder, LateFusionEncoder)
    return request.param, encoder


@pytest.fixture(params=LATE_TINY)
def encoder(request: pytest.FixtureRequest, tiny_late: None) -> LateFusionEncoder:
    return fuselip.load(request.param, weights="random", device="cpu")


def test_own_golden_files(golden: tuple[str, LateFusionEncoder]) -> None:
    name, encoder = golden
    wanted = np.load(GOLDEN / f"{name}.npz")
    rows = np.stack([wanted[f"emb__{key}"] for key in INPUTS])
    together = encoder.encode(list(INPUTS.values()))
    single = np.concatenate([encoder.encode([value]) for value in INPUTS.values()])
    assert np.abs(together - rows).max() < TOLERANCE
    assert np.abs(together - single).max() < 1e-6


def test_reference_recordings(golden: tuple[str, LateFusionEncoder], shared: Path) -> None:
    name, encoder = golden
    folder = shared / "reference" / "golden"
    recorded = np.load(folder / f"featurefuse_{RECORDED[name]}_outputs.npz")
    cases = json.loads((folder / f"featurefuse_{RECORDED[name]}_outputs.json").read_text())["inputs"]
    photos = {case["image"]: folder / "photos" / f"{case['image']}_256.png" for case in cases if case["image"]}
    values = [(photos[case["image"]] if case["image"] else None, case["text"] or "") for case in cases]
    batch = encoder.prepare(values)
    texts = {"empty": encoder.tokenize_text("")}
    texts |= {case["id"]: ids for case, ids in zip(cases, batch.text_ids, strict=True)}
    with torch.inference_mode():
        image_rows = {
            key: encoder.model.image_embedding(pixels_of(Image.open(path)))[0] for key, path in photos.items()
        }
        text_rows = {key: encoder.model.text_embedding(*pad([ids]))[0] for key, ids in texts.items()}
        zero = torch.zeros(encoder.model.config.dim)
        raw = encoder.model.fuse(
            torch.stack([image_rows.get(case["image"], zero) for case in cases]),
            torch.stack([text_rows[case["id"]] for case in cases]),
        )
    for key, wanted in recorded.items():
        kind, _, case = key.partition("__")
        number = next((i for i, each in enumerate(cases) if each["id"] == case), -1)
        if kind == "text_ids":
            assert texts[case] + [0] * (180 - len(texts[case])) == wanted.tolist(), key
        elif kind.startswith("tower"):
            found = (image_rows if "image" in kind else text_rows)[case]
            np.testing.assert_allclose(found, wanted, atol=TOLERANCE, rtol=0, err_msg=key)
        elif kind == "emb_raw":
            np.testing.assert_allclose(raw[number], wanted, atol=TOLERANCE, rtol=0, err_msg=key)
    rows = np.stack([recorded[f"emb__{case['id']}"] for case in cases])
    assert np.abs(encoder.encode(batch) - rows).max() < TOLERANCE
    assert np.abs(np.concatenate([encoder.encode([value]) for value in values]) - rows).max() < TOLERANCE


def test_reference_recordings_without_the_empty_text(golden: tuple[str, LateFusionEncoder], shared: Path) -> None:
    name, encoder = golden
    folder = shared / "reference" / "golden"
    recorded = np.load(folder / f"featurefuse_{RECORDED[name]}_outputs.npz")
    cases = json.loads((folder / f"featurefuse_{RECORDED[name]}_outputs.json").read_text())["inputs"]
    wanted = {key.removeprefix("emb_noappend__"): recorded[key] for key in recorded if key.startswith("emb_noappend__")}
    assert len(wanted) == (2 if name.endswith("sf") else 1)
    encoder.append_empty_text = False
    try:
        for case in (case for case in cases if case["id"] in wanted):
            image = folder / "photos" / f"{case['image']}_256.png" if case["image"] else None
            found = encoder.encode([(image, case["text"] or "")])[0]
            np.testing.assert_allclose(found, wanted[case["id"]], atol=TOLERANCE, rtol=0)
    finally:
        encoder.append_empty_text = True


@pytest.mark.parametrize("name", RECORDED)
def test_official_keys(name: str, shared: Path) -> None:
    path = shared / "reference" / "golden" / f"featurefuse_{RECORDED[name]}_state_dict.json"
    wanted = {key: entry["shape"] for key, entry in json.loads(path.read_text()).items()}
    found = {key: list(tensor.shape) for key, tensor in blank(MODELS[name].config).state_dict().items()}
    assert list(found.items()) == list(wanted.items())


@pytest.mark.parametrize(
    ("name", "keys", "numbers"),
    [
        ("siglip-s-sf", 303, 62_320_130),
        ("siglip-s-mlf", 358, 70_010_498),
        ("siglip-b-sf", 303, 149_719_554),
        ("siglip-b-mlf", 358, 163_381_250),
    ],
)
def test_sizes_of_the_paper_s_models(name: str, keys: int, numbers: int) -> None:
    state = blank(MODELS[name].config).state_dict()
    assert (len(state), sum(tensor.numel() for tensor in state.values())) == (keys, numbers)


def test_company_does_not_matter(encoder: LateFusionEncoder) -> None:
    values: list[Any] = [long_text(n) for n in (1, 2, 30, 40, 300)] + [
        (drawn("rings"), long_text(n)) for n in (0, 5, 300)
    ]
    values += ["ends <end_of_text> seen", "a price of !$ and !%", drawn("plaid"), long_text(2)]
    together = encoder.encode(values)
    assert together.shape == (12, 32)
    assert together.dtype == np.float32
    np.testing.assert_allclose(np.linalg.norm(together, axis=1), 1, atol=1e-6)
    np.testing.assert_allclose(together, np.concatenate([encoder.encode([v]) for v in values]), atol=1e-6)
    np.testing.assert_allclose(encoder.encode(values[::-1])[::-1], together, atol=1e-6)
    np.testing.assert_array_equal(encoder.encode(encoder.prepare(values)), together)
    assert encoder.encode([]).shape == (0, 32)


def test_nothing_goes_through_a_tower_twice(encoder: LateFusionEncoder, monkeypatch: pytest.MonkeyPatch) -> None:
    seen: dict[str, int] = {"images": 0, "texts": 0}
    towers = {"images": encoder.model.model.visual, "texts": encoder.model.model.text}
    for key, tower in towers.items():
        tower.register_forward_pre_hook(lambda _, args, key=key: seen.__setitem__(key, seen[key] + len(args[0])))
    plaid, rings = drawn("plaid"), drawn("rings")
    encoder.encode([(plaid, "one"), (plaid, "two"), plaid, rings, (rings, "one"), "one", "two", "One "])
    assert seen == {"images": 2, "texts": 3}  # "one", "two" and the empty string
    seen.update(images=0, texts=0)
    encoder.encode(["one"])
    assert seen == {"images": 0, "texts": 1}


def test_sums_of_the_towers(tiny_late: None) -> None:
    encoder = fuselip.load("tiny-sf", weights="random", device="cpu")
    alone = fuselip.load("tiny-sf", weights="random", device="cpu", append_empty_text=False)
    rings = drawn("rings")
    with torch.inference_mode():
        image = F.normalize(encoder.model.image_embedding(pixels_of(rings)), dim=-1)
        ids = [encoder.tokenize_text(text) for text in ("", "flip")]
        empty, flip = (F.normalize(encoder.model.text_embedding(*pad([each])), dim=-1) for each in ids)
    for each, value, wanted in (
        (encoder, rings, image + empty),
        (encoder, (rings, " "), image + empty),
        (encoder, "flip", flip),
        (encoder, (rings, "flip"), image + flip),
        (alone, rings, image),
        (alone, (rings, "flip"), image + flip),
        (alone, "flip", flip),
        (alone, " ", empty),  # a text of white space alone is all that this input has
    ):
        np.testing.assert_allclose(each.encode([value]), F.normalize(wanted, dim=-1), atol=1e-6)
    assert alone.info.fingerprint != encoder.info.fingerprint
    assert alone.info.settings["append_empty_text"] is False


def test_mlf_needs_a_text(tiny_late: None) -> None:
    encoder = fuselip.load("tiny-mlf", weights="random", device="cpu", append_empty_text=False)
    assert encoder.encode(["flip", (drawn("rings"), "flip")]).shape == (2, 32)
    with pytest.raises(UserError, match=r"input 1 is an image without text.*leave append_empty_text on"):
        encoder.encode(["flip", drawn("rings")])


def test_missing_rows_count_as_zero(encoder: LateFusionEncoder) -> None:
    """`fuse` with masks is `fuse` of rows that are zero; the model is differentiable with them."""
    model = encoder.model
    images, texts = torch.randn(4, 32), torch.randn(4, 32)
    has_image, has_text = torch.tensor([True, False, True, False]), torch.tensor([True, True, False, True])
    masked = model.fuse(images, texts, has_image, has_text)
    zeroed = model.fuse(images * has_image[:, None], texts * has_text[:, None])
    torch.testing.assert_close(masked, zeroed)
    assert (masked - model.fuse(images, texts)).abs().amax(1).ge(1e-3).tolist() == [False, True, True, True]


@pytest.mark.parametrize("fusion", LATE_TINY.values())
def test_every_parameter_gets_a_gradient(fusion: str, tiny_late: None) -> None:
    model, _ = random_model(LateFusionConfig("tiny", fusion), 0)
    images = model.image_embedding(torch.rand(2, 3, 256, 256))
    texts = model.text_embedding(*pad([[49406, 320, 49407], [49406, 49407]]))
    fused = F.normalize(model.fuse(images, texts, torch.tensor([True, False])), dim=-1)
    (fused[0] @ fused[1].roll(1) + images.sum() * 1e-3).backward()
    for key, parameter in model.named_parameters():
        if not key.startswith("model.logit"):
            assert parameter.grad is not None, key
            assert parameter.grad.isfinite().all(), key
            assert parameter.grad.any(), key


def test_padding_follows_the_checkpoint(tiny_late: None, tmp_path: Path) -> None:
    model, _ = random_model(MODELS["tiny-sf"].config, 0)
    pair = []
    for padding in ("id", "length"):
        model.config = replace(MODELS["tiny-sf"].config, padding=padding)
        save_model(model, tmp_path / padding)
        pair.append(fuselip.load("tiny-sf", weights=str(tmp_path / padding), device="cpu"))
    quirk, plain = (np.stack([each.encode([text])[0] for each in pair]) for text in ("a !$ b", "a cat"))
    assert np.abs(quirk[0] - quirk[1]).max() > 1e-4
    np.testing.assert_array_equal(plain[0], plain[1])


def test_the_record(encoder: LateFusionEncoder) -> None:
    info, name = encoder.info, encoder.info.name
    assert info.label == f"{name} [random init]"
    assert info.fusion == {"tiny-sf": "late: normalised-sum (SF)", "tiny-mlf": "late: MLF"}[name]
    assert (info.dim, info.roles, info.instructions) == (32, "ignored", "ignored")
    assert info.params == sum(parameter.numel() for parameter in encoder.model.parameters())
    assert info.fingerprint == fuselip.load(name, weights="random", device="cpu").info.fingerprint
    for other in ({"seed": 1}, {"precision": "bf16"}):
        changed = fuselip.load(name, **({"weights": "random", "device": "cpu"} | other))
        assert changed.info.fingerprint != info.fingerprint
        if "precision" in other:
            values = ["a cat", (drawn("rings"), "flip"), drawn("plaid")]
            assert 0 < np.abs(changed.encode(values) - encoder.encode(values)).max() < 0.03


def test_the_command_line_s_registry(tiny_late: None) -> None:
    adapted = resolve("siglip-s-sf", {"append_empty_text": "false"}, weights="random", device="cpu")
    assert adapted.info.settings["append_empty_text"] is False
    with pytest.raises(UsageError, match=r"append_empty_text is for late fusion"):
        resolve("fuselip-s", {"append_empty_text": "false"}, weights="random", device="cpu")


@pytest.mark.parametrize("append", [True, False])
def test_towers_and_join_give_what_encode_gives(encoder: LateFusionEncoder, append: bool) -> None:
    encoder.append_empty_text = append
    photo = ImageRef.from_pil(drawn("plaid"))
    inputs = [Input("a cat", photo), Input("turn it", photo), Input("a cat")]
    inputs += [Input(image=photo)] if append or encoder.model.config.fusion == "add" else []
    assert isinstance(encoder, Separable)
    sides = [np.zeros((len(inputs), encoder.model.config.dim), np.float32) for _ in range(2)]
    has_image = np.array([item.image is not None for item in inputs])
    has_text = np.array([bool(item.text) for item in inputs])
    sides[0][has_image] = encoder.encode_images(encoder.prepare_images([photo]))[0]
    sides[1][has_text] = encoder.encode_texts([item.text for item in inputs if item.text])
    np.testing.assert_allclose(encoder.join(*sides, has_image, has_text), encoder.encode(inputs), atol=2e-6)
