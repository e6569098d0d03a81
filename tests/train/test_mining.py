"""Mined groups: nearest answers share a group, right ones are no negatives, training reads what was written."""

from __future__ import annotations

import json
import shutil
from itertools import islice
from pathlib import Path

import numpy as np
import pytest
import torch
from click.testing import CliRunner
from hypothesis import given
from hypothesis import strategies as st

from fuselip.cli import main
from fuselip.core.errors import UsageError, UserError
from fuselip.model.models import MODELS
from fuselip.train.data import DataConfig, Part, batches, materialise
from fuselip.train.data.mining import DONE, GROUPS, MINED, Mined, Mining, Pairs, grouped, mine

MODEL = MODELS["fuselip-ti"].config
SCENES = "datagen.training:scenes"
PARTS = (Part(SCENES, 1.0, {"kind": "flip", "size": 64}), Part(SCENES, 1.0, {"kind": "questions", "size": 64}))
RANDOM = Mining(weights="random", size=4)


@pytest.fixture(scope="module")
def data(tmp_path_factory: pytest.TempPathFactory) -> Path:
    out = tmp_path_factory.mktemp("prepared") / "set"
    materialise(DataConfig(PARTS), MODEL, 16, out)
    return out


@pytest.fixture(scope="module")
def mined(data: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    out = tmp_path_factory.mktemp("mined") / "groups"
    mine(data, out, RANDOM, device="cpu")
    return out


def unit(rows: np.ndarray) -> np.ndarray:
    found: np.ndarray = rows / np.linalg.norm(rows, axis=1, keepdims=True)
    return found.astype(np.float32)


def numbered(values: np.ndarray) -> np.ndarray:
    return np.unique(values, return_inverse=True)[1].reshape(-1)


@given(st.integers(0, 2**32 - 1), st.integers(2, 40), st.integers(2, 6), st.integers(1, 12), st.integers(1, 12))
def test_groups_hold_different_answers_none_of_them_right_for_another(
    seed: int, count: int, size: int, questions: int, answers: int
) -> None:
    rng = np.random.default_rng(seed)
    lefts, rights = numbered(rng.integers(0, questions, count)), numbered(rng.integers(0, answers, count))
    left = unit(rng.standard_normal((questions, 5)))[lefts]
    right = unit(rng.standard_normal((answers, 5)))[rights]
    mining = Mining(size=size, same=0.9, seed=seed % 7)
    groups = grouped(left, right, lefts, rights, mining)
    assert np.array_equal(groups, grouped(left, right, lefts, rights, mining))
    used = groups[groups >= 0]
    assert len(used) == len(set(used.tolist()))
    right_for = set(zip(lefts.tolist(), rights.tolist(), strict=True))
    for row in groups:
        group = row[row >= 0]
        assert len(group) >= 2
        for one in group:
            for other in group[group != one]:
                assert (lefts[one], rights[other]) not in right_for
                assert right[one] @ right[other] < 0.9 + 1e-5


def test_the_nearest_answers_are_taken_but_those_that_are_the_same() -> None:
    angles = np.radians([0, 4, 12, 16, 180, 184, 192, 196])
    right = np.stack([np.cos(angles), np.sin(angles)], axis=1).astype(np.float32)
    numbers = np.arange(8)
    found = grouped(right, right, numbers, numbers, Mining(size=2, same=float(np.cos(np.radians(6)))))
    assert len(found) >= 3
    for one, other in found[:2].tolist():  # the first to choose have all others to choose from
        apart = np.abs(np.degrees(angles[one] - angles[[*range(8)]]))
        assert np.degrees(abs(angles[one] - angles[other])) == pytest.approx(min(apart[apart > 6]))


def test_every_pair_is_grouped_whatever_the_size_of_a_block(monkeypatch: pytest.MonkeyPatch) -> None:
    rng = np.random.default_rng(0)
    left, right, numbers = unit(rng.standard_normal((90, 8))), unit(rng.standard_normal((90, 8))), np.arange(90)
    whole = grouped(left, right, numbers, numbers, Mining(size=8))
    monkeypatch.setattr("fuselip.train.data.mining.BLOCK", 90 * 3)
    for found in (whole, grouped(left, right, numbers, numbers, Mining(size=8))):
        assert sorted(found[found >= 0].tolist()) == list(range(90))
        joined = np.mean([left[row[0]] @ right[row[row >= 0][1:]].T for row in found[:5]])
        assert joined > 0.3 > abs((left @ right.T).mean())


def test_training_reads_the_pairs_of_the_set(data: Path, mined: Path) -> None:
    part = Part(MINED, 1.0, {"folder": str(mined), "data": str(data)})
    groups = np.load(mined / GROUPS)
    pixels = {image.tobytes() for shard in data.glob("*.npy") for image in np.load(shard)}
    read = list(islice(batches(DataConfig((part,)), model_config=MODEL, batch_size=12, seed=0), 3))
    for batch, _ in read:
        assert batch.left.pixels is not None
        assert {image.numpy().tobytes() for image in batch.left.pixels} <= pixels
        assert len(batch) == 12
    sizes = np.bincount(read[0][0].groups.numpy())
    assert sizes.max() == RANDOM.size == groups.shape[1]
    again = next(iter(batches(DataConfig((part,)), model_config=MODEL, batch_size=12, seed=0)))[0]
    assert again.right_keys == read[0][0].right_keys
    assert torch.equal(again.left.text_ids, read[0][0].left.text_ids)
    source = Mined(0, str(mined), str(data))
    assert sorted(source.order(3)) == list(range(len(groups)))
    assert list(source.order(3)) != list(source.order(4))


def test_what_is_told_is_what_was_done(data: Path, mined: Path) -> None:
    about = json.loads((mined / DONE).read_text())
    groups = np.load(mined / GROUPS)
    assert about["mining"] == {"model": "fuselip-ti", "weights": "random", "size": 4, "same": 0.98, "seed": 0}
    assert len(about["weights"]["sha256"]) == 64
    assert (about["groups"], about["pairs"]) == (len(groups), int((groups >= 0).sum()))
    assert about["pairs"] + about["left_out"] == len(Pairs(data))
    assert not list(mined.glob("vectors-*"))
    before = (mined / GROUPS).stat().st_mtime_ns
    assert mine(data, mined, RANDOM, device="cpu") == about
    assert (mined / GROUPS).stat().st_mtime_ns == before


def test_what_was_begun_is_gone_on_with(data: Path, mined: Path, tmp_path: Path) -> None:
    """As after a kill while the second shard was embedded: the first one's vectors are taken as they lie."""

    class Killed(Exception):
        pass

    def report(done: int, total: int) -> None:
        if done:
            raise Killed

    with pytest.raises(Killed):
        mine(data, tmp_path, RANDOM, device="cpu", report=report)
    (vectors,) = tmp_path.glob("vectors-*")
    before = vectors.stat().st_mtime_ns
    seen: list[int] = []
    mine(data, tmp_path, RANDOM, device="cpu", report=lambda done, _: seen.append(vectors.stat().st_mtime_ns))
    assert set(seen) == {before}
    assert (tmp_path / GROUPS).read_bytes() == (mined / GROUPS).read_bytes()


def test_what_does_not_fit_is_refused(data: Path, mined: Path, tmp_path: Path) -> None:
    with pytest.raises(UserError, match="too few for groups of 999"):
        mine(data, tmp_path / "few", Mining(weights="random", size=999))
    with pytest.raises(UsageError, match="begun with other settings"):
        mine(data, mined, Mining(weights="random", size=5), device="cpu")
    with pytest.raises(UsageError, match="cosine"):
        mine(data, tmp_path / "same", Mining(same=1.5))
    with pytest.raises(UserError, match="no finished mined groups"):
        Mined(0, str(tmp_path), str(data))
    other = tmp_path / "other"
    materialise(DataConfig(PARTS[:1]), MODEL, 2, other)
    with pytest.raises(UserError, match="mined from another set"):
        Mined(0, str(mined), str(other))
    copy = tmp_path / "copy"
    shutil.copytree(mined, copy)
    np.save(copy / GROUPS, np.full((2, 4), 10**6))
    with pytest.raises(UserError, match="out of range"):
        Mined(0, str(copy), str(data))


def test_the_command_says_how_to_read_it(data: Path, tmp_path: Path) -> None:
    out = tmp_path / "groups"
    options = ["--out", str(out), "--weights", "random", "--size", "4", "--device", "cpu"]
    done = CliRunner().invoke(main, ["mine", str(data), *options])
    assert done.exit_code == 0, done.output
    assert f"{MINED}?folder={out}&data={data}" in done.output
    assert CliRunner().invoke(main, ["mine", str(tmp_path), "--out", str(out)]).exit_code == 1
