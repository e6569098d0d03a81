"""index-negatives, build-negatives and build-queries through the real command line."""

from __future__ import annotations

import csv
import json
import subprocess
import sys
from pathlib import Path

import numpy as np
from PIL import Image

from datagen.querysets import read
from tests.datagen.annotations import open_images


def datagen(*arguments: str, cwd: Path) -> subprocess.CompletedProcess[str]:
    command = [sys.executable, "-m", "datagen.cli", *arguments]
    return subprocess.run(command, cwd=cwd, capture_output=True, text=True, timeout=120, check=False)


def captioned(folder: Path) -> None:
    """Pictures whose captions differ in one word, so that balanced exchanges exist."""
    texts = [f"a {animal} on the {place}" for animal in ("dog", "cat") for place in ("bed", "table", "chair", "bench")]
    folder.mkdir()
    with open(folder / "set.csv", "w", newline="") as stream:
        writer = csv.writer(stream)
        writer.writerow(["path", "caption"])
        for number, text in enumerate(texts):
            pixels = np.random.default_rng(number).integers(0, 256, (48, 64, 3), dtype=np.uint8)
            Image.fromarray(pixels).save(folder / f"{number}.png")
            writer.writerow([f"{number}.png", text])


def test_text_negatives_from_a_csv(tmp_path: Path) -> None:
    captioned(tmp_path / "set")
    source = ("--source", "csv:set/set.csv")
    indexed = datagen("index-negatives", *source, "--out", "negatives.index", "--kinds", "replace_obj", cwd=tmp_path)
    assert indexed.returncode == 0, indexed.stderr
    assert "replace_obj" in indexed.stdout
    settings = ("--set", "mode=text", "--set", "index=negatives.index")
    built = datagen("build-negatives", *source, "--out", "out", *settings, cwd=tmp_path)
    assert built.returncode == 0, built.stderr
    groups = json.loads((tmp_path / "out" / "stats.json").read_text())
    assert groups
    checked = datagen("verify", "out", *source, cwd=tmp_path)
    assert checked.returncode == 0, checked.stdout + checked.stderr
    assert "no problem found" in checked.stdout


def test_neighbours_by_an_encoder(tmp_path: Path) -> None:
    captioned(tmp_path / "set")
    (tmp_path / "means.py").write_text(
        "import numpy as np\n"
        "class Means:\n"
        "    def encode(self, inputs):\n"
        "        return np.stack([np.asarray(i.image.load().resize((4, 4))).ravel() / 255 - 0.5 for i in inputs])\n"
    )
    arguments = ("--source", "csv:set/set.csv", "--out", "near.index", "--mode", "neighbours")
    assert "--encoder" in datagen("index-negatives", *arguments, cwd=tmp_path).stderr
    indexed = datagen("index-negatives", *arguments, "--encoder", "means:Means", cwd=tmp_path)
    assert indexed.returncode == 0, indexed.stderr
    assert "8 images" in indexed.stdout


def test_unknown_kind(tmp_path: Path) -> None:
    captioned(tmp_path / "set")
    arguments = ("--source", "csv:set/set.csv", "--out", "x.index", "--kinds", "replace_object")
    done = datagen("index-negatives", *arguments, cwd=tmp_path)
    assert done.returncode == 2
    assert "did you mean 'replace_obj'" in done.stderr
    assert not (tmp_path / "x.index").exists()


def test_query_sets_of_boxes(tmp_path: Path) -> None:
    left, right = (0.05, 0.2, 0.4, 0.8), (0.6, 0.2, 0.95, 0.8)
    open_images(tmp_path / "oi", [(f"{n:04d}", "Bird", box) for n in range(3) for box in (left, right)])
    arguments = ("build-queries", "--boxes", "oi", "--out", "queries.json")
    done = datagen(*arguments, "--kind", "position", cwd=tmp_path)
    assert done.returncode == 0, done.stderr
    assert "6 queries written" in done.stdout
    texts = {query.text for query in read(tmp_path / "queries.json")}
    assert texts == {"The bird on the left", "The bird on the right"}
    lacking = datagen(*arguments, "--kind", "crop", cwd=tmp_path)
    assert lacking.returncode == 1
    assert "no query can be made" in lacking.stderr
    absent = datagen("build-queries", "--boxes", "absent", "--kind", "crop", "--out", "x.json", cwd=tmp_path)
    assert absent.returncode == 1
    assert "absent" in absent.stderr
