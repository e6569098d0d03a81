"""Batches of whole groups: exact sizes, the same for any number of workers, resumed to the bit, shares by weight."""

from __future__ import annotations

import json
import shutil
import signal
import subprocess
import sys
import time
from collections import Counter
from dataclasses import replace
from itertools import islice
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch

from datagen import training
from datagen.generate import build
from datagen.mix import config as mix_config
from datagen.mix import make as mix_make
from datagen.plan import Config
from datagen.sources.registry import open_source
from fuselip.core import images
from fuselip.core.errors import UsageError, UserError
from fuselip.core.plugins import load
from fuselip.model.models import MODELS
from fuselip.train.batch import Batch, Side
from fuselip.train.data import DataConfig, DataState, Part, batches
from fuselip.train.data.config import parse_part
from fuselip.train.data.mixtures import mixture

MODEL = MODELS["fuselip-ti"].config
SCENES = "datagen.training:scenes"
DATA = DataConfig(
    (
        Part(SCENES, 2.0, {"kind": "crop+flip", "size": 64}),
        Part(SCENES, 1.0, {"kind": "questions", "size": 64}),
        Part(SCENES, 1.0, {"kind": "captions", "size": 64}),
    ),
    max_group=4,
)


def run(data: DataConfig, count: int, **more: Any) -> list[tuple[Batch, DataState]]:
    options: dict[str, Any] = {"model_config": MODEL, "batch_size": 16, "seed": 5} | more
    stream = batches(data, **options)
    found = list(islice(stream, count))
    stream.close()  # type: ignore[attr-defined]
    return found


def tensors(batch: Batch) -> list[torch.Tensor]:
    sides = [[s.text_ids, s.text_lengths, s.image_rows, s.codes, s.pixels] for s in (batch.left, batch.right)]
    return [batch.groups, *(each for side in sides for each in side if each is not None)]


def assert_equal(one: list[tuple[Batch, DataState]], other: list[tuple[Batch, DataState]]) -> None:
    assert len(one) == len(other)
    for (a, state), (b, same) in zip(one, other, strict=True):
        assert a.right_keys == b.right_keys
        assert all(torch.equal(x, y) for x, y in zip(tensors(a), tensors(b), strict=True))
        assert state == same


def picture(side: Side, pair: int) -> np.ndarray:
    assert side.pixels is not None
    return side.pixels[side.image_rows[pair]].numpy()


def test_batches_are_full_and_their_groups_whole() -> None:
    for batch, _ in run(DATA, 8):
        assert len(batch) == 16
        assert batch.left.text_ids.dtype == batch.groups.dtype == torch.int64
        assert int(batch.left.image_rows.max()) + 1 == len(batch.left.pixels)  # type: ignore[arg-type]
        assert (batch.groups.diff() >= 0).all()
        sizes = Counter(batch.groups.tolist())
        assert max(sizes.values()) <= 4
        for ids, length in zip(batch.left.text_ids, batch.left.text_lengths, strict=True):
            assert ids[0] == MODEL.sot_id
            assert ids[length - 1] == MODEL.eot_id
            assert (ids[length:] == 0).all()


def test_shares_of_the_pairs_are_the_weights() -> None:
    served = [place.served for place in run(DATA, 12)[-1][1].places]
    assert abs(served[0] - 2 * served[1]) <= 12
    assert abs(served[1] - served[2]) <= 4


def test_pixels_are_those_of_the_evaluation() -> None:
    """Flips too, which are made after resizing."""
    data = DataConfig((Part(SCENES, 1.0, {"kind": "flip", "count": 1}),))
    ((batch, _),) = run(data, 1, batch_size=4)
    (group,) = training.scenes(kind="flip", count=1, seed=5).read(0)
    for row, pair in enumerate(group.pairs):
        assert pair.left.image is not None
        assert pair.right.image is not None
        assert np.array_equal(picture(batch.left, row), images.rgb_pixels(pair.left.image, 64))
        assert np.array_equal(picture(batch.right, row), images.rgb_pixels(pair.right.image, 64))
    assert batch.right_keys[1] == batch.right_keys[3] != batch.right_keys[0]
    assert len(batch.right.pixels) == 3  # type: ignore[arg-type]


def test_answers_that_look_alike_are_left_out() -> None:
    """Quarters of a plain picture: what is left differs by two gray levels."""
    data = DataConfig((Part(SCENES, 1.0, {"kind": "crop", "count": 12}),), repeat=False)
    found = run(data, 20, batch_size=9)
    for batch, _ in found:
        for number in set(batch.groups.tolist()):
            rows = [row for row, group in enumerate(batch.groups.tolist()) if group == number]
            shown = [picture(batch.right, row).astype(int)[::2, ::2] for row in rows]
            assert all(np.abs(a - b).mean() >= 2 for i, a in enumerate(shown) for b in shown[:i])
    assert sum(len(batch) for batch, _ in found) < 12 * 9


@pytest.mark.parametrize("after", [1, 3])
def test_a_resumed_run_goes_on_with_the_same_batches(after: int) -> None:
    whole = run(DATA, 6)
    saved = DataState.from_json(json.loads(json.dumps(whole[after - 1][1].to_json())))
    assert_equal(run(DATA, 6 - after, state=saved), whole[after:])


def test_resuming_across_epochs_with_few_draws() -> None:
    parts = (Part(SCENES, 1.0, {"kind": "crop", "size": 64, "count": 4}),)
    data = DataConfig(parts, draws=2)
    whole = run(data, 12, batch_size=9)
    assert whole[-1][1].places[0].epoch >= 2
    assert_equal(run(data, 4, batch_size=9, state=whole[7][1]), whole[8:])
    keys = [set(batch.right_keys) for batch, _ in whole]
    assert len(set.union(*keys)) <= 2 * 4 * 9


@pytest.mark.slow
def test_the_number_of_workers_changes_nothing() -> None:
    assert_equal(run(replace(DATA, workers=2), 5), run(DATA, 5))


def test_ranks_share_a_batch_and_see_different_items() -> None:
    found = [run(DATA, 2, rank=rank, world=3)[1][0] for rank in range(3)]
    assert [len(batch) for batch in found] == [6, 5, 5]
    texts = [{tuple(ids.tolist()) for ids in batch.right.text_ids} for batch in found]
    assert texts[0] != texts[1] != texts[2]
    pixels = [batch.left.pixels for batch in found]
    assert not any(torch.equal(a[0], b[0]) for a, b in ((pixels[0], pixels[1]), (pixels[1], pixels[2])))  # type: ignore[index]


def test_a_batch_too_small_for_a_group_takes_a_draw_of_it() -> None:
    data = DataConfig((Part(SCENES, 1.0, {"kind": "rotate", "size": 64}),))
    for batch, _ in run(data, 2, batch_size=5):
        assert len(batch) == 5


def test_data_that_ends_ends() -> None:
    data = replace(DATA, parts=(Part(SCENES, 1.0, {"kind": "captions", "size": 64, "count": 40}),), repeat=False)
    assert [len(batch) for batch, _ in run(data, 9)] == [16, 16]
    assert len(run(replace(data, repeat=True), 9)) == 9


def test_other_settings_refuse_a_saved_state() -> None:
    state = run(DATA, 1)[0][1]
    for more in ({"seed": 6}, {"batch_size": 8}, {"world": 2}):
        with pytest.raises(UsageError, match="another configuration"):
            run(DATA, 1, state=state, **more)
    run(replace(DATA, tokens="x"), 1, state=state)
    with pytest.raises(UserError, match="damaged"):
        DataState.from_json({**state.to_json(), "places": [{"epoch": -1}]})


@pytest.mark.parametrize(
    ("source", "words"),
    [
        ("no/such/folder", "no folder"),
        ("datagen.training:scens", "did you mean 'scenes'"),
        ("datagen.training:VERSION", "check the options"),
        ("datagen.scenes.types:Background", "check the options"),
    ],
)
def test_a_source_that_is_none_is_named(source: str, words: str) -> None:
    with pytest.raises(UserError, match=words):
        run(DataConfig((Part(source),)), 1)


def test_parts_are_written_in_one_line_and_as_json() -> None:
    part = parse_part("0.5*datagen.training:scenes?kind=crop&seed=1")
    assert part == Part(SCENES, 0.5, {"kind": "crop", "seed": 1})
    data = DataConfig((part, parse_part("sets/cc3m")), max_group=6, tokens="cache")
    assert DataConfig.from_json(json.loads(json.dumps(data.to_json()))) == data
    for bad in ({"parts": []}, {"parts": [{"source": "x", "weight": 0}]}, {"parts": [{"sorce": "x"}]}, {"part": []}):
        with pytest.raises(UsageError):
            DataConfig.from_json(bad)
    with pytest.raises(UsageError, match="no weight"):
        parse_part("a*b")


@pytest.mark.parametrize("name", ["tgit", "scenes", "made"])
def test_mixtures_by_name_have_parts_that_open(name: str) -> None:
    parts = mixture(name)
    assert sum(part.weight for part in parts) == pytest.approx(1)
    for part in parts:
        assert len(load(part.source)(**part.options)) > 0


@pytest.fixture(scope="module")
def built(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A set of 30 pictures of a scene each, as shards."""
    out = tmp_path_factory.mktemp("built") / "set"
    source = open_source("scenes:train?count=30&size=64")
    made = Config.of("scenes", source.name, shard_items=8)
    build(made, source, out, workers=1)
    return out


def test_built_sets_are_read_whole_once_an_epoch(built: Path) -> None:
    found = run(DataConfig((Part(str(built)),), repeat=False), 99)
    texts = Counter(key for batch, _ in found for key in batch.right_keys)
    assert len(texts) > 60
    left = found[0][0].left
    assert left.pixels is not None
    assert left.pixels.shape[1:] == (64, 64, 3)


def test_a_mix_is_read_by_its_index(built: Path, tmp_path: Path) -> None:
    mixed = mix_make.gather(mix_config.parse({"sets": {"a": str(built)}}, "mix", tmp_path, "test"))
    mix_make.write(mixed, tmp_path / "mix.parquet", False)
    data = DataConfig((Part(str(tmp_path / "mix.parquet")), *DATA.parts))
    whole = run(data, 4)
    assert_equal(run(data, 2, state=whole[1][1]), whole[2:])


def test_a_missing_shard_is_named(built: Path, tmp_path: Path) -> None:
    copy = tmp_path / "copy"
    shutil.copytree(built, copy)
    gone = sorted((copy / "data").glob("*/*.tar"))[0]
    gone.unlink()
    with pytest.raises(UserError, match=gone.name):
        run(DataConfig((Part(str(copy)),), repeat=False), 99)


def test_workers_need_no_torch_and_batches_little_else() -> None:
    lean = (
        "import sys\nimport fuselip.train.data.work, fuselip.train.data.prepare, fuselip.train.data.command\n"
        "assert 'torch' not in sys.modules\n"
        "from fuselip.model.models import MODELS\nfrom fuselip.train.data import DataConfig, Part, batches\n"
        "data = DataConfig((Part('datagen.training:scenes', 1.0, {'kind': 'flip', 'size': 64}),))\n"
        "next(iter(batches(data, model_config=MODELS['fuselip-ti'].config, batch_size=4, seed=0)))\n"
        "more = {'pyarrow', 'pandas', 'yaml', 'ftfy', 'sklearn', 'skimage', 'huggingface_hub'} & set(sys.modules)\n"
        "assert not more, more\n"
    )
    done = subprocess.run([sys.executable, "-c", lean], capture_output=True, text=True, timeout=120, check=False)
    assert done.returncode == 0, done.stderr


@pytest.mark.slow
def test_workers_end_with_the_run_that_started_them() -> None:
    code = (
        "import multiprocessing, sys\nfrom fuselip.model.models import MODELS\n"
        "from fuselip.train.data import DataConfig, Part, batches\n"
        "if __name__ == '__main__':\n"
        "    data = DataConfig((Part('datagen.training:scenes', 1.0, {'kind': 'captions', 'size': 64}),), workers=2)\n"
        "    stream = batches(data, model_config=MODELS['fuselip-ti'].config, batch_size=4, seed=0)\n"
        "    next(stream)\n    print(*[each.pid for each in multiprocessing.active_children()], flush=True)\n"
        "    sys.stdin.read()\n"
    )
    process = subprocess.Popen([sys.executable, "-c", code], stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True)
    assert process.stdout is not None
    workers = [int(word) for word in process.stdout.readline().split()]
    assert len(workers) == 2
    process.send_signal(signal.SIGKILL)
    process.communicate()
    deadline = time.monotonic() + 20
    while any(Path(f"/proc/{pid}/status").exists() for pid in workers) and time.monotonic() < deadline:
        time.sleep(0.1)
    assert not any(Path(f"/proc/{pid}/status").exists() for pid in workers)


@pytest.mark.slow
def test_a_worker_says_what_is_wrong(built: Path, tmp_path: Path) -> None:
    copy = tmp_path / "copy"
    shutil.copytree(built, copy)
    for path in sorted((copy / "data").glob("*/*.tar")):
        path.write_bytes(path.read_bytes()[:3000])
    with pytest.raises(UserError, match=r"\.tar"):
        run(DataConfig((Part(str(copy)),), workers=1), 1)
