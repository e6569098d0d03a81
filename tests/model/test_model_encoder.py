"""The encoder as users call it: what it takes, what it promises, its record."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
import tiny
import torch
from golden_cases import drawn, long_text
from hypothesis import given
from hypothesis import strategies as st
from PIL import Image

import fuselip
from fuselip.core.encoder import info_of
from fuselip.core.errors import UsageError, UserError
from fuselip.core.types import ImageRef, Input
from fuselip.model.configs import FuseLIPConfig
from fuselip.model.encoder import FuseLIPEncoder
from fuselip.model.sizes import EOT, SOT
from fuselip.model.tokens import by_length, join, pad


@pytest.fixture
def encoder(tiny_config: FuseLIPConfig) -> FuseLIPEncoder:
    return fuselip.load(tiny.NAME, weights="random", device="cpu")


@pytest.fixture
def path(tmp_path: Path) -> Path:
    drawn("rings").save(tmp_path / "rings.png")
    return tmp_path / "rings.png"


def test_a_mixed_list(encoder: FuseLIPEncoder, path: Path) -> None:
    values = ["a cat", path, drawn("plaid"), (path, "flip"), Input("a cat"), ImageRef.from_file(path), str(path)]
    vectors = encoder.encode(values)
    assert vectors.shape == (7, 32)
    assert vectors.dtype == np.float32
    np.testing.assert_allclose(np.linalg.norm(vectors, axis=1), 1, atol=1e-6)
    np.testing.assert_allclose(vectors[0], vectors[4], atol=1e-6)
    np.testing.assert_allclose(vectors[1], vectors[5], atol=1e-6)
    assert np.abs(vectors[1] - vectors[6]).max() > 0.01  # a str is text, even where it names a file
    assert np.abs(vectors[1] - vectors[3]).max() > 0.001
    assert encoder.encode([]).shape == (0, 32)
    with pytest.raises(TypeError, match="list of inputs"):
        encoder.encode("a cat")


def test_company_does_not_matter(encoder: FuseLIPEncoder, path: Path) -> None:
    """Neither the other inputs, nor the order, nor preparing ahead change a vector."""
    values = [long_text(n) for n in (1, 2, 30, 40, 200)] + [(path, long_text(n)) for n in (0, 5, 300)]
    values += ["ends early <end_of_text> unseen", "a price of !$ and !%"]
    together = encoder.encode(values)
    single = np.concatenate([encoder.encode([value]) for value in values])
    np.testing.assert_allclose(together, single, atol=1e-6)
    np.testing.assert_allclose(encoder.encode(values[::-1])[::-1], together, atol=1e-6)
    np.testing.assert_array_equal(encoder.encode(encoder.prepare(values)), together)


def test_each_image_is_tokenized_once(encoder: FuseLIPEncoder, path: Path) -> None:
    batch = encoder.prepare([(path, "one"), (path, "two"), path, "text", drawn("plaid")])
    assert batch.pixels.shape == (2, 256, 256, 3)
    assert batch.image_rows == [0, 0, 0, None, 1]


def test_resizing_comes_before_colour(encoder: FuseLIPEncoder, tmp_path: Path) -> None:
    """Palette files are resampled as palettes, as the published models' preprocessing does."""
    palette = drawn("rings").resize((100, 60)).quantize(16)
    palette.save(tmp_path / "palette.png")
    batch = encoder.prepare([tmp_path / "palette.png"])
    wanted = Image.open(tmp_path / "palette.png").resize((256, 256), Image.Resampling.BICUBIC).convert("RGB")
    np.testing.assert_array_equal(batch.pixels[0], np.asarray(wanted))
    assert len(np.unique(batch.pixels.reshape(-1, 3), axis=0)) <= 16


def test_ids_are_reachable(encoder: FuseLIPEncoder, path: Path) -> None:
    image, text = encoder.tokenize_image(path), encoder.tokenize_text("a cat")
    assert len(image) == 8
    assert all(49409 <= i < 49409 + 64 for i in image)
    assert text == [SOT, 320, 2368, EOT]
    assert encoder.sequence((path, "a cat")) == image + text
    assert encoder.sequence(path) == [*image, SOT, EOT]
    cut = encoder.sequence((path, long_text(300)))
    assert len(cut) == 180
    assert cut[-1] == EOT
    assert encoder.sequence("early <end_of_text> late") == [*encoder.tokenize_text("early")]


def test_padding_follows_the_checkpoint(tiny_config: FuseLIPConfig, tmp_path: Path) -> None:
    """Id 0 inside a text is padding for official checkpoints alone; on other texts both agree."""
    from dataclasses import replace

    from fuselip.model.random_init import random_model

    model = random_model(tiny_config, 0)[0]
    encoders = [
        fuselip.load(
            tiny.NAME,
            weights=str(
                tiny.write_checkpoint(tmp_path / padding, replace(tiny_config, padding=padding), model.state_dict())
            ),
        )
        for padding in ("id", "length")
    ]
    quirk, plain = (np.stack([e.encode([text])[0] for e in encoders]) for text in ("a !$ b", "a cat"))
    assert np.abs(quirk[0] - quirk[1]).max() > 1e-4
    np.testing.assert_array_equal(plain[0], plain[1])


def test_the_record(encoder: FuseLIPEncoder) -> None:
    info = info_of(encoder)
    assert info.label == f"{tiny.NAME} [random init]"
    assert (info.dim, info.fusion, info.roles, info.instructions) == (32, "early", "ignored", "ignored")
    assert info.params == sum(p.numel() for p in encoder.model.parameters())
    assert info.weights is not None
    assert len(info.weights.sha256 or "") == 64
    assert info.fingerprint == fuselip.load(tiny.NAME, weights="random", device="cpu").info.fingerprint
    for other in ({"seed": 1}, {"precision": "bf16"}):
        changed = fuselip.load(tiny.NAME, **({"weights": "random", "device": "cpu"} | other))
        assert changed.info.fingerprint != info.fingerprint


@pytest.mark.parametrize("precision", ["bf16", "fp16"])
def test_lower_precision(tiny_config: FuseLIPConfig, path: Path, encoder: FuseLIPEncoder, precision: str) -> None:
    lower = fuselip.load(tiny.NAME, weights="random", device="cpu", precision=precision)
    refs = [ImageRef.from_file(path), ImageRef.from_pil(drawn("plaid"))]
    report = lower.precision_report(refs)
    here, exact = (np.array([e.tokenize_image(ref) for ref in refs]) for e in (lower, encoder))
    assert report["ids_changed"] == np.mean(here != exact)
    assert (report["precision"], report["images"], report["ids"]) == (precision, 2, 16)
    assert lower.model.tokenizer.quantize.embedding.weight.dtype == torch.float32
    vectors = np.stack([e.encode(["a cat on a mat"])[0] for e in (lower, encoder)])
    assert 0 < np.abs(vectors[0] - vectors[1]).max() < 0.02
    assert encoder.precision_report(refs)["ids_changed"] == 0
    with pytest.raises(UserError, match="at least one image"):
        lower.precision_report([])


@pytest.mark.slow
def test_compiled_blocks_give_the_same_vectors(tiny_config: FuseLIPConfig, path: Path, encoder: FuseLIPEncoder) -> None:
    compiled = fuselip.load(tiny.NAME, weights="random", device="cpu", compile=True)
    values = ["a cat", (path, "flip"), path, "a dog on a mat"]
    np.testing.assert_allclose(compiled.encode(values), encoder.encode(values), atol=1e-5)
    assert compiled.info.fingerprint != encoder.info.fingerprint


def test_bad_options() -> None:
    for options, told in (
        ({"device": "gpu"}, "unknown device 'gpu'"),
        ({"precision": "fp64"}, "unknown precision"),
    ):
        with pytest.raises(UsageError, match=told):
            fuselip.load("fuselip-s", weights="random", **options)
    with pytest.raises(UsageError, match="did you mean 'fuselip-s'"):
        fuselip.load("fuselip-ss")
    if not torch.cuda.is_available():
        with pytest.raises(UserError, match="cuda is not available"):
            fuselip.load("fuselip-s", weights="random", device="cuda")


def test_importing_fuselip_leaves_torch_alone() -> None:
    code = (
        "import sys, fuselip, fuselip.model.sizes; fuselip.Input, fuselip.ImageRef, fuselip.__version__;"
        "sys.exit('torch' in sys.modules)"
    )
    assert subprocess.run([sys.executable, "-c", code], check=False).returncode == 0


ids = st.lists(st.integers(1, 400), max_size=8)


@given(ids, ids, st.integers(2, 16))
def test_joined_sequences(image: list[int], text: list[int], context: int) -> None:
    joined = join(image, [SOT, *text, EOT], context)
    assert len(joined) == min(context, len(image) + len(text) + 2)
    assert joined[-1] == EOT
    assert joined.count(EOT) == 1
    assert joined[:-1] == [*image, SOT, *text][: len(joined) - 1]


@given(st.lists(st.integers(1, 40), min_size=1, max_size=30), st.integers(1, 200))
def test_chunks_cover_everything_once(lengths: list[int], max_tokens: int) -> None:
    sequences = [[1] * length for length in lengths]
    chunks = list(by_length(sequences, max_tokens))
    assert sorted(index for chunk in chunks for index in chunk) == list(range(len(lengths)))
    for chunk in chunks:
        padded, real = pad([sequences[index] for index in chunk])
        assert len(chunk) == 1 or padded.numel() <= max_tokens
        assert (padded != 0).sum(1).tolist() == real.tolist()
