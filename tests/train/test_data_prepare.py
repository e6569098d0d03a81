"""Prepared sets: what is read is what would be made on the fly; resumable, reshuffled, checked."""

from __future__ import annotations

import json
import shutil
from collections import Counter
from itertools import islice
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from click.testing import CliRunner

from fuselip.core.errors import UsageError, UserError
from fuselip.model.models import MODELS
from fuselip.train.batch import Batch
from fuselip.train.data import DataConfig, DataState, Part, batches, materialise
from fuselip.train.data.collate import Collator
from fuselip.train.data.command import Sized, prepare
from fuselip.train.data.realise import Making
from fuselip.train.data.work import Parts

MODEL = MODELS["fuselip-ti"].config
SCENES = "datagen.training:scenes"
DATA = DataConfig(
    (
        Part(SCENES, 3.0, {"kind": "crop", "size": 64}),
        Part(SCENES, 1.0, {"kind": "questions", "size": 64}),
    )
)
GROUPS = 60


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    out = tmp_path_factory.mktemp("prepared") / "set"
    materialise(DATA, MODEL, GROUPS, out)
    return out


def run(data: DataConfig, count: int, **more: Any) -> list[tuple[Batch, DataState]]:
    options: dict[str, Any] = {"model_config": MODEL, "batch_size": 12, "seed": 0} | more
    return list(islice(batches(data, **options), count))


def pairs(found: list[tuple[Batch, DataState]]) -> Counter[tuple[bytes, ...]]:
    """Every pair by its contents."""
    seen: Counter[tuple[bytes, ...]] = Counter()
    for batch, _ in found:
        for row, key in enumerate(batch.right_keys):
            parts = [key.encode()]
            for side in (batch.left, batch.right):
                parts.append(side.text_ids[row, : int(side.text_lengths[row])].numpy().tobytes())
                at = int(side.image_rows[row])
                parts.append(b"" if at < 0 else side.pixels[at].numpy().tobytes())  # type: ignore[index]
            seen[tuple(parts)] += 1
    return seen


def test_pairs_are_those_that_would_be_made_on_the_fly(folder: Path) -> None:
    manifest = json.loads((folder / "prepared.json").read_text())
    assert abs(manifest["groups"] - GROUPS) < 15
    stored = run(DataConfig((Part(str(folder)),), repeat=False), 999, batch_size=18)
    parts = Parts(Making(MODEL, 64, 0, 0), DATA.parts)
    made = [piece for part in (0, 1) for number in range(60) for piece in parts.pieces((part, 0, number))]
    live = pairs([(Collator(64)(made), None)])  # type: ignore[list-item]
    kept = pairs(stored)
    assert 0.75 * manifest["pairs"] < sum(kept.values()) <= manifest["pairs"]  # less what was cut to fill batches
    assert set(kept) <= set(live)
    assert max(kept.values()) == 1


def test_parts_have_the_shares_of_their_weights(folder: Path) -> None:
    kinds = {kind: _pairs_of(folder, kind) for kind in ("crop", "questions")}
    assert 2 < kinds["crop"] / kinds["questions"] < 4
    with pytest.raises(UsageError, match="no groups of the kind 'flip'"):
        _pairs_of(folder, "flip")


def _pairs_of(folder: Path, kinds: str) -> int:
    part = Part(str(folder), 1.0, {"kinds": kinds})
    return sum(len(batch) for batch, _ in run(DataConfig((part,), repeat=False), 999, batch_size=9))


def test_every_epoch_is_shuffled_anew_and_resumed(folder: Path) -> None:
    data = DataConfig((Part(str(folder)),), max_group=3)
    whole = run(data, 60)
    assert whole[-1][1].places[0].epoch >= 2
    resumed = run(data, 30, state=whole[29][1])
    for (one, _), (other, _) in zip(resumed, whole[30:], strict=True):
        assert one.right_keys == other.right_keys
        assert torch.equal(one.left.pixels, other.left.pixels)  # type: ignore[arg-type]
        assert torch.equal(one.right.text_ids, other.right.text_ids)
    assert max(Counter(whole[0][0].groups.tolist()).values()) <= 3


@pytest.mark.slow
def test_two_processes_make_the_same_files_as_one(folder: Path, tmp_path: Path) -> None:
    materialise(DATA, MODEL, GROUPS, tmp_path / "set", workers=2)
    names = sorted(path.name for path in folder.glob("*.np*"))
    assert names == sorted(path.name for path in (tmp_path / "set").glob("*.np*"))
    assert all((folder / name).read_bytes() == (tmp_path / "set" / name).read_bytes() for name in names)


def test_what_is_finished_is_kept(folder: Path, tmp_path: Path) -> None:
    copy = tmp_path / "set"
    shutil.copytree(folder, copy)
    (copy / "prepared.json").unlink()
    (copy / "00001.npz").unlink()
    with pytest.raises(UserError, match="no finished prepared set"):
        run(DataConfig((Part(str(copy), 1.0, {"kinds": "crop"}),)), 1)
    done: list[tuple[int, int]] = []
    materialise(DATA, MODEL, GROUPS, copy, report=lambda *each: done.append(each))
    assert done[0][1] - done[0][0] == 1
    assert (copy / "00001.npz").read_bytes() == (folder / "00001.npz").read_bytes()
    with pytest.raises(UsageError, match="other settings"):
        materialise(DATA, MODEL, GROUPS + 1, copy)


@pytest.mark.parametrize("name", ["00000.npy", "00000.npz"])
def test_damage_is_named(folder: Path, tmp_path: Path, name: str) -> None:
    copy = tmp_path / "set"
    shutil.copytree(folder, copy)
    (copy / name).write_bytes((copy / name).read_bytes()[:-2000])
    with pytest.raises(UserError, match=r"00000.npy is damaged"):
        run(DataConfig((Part(str(copy)),)), 1)
    (copy / name).unlink()
    with pytest.raises(UserError, match="is missing"):
        run(DataConfig((Part(str(copy)),)), 1)


def test_numbers_out_of_range_are_damage(folder: Path, tmp_path: Path) -> None:
    copy = tmp_path / "set"
    shutil.copytree(folder, copy)
    with np.load(copy / "00000.npz") as file:
        arrays = dict(file)
    arrays["left_image"] = arrays["left_image"] + 10**6
    np.savez(copy / "00000.npz", **arrays)
    with pytest.raises(UserError, match="left_image is out of range"):
        run(DataConfig((Part(str(copy)),)), 1)


def test_another_side_is_refused(folder: Path) -> None:
    with pytest.raises(UserError, match="prepare it again with --side 256"):
        run(DataConfig((Part(str(folder)),)), 1, model_config=MODELS["fuselip-b"].config)


def test_the_command_prepares_and_tells(tmp_path: Path) -> None:
    out = str(tmp_path / "set")
    spec = f"{SCENES}?kind=flip&size=64"
    arguments = [out, "--part", spec, "--groups", "6", "--side", "32", "--workers", "1"]
    done = CliRunner().invoke(prepare, arguments)
    assert done.exit_code == 0, done.output
    assert "6 groups, 24 pairs, 18 images of 32 pixels" in done.output
    data = DataConfig((Part(out),))
    (batch, _) = next(iter(batches(data, model_config=_Side32(), batch_size=8, seed=0)))
    assert batch.left.pixels is not None
    assert batch.left.pixels.shape[1:] == (32, 32, 3)
    failed = CliRunner().invoke(prepare, [out, "--part", spec, "--mixture", "tgit", "--groups", "6"])
    assert isinstance(failed.exception, UsageError)


class _Side32(Sized):
    text_tokenizer, context_length = "bytes", 64

    def __init__(self) -> None:
        super().__init__(32)
