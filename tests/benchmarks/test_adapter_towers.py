"""CLIP, SigLIP and SigLIP 2 of transformers, in miniature: equal to direct calls, sound, named and hashed."""

from __future__ import annotations

import json
import shutil
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import tiny_models
from PIL import Image

from benchmarks.encoders import Adapted, resolve
from benchmarks.encoders.libraries import picture
from benchmarks.testing import check
from fuselip.core.errors import UserError
from fuselip.core.types import ImageRef, Input

FAMILIES = ("clip", "siglip", "siglip2")


@pytest.fixture(scope="module", params=FAMILIES)
def folder(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Path:
    pytest.importorskip("transformers")
    return tiny_models.towers(request.param, tmp_path_factory.mktemp(request.param))


def spec(folder: Path) -> str:
    return f"{'clip' if folder.name.startswith('clip') else 'siglip'}:{folder}"


def image(seed: int = 0, size: tuple[int, int] = (40, 30)) -> Image.Image:
    pixels = np.random.default_rng(seed).integers(0, 256, (size[1], size[0], 3)).astype(np.uint8)
    return Image.fromarray(pixels)


def unit(vectors: Any) -> np.ndarray:
    array = np.asarray(vectors, np.float32)
    return array / np.linalg.norm(array, axis=-1, keepdims=True)


@pytest.mark.slow
def test_equal_to_direct_calls(folder: Path) -> None:
    import torch
    from transformers import AutoImageProcessor, AutoModel, AutoTokenizer

    pictures = [image(0), image(1, (21, 64))]
    model = AutoModel.from_pretrained(folder).eval()
    tokens = AutoTokenizer.from_pretrained(folder)(
        ["a red circle", "x " * 50],
        padding=True if folder.name.startswith("clip") else "max_length",
        truncation=True,
        max_length=16,
        return_attention_mask=folder.name.startswith("clip"),
        return_tensors="pt",
    )
    pixels = AutoImageProcessor.from_pretrained(folder, backend="pil")(images=pictures, return_tensors="pt")
    with torch.no_grad():
        texts = model.get_text_features(**tokens).pooler_output.numpy()
        images = model.get_image_features(**pixels).pooler_output.numpy()
    refs = [ImageRef.from_pil(each) for each in pictures]
    inputs = [Input("a red circle"), Input("x " * 50), *[Input(image=ref) for ref in refs], Input("x " * 50, refs[0])]
    for fusion, fused in (
        ("normalised-sum", unit(images[0]) + unit(texts[1])),
        ("raw-sum", images[0] + texts[1]),
        ("weighted", 0.25 * unit(images[0]) + 0.75 * unit(texts[1])),
    ):
        encoder = resolve(spec(folder), {"fusion": fusion, "image_weight": "0.25"}, device="cpu", offline=True)
        expected = unit(np.stack([*texts, *images, fused]))
        assert np.abs(encoder.encode(inputs) - expected).max() < 1e-5
        assert np.abs(encoder.encode(encoder.prepare(inputs)) - expected).max() < 1e-5
        assert encoder.info.fusion.startswith(f"late: {fusion}")


@pytest.mark.slow
def test_contract(folder: Path) -> None:
    findings = check(resolve(spec(folder), device="cpu"))
    assert not [str(finding) for finding in findings if finding.status == "fail"]


@pytest.mark.slow
def test_fingerprint_covers_weights_configuration_and_policy(folder: Path, tmp_path: Path) -> None:
    copy = tmp_path / folder.name
    shutil.copytree(folder, copy)
    first = resolve(spec(folder), device="cpu").info
    again = resolve(spec(copy), device="cpu").info
    assert first.fingerprint == again.fingerprint
    assert first.weights is not None
    assert first.weights.source == "local"
    assert str(folder.parent) not in str(first)  # a path may hold a user's name
    prints = {first.fingerprint}
    prints.add(resolve(spec(copy), {"fusion": "raw-sum"}, device="cpu").info.fingerprint)
    prints.add(resolve(spec(copy), device="cpu", precision="bf16").info.fingerprint)
    config = copy / "preprocessor_config.json"
    config.write_text(config.read_text("utf-8").replace("0.5", "0.51").replace("0.48145466", "0.49"), "utf-8")
    prints.add(resolve(spec(copy), device="cpu").info.fingerprint)
    assert len(prints) == 4
    assert None not in prints


@pytest.mark.slow
def test_centred_on_the_bundled_photos(folder: Path) -> None:
    from benchmarks.encoders.centring import TEXTS

    plain = resolve(spec(folder), device="cpu")
    encoder = resolve(spec(folder), {"centre": "bundled"}, device="cpu")
    assert "bundled photos" in encoder.info.fusion
    assert encoder.info.fingerprint != plain.info.fingerprint
    texts = plain.encode([Input(text) for text in TEXTS])
    centred = encoder.encode([Input(text) for text in TEXTS])
    assert np.abs(centred - unit(texts - texts.mean(axis=0))).max() < 1e-4


@pytest.mark.slow
def test_refusals(folder: Path, tmp_path: Path) -> None:
    import safetensors.numpy

    other = "siglip" if spec(folder).startswith("clip") else "clip"
    with pytest.raises(UserError, match=f"write {spec(folder).partition(':')[0]}:"):
        resolve(f"{other}:{folder}")
    with pytest.raises(UserError, match="no revision"):
        resolve(spec(folder), {"revision": "main"})
    copy = tmp_path / folder.name
    shutil.copytree(folder, copy)
    weights = safetensors.numpy.load_file(copy / "model.safetensors")
    weights.pop(sorted(weights)[-1])
    safetensors.numpy.save_file(weights, copy / "model.safetensors", metadata={"format": "pt"})
    with pytest.raises(UserError, match="lacks 1 weights"):  # transformers itself goes on with random ones
        resolve(spec(copy))
    (copy / "model.safetensors").unlink()
    with pytest.raises(UserError, match=r"holds neither \*.safetensors nor"):
        resolve(spec(copy))


@pytest.mark.slow
def test_case_is_lowered_for_siglip_2_alone(folder: Path, tmp_path: Path) -> None:
    def same(spec: str) -> bool:
        upper, lower = resolve(spec, device="cpu").encode([Input("A Cat"), Input("a cat")])
        return np.array_equal(upper, lower)

    assert same(spec(folder)) is folder.name.startswith("siglip2")
    copy = tmp_path / folder.name
    shutil.copytree(folder, copy)
    config = json.loads((copy / "tokenizer_config.json").read_text("utf-8"))
    (copy / "tokenizer_config.json").write_text(json.dumps({**config, "tokenizer_class": "GemmaTokenizer"}), "utf-8")
    # as SigLIP 2 of fixed resolution is published: SigLIP's model with Gemma's tokenizer
    assert same(spec(copy)) is folder.name.startswith("siglip")


@pytest.mark.slow
def test_half_precision_is_near(folder: Path) -> None:
    inputs = [Input("a red circle", ImageRef.from_pil(image(3)))]
    exact, rough = (resolve(spec(folder), device="cpu", precision=each).encode(inputs) for each in ("fp32", "bf16"))
    assert 0 < np.abs(exact - rough).max() < 0.05


def test_a_missing_package_is_named(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    import sys

    for module, prefix, extra in (
        ("transformers", "clip", "transformers"),
        ("transformers", "vlm", "transformers"),
        ("sentence_transformers", "st", "encoders"),
        ("mteb", "mteb", "encoders"),
    ):
        monkeypatch.setitem(sys.modules, module, None)
        with pytest.raises(UserError, match=rf"pip install 'fuselip\[{extra}\]'"):
            resolve(f"{prefix}:{tmp_path}")


def test_a_name_that_is_nowhere() -> None:
    from benchmarks.encoders import checkpoint

    with pytest.raises(UserError, match="no folder nobody/nothing here, and the hub did not give it"):
        checkpoint.find("nobody/nothing", offline=True)


def test_strips_are_cut_to_their_middle() -> None:
    wide = Image.new("RGB", (1000, 2), "white")
    wide.putpixel((500, 1), (255, 0, 0))
    cut = picture(ImageRef.from_pil(wide))
    assert cut.size == (200, 2)
    assert cut.getpixel((100, 1)) == (255, 0, 0)
    assert picture(ImageRef.from_pil(wide.rotate(90, expand=True))).size == (2, 200)
    assert picture(ImageRef.from_pil(image(0))).size == (40, 30)


def test_prefixes_are_listed_and_resolve_first() -> None:
    from benchmarks.encoders import list_models

    names = {row.name for row in list_models()}
    assert {"clip:NAME", "siglip:NAME", "st:NAME", "vlm:NAME", "mteb:NAME", "open_clip:NAME", "https:NAME"} <= names
    with pytest.raises(UserError, match="names no model"):
        resolve("clip:")
    assert isinstance(resolve("http://127.0.0.1:1/v1", {"model": "m"}), Adapted)
