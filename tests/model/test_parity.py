"""The model against recordings: of the reference code (where shared/ is present) and our own small golden files."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pytest
import torch
from golden_cases import FUSELIP, GOLDEN, INPUTS, VARIANTS, drawn, encoder_of, official, pixels_of
from name_seeded import name_seeded_titok
from PIL import Image
from torch.nn import functional as F

from fuselip.model.checkpoints import blank
from fuselip.model.configs import FuseLIPConfig
from fuselip.model.encoder import FuseLIPEncoder
from fuselip.model.sizes import EOT, TITOKS

TOLERANCE = 1e-5
NAMES = [pytest.param(name, id=name[-1].upper()) for name in FUSELIP]


@pytest.fixture(scope="module", params=NAMES)
def encoder(request: pytest.FixtureRequest) -> FuseLIPEncoder:
    return encoder_of(official(request.param))


def test_own_golden_files(encoder: FuseLIPEncoder) -> None:
    name = next(name for name in FUSELIP if official(name) == encoder.model.config)
    golden = np.load(GOLDEN / f"{name}.npz")
    together = encoder.encode(list(INPUTS.values()))
    for row, (key, value) in zip(together, INPUTS.items(), strict=True):
        assert encoder.sequence(value) == golden[f"seq__{key}"].tolist(), key
        np.testing.assert_allclose(encoder.encode([value])[0], golden[f"emb__{key}"], atol=TOLERANCE, rtol=0)
        np.testing.assert_allclose(row, golden[f"emb__{key}"], atol=TOLERANCE, rtol=0)


def test_reference_recordings(encoder: FuseLIPEncoder, shared: Path) -> None:
    folder = shared / "reference" / "golden"
    size = "S" if encoder.model.config.transformer == "small" else "B"
    recorded = np.load(folder / f"fuselip_{size}_outputs.npz")
    for key in (key for key in recorded if key.startswith("imgtok_ids__")):
        photo = folder / "photos" / f"{key.removeprefix('imgtok_ids__')}_256.png"
        assert encoder.tokenize_image(photo) == recorded[key].tolist(), photo.name
    cases = json.loads((folder / f"fuselip_{size}_outputs.json").read_text())["inputs"]
    values = []
    for case in cases:
        image = Image.open(folder / "photos" / f"{case['image']}_256.png") if case["image"] else None
        values.append((image, case["text"]))
        sequence, wanted = encoder.sequence(values[-1]), recorded[f"sequence__{case['id']}"].tolist()
        assert sequence == wanted[: len(sequence)], case["id"]
        assert not any(wanted[len(sequence) :]), case["id"]
        if f"text_ids__{case['id']}" in recorded:
            ids = encoder.tokenize_text(case["text"] or "")
            assert ids + [0] * (180 - len(ids)) == recorded[f"text_ids__{case['id']}"].tolist()
    wanted_rows = np.stack([recorded[f"emb__{case['id']}"] for case in cases])
    single = np.concatenate([encoder.encode([value]) for value in values])
    assert np.abs(single - wanted_rows).max() < TOLERANCE
    assert np.abs(encoder.encode(values) - wanted_rows).max() < TOLERANCE


@pytest.mark.parametrize(("size", "name"), [("S", "fuselip-s"), ("B", "fuselip-b")])
def test_official_configuration_and_keys(size: str, name: str, shared: Path) -> None:
    folder = shared / "reference" / "golden"
    recorded = json.loads((folder / f"fuselip_{size}_config.json").read_text())
    config = FuseLIPConfig.from_json(recorded)
    assert config == official(name)
    assert config.to_json() == recorded
    shapes = {key: list(tensor.shape) for key, tensor in blank(config).state_dict().items()}
    wanted = json.loads((folder / f"fuselip_{size}_state_dict.json").read_text())
    assert list(shapes.items()) == [(key, entry["shape"]) for key, entry in wanted.items()]


@pytest.mark.parametrize("side", ["left", "right"])
def test_prediction_head_against_the_recorded_loss(side: str, shared: Path) -> None:
    """Cross entropy of the masked tokens, which needs `hidden` on a padded batch and the tied head."""
    recorded = np.load(shared / "reference" / "golden" / "loss_mmm_S.npz")
    wanted = json.loads((shared / "reference" / "golden" / "loss_mmm_S.json").read_text())
    model = encoder_of(official("fuselip-s")).model
    ids, labels = (torch.from_numpy(recorded[f"{side}_{kind}"]).long() for kind in ("masked", "labels"))
    lengths = (ids == EOT).int().argmax(1) + 1
    with torch.inference_mode():
        logits = model.mask_prediction_head(model.hidden(ids, lengths)[labels >= 0])
        features = F.normalize(model.embed(ids, lengths), dim=-1)
    assert F.cross_entropy(logits, labels[labels >= 0]).item() == pytest.approx(wanted[f"ce_{side}"], abs=1e-4)
    np.testing.assert_allclose(features, recorded[f"{side}_features"], atol=TOLERANCE)


@pytest.mark.parametrize(
    "key", [pytest.param(key, marks=[pytest.mark.slow] if key == "l32" else []) for key in VARIANTS]
)
def test_every_titok_encoder(key: str) -> None:
    wanted = np.load(GOLDEN / "titok.npz")[key]
    with torch.inference_mode():
        ids = name_seeded_titok(TITOKS[key]).encode_ids(pixels_of(drawn("rings")))[0]
    assert ids.tolist() == wanted.tolist()
    assert len(ids) == TITOKS[key].num_latents
