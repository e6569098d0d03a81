"""What a training set gives away of the benchmark: planted copies are found, strangers are not, texts are compared."""

from __future__ import annotations

import csv
import io
import json
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from click.testing import CliRunner
from hypothesis import given, settings
from hypothesis import strategies as st
from PIL import Image, ImageOps

from benchmarks import leaks_hash
from benchmarks.leaks import Benchmark, clean_keys
from benchmarks.leaks_command import leaks as command
from benchmarks.leaks_hash import HashIndex, hashes
from benchmarks.leaks_texts import TextIndex, grams
from benchmarks.leaks_training import Trained, training
from benchmarks.types import Candidate, Query, TaskData, TaskSpec
from datagen.generate import build
from datagen.plan import Config
from datagen.sources.photos import Photos
from datagen.sources.registry import open_source
from datagen.sources.types import SourceItem
from fuselip.core.errors import UsageError
from fuselip.core.types import ImageRef, Input


def jpeg(image: Image.Image, quality: int) -> Image.Image:
    stream = io.BytesIO()
    image.save(stream, "JPEG", quality=quality)
    return Image.open(stream).convert("RGB")


def trim(image: Image.Image, share: float) -> Image.Image:
    dx, dy = round(image.width * share), round(image.height * share)
    return image.crop((dx, dy, image.width - dx, image.height - dy))


COPIES: dict[str, Callable[[Image.Image], Image.Image]] = {
    "exact": lambda image: image,
    "q70": lambda image: jpeg(image, 70),
    "half": lambda image: image.resize((image.width // 2, image.height // 2)),
    "square": lambda image: image.resize((256, 256)),
    "trimmed": lambda image: trim(image, 0.05),
    "mirrored": ImageOps.mirror,
    "gray": lambda image: image.convert("L"),
    "all": lambda image: jpeg(trim(ImageOps.mirror(image), 0.03).resize((200, 150)), 70),
}


@pytest.fixture(scope="module")
def photos() -> dict[str, ImageRef]:
    """Bundled photos and their tiles: pictures that have little in common but their maker."""
    return {item.key: item.image for item in Photos().items() if isinstance(item, SourceItem)}


def task(pictures: dict[str, Input], cluster: str = "") -> tuple[TaskSpec, TaskData]:
    """A query for each input, answered by a text of its own."""
    queries = tuple(Query(key, found, {f"a-{key}": 1.0}, cluster=cluster or key) for key, found in pictures.items())
    candidates = {f"a-{key}": Candidate(f"a-{key}", (Input(f"answer {key}"),)) for key in pictures}
    return TaskSpec("t", 1, "x:y", "a task"), TaskData(queries, candidates)


def scan(benchmark: Benchmark, items: list[Trained]) -> dict[str, Any]:
    *_, seen = benchmark.scan(iter(items))
    return benchmark.report(seen, "here")


@pytest.mark.parametrize("kind", COPIES)
def test_planted_copies_are_found_and_strangers_are_not(photos: dict[str, ImageRef], kind: str) -> None:
    """Half of the photos are planted; the other half is the benchmark's too, and only two of its tiles look alike."""
    keys = sorted(photos)
    planted = keys[::2]
    benchmark = Benchmark([task({key: Input(image=photos[key]) for key in keys})])
    items = [Trained(key, (ImageRef.from_pil(COPIES[kind](photos[key].load())),), ()) for key in planted]
    report = scan(benchmark, items)
    clean = set(report["tasks"]["t"]["clean"])
    found = [key for key in planted if key not in clean]
    wrong = [key for key in keys if key not in planted and key not in clean]
    assert len(found) >= (0.97 if kind in ("trimmed", "all") else 1.0) * len(planted), set(planted) & clean
    assert len(wrong) <= 2, wrong  # the corners of the retina mirror each other


def test_false_positives_among_all_pairs_of_tiles(photos: dict[str, ImageRef]) -> None:
    """Measured: 1 ordered pair of 4422 within 8 bits. A tile is not its photo, and neighbours are not each other."""
    pairs = [found for ref in photos.values() if (found := hashes(ref.load())) is not None]
    views = [
        (number, *found)
        for number, ref in enumerate(photos.values())
        for view in leaks_hash.views(ref.load())
        if (found := hashes(view)) is not None
    ]
    table = np.array(views, np.uint64)
    asked, entries, _ = HashIndex(table[:, 1].copy(), 8).near(np.array([pair[0] for pair in pairs], np.uint64))
    wrong = {(a, int(table[e, 0])) for a, e in zip(asked.tolist(), entries.tolist(), strict=True) if a != table[e, 0]}
    assert len(wrong) <= 4, wrong
    assert len(set(asked.tolist())) == len(pairs)


@settings(max_examples=80, deadline=None)
@given(st.integers(0, 2**32), st.integers(0, leaks_hash.MAX_DISTANCE), st.integers(0, 60), st.integers(0, 30))
def test_the_index_finds_what_comparing_all_finds(seed: int, limit: int, entries: int, asked: int) -> None:
    """Hashes near some of the entries by a few flipped bits, and others anywhere."""
    rng = np.random.default_rng(seed)
    there = rng.integers(0, 2**64, entries, dtype=np.uint64)
    wanted = rng.integers(0, 2**64, asked, dtype=np.uint64)
    for place in range(asked if entries else 0):
        if rng.random() < 0.8:
            bits = rng.choice(64, rng.integers(0, 14), replace=False)
            flips = sum(1 << int(bit) for bit in bits)
            wanted[place] = there[rng.integers(entries)] ^ np.uint64(flips)
    left, right, found = HashIndex(there, limit).near(wanted)
    brute = {
        (a, b, (int(wanted[a]) ^ int(there[b])).bit_count())
        for a in range(asked)
        for b in range(entries)
        if (int(wanted[a]) ^ int(there[b])).bit_count() <= limit
    }
    assert sorted(zip(left.tolist(), right.tolist(), found.tolist(), strict=True)) == sorted(brute)


def test_plain_pictures_have_no_hash() -> None:
    assert hashes(Image.new("RGB", (80, 60), (9, 9, 9))) is None


def test_runs_of_words() -> None:
    assert list(grams("Two dogs")) == []
    assert list(grams("Two dogs, in the SNOW!")) == ["two dogs in the snow"]
    assert len(list(grams("one two three four five six seven eight nine"))) == 2
    index = TextIndex()
    index.add(0, "A dog and a cat sit on the old red sofa", "p")
    assert list(index.find("yesterday a dog, and a cat SIT on the floor")) == [0]
    assert index.find("a dog and a cat sit on a floor") == {}


def test_templates_are_no_leak_and_captions_are() -> None:
    pictures = [f"photo {number}" for number in range(5)]
    index = TextIndex()
    for number, picture in enumerate(pictures):
        index.add(number, "rotate 30 degrees clockwise", picture)
        index.add(10 + number, f"a lighthouse on cliff number {number}", picture)
    assert index.templates() == 1
    assert index.find("rotate 30 degrees clockwise") == {}
    assert list(index.find("A lighthouse on cliff number 3.")) == [13]


def test_queries_are_tainted_by_their_input_and_answers_alone(photos: dict[str, ImageRef]) -> None:
    """q1 by its picture, q2 by its answer's text, q3 by nothing: its other candidate is only listed."""
    china, coffee, rocket = (photos[key] for key in ("china", "coffee", "rocket"))
    answers = {
        "a2": Input("seven small boats rest at the quay"),
        "a3": Input(image=coffee),
        "other": Input(image=rocket),
    }
    queries = (
        Query("q1", Input(image=china), {"a3": 1.0}),
        Query("q2", Input("where is the harbour"), {"a2": 1.0}),
        Query("q3", Input("where does one drink"), {"a3": 1.0, "other": 0.0}),
    )
    data = TaskData(queries, {key: Candidate(key, (found,)) for key, found in answers.items()})
    benchmark = Benchmark([(TaskSpec("t", 1, "x:y", "d"), data)])
    items = [Trained("x", (china, rocket), ()), Trained("y", (), ("Seven small boats rest at the quay.",))]
    report = scan(benchmark, items)
    found = report["tasks"]["t"]
    assert [found[key] for key in ("queries", "by_image", "by_text", "clean")] == [3, 1, 1, ["q3"]]
    listed = {(each["kind"], each["part"], each["key"]): each["examples"][0][0] for each in report["overlaps"]}
    assert listed == {
        ("image", "query", "q1"): "x",
        ("image", "candidate", "other"): "x",
        ("text", "candidate", "a2"): "y",
    }
    assert clean_keys(report)["tasks"]["t"] == {
        "version": 1, "data_hash": data.data_hash, "queries": 3, "clean": ["q3"],
    }  # fmt: skip


def test_memory_does_not_grow_with_the_training_side(photos: dict[str, ImageRef]) -> None:
    """A stream of 3000 items is never held: at most a batch is alive, and an overlap keeps five examples."""
    benchmark = Benchmark([task({"china": Input(image=photos["china"])})])
    made = 0

    def stream() -> Iterator[Trained]:
        nonlocal made
        for made in range(1, 3001):
            yield Trained(str(made), (photos["china"],) if made % 300 == 0 else (), ("some caption of no concern",))

    for seen in benchmark.scan(stream()):
        assert made - seen.items <= 512
    overlap = benchmark.report(seen, "")["overlaps"]
    assert [(each["matches"], len(each["examples"])) for each in overlap] == [(10, 5)]


def write_csv(folder: Path, photos: dict[str, ImageRef], keys: list[str]) -> str:
    folder.mkdir()
    rows = [("path", "caption")]
    for number, key in enumerate(keys):
        jpeg(photos[key].load(), 70).save(folder / f"{number}.jpg", quality=70)
        rows.append((f"{number}.jpg", f"a caption for the picture with number {number}"))
    with open(folder / "list.csv", "w", newline="", encoding="utf-8") as stream:
        csv.writer(stream).writerows(rows)
    return f"csv:{folder / 'list.csv'}"


@pytest.mark.parametrize("kind", ["csv", "folder", "set", "index", "virtual"])
def test_any_training_side_can_be_named(photos: dict[str, ImageRef], tmp_path: Path, kind: str) -> None:
    spec = write_csv(tmp_path / "src", photos, ["coffee", "china"])
    if kind in ("set", "index", "virtual"):
        source = open_source(spec)
        build(Config.of("captions", source.name, virtual=kind == "virtual"), source, tmp_path / "set")
        spec = str(tmp_path / "set" / ("index" if kind == "index" else ""))
    elif kind == "folder":
        spec = f"folder:{tmp_path / 'src'}"
    items = [each for each in training(spec) if isinstance(each, Trained)]
    assert len(items) == 2
    texts = [text for each in items for text in each.texts]
    assert texts == ([] if kind == "folder" else [f"a caption for the picture with number {n}" for n in range(2)])
    benchmark = Benchmark([task({key: Input(image=photos[key]) for key in ("china", "rocket")})])
    assert scan(benchmark, items)["tasks"]["t"]["clean"] == ["rocket"]


def test_the_command(photos: dict[str, ImageRef], tmp_path: Path) -> None:
    """Two of the five quick photos are in the training set, re-encoded; a damaged file is counted, not fatal."""
    spec = write_csv(tmp_path / "src", photos, ["coffee", "china", "rocket"])
    (tmp_path / "src/1.jpg").write_bytes((tmp_path / "src/1.jpg").read_bytes()[:3000])
    out = tmp_path / "clean.json"
    arguments = [spec, "--suite", "quick", "--task", "tgit/flip", "--out", str(out)]
    result = CliRunner().invoke(command, arguments, catch_exceptions=False, standalone_mode=False)
    clean = json.loads(out.read_text("utf-8"))["tasks"]["tgit/flip"]["clean"]
    assert {key.partition("/")[0] for key in clean} == {"astronaut", "chelsea", "motorcycle"}
    assert "tgit/flip  20       8         0        12" in result.stdout
    assert "not read: 1" in result.stdout
    result = CliRunner().invoke(command, [*arguments, "--json"], catch_exceptions=False, standalone_mode=False)
    report = json.loads(result.stdout)
    assert report["training"]["images"] == 2
    assert {each["examples"][0][0] for each in report["overlaps"]} == {"0.jpg", "2.jpg"}


def test_a_distance_out_of_range() -> None:
    with pytest.raises(UsageError, match="--distance 12"):
        Benchmark([], limit=12)
