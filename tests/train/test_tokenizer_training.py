"""Training of an image tokenizer: it learns, resumes to the bit, refuses another run's state, and its command works."""

from __future__ import annotations

import json
from collections.abc import Iterator
from pathlib import Path

import click
import numpy as np
import pytest
import torch
from click.testing import CliRunner

from fuselip.core.errors import UsageError, UserError
from fuselip.model.checkpoints import save_model
from fuselip.model.configs import FuseLIPConfig
from fuselip.model.grid_tokenizer import GridTokenizer
from fuselip.model.image_tokenizers import fill_by_seed, load_tokenizer
from fuselip.model.models import MODELS
from fuselip.model.random_init import random_model
from fuselip.model.sizes import GRIDS
from fuselip.train.tokenizer import STATE_FILE, TokenizerTraining, train
from fuselip.train.tokenizer_command import train_tokenizer
from fuselip.train.tokenizer_measure import measure
from fuselip.train.tokenizer_pictures import pictures, to_floats, vary


@pytest.fixture(autouse=True)
def one_thread() -> Iterator[None]:
    """These steps are too small to share: on a busy machine threads that wait for each other cost far more."""
    before = torch.get_num_threads()
    torch.set_num_threads(1)
    yield
    torch.set_num_threads(before)


def quiet(_: str) -> None:
    return None


@pytest.fixture(scope="module")
def rows(tmp_path_factory: pytest.TempPathFactory) -> np.ndarray:
    return pictures(["scenes:train?count=40&size=64"], 64, tmp_path_factory.mktemp("cache"))


def test_resumed_is_the_same_to_the_bit(rows: np.ndarray, tmp_path: Path) -> None:
    run = TokenizerTraining("grid16", steps=6, batch=4, save_every=3)
    whole = train(run, rows, tmp_path / "whole", quiet)

    class Stopped(Exception):
        pass

    def stop(_: str) -> None:
        raise Stopped

    with pytest.raises(Stopped):
        train(run, rows, tmp_path / "halves", stop)
    told: list[str] = []
    resumed = train(run, rows, tmp_path / "halves", told.append)
    assert len(told) == 1
    assert all(
        torch.equal(a, b) for a, b in zip(whole.state_dict().values(), resumed.state_dict().values(), strict=True)
    )


def test_another_run_s_state_is_refused(rows: np.ndarray, tmp_path: Path) -> None:
    train(TokenizerTraining("grid16", steps=1, batch=2), rows, tmp_path, quiet)
    assert (tmp_path / STATE_FILE).is_file()
    with pytest.raises(UserError, match=r"another run.*learning_rate 0.1"):
        train(TokenizerTraining("grid16", steps=1, batch=2, learning_rate=0.1), rows, tmp_path, quiet)


@pytest.mark.slow
def test_it_learns(rows: np.ndarray, tmp_path: Path) -> None:
    model = GridTokenizer(GRIDS["grid64"])
    fill_by_seed(model, 0)
    before = measure(model.eval(), rows)
    trained = train(TokenizerTraining(steps=120, batch=16), rows, tmp_path, quiet)
    after = measure(trained, rows)
    assert before.psnr is not None
    assert after.psnr is not None
    assert after.psnr > before.psnr + 8


def test_a_loss_that_is_no_number_stops_it(rows: np.ndarray, tmp_path: Path) -> None:
    with pytest.raises(UserError, match=r"the loss is (nan|inf).*lower the learning rate"):
        train(TokenizerTraining("grid16", steps=20, batch=2, learning_rate=1e30, save_every=5), rows, tmp_path, quiet)


def test_pictures_are_rendered_once(tmp_path: Path) -> None:
    first = pictures(["scenes:val?count=3&size=64"], 64, tmp_path)
    stamps = {path: path.stat().st_mtime_ns for path in tmp_path.rglob("*.npy")}
    assert np.array_equal(pictures(["scenes:val?count=3&size=64"], 64, tmp_path), first)
    assert len(stamps) == 1
    assert stamps == {path: path.stat().st_mtime_ns for path in tmp_path.rglob("*.npy")}
    assert pictures([str(next(iter(stamps)))], 64, tmp_path).shape == (3, 64, 64, 3)


def test_unfit_arrays_are_told(tmp_path: Path) -> None:
    np.save(tmp_path / "a.npy", np.zeros((2, 32, 32, 3), np.uint8))
    with pytest.raises(UserError, match="pictures are uint8"):
        pictures([str(tmp_path / "a.npy")], 64, tmp_path)
    (tmp_path / "b.npy").write_bytes(b"no array")
    with pytest.raises(UserError, match="cannot be read"):
        pictures([str(tmp_path / "b.npy")], 64, tmp_path)


def test_variations_stay_pictures_and_depend_on_the_draws_alone(rows: np.ndarray) -> None:
    plain = to_floats(rows)
    first, again, other = (vary(plain, np.random.default_rng(seed)) for seed in (0, 0, 1))
    assert torch.equal(first, again)
    assert not torch.equal(first, other)
    assert 0 <= float(first.min()) <= float(first.max()) <= 1
    assert 0.05 < (first == plain).all((1, 2, 3)).float().mean() < 0.6  # some are left as they are


def test_unknown_variant() -> None:
    with pytest.raises(UsageError, match="did you mean 'grid64'"):
        TokenizerTraining("grid65")


def test_the_command_trains_measures_and_resumes(tmp_path: Path) -> None:
    out = tmp_path / "own"
    arguments = ["--out", str(out), "--variant", "grid16", "--source", "scenes:train?count=4&size=64", "--steps", "2"]
    arguments += ["--batch", "2", "--held-out", "scenes:test?count=2&size=64"]
    for _ in range(2):
        result = CliRunner().invoke(train_tokenizer, arguments, catch_exceptions=False)
        assert result.exit_code == 0
        assert "PSNR" in result.output
        assert "of the codes used, 2 pictures" in result.output
    config = json.loads((out / "config.json").read_text())
    assert config["image_tokenizer"] == "fuselip-grid16"
    assert config["trained"]["steps"] == 2
    assert set(config["held_out"]) == {"scenes:test?count=2&size=64"}
    assert load_tokenizer(out).variant is GRIDS["grid16"]
    measured = CliRunner().invoke(
        train_tokenizer,
        ["--out", str(tmp_path / "m"), "--measure", str(out), "--held-out", "scenes:test?count=2&size=64"],
        catch_exceptions=False,
    )
    assert measured.output.splitlines()[-1] == result.output.splitlines()[-1]
    assert isinstance(train_tokenizer, click.Command)


def test_measuring_counts_what_is_there(rows: np.ndarray) -> None:
    """Against numbers by hand: one flat picture has the codes of its patches, and an error known from its pixels."""
    model = GridTokenizer(GRIDS["grid16"])
    fill_by_seed(model, 0)
    flat = np.full((1, 64, 64, 3), 128, np.uint8)
    quality = measure(model, flat)
    ids = model.encoder.encode_ids(to_floats(flat))
    made = model.reconstruct(ids).double().numpy()
    assert quality.psnr == pytest.approx(-10 * np.log10(((made - 128 / 255) ** 2).mean()), abs=1e-4)
    distinct, counts = np.unique(ids.numpy(), return_counts=True)
    entropy = -(counts / 16 * np.log(counts / 16)).sum()
    assert quality.perplexity == pytest.approx(np.exp(entropy))
    assert quality.used == len(distinct) / 2000


def test_titok_s_codebook_use_is_measured_and_its_psnr_is_not(config: FuseLIPConfig, tmp_path: Path) -> None:
    model, _ = random_model(config, 0)
    save_model(model, tmp_path)
    tokenizer = load_tokenizer(tmp_path)
    quality = measure(tokenizer, np.zeros((1, 256, 256, 3), np.uint8))
    assert quality.psnr is None
    assert 0 < quality.used <= 8 / 64
    assert "no decoder" in str(quality)
    late, _ = random_model(MODELS["siglip-ti-sf"].config, 0)
    save_model(late, tmp_path / "late")
    with pytest.raises(UserError, match="without TiTok"):
        load_tokenizer(tmp_path / "late")
