"""Mixes: what a YAML may say, the paper's presets, and reading the index: whole groups, exact weights, any split."""

from __future__ import annotations

import json
import pickle
import time
from collections import Counter
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pyarrow.parquet as pq
import pytest
import sets
from click.testing import CliRunner
from hypothesis import given, settings
from hypothesis import strategies as st

from datagen.generate import build
from datagen.mix import MixReader, config, index, make
from datagen.mix.command import mix as command
from datagen.mix.order import Order, Run
from datagen.mix.presets import preset
from datagen.mix.sets import unimodal_pairs
from datagen.plan import Config
from datagen.recipes import registry
from datagen.sources.registry import open_source
from fuselip.core.errors import UsageError, UserError
from fuselip.core.types import Group

ITEMS = 60


@pytest.fixture(scope="module")
def built(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """caps: 60 groups of one pair; crop: 20 groups of nine; cc3m: virtual, as the preset has it."""
    root = tmp_path_factory.mktemp("built")
    spec = sets.source(root / "src", ITEMS)
    sets.captions(spec, root / "caps", shard_items=7)
    _build(spec, root / "crop", {"families": "crop", "pools": "paper", "measure": "false"}, limit=20)
    _build(spec, root / "cc3m", {"preset": "paper-cc3m"}, virtual=True)
    (root / "mix.yaml").write_text(
        "seed: 3\nsets:\n  caps: {path: caps, weight: 0.5}\n  crop: crop\n  cc3m: {path: cc3m, weight: 2}\n", "utf-8"
    )
    invoke(root / "mix.yaml", "--out", root / "mix.parquet")
    return root


def _build(spec: str, out: Path, params: dict[str, Any], **options: Any) -> None:
    source = open_source(spec)
    build(Config.of("transforms", source.name, params, shard_items=8, **options), source, out)


def invoke(*arguments: object) -> str:
    """The command's standard output. Errors are raised."""
    result = CliRunner().invoke(command, list(map(str, arguments)), catch_exceptions=False, standalone_mode=False)
    return result.stdout


def rows(root: Path, *arguments: object) -> dict[str, dict[str, Any]]:
    return {row["set"]: row for row in json.loads(invoke(*arguments, "--json"))["sets"]}


def test_it_tells_what_each_set_holds(built: Path) -> None:
    found = rows(built, built / "mix.yaml")
    assert [found["caps"][key] for key in ("groups", "pairs", "unimodal", "pairs_epoch")] == [60, 60, 1.0, 30]
    assert [found["crop"][key] for key in ("groups", "pairs", "unimodal", "pairs_epoch")] == [20, 180, 0.0, 180]
    drawn = [group for _, groups in MixReader(built / "mix.parquet").items() for group in groups]
    assert found["cc3m"]["sampled"] and found["cc3m"]["groups"] == ITEMS  # noqa: PT018
    assert found["cc3m"]["unimodal"] > 0.5
    total = found["caps"]["pairs_epoch"] + found["crop"]["pairs_epoch"] + found["cc3m"]["pairs_epoch"]
    assert found["all"]["pairs_epoch"] == total == sum(len(group.pairs) for group in drawn)
    assert sum(found[name]["share"] for name in ("caps", "crop", "cc3m")) == pytest.approx(1)
    assert "~ cc3m is virtual: 60 source items" in invoke(built / "mix.yaml")


def test_the_index_has_a_row_a_shard_and_the_same_bytes_each_time(built: Path, tmp_path: Path) -> None:
    table = pq.read_table(built / "mix.parquet")
    assert Counter(table["set"].to_pylist()) == {"caps": 9, "crop": 3, "cc3m": 8}
    assert json.loads(table.schema.metadata[index.KEY])["sets"][0]["folder"] == "caps"
    before = (built / "mix.parquet").read_bytes()
    invoke(built / "mix.yaml", "--out", built / "mix.parquet")
    assert (built / "mix.parquet").read_bytes() == before


def test_an_epoch_sees_every_set_by_its_weight(built: Path) -> None:
    reader = MixReader(built / "mix.parquet")
    seen = Counter(reader.set_of(number) for number in reader.order())
    assert seen == {"caps": 30, "crop": 20, "cc3m": 120}
    assert reader.epoch_size == 170 and len(reader) == 140  # noqa: PT018
    counts = Counter(reader.order())
    assert {count for number, count in counts.items() if reader.set_of(number) == "cc3m"} == {2}
    assert {count for number, count in counts.items() if reader.set_of(number) != "cc3m"} == {1}


def test_groups_stay_whole_and_are_those_of_the_shards(built: Path) -> None:
    crops = [group for group in MixReader(built / "mix.parquet").groups() if group.params.get("family") == "crop"]
    whole = [group for group in crops if len(group.pairs) == 9]
    assert len(whole) == len(crops) >= 20
    assert all(unimodal_pairs(group) == 0 for group in whole)
    assert whole[0].pairs[0].right.image is not None
    assert whole[0].pairs[0].right.image.load().size == (256, 256)


def test_virtual_sets_are_drawn_anew_every_epoch_and_orders_differ(built: Path) -> None:
    reader = MixReader(built / "mix.parquet")
    assert list(reader.order(0)) == list(MixReader(built / "mix.parquet").order(0)) != list(reader.order(1))
    numbers = [number for number in range(len(reader)) if reader.set_of(number) == "cc3m"]

    def keys(epoch: int) -> list[list[str]]:
        return [[group.key for group in reader.read(number, epoch)] for number in numbers]

    assert keys(0) == keys(0) != keys(1)
    caps = reader.read(0, 0)[0].key
    assert caps == reader.read(0, 1)[0].key


@pytest.mark.parametrize("parts", [1, 2, 3, 7])
def test_parts_share_an_epoch_out(built: Path, parts: int) -> None:
    reader = MixReader(built / "mix.parquet")
    dealt = [number for part in range(parts) for number in reader.order(5, part, parts)]
    assert sorted(dealt) == sorted(reader.order(5))
    again = pickle.loads(pickle.dumps(reader))
    assert list(again.order(5, parts - 1, parts)) == list(reader.order(5, parts - 1, parts))


def test_it_resumes_within_an_epoch(built: Path) -> None:
    reader = MixReader(built / "mix.parquet")
    whole = list(reader.order(2))
    assert [number for number, _ in reader.items(2, skip=25)] == whole[25:]
    assert list(reader.items(2, skip=10_000)) == []


@settings(max_examples=60, deadline=None)
@given(
    counts=st.lists(st.integers(1, 90), min_size=1, max_size=6),
    weights=st.lists(st.sampled_from([0.0, 0.1, 0.5, 1.0, 1.5, 3.0]), min_size=6, max_size=6),
    block=st.integers(1, 40),
    parts=st.integers(1, 4),
)
def test_an_order_is_exact_for_any_sizes(counts: list[int], weights: list[float], block: int, parts: int) -> None:
    """Two shards a stratum: whole weights give equal counts, fractions the exact number, parts a partition."""
    runs, start = [], 0
    for place, count in enumerate(counts):
        weight = weights[place // 2]
        runs.append(Run(start, count, str(place // 2), weight))
        start += count
    order = Order(runs, block, seed=1)
    seen = Counter(int(n) for part in range(parts) for window in order.windows(4, part, parts) for n in window)
    assert seen.total() == order.size
    for stratum in range((len(counts) + 1) // 2):
        mine = [run for run in runs if run.stratum == str(stratum)]
        numbers = [number for run in mine for number in range(run.start, run.start + run.count)]
        weight = weights[stratum]
        assert sum(seen[number] for number in numbers) == int(weight * len(numbers) + 1e-9)
        assert all(abs(seen[number] - weight) < 1 + 1e-9 for number in numbers)


def test_a_torch_loader_reads_it(built: Path) -> None:
    """Two workers, each with its part: every group of the epoch, once."""
    torch = pytest.importorskip("torch.utils.data")
    reader = MixReader(built / "mix.parquet")

    class Stream(torch.IterableDataset):  # type: ignore[name-defined]
        def __iter__(self) -> Iterator[str]:
            info = torch.get_worker_info()
            return (group.key for group in reader.groups(0, info.id, info.num_workers))

    got = [key for batch in torch.DataLoader(Stream(), batch_size=16, num_workers=2) for key in batch]
    assert sorted(got) == sorted(group.key for group in reader.groups(0))


def test_what_cannot_be_read_is_told_or_passed_over(built: Path, tmp_path: Path) -> None:
    folder, shard = built / "caps/data/captions-p1-i1", "00002.tar"
    kept = (folder / shard).read_bytes()
    try:
        (folder / shard).write_bytes(kept[:5000])
        reader = MixReader(built / "mix.parquet")
        with pytest.raises(UserError, match=r"00002\.tar"):
            list(reader.groups())
        errors: list[int] = []
        got = list(reader.items(on_error=lambda number, error: errors.append(number)))
        assert len(got) + len(errors) == reader.epoch_size
        assert {reader.set_of(number) for number in errors} == {"caps"}
    finally:
        (folder / shard).write_bytes(kept)


def test_a_set_that_changed_is_noticed(built: Path) -> None:
    path = built / "crop/manifest.json"
    kept = path.read_bytes()
    try:
        path.write_bytes(kept + b" ")
        with pytest.raises(UserError, match=r"'crop' .* has changed since it was mixed"):
            MixReader(built / "mix.parquet")
        path.unlink()
        with pytest.raises(UserError, match="'crop' is not at"):
            MixReader(built / "mix.parquet")
    finally:
        path.write_bytes(kept)


@pytest.mark.parametrize(
    ("text", "match"),
    [
        ("sets: {a: b}\nsead: 3", "unknown key 'sead'; did you mean 'seed'"),
        ("sets: {a: {path: b, wieght: 3}}", "unknown key 'wieght'; did you mean 'weight'"),
        ("sets: {a: {weight: 3}}", "has no path"),
        ("sets: {a: {path: b, weight: -1}}", "weight -1 is not a number"),
        ("sets: {a: {path: b, weight: .nan}}", "weight nan"),
        ("sets: {a: {path: b, weight: true}}", "weight True"),
        ("sets: {a: {path: b, weight: 0}}", "all weights are 0"),
        ("sets: {../a: b}", "letters, digits"),
        ("sets: [a, b]", "table of names"),
        ("preset: cc3m-nm", "did you mean 'cc3m-mm'"),
        ("seed: one\nsets: {a: b}", "seed 'one'"),
        ("", "holds no settings"),
        ("sets: {}", "names no sets"),
        ("sets: {a: b", "is not YAML"),
        ("sets: !!python/object/apply:os.system [ls]", "is not YAML"),
    ],
)
def test_what_a_yaml_may_not_say(tmp_path: Path, text: str, match: str) -> None:
    (tmp_path / "m.yaml").write_text(text, "utf-8")
    with pytest.raises(UsageError, match=match):
        config.read(tmp_path / "m.yaml")


def test_the_papers_mixtures(tmp_path: Path) -> None:
    weights = {
        name: {s.name: s.weight for s in config.of_preset(name, tmp_path).sets} for name in ("cc3m-mm", "cc12m-mm")
    }
    assert weights["cc3m-mm"] == {"cc3m": 1, "cc3m-vqa": 1, "vg-crop": 1, "vg-vqa": 0.5, "hq-edit": 1}
    assert weights["cc12m-mm"] == {"cc12m": 1, "cc3m-vqa": 1, "vg-crop": 1, "vg-vqa": 1, "hq-edit": 1}
    shares = [config.of_preset(name, tmp_path).sets[0].paper for name in ("cc3m-mm", "cc12m-mm")]
    assert [paper.expect["unimodal"] for paper in shares if paper] == [0.9, 0.971]
    assert all(paper.virtual for paper in shares if paper)


@pytest.mark.parametrize("name", ["cc3m-mm", "cc12m-mm"])
def test_presets_ask_for_builders_and_parameters_that_there_are(name: str) -> None:
    for each in preset(name):
        known = registry.parameters(each.builder)
        assert all(type(known[key]) is type(value) for key, value in each.expect.items()), each.name
        registry.create(each.builder, each.expect)


def test_missing_sets_of_a_preset_are_named_with_where_they_come_from(built: Path, tmp_path: Path) -> None:
    out = tmp_path / "mix.parquet"
    with pytest.raises(
        UserError, match=r"(?s)4 of 5 sets.*hq-edit: .*comes from: .*UCSC-VLAA/HQ-Edit.*--allow-missing"
    ):
        invoke("--preset", "cc3m-mm", "--root", built, "--out", out)
    assert not out.exists()
    text = invoke("--preset", "cc3m-mm", "--root", built, "--out", out, "--allow-missing")
    assert "missing:" in text
    reader = MixReader(out)
    assert reader.index.left_out == ["cc3m-vqa", "vg-crop", "vg-vqa", "hq-edit"]
    assert reader.epoch_size == ITEMS


def test_a_set_that_is_not_the_papers_is_refused(built: Path, tmp_path: Path) -> None:
    (tmp_path / "m.yaml").write_text(f"preset: cc3m-mm\nsets:\n  cc3m: {{path: {built / 'crop'}}}\n", "utf-8")
    with pytest.raises(UserError, match=r"is not the preset's set 'cc3m': it must be virtual.*preset is 'none'"):
        make.gather(config.read(tmp_path / "m.yaml"))


@pytest.mark.parametrize("damage", ["cut", "foreign", "absent"])
def test_an_index_that_is_none(built: Path, tmp_path: Path, damage: str) -> None:
    path = tmp_path / "mix.parquet"
    if damage == "cut":
        path.write_bytes((built / "mix.parquet").read_bytes()[:300])
    elif damage == "foreign":
        path.write_bytes(next((built / "caps/index").glob("*.parquet")).read_bytes())
    with pytest.raises(UserError, match=r"mix\.parquet .*fuselip-datagen mix"):
        MixReader(path)


@pytest.mark.slow
def test_ten_thousand_pairs_are_read_fast(tmp_path: Path) -> None:
    """Far below what was measured (10,000 pairs/s on two cores), so that only a real defect fails it."""
    spec = sets.source(tmp_path / "src", 1200)
    _build(spec, tmp_path / "crop", {"families": "crop", "pools": "paper", "measure": "false"}, limit=1200)
    (tmp_path / "m.yaml").write_text("sets: {crop: crop}\n", "utf-8")
    invoke(tmp_path / "m.yaml", "--out", tmp_path / "m.parquet")
    reader, began, pairs, groups = MixReader(tmp_path / "m.parquet"), time.monotonic(), 0, list[Group]()
    for group in reader.groups():
        pairs += len(group.pairs)
        groups.append(group)
    rate = pairs / (time.monotonic() - began)
    assert pairs == 10_800
    assert len({group.key for group in groups}) == 1200
    assert rate > 500, f"{rate:.0f} pairs/s"
