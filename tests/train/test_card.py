"""Model cards and shipping: what they tell of small made runs, the commands that make those again, what is refused."""

from __future__ import annotations

import hashlib
import json
import shlex
import shutil
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
import small
import yaml
from click.testing import CliRunner, Result

import fuselip
from fuselip.cli import main
from fuselip.core.errors import UsageError, UserError
from fuselip.model import image_tokenizers
from fuselip.model.checkpoints import save_model
from fuselip.model.configs import FuseLIPConfig
from fuselip.model.models import model_of
from fuselip.model.random_init import random_model
from fuselip.train import ship as shipping
from fuselip.train.card import card
from fuselip.train.config import Optim, Train, changes, from_json, to_json
from fuselip.train.data.config import DataConfig, Part
from fuselip.train.data.mixtures import mixture
from fuselip.train.recipes import recipe

MADE = {
    "created": "2026-01-02T03:04:05+00:00",
    "fuselip": "0.1.0",
    "commit": "abc",
    "cpu": "A <b>chip</b> | so",
    "packages": {"torch": "2.6"},
}


def call(*arguments: str | Path) -> Result:
    return CliRunner().invoke(main, [str(argument) for argument in arguments])


def train(folder: Path, config: Train, until: int = 0, seed: int = 1, world: int = 1) -> Path:
    """A run as training leaves it: 192 pairs a step in 2 seconds; stopped at step `until` where that is given."""
    folder.mkdir()
    value = {"config": to_json(config), "world": world, "device": "", "provenance": MADE}
    (folder / "run.json").write_text(json.dumps(value))
    last = until or config.steps
    rows: list[dict[str, Any]] = [
        {"step": step, "loss": 4 / step, "log_scale": 3.0, "pairs": 1920, "pairs_per_second": 96.0}
        for step in range(10, last + 11, 10)  # one row more than a stopped run saved
        if step <= config.steps
    ]
    rows.insert(1, {"step": 10, "hook/mean": 0.25, "hook/a": 0.25})
    (folder / "metrics.jsonl").write_text("".join(json.dumps(row) + "\n" for row in rows) + '{"step": 1')
    model, _ = random_model(model_of(config.model).config, seed)
    save_model(model, folder / f"checkpoints/step-{last:08d}")
    if not until:
        save_model(model, folder / "model")
    return folder


def bench(folder: Path, sha256: str, names: Sequence[str] = ("tgit/crop", "tgit/flip", "<b>")) -> Path:
    folder.mkdir()
    row = {"metric": "hit@1", "low": 0.5, "high": 1.0, "chance": 0.25, "n": 40}
    tasks = [{"name": name, "value": 0.5 + 0.25 * number, **row} for number, name in enumerate(names)]
    value = {
        "schema": 1,
        "model": {"precision": "fp32"},
        "weights": {"sha256": sha256},
        "config": {"suite": "core", "source": None, "seed": 0},
        "provenance": {"fuselip": "0.1.0"},
        "tasks": tasks,
    }
    (folder / "summary.json").write_text(json.dumps(value))
    return folder


def prepared(folder: Path, name: str) -> Path:
    folder.mkdir()
    plan = {"schema": 1, "data": {"parts": DataConfig(mixture(name)).to_json()["parts"]}, "side": 64, "seed": 3}
    (folder / "plan.json").write_text(json.dumps(plan | {"groups": 100, "shards": []}))
    held = plan | {"groups": 104, "pairs": 900, "images": 800, "shards": []}
    (folder / "prepared.json").write_text(json.dumps(held))
    return folder


def sha256(run: Path) -> str:
    return hashlib.sha256((run / "model/model.safetensors").read_bytes()).hexdigest()


@pytest.fixture
def legs(tmp_path: Path) -> list[Path]:
    """siglip-ti-sf: 20 of 40 steps on a prepared set, then 30 more on two."""
    sets = [prepared(tmp_path / name, name) for name in ("tgit", "scenes")]
    parts = [Part(str(folder)) for folder in sets]
    base = recipe("ti-siglip-sf-tgit")
    first = train(tmp_path / "first", replace(base, steps=40, data=DataConfig((parts[0],))), until=20, seed=1)
    copy = shutil.copytree(first / "checkpoints/step-00000020", tmp_path / "copied")
    data = DataConfig(tuple(replace(part, weight=0.5) for part in parts))
    second = replace(recipe("ti-siglip-sf"), steps=30, init=str(copy), data=data, optim=Optim(lr=1e-3))
    return [first, train(tmp_path / "second", second, seed=2, world=2)]


def test_a_card_tells_what_was_done(legs: list[Path], tmp_path: Path) -> None:
    scores = bench(tmp_path / "bench", sha256(legs[1]))
    text = card(legs, [scores])
    assert text == card(legs, [scores])
    assert str(tmp_path) not in text
    for told in (
        sha256(legs[1]),
        "| pairs seen | 9,600 in 50 steps |",  # 20 and 30 of 192
        "| cost | 0.03 hours of steps |",
        "| begun from | scratch | the leg before, after step 20 |",
        "| 2 | 50.0% | `sets/scenes` |",
        "`sets/tgit`: 104 groups, 900 pairs, 64 pixels a side, made with seed 3 of the mixture `tgit`:",
        "| `tgit/crop` | hit@1 | 50.0% | 50.0% to 100.0% | 25.0% | 40 |",
        "| mean of 2 `tgit/*` | hit@1 | 62.5% | 50.0% to 100.0% | 25.0% | 80 |",
        r"cpu: A \<b\>chip\</b\> \| so, 2 processes",
        "| `<b>` | hit@1 |",
        "fuselip 0.1.0, commit abc",
        "leg 1 after step 20 of 40",
        "| 1 | 10 | 25.0% |",
    ):
        assert told in text, told
    head = yaml.safe_load(text.split("---\n")[1])
    assert head["license"] == "mit"
    assert head["model-index"][0]["results"][2]["dataset"] == {"name": "<b> (core)", "type": "<b>"}


def test_the_commands_make_the_run_again(legs: list[Path]) -> None:
    """They are read by the very command line: of the run's config nothing changes but the places of its folders."""
    text = card(legs)
    commands = [shlex.split(line) for line in text.partition("## Make it again")[2].splitlines() if line[:4] == "    "]
    assert commands[:2] == [
        shlex.split(f"fuselip prepare sets/{name} --mixture {name} --groups 100 --seed 3")
        for name in ("tgit", "scenes")
    ]
    assert commands[3][:4] == ["torchrun", "--nproc-per-node", "2", "-m"]
    assert "--init=runs/first/checkpoints/step-00000020" in commands[3]
    for leg, command in zip(legs, commands[2:], strict=True):
        shown = call(*command[command.index("train") :], "--show")
        assert shown.exit_code == 0, shown.output
        found = from_json(json.loads(shown.stdout), "shown")
        wanted = from_json(json.loads((leg / "run.json").read_text())["config"], "run")
        told = [change.partition(":")[0] for change in changes(wanted, found)]
        assert [key for key in told if key != "init" and not key.endswith(".source")] == []


def test_a_single_run_on_made_data(tmp_path: Path) -> None:
    config = replace(recipe("ti-fuselip-tgit"), steps=20, image_tokenizer="/home/me/grid")
    text = card([train(tmp_path / "run", config)])
    assert "of the frozen image tokenizer" in text
    assert "| 1 | 45.0% | `datagen.training:scenes` kind=crop+rotate+jitter+flip+colorize |" in text
    command = "    fuselip train ti-fuselip-tgit --set=steps=20 --set=image_tokenizer=tokenizers/grid --out runs/run"
    assert command in text.splitlines()
    assert "None were given." in text
    assert "Stopped" not in text


def test_what_is_no_run_is_refused(legs: list[Path], tmp_path: Path) -> None:
    other = train(tmp_path / "other", replace(recipe("ti-fuselip"), steps=10))
    (tmp_path / "empty").mkdir()
    with pytest.raises(UserError, match="is no training run"):
        card([tmp_path / "empty"])
    with pytest.raises(UsageError, match="different models"):
        card([legs[0], other])
    with pytest.raises(UserError, match="no finished run of fuselip-bench"):
        card(legs, [tmp_path / "empty"])
    with pytest.raises(UserError, match="scores of other weights"):
        card(legs, [bench(tmp_path / "of-others", "0" * 64)])
    broken = bench(tmp_path / "broken", sha256(legs[1]))
    (broken / "summary.json").write_text((broken / "summary.json").read_text().replace('"low"', '"lower"'))
    with pytest.raises(UserError, match=r"summary\.json is no summary"):
        card(legs, [broken])
    (other / "metrics.jsonl").write_text('{"step": 1, "loss": "low"}\n{"step": 2}\n')
    with pytest.raises(UserError, match="line 1"):
        card([other])
    (other / "metrics.jsonl").unlink()
    with pytest.raises(UserError, match="tells of no step"):
        card([other])
    shutil.rmtree(legs[1] / "model")
    shutil.rmtree(legs[1] / "checkpoints")
    with pytest.raises(UserError, match="holds no model yet"):
        card(legs)


def test_the_command(legs: list[Path], tmp_path: Path) -> None:
    assert call("card", *legs).stdout == card(legs)
    assert call("card", *legs, "--out", tmp_path / "README.md").exit_code == 0
    assert (tmp_path / "README.md").read_text() == card(legs)
    assert call("card").exit_code == 2


def test_shipping(legs: list[Path], tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Shipped weights are what the model loads by default, here from a folder in the package's place."""
    data = tmp_path / "data"
    data.mkdir()
    monkeypatch.setattr(image_tokenizers, "DATA", data)
    done = call("ship", *legs, "--into", data)
    assert done.exit_code == 0, done.output
    assert done.stdout == (
        "fuselip/model/data/siglip-ti-sf.safetensors\n"
        "  What     The trained weights of siglip-ti-sf; fuselip/model/data/siglip-ti-sf.md says how they were "
        "trained.\n"
        f"  sha256   {sha256(legs[1])}\n"
    )
    assert (data / "siglip-ti-sf.md").read_text() == card(legs)
    record = fuselip.load("siglip-ti-sf", device="cpu", offline=True).info.weights
    assert (record.source, record.sha256) == ("bundled", sha256(legs[1]))
    told = json.loads(call("info", "siglip-ti-sf", "--json").stdout)
    assert (told["bundled"], told["sha256"]) == ("siglip-ti-sf.safetensors", sha256(legs[1]))
    assert call("ship", *legs, "--into", data).exit_code == 0  # again, in place of the first


def test_what_is_not_shipped(legs: list[Path], tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    data = tmp_path / "data"
    data.mkdir()
    with pytest.raises(UserError, match="another model than siglip-ti-mlf"):
        shipping.ship(legs, [], "siglip-ti-mlf", data)
    (data / "other.safetensors").write_bytes(b"0" * 1000)
    size = (legs[1] / "model/model.safetensors").stat().st_size
    monkeypatch.setattr(shipping, "LIMIT", size + 999)
    with pytest.raises(UserError, match="over"):
        shipping.ship(legs, [], None, data)
    assert [path.name for path in data.iterdir()] == ["other.safetensors"]
    with pytest.raises(UsageError, match="not a folder"):
        shipping.ship(legs, [], None, tmp_path / "absent")


def test_a_card_of_a_real_run(small_config: FuseLIPConfig, tmp_path: Path) -> None:
    """What the loop writes is what the card reads."""
    from test_loop import CONFIG

    from fuselip.train.loop import train as run

    run(CONFIG, tmp_path / "run")
    text = card([tmp_path / "run"])
    assert f"# {small.NAME}" in text
    assert "| pairs seen | 42 in 6 steps |" in text
    assert "| 1 | 100% | `handmade:batches` |" in text
