"""Configs: read strictly, changed by key, compared; recipes and what they cost."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path

import pytest
from click.testing import CliRunner

from fuselip.cli import main
from fuselip.core.errors import UsageError, UserError
from fuselip.model.encoder import load
from fuselip.model.models import model_of
from fuselip.train.config import Train, changes, from_json, override, to_json
from fuselip.train.data.config import DataConfig, Part
from fuselip.train.data.mixtures import mixture
from fuselip.train.estimate import estimate
from fuselip.train.flops import blocks, pair
from fuselip.train.recipes import PAPER_MODELS, RECIPES, recipe

BASE = Train(model="fuselip-s", steps=10, batch_size=4)


@pytest.mark.parametrize("name", RECIPES)
def test_every_recipe_can_be_written_and_read(name: str) -> None:
    config = recipe(name)
    assert from_json(json.loads(json.dumps(to_json(config))), name) == config
    assert config.name == name
    assert config.mask.ratio == (0.1 if name.startswith("fuselip") else 0)
    told = estimate(config, "H100", 0.4)
    assert f"{config.steps:,} steps" in told
    assert model_of(config.model)


@pytest.mark.slow
def test_the_base_models_legs_run_on_a_cpu(tmp_path: Path) -> None:
    """Ten steps, in small batches and full precision; the second leg begins where the first ends."""
    less = ["batch_size=4", "optim.warmup=2", "precision=fp32", "compile=false", "device=cpu", "data.workers=0"]
    first, second = str(tmp_path / "first"), str(tmp_path / "second")
    legs = (["b-scenes-tgit", "--out", first], ["b-scenes", "--out", second, "--init", f"{first}/model"])
    for steps, arguments in zip((10, 2), legs, strict=True):
        settings = [part for each in (f"steps={steps}", "log_every=1", *less) for part in ("--set", each)]
        done = CliRunner().invoke(main, ["train", *arguments, *settings])
        assert done.exit_code == 0, done.output
    losses = [json.loads(line)["loss"] for line in Path(first, "metrics.jsonl").read_text().splitlines()]
    assert len(losses) == 10
    assert all(0 < loss < 10 for loss in losses)
    assert load("fuselip-b-scenes", weights=f"{second}/model", device="cpu").encode(["a red circle"]).shape == (1, 512)


def test_the_papers_twelve_runs() -> None:
    runs = [recipe(f"{model}-{captions}") for model in PAPER_MODELS for captions in ("cc3m", "cc12m")]
    assert len(runs) == 12
    for config in runs:
        optim = config.optim
        assert (optim.lr, optim.beta1, optim.beta2, optim.eps, optim.warmup) == (1e-3, 0.9, 0.98, 1e-8, 12000)
        assert config.batch_size == 256 * 8
        assert optim.weight_decay == (1.0 if config.name.endswith("cc3m") else 0.5)


def test_settings_are_put_in_place() -> None:
    config = override(
        BASE, ["optim.lr=2", "mask.sides=left", "compile=true", "init=7", "hook.call=a:b", "hook.every=3"]
    )
    assert (config.optim.lr, config.mask.sides, config.compile, config.init) == (2.0, "left", True, "7")
    tiny = override(recipe("ti-fuselip"), ["data.parts.0.weight=3", "data.workers=2", "data.parts.1.options.kind=flip"])
    assert tiny.data is not None
    assert (tiny.data.parts[0].weight, tiny.data.workers, tiny.data.parts[1].options["kind"]) == (3, 2, "flip")


@pytest.mark.parametrize(
    ("setting", "message"),
    [
        ("optim.lrr=1", "did you mean 'optim.lr'"),
        ("optim", "not KEY=VALUE"),
        ("steps=0", "steps is 0"),
        ("steps=many", "steps"),
        ("steps=1.5", "steps is 1.5, and not a whole number"),
        ("steps=true", "steps is True, and not a whole number"),
        ("compile=1", "compile is 1, and not true or false"),
        ("loss.scale=high", "loss.scale is 'high', and not a number"),
        ("optim=3", "optim is not a table"),
        ("precision=fp8", "precision is 'fp8', and not one of 'fp32', 'bf16', 'fp16'"),
        ("mask.ratio=1", "mask.ratio"),
        ("optim.lr=-1", "optim.lr"),
        ("hook.every=5", "hook.every"),
        ("data.parts.0.source=x", "no such setting"),
    ],
)
def test_wrong_settings_are_named(setting: str, message: str) -> None:
    with pytest.raises(UsageError, match=message):
        override(BASE, [setting])


def test_unknown_keys_and_recipes_are_named() -> None:
    with pytest.raises(UsageError, match=r"optim\.speed"):
        from_json({**to_json(BASE), "optim": {"speed": 1}}, "file")
    with pytest.raises(UsageError, match="did you mean 'ti-fuselip'"):
        recipe("ti-fuselipp")
    with pytest.raises(UserError, match="H100"):
        estimate(BASE, "H1000", 0.4)


def test_a_missing_setting_is_named() -> None:
    with pytest.raises(UsageError, match="file: steps is missing"):
        from_json({"model": "fuselip-s", "batch_size": 4}, "file")
    with pytest.raises(UsageError, match="file: the configuration is not a table"):
        from_json([], "file")


def test_the_tiny_legs_differ_in_nothing_but_their_model() -> None:
    """Early and late fusion have the same loss, optimizer, steps and data; codes are FuseLIP's alone."""
    for suffix, mixed in (("-tgit", "tgit"), ("", "made")):
        early = recipe("ti-fuselip" + suffix)
        assert early.data == DataConfig(mixture(mixed))
        assert (early.loss.kind, early.mask.ratio) == ("softmax", 0)
        for name in ("ti-siglip-sf", "ti-siglip-mlf"):
            told = [change.partition(":")[0] for change in changes(early, recipe(name + suffix))]
            assert told == ["model", "structured_codes"]


def test_data_in_place_of_a_recipes_own() -> None:
    arguments = ["train", "ti-fuselip", "--data", "0.25*sets/a", "--data", "sets/b?kinds=flip", "--show"]
    shown = CliRunner().invoke(main, [*arguments, "--set", "data.tokens=codes", "--init", "before"])
    found = from_json(json.loads(shown.stdout), "shown")
    assert found.data == DataConfig((Part("sets/a", 0.25), Part("sets/b", 1.0, {"kinds": "flip"})), tokens="codes")
    assert found.init == "before"


def test_changes_are_those_that_change_weights() -> None:
    assert changes(BASE, override(BASE, ["log_every=3", "keep=5", "name=other"])) == []
    assert changes(BASE, override(BASE, ["optim.lr=2", "seed=3"])) == ["optim.lr: 0.001, now 2.0", "seed: 0, now 3"]


def test_flops_are_near_what_was_measured() -> None:
    small = model_of("fuselip-s").config
    assert pair(small, 0.1, images=1).tokenizer / 1e9 == pytest.approx(20, rel=0.15)  # counted for TiTok S: 20 GFLOP
    assert pair(model_of("fuselip-b").config, 0.1, images=1).tokenizer / 1e9 == pytest.approx(66, rel=0.15)
    assert blocks(small.size, 180) == 12 * (24 * 180 * 384**2 + 4 * 180**2 * 384)  # type: ignore[union-attr]


@pytest.mark.parametrize("arguments", [["--help"], ["train", "--help"], ["train", "--list"], ["embed", "--help"]])
def test_help_needs_no_torch(arguments: list[str]) -> None:
    code = (
        "import sys\nfrom fuselip.cli import main\n"
        "try:\n    main(sys.argv[1:])\nexcept SystemExit as leave:\n    assert not leave.code, leave.code\n"
        "assert 'torch' not in sys.modules\n"
    )
    done = subprocess.run([sys.executable, "-c", code, *arguments], capture_output=True, text=True, timeout=60)
    assert done.returncode == 0, done.stderr
    assert done.stdout


def test_a_dry_run_writes_nothing(tmp_path: Path) -> None:
    command = [
        sys.executable,
        "-m",
        "fuselip.cli",
        "train",
        "fuselip-s-cc3m",
        "--dry-run",
        "--out",
        str(tmp_path / "o"),
    ]
    done = subprocess.run(command, capture_output=True, text=True, timeout=60)
    assert done.returncode == 0, done.stderr
    assert "8 H100" in done.stdout
    assert not (tmp_path / "o").exists()
