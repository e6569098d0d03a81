"""Training on vectors of pictures: gradients, hiding, the cache of vectors, and what is refused."""

from __future__ import annotations

import json
from dataclasses import replace
from itertools import islice
from pathlib import Path

import handmade
import numpy as np
import pytest
import small
import torch
from click.testing import CliRunner
from safetensors.torch import save_file
from torch.nn import functional as F

from fuselip.cli import main
from fuselip.core.errors import UsageError, UserError
from fuselip.model.checkpoints import save_model
from fuselip.model.configs import FuseLIPConfig
from fuselip.model.fuselip import FuseLIP
from fuselip.model.late_fusion_config import LateFusionConfig
from fuselip.model.models import model_of
from fuselip.model.random_init import random_model
from fuselip.train.batch import Batch, Side
from fuselip.train.config import Mask, Train
from fuselip.train.data import DataConfig, Part, batches
from fuselip.train.data.frozen import FrozenTokenizer
from fuselip.train.early import Sequences, join, tokens_of
from fuselip.train.flops import pair
from fuselip.train.gather import Peers
from fuselip.train.masking import mask
from fuselip.train.start import model_of_config
from fuselip.train.step import Stepper
from fuselip.train.studies import STUDIES, variants

VECTORS, BOTH = (f"{small.NAME}+grid64-siglip:{kind}" for kind in ("vectors", "both"))
pytestmark = pytest.mark.usefixtures("small_config")
SCENES = (Part("datagen.training:scenes", 1.0, {"kind": "captions", "size": 64, "count": 4}),)


def early(name: str) -> FuseLIPConfig:
    config = model_of(name).config
    assert isinstance(config, FuseLIPConfig)
    return config


def started(config: Train) -> FuseLIP:
    model = model_of_config(config, lambda line: None)
    assert isinstance(model, FuseLIP)
    return model


@pytest.fixture(scope="module")
def configs(small_config: FuseLIPConfig) -> tuple[FuseLIPConfig, FuseLIPConfig]:
    return early(VECTORS), early(BOTH)


def test_features_are_those_of_single_inputs(configs: tuple[FuseLIPConfig, FuseLIPConfig]) -> None:
    for config in configs:
        model, _ = random_model(config, 0)
        side = handmade.batch(config, 5, 1, pixels=True).left
        tokens = tokens_of(model, side)
        assert tokens is not None
        assert tokens.vectors is not None
        ids, lengths = join(side, tokens.ids, config)
        prepared = Sequences(model, ids, lengths, vectors=tokens.vectors, image_rows=side.image_rows)
        features = prepared.embed(torch.arange(5), None).features
        for row in range(5):
            number = int(side.image_rows[row])
            vectors = tokens.vectors[number : number + 1] if number >= 0 else None
            with torch.no_grad():
                alone = model.embed(ids[row : row + 1, : lengths[row]], lengths[row : row + 1], vectors)
            torch.testing.assert_close(features[row], F.normalize(alone, dim=-1)[0], rtol=0, atol=2e-6)
        features.square().sum().backward()
        assert model.image_projection.proj.weight.grad is not None
        assert all(parameter.grad is None for parameter in model.image_tokenizer.parameters())


def stepped(config: FuseLIPConfig, chunk_pairs: int = 0) -> tuple[torch.Tensor, dict[str, torch.Tensor]]:
    model, _ = random_model(config, 0)
    run = Train("", 10, 6, mask=Mask(ratio=0.5), chunk_pairs=chunk_pairs)
    stepper = Stepper(model, run, Peers(), torch.device("cpu"))
    shares = stepper.gradients(handmade.batch(config, 6, 4, pixels=True), 0, [6])
    return shares, {name: p.grad for name, p in stepper.parameters.items() if p.grad is not None}


def test_hidden_vectors_are_guessed_by_id(configs: tuple[FuseLIPConfig, FuseLIPConfig]) -> None:
    """A step hides parts of pictures, counts them, and gives the projection a gradient; in chunks just the same."""
    shares, gradients = stepped(configs[0])
    assert shares[4] > 0  # image tokens that were hidden
    assert shares[1] > 0
    assert gradients["image_projection.proj.weight"].abs().sum() > 0
    cached, others = stepped(configs[0], chunk_pairs=2)
    torch.testing.assert_close(cached, shares, rtol=1e-4, atol=1e-5)
    wanted = gradients["image_projection.proj.weight"]
    torch.testing.assert_close(others["image_projection.proj.weight"], wanted, rtol=1e-3, atol=1e-5)


def test_no_ids_cannot_be_guessed(small_config: FuseLIPConfig) -> None:
    config = early(f"{small.NAME}+siglip:vectors")
    model, _ = random_model(config, 0)
    with pytest.raises(UsageError, match=r"gives vectors alone.*set mask.ratio=0"):
        Stepper(model, Train("", 10, 6), Peers(), torch.device("cpu"))
    stepper = Stepper(model, Train("", 10, 6, mask=Mask(ratio=0.0)), Peers(), torch.device("cpu"))
    shares = stepper.gradients(handmade.batch(config, 3, 4, pixels=True), 0, [3])
    assert torch.isfinite(shares).all()


def test_missing_and_foreign_vectors_are_refused(configs: tuple[FuseLIPConfig, FuseLIPConfig]) -> None:
    config = configs[0]
    model, _ = random_model(config, 0)
    side = handmade.batch(config, 4, 1).left
    with pytest.raises(UserError, match=r"the batch has none\. Make the token cache again"):
        tokens_of(model, side)
    assert side.codes is not None
    with pytest.raises(UserError, match=r"some of the shape \(2, 64, 8\)"):
        tokens_of(model, replace(side, vectors=torch.zeros(2, 64, 8)))
    with pytest.raises(UserError, match="codes of another tokenizer"):
        tokens_of(model, replace(side, codes=side.codes[:, :16], vectors=torch.zeros(2, 16, 160)))


def read(data: DataConfig, config: FuseLIPConfig, tokenizer: FrozenTokenizer | None) -> list[Batch]:
    stream = batches(data, model_config=config, batch_size=4, seed=0, tokenizer=tokenizer)
    return [batch for batch, _ in islice(stream, 2)]


def vectors_equal(side: Side, other: Side, tokenizer: FrozenTokenizer) -> None:
    assert other.pixels is not None
    if not len(other.pixels):
        return
    codes, vectors = tokenizer.encode(other.pixels.numpy())
    assert vectors is not None
    assert side.codes is not None
    assert side.vectors is not None
    assert side.vectors.dtype == torch.float16
    assert torch.equal(side.codes, torch.from_numpy(codes))
    torch.testing.assert_close(side.vectors, torch.from_numpy(vectors), rtol=0, atol=4e-3)  # batches differ


def test_vectors_are_cached_with_their_codes(
    configs: tuple[FuseLIPConfig, FuseLIPConfig], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    config = configs[0]
    tokenizer = FrozenTokenizer(random_model(config, 0)[0])
    plain = read(DataConfig(SCENES, draws=1), config, None)
    data = DataConfig(SCENES, draws=1, tokens=str(tmp_path))
    codes_alone = FrozenTokenizer(random_model(early(f"{small.NAME}+grid64-siglip"), 0)[0])
    assert codes_alone.fingerprint == tokenizer.fingerprint
    assert all(batch.right.vectors is None for batch in read(data, config, codes_alone))
    first = read(data, config, tokenizer)  # the codes are there, the vectors are not
    monkeypatch.setattr(FrozenTokenizer, "encode", lambda self, pixels: pytest.fail("made again"))
    second = read(data, config, tokenizer)
    monkeypatch.undo()
    for batch, again, other in zip(first, second, plain, strict=True):
        for side, same, pixels in ((batch.left, again.left, other.left), (batch.right, again.right, other.right)):
            vectors_equal(side, pixels, tokenizer)
            assert same.vectors is not None
            assert side.vectors is not None
            assert torch.equal(side.vectors, same.vectors)
    folders = sorted(path for path in tmp_path.iterdir() if (path / "about.json").is_file())
    abouts = [json.loads((path / "about.json").read_text()) for path in folders]
    found = next(about for about in abouts if about["what"] == "image vectors")
    assert (found["dtype"], found["shape"], found["tokenizer"]) == ("float16", [64, 160], tokenizer.fingerprint)
    folder = next(path for path, about in zip(folders, abouts, strict=True) if about is found)
    rows = bytearray((folder / "rows.bin").read_bytes())
    rows[::100] = bytes(value ^ 255 for value in rows[::100])
    (folder / "rows.bin").write_bytes(rows)
    with pytest.raises(UserError, match=r"vectors of \d images cannot be read"):
        read(data, config, tokenizer)
    (folder / "about.json").write_text(json.dumps(found | {"tokenizer": "another"}))
    with pytest.raises(UserError, match="a cache of something else"):
        read(data, config, tokenizer)


def test_the_tower_of_a_late_fusion_run_is_taken(small_config: FuseLIPConfig, tmp_path: Path) -> None:
    late_config = model_of("siglip-ti-sf").config
    assert isinstance(late_config, LateFusionConfig)
    late, _ = random_model(late_config, 3)
    save_model(late, tmp_path / "late")
    config = Train(VECTORS, 1, 2, image_tokenizer=str(tmp_path / "late"), structured_codes=True)
    model = started(config)
    state = model.state_dict()
    assert torch.equal(
        state["image_tokenizer.model.tower.conv1.weight"], late.state_dict()["model.visual.conv1.weight"]
    )
    assert not any(parameter.requires_grad for parameter in model.image_tokenizer.parameters())
    save_model(random_model(small_config, 0)[0], tmp_path / "grid16")
    with pytest.raises(UserError, match="does not hold the weights of the image tokenizer 'grid64-siglip'"):
        model_of_config(replace(config, image_tokenizer=str(tmp_path / "grid16")), lambda line: None)


def test_tokenizers_come_out_of_other_models_files(small_config: FuseLIPConfig, tmp_path: Path) -> None:
    """TokLIP's from a TokLIP's file."""
    toklip, _ = random_model(early(f"{small.NAME}+toklip-ti:vectors"), 7)
    wanted = toklip.tokenizer.state_dict()
    save_file({f"visual.{key}": value.contiguous() for key, value in wanted.items()}, tmp_path / "model.safetensors")
    given = Train(f"{small.NAME}+toklip-ti:vectors", 1, 2, image_tokenizer=str(tmp_path))
    found = started(given).tokenizer.state_dict()
    assert all(torch.equal(value, found[key]) for key, value in wanted.items())


@pytest.mark.slow
def test_vq16_comes_out_of_its_files(small_config: FuseLIPConfig, tmp_path: Path) -> None:
    """LlamaGen's, whose table lies one deeper, and a TokLIP's: 29 million parameters."""
    vq, _ = random_model(early(f"{small.NAME}+vq16:both"), 7)
    wanted = vq.tokenizer.state_dict()
    torch.save({"model": {**wanted, "decoder.conv_in.bias": torch.zeros(3)}}, tmp_path / "vq.pt")
    save_file(
        {f"visual.trunk.vq.{key}": value.contiguous() for key, value in wanted.items()}, tmp_path / "inner.safetensors"
    )
    for name in ("vq.pt", "inner.safetensors"):
        given = Train(f"{small.NAME}+vq16:both", 1, 2, image_tokenizer=str(tmp_path / name))
        found = started(given).tokenizer.state_dict()
        assert all(torch.equal(value, found[key]) for key, value in wanted.items())


def test_a_bsq_grid_is_trained(tmp_path: Path) -> None:
    np.save(tmp_path / "made.npy", np.random.default_rng(0).integers(0, 256, (4, 64, 64, 3), np.uint8))
    source = str(tmp_path / "made.npy")
    options = ["--variant", "grid16", "--quantizer", "bsq", "--source", source, "--held-out", source]
    arguments = ["train-tokenizer", "--out", str(tmp_path / "out"), *options, "--steps", "2", "--batch", "2"]
    done = CliRunner().invoke(main, arguments)
    assert done.exit_code == 0, done.output
    assert json.loads((tmp_path / "out" / "config.json").read_text())["image_tokenizer"] == "fuselip-grid16-bsq"
    given = Train(f"{small.NAME}+grid16-bsq", 1, 2, image_tokenizer=str(tmp_path / "out"), structured_codes=True)
    assert model_of_config(given, lambda line: None).config.num_codes == 2048


def test_rows_of_the_studies_have_equal_transformers() -> None:
    with variants():
        rows = STUDIES["tokens"].rows
        found = {name: early(row.model) for name, row in rows.items()}
        assert {config.image_features for config in found.values()} == {"ids", "vectors", "both"}
        assert len({config.size for config in found.values()}) == 1
        counts = {name: model_of(row.model).config.num_image_tokens for name, row in STUDIES["tail"].rows.items()}
        assert all(int(name) == count for name, count in counts.items())
        costs = [pair(config, 0.1).tokenizer for config in found.values()]
    assert min(costs) > 0
    low, semantic = (pair(found[name], 0.1).tokenizer for name in ("64", "64 TokLIP features"))
    assert semantic > low


def test_masked_ids_of_vectors_are_those_of_ids(configs: tuple[FuseLIPConfig, FuseLIPConfig]) -> None:
    side = handmade.batch(configs[0], 6, 3).left
    ids, lengths = join(side, side.codes, configs[0])
    found = [mask(ids, lengths, each, ratio=0.5, seed=("a",), paper=False) for each in configs]
    assert torch.equal(found[0].ids, found[1].ids)
    assert (found[0].labels >= configs[0].image_offset).any()
