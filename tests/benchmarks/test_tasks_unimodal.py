"""Zero-shot classification and caption retrieval from small copies of the publishers' files, in their format."""

from __future__ import annotations

import io
import json
import shutil
import tarfile
import time
from collections.abc import Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from PIL import Image

from benchmarks import controls, probe
from benchmarks.metrics import METRICS
from benchmarks.tasks import TASKS, load_task, task
from benchmarks.tasks.cifar import TEMPLATES
from benchmarks.tasks.clip_benchmark import row_for
from benchmarks.types import Prediction, TaskContext, TaskData, TaskSpec
from fuselip.core.errors import UsageError, UserError
from fuselip.core.types import Input
from tests.benchmarks.pictures import Thumbnails, draw


def load(root: Path, spec: TaskSpec | str, **options: Any) -> TaskData:
    """The task of a small copy: the publisher's counts are not asked for."""
    row = task(spec) if isinstance(spec, str) else spec
    return load_task(replace(row, counts={}), TaskContext(data=root, **options))


def mean(rows: Sequence[Prediction], metric: str = "hit@1") -> float:
    return float(np.mean([unit.value for unit in METRICS[metric].units(rows)]))


def assert_controls(data: TaskData, chance: float) -> None:
    """A constant encoder scores chance, and the best ranking everything."""
    assert mean(controls.constant(data)) == pytest.approx(chance)
    assert mean(controls.oracle(data)) == 1


def encode(inputs: Sequence[Input]) -> np.ndarray:
    return Thumbnails().encode(list(inputs))


def only(data: TaskData, index: int) -> str:
    [key] = data.queries[index].relevance
    return key


# ImageNet


def imagenet(root: Path, names: Sequence[str], pictures: Sequence[int], split: str = "val") -> Path:
    home = root / "imagenet"
    home.mkdir(exist_ok=True)
    (home / "classnames.json").write_text(json.dumps(list(names)))
    (home / "openai_templates.json").write_text(json.dumps(["a photo of a {}.", "itap of the {}."]))
    for label, count in enumerate(pictures):
        folder = home / split / f"n{label:08d}"
        draw(folder, count, side=24)
        for path in list(folder.iterdir()):
            path.rename(path.with_suffix(".JPEG"))  # a file is what its bytes say
    return home


def test_imagenet_folders_in_order_are_the_classes(tmp_path: Path) -> None:
    imagenet(tmp_path, ["tench", "goldfish", "great {white} shark"], [1, 3, 2])
    data = load(tmp_path, "imagenet/zero-shot")
    assert [candidate.inputs for candidate in data.candidates.values()][2] == (
        Input("a photo of a great {white} shark."),
        Input("itap of the great {white} shark."),
    )
    assert len(data.queries) == 6
    of = {query.key: next(iter(query.relevance)) for query in data.queries}
    assert of["n00000001/picture2.JPEG"] == "1:goldfish"
    assert of["n00000002/picture0.JPEG"] == "2:great {white} shark"
    assert_controls(data, 1 / 3)
    assert {*TASKS["imagenet/zero-shot"].also} >= {"hit@5", "class_mean@1"}


def test_imagenet_limit_takes_classes_in_turn(tmp_path: Path) -> None:
    imagenet(tmp_path, ["a", "b", "c"], [4, 4, 4])
    data = load(tmp_path, "imagenet/zero-shot", limit=4)
    assert sorted(only(data, index) for index in range(4)) == ["0:a", "0:a", "1:b", "2:c"]


def test_imagenet_real_names_and_templates(tmp_path: Path, shared: Path) -> None:
    """80,000 prompts, made in no time; the two names that stand for two classes each are told of."""
    home = tmp_path / "imagenet"
    shutil.copytree(shared / "data" / "imagenet", home)
    for label in range(1000):
        (home / "val" / f"n{label:08d}").mkdir(parents=True)
    Image.new("RGB", (8, 8)).save(home / "val" / "n00000000" / "one.png")
    started = time.perf_counter()
    data = load_task(TASKS["imagenet/zero-shot"], TaskContext(data=tmp_path, limit=1))
    contents = {candidate.content for candidate in data.candidates.values()}
    assert time.perf_counter() - started < 60  # about 1 s; what grows with the square of the prompts takes minutes
    assert len(data.candidates) == 1000
    assert {len(candidate.inputs) for candidate in data.candidates.values()} == {80}
    prompts = {item for candidate in data.candidates.values() for item in candidate.inputs}
    assert len(contents) == 998
    assert len(prompts) == 998 * 80
    assert Input("a bad photo of a tench.") in prompts
    assert any("missile, sunglasses" in note for note in data.notes)
    with pytest.raises(UserError, match="1 queries where the publisher's files have 50000"):
        load_task(TASKS["imagenet/zero-shot"], TaskContext(data=tmp_path))


def test_imagenet_bad_files(tmp_path: Path) -> None:
    with pytest.raises(UserError, match=r"classnames\.json, which is not there; write it from open_clip"):
        load(tmp_path, "imagenet/zero-shot")
    home = imagenet(tmp_path, ["a", "b"], [1, 1])
    with pytest.raises(UserError, match="2 candidates where the publisher's files have 1000"):
        load_task(TASKS["imagenet/zero-shot"], TaskContext(data=tmp_path))
    (home / "val" / "n99999999").mkdir()
    with pytest.raises(UserError, match="3 class folders where there are 2 names"):
        load(tmp_path, "imagenet/zero-shot")
    shutil.rmtree(home / "val")
    with pytest.raises(UserError, match=r"imagenet/val, which is not there; register at image-net\.org"):
        load(tmp_path, "imagenet/zero-shot")
    for bad in ("{}", "[]", "[1]", '[""]', "[", '"tench"'):
        (home / "classnames.json").write_text(bad)
        with pytest.raises(UserError, match=r"classnames\.json"):
            load(tmp_path, "imagenet/zero-shot")


def test_imagenet_folder_that_leads_out(tmp_path: Path) -> None:
    home = imagenet(tmp_path, ["a", "b"], [1, 1])
    draw(tmp_path.parent / f"{tmp_path.name}-outside", 1)
    shutil.rmtree(home / "val" / "n00000001")
    (home / "val" / "n00000001").symlink_to(tmp_path.parent / f"{tmp_path.name}-outside")
    with pytest.raises(UserError, match="leads out"):
        load(tmp_path, "imagenet/zero-shot")


def test_imagenet_probe_has_training_and_tells_all_classes_apart(tmp_path: Path) -> None:
    imagenet(tmp_path, ["missile", "missile", "c"], [2, 2, 2])
    with pytest.raises(UserError, match="imagenet/train"):
        load(tmp_path, "imagenet/linear-probe")
    imagenet(tmp_path, ["missile", "missile", "c"], [3, 3, 3], split="train")
    data = load(tmp_path, "imagenet/linear-probe")
    assert len(data.training) == 9
    assert len({candidate.content for candidate in data.candidates.values()}) == 3
    assert_controls(data, 1 / 3)


# CIFAR


def cifar(root: Path, name: str, pixels: np.ndarray, labels: Sequence[int], file: str) -> Path:
    """A file of the binary version: label bytes (CIFAR-100: coarse, fine), then red, green and blue planes."""
    home = root / {"cifar10": "cifar-10-batches-bin", "cifar100": "cifar-100-binary"}[name]
    home.mkdir(exist_ok=True)
    names = {"cifar10": ("batches.meta.txt", 10), "cifar100": ("fine_label_names.txt", 100)}[name]
    (home / names[0]).write_text("".join(f"kind_{index}\n" for index in range(names[1])) + "\n")
    planes = pixels.transpose(0, 3, 1, 2).reshape(len(pixels), -1)
    column = np.array(labels, np.uint8)[:, None]
    ahead = [column] if name == "cifar10" else [column // 5, column]
    np.concatenate([*ahead, planes], axis=1).tofile(home / file)
    return home / file


@pytest.fixture
def pixels() -> np.ndarray:
    return np.random.default_rng(0).integers(0, 256, (12, 32, 32, 3)).astype(np.uint8)


@pytest.mark.parametrize(
    ("name", "file", "classes"), [("cifar10", "test_batch.bin", 10), ("cifar100", "test.bin", 100)]
)
def test_cifar(tmp_path: Path, pixels: np.ndarray, name: str, file: str, classes: int) -> None:
    labels = [(7 * index) % classes for index in range(12)]
    cifar(tmp_path, name, pixels, labels, file)
    data = load(tmp_path, f"{name}/zero-shot")
    assert [only(data, index) for index in range(12)] == [f"{label}:kind {label}" for label in labels]
    for query, expected in zip(data.queries, pixels, strict=True):
        assert query.input.image is not None
        assert np.array_equal(np.asarray(query.input.image.load()), expected)
    assert len(data.candidates) == classes
    assert data.candidates["3:kind 3"].inputs[0] == Input("a photo of a kind 3.")
    assert {len(candidate.inputs) for candidate in data.candidates.values()} == {18}
    assert_controls(data, 1 / classes)
    assert len(load(tmp_path, f"{name}/zero-shot", limit=5).queries) == 5
    with pytest.raises(UserError, match="12 queries where the publisher's files have 10000"):
        load_task(TASKS[f"{name}/zero-shot"], TaskContext(data=tmp_path))


def test_cifar_templates() -> None:
    assert len(set(TEMPLATES)) == 18
    assert {"a photo of a small {}.", "a blurry photo of the {}.", "a photo of the {}."} < set(TEMPLATES)


def test_cifar_probe_learns_colours(tmp_path: Path) -> None:
    """Real use: vectors of training pictures in, predictions out."""
    labels = np.arange(40) % 4
    colours = np.eye(4, 3)[labels][:, None, None, :] * 160
    noisy = colours + np.random.default_rng(1).integers(0, 90, (40, 32, 32, 3))
    for number in range(1, 6):
        own = slice(8 * number - 8, 8 * number)
        cifar(tmp_path, "cifar10", noisy[own].astype(np.uint8), labels[own].tolist(), f"data_batch_{number}.bin")
    cifar(tmp_path, "cifar10", noisy[:12].astype(np.uint8), labels[:12].tolist(), "test_batch.bin")
    data = load(tmp_path, "cifar10/linear-probe")
    assert (len(data.training), len(data.queries)) == (40, 12)
    found = probe.predictions(
        data, encode([item for item, _ in data.training]), encode([query.input for query in data.queries])
    )
    assert mean(found) > 0.9
    assert_controls(data, 1 / 10)


def test_cifar_bad_files(tmp_path: Path, pixels: np.ndarray) -> None:
    with pytest.raises(UserError, match=r"fetch cifar10/zero-shot` gets it from https://www\.cs\.toronto\.edu"):
        load(tmp_path, "cifar10/zero-shot")
    path = cifar(tmp_path, "cifar10", pixels, [10, *range(11)], "test_batch.bin")
    with pytest.raises(UserError, match=r"record 0: class 10 of 10"):
        load(tmp_path, "cifar10/zero-shot")
    path.write_bytes(path.read_bytes()[:-1])
    with pytest.raises(UserError, match="no number of records of 3073"):
        load(tmp_path, "cifar10/zero-shot")
    path.write_bytes(b"")
    with pytest.raises(UserError, match="has 0 bytes"):
        load(tmp_path, "cifar10/zero-shot")


# Webdatasets of CLIP_benchmark


def png(number: int) -> bytes:
    stream = io.BytesIO()
    Image.new("RGB", (8, 8), (40 * number % 256, 99, 7)).save(stream, "PNG")
    return stream.getvalue()


def tar(path: Path, files: Mapping[str, bytes]) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    with tarfile.open(path, "w") as archive:
        for name, content in files.items():
            info = tarfile.TarInfo(name)
            info.size = len(content)
            archive.addfile(info, io.BytesIO(content))


def wds(root: Path, labels: Sequence[Sequence[str]], label: str = "cls", split: str = "test") -> Path:
    """A set of one tar for each list of labels."""
    number = 0
    for shard, texts in enumerate(labels):
        files: dict[str, bytes] = {}
        for text in texts:
            files |= {f"s{number:04d}.{label}": text.encode(), f"s{number:04d}.png": png(number)}
            number += 1
        tar(root / split / f"{shard}.tar", files)
    (root / split / "nshards.txt").write_text(f"{len(labels)}\n")
    if label == "txt":
        (root / "dataset_type.txt").write_text("retrieval\n")
    else:
        (root / "classnames.txt").write_text("cat\n\ndog\n")
        (root / "zeroshot_classification_templates.txt").write_text("a {c}, nearby.\n{c} shapes.\n")
    return root


@pytest.mark.parametrize("folder", ["wds_vtab-pets", "vtab-pets"])
def test_wds_classification(tmp_path: Path, folder: str) -> None:
    wds(tmp_path / folder, [["0", "2", "1"], ["2\n"]])
    data = load(tmp_path, "wds/vtab/pets")
    assert [only(data, index) for index in range(4)] == ["0:cat", "2:dog", "1:", "2:dog"]  # a name can be empty
    assert data.candidates["2:dog"].inputs == (Input("a dog, nearby."), Input("dog shapes."))
    image = data.queries[3].input.image
    assert image is not None
    assert image.load().getpixel((0, 0)) == (120, 99, 7)
    assert_controls(data, 1 / 3)
    assert len(load(tmp_path, "wds/vtab/pets", limit=2).queries) == 2


def test_wds_in_the_data_folder_itself(tmp_path: Path) -> None:
    wds(tmp_path, [["0", "1"]])
    assert len(load(tmp_path, "wds/pets").queries) == 2


def test_wds_probe(tmp_path: Path) -> None:
    wds(tmp_path / "wds_pets", [["0", "2"]])
    wds(tmp_path / "wds_pets", [["0", "1"], ["2"]], split="train")
    data = load(tmp_path, "wds/pets/linear-probe")
    assert [key for _, key in data.training] == ["0:cat", "1:", "2:dog"]
    assert len(data.queries) == 2


def test_wds_retrieval(tmp_path: Path) -> None:
    wds(tmp_path / "wds_f8k", [["a cat\nthe cat\n"], ["a dog\n", "a cat"]], label="txt")
    data = load(tmp_path, "wds/f8k/i2t")
    assert [len(query.relevance) for query in data.queries] == [2, 1, 1]
    assert len(data.candidates) == 4
    assert mean(controls.constant(data)) == pytest.approx((1.5 / 3 + 1 / 3 + 0.5 / 3) / 3, rel=0.2)
    back = load(tmp_path, "wds/f8k/t2i")
    assert len(back.queries) == 4
    assert_controls(back, 1 / 3)
    assert len(load(tmp_path, "wds/f8k/t2i", blind=True).queries) == 4
    with pytest.raises(UserError, match="is a retrieval set; run wds/f8k/i2t or /t2i"):
        load(tmp_path, "wds/f8k")


def test_wds_names() -> None:
    assert row_for("wds/vtab/cifar10/linear-probe") == task("wds/vtab/cifar10/linear-probe")
    for name in ("wds", "wds/", "wds/i2t", "wds/..", "wds/../x", "wds/a b", "other/x", "wds/.hidden"):
        assert row_for(name) is None
    with pytest.raises(UsageError, match="there is no task"):
        task("wds/../x")


def test_wds_bad_files(tmp_path: Path) -> None:
    with pytest.raises(
        UserError, match=r"wds_pets/test/nshards\.txt, which is not there; `hf download clip-benchmark/"
    ):
        load(tmp_path, "wds/pets")
    home = wds(tmp_path / "wds_pets", [["0", "3"]])
    with pytest.raises(UserError, match=r"0/s0001\.cls: class 3 of 3"):
        load(tmp_path, "wds/pets")
    wds(home, [["0", "cat"]])
    with pytest.raises(UserError, match="is no number of a class"):
        load(tmp_path, "wds/pets")
    for name, reason in (("../a.png", "leads out"), ("/a.png", "absolute")):
        tar(home / "test/0.tar", {name: png(0), f"{name[:-3]}cls": b"0"})
        with pytest.raises(UserError, match=reason):
            load(tmp_path, "wds/pets")
    tar(home / "test/0.tar", {"a.png": png(0), "b.cls": b"0"})
    with pytest.raises(UserError, match=r"sample 'a' needs a picture and \.cls"):
        load(tmp_path, "wds/pets")
    wds(home, [["0", "1"]])
    whole = (home / "test/0.tar").read_bytes()
    (home / "test/0.tar").write_bytes(whole[: len(whole) // 20])
    with pytest.raises(UserError, match="damaged or cut short"):
        load(tmp_path, "wds/pets")
    (home / "test/0.tar").write_bytes(whole)
    for count in ("", "-1", "x", "0", "9" * 30):
        (home / "test/nshards.txt").write_text(count)
        with pytest.raises(UserError, match="must hold the number of tars"):
            load(tmp_path, "wds/pets")
    (home / "test/nshards.txt").write_text("2")
    with pytest.raises(UserError, match=r"1\.tar, which is not there"):
        load(tmp_path, "wds/pets")
    (home / "dataset_type.txt").write_text("multilabel\n")
    with pytest.raises(UserError, match="is a multilabel set; sets of one class are read"):
        load(tmp_path, "wds/pets")


# Captions


def karpathy(root: Path, name: str, entries: Sequence[tuple[str, str, Sequence[str]]]) -> Path:
    """Karpathy's file: (file name, split, captions); of COCO each entry names its folder too."""
    home = root / name
    home.mkdir(exist_ok=True)
    rows = [
        {
            "filename": filename,
            "split": split,
            "imgid": number,
            "sentences": [{"raw": raw, "tokens": raw.split(), "imgid": number} for raw in said],
            **({"filepath": "val2014"} if name == "coco" else {}),
        }
        for number, (filename, split, said) in enumerate(entries)
    ]
    path = home / f"dataset_{name}.json"
    path.write_text(json.dumps({"images": rows, "dataset": name}))
    return path


ENTRIES = [
    ("picture0.png", "test", ["A cat.", "The cat ", "A cat."]),
    ("picture1.png", "train", ["A dog."]),
    ("picture2.png", "test", ["A bird.", "One bird."]),
    ("picture3.png", "test", ["A fish."]),
]


@pytest.mark.parametrize(("name", "folder"), [("coco", "val2014"), ("flickr30k", "flickr30k-images")])
def test_captions(tmp_path: Path, name: str, folder: str) -> None:
    karpathy(tmp_path, name, ENTRIES)
    draw(tmp_path / name / folder, 4, side=24)
    data = load(tmp_path, f"{name}/i2t")
    assert [query.key for query in data.queries] == ["picture0.png", "picture2.png", "picture3.png"]
    assert data.queries[1].relevance == {"picture2.png#0": 1.0, "picture2.png#1": 1.0}
    assert data.candidates["picture0.png#1"].inputs == (Input("The cat"),)
    assert len(data.candidates) == 6
    assert mean(controls.oracle(data)) == 1
    assert mean(controls.constant(data)) == pytest.approx((2 / 5 + 2 / 5 + 1 / 5) / 3)  # "A cat." twice is one of five
    back = load(tmp_path, f"{name}/t2i")
    assert [query.cluster for query in back.queries] == ["picture0.png"] * 3 + ["picture2.png"] * 2 + ["picture3.png"]
    assert all(query.candidates is None for query in back.queries)
    assert_controls(back, 1 / 3)
    few = load(tmp_path, f"{name}/t2i", limit=2)
    assert (len(few.queries), len(few.candidates)) == (5, 2)
    assert "first 2 pictures" in few.notes[0]


def test_all_25010_captions_stay(tmp_path: Path) -> None:
    entries = [(f"{n}.jpg", "test", [f"caption {n} {k}" for k in range(6 if n < 10 else 5)]) for n in range(5000)]
    karpathy(tmp_path, "coco", entries)
    context = TaskContext(data=tmp_path, blind=True)
    i2t, t2i = (load_task(TASKS[f"coco/{direction}"], context) for direction in ("i2t", "t2i"))
    assert (len(i2t.queries), len(i2t.candidates)) == (5000, 25_010)
    assert (len(t2i.queries), len(t2i.candidates)) == (25_010, 5000)
    karpathy(tmp_path, "coco", entries[10:])
    with pytest.raises(UserError, match="4990 queries where the publisher's files have 5000"):
        load_task(TASKS["coco/i2t"], context)


def test_captions_bad_files(tmp_path: Path) -> None:
    with pytest.raises(UserError, match=r"fetch coco/t2i` gets it from https://cs\.stanford\.edu"):
        load(tmp_path, "coco/t2i")
    path = karpathy(tmp_path, "coco", ENTRIES)
    with pytest.raises(UserError, match=r"val2014/picture0\.png, which is not there.*images\.cocodataset\.org"):
        load(tmp_path, "coco/t2i")
    karpathy(tmp_path, "flickr30k", ENTRIES)
    with pytest.raises(UserError, match=r"picture0\.png, which is not there; fill in the form"):
        load(tmp_path, "flickr30k/i2t")
    draw(tmp_path / "coco" / "val2014", 4, side=24)
    for name, reason in (
        ("../../x.png", "leads out"),
        ("https://example.org/x", "web address"),
        ("/etc/passwd", "not there"),
    ):
        karpathy(tmp_path, "coco", [(name, "test", ["A cat."])])
        with pytest.raises(UserError, match=reason):
            load(tmp_path, "coco/i2t")
    karpathy(tmp_path, "coco", [ENTRIES[0], ENTRIES[0]])
    with pytest.raises(UserError, match="two pictures of this set have one name"):
        load(tmp_path, "coco/i2t")
    karpathy(tmp_path, "coco", [ENTRIES[1]])
    with pytest.raises(UserError, match="no picture with a caption"):
        load(tmp_path, "coco/i2t")
    for bad in ("[]", '{"images": 3}', '{"images": [3]}', '{"images": [{"filename": "a"}]}', '{"images"'):
        path.write_text(bad)
        with pytest.raises(UserError, match=r"dataset_coco\.json"):
            load(tmp_path, "coco/i2t")


def test_a_picture_without_captions_is_skipped(tmp_path: Path) -> None:
    karpathy(tmp_path, "coco", [*ENTRIES, ("picture1.png", "test", [" "])])
    draw(tmp_path / "coco" / "val2014", 4, side=24)
    data = load(tmp_path, "coco/i2t")
    assert [skip.item for skip in data.skipped] == ["picture1.png"]
