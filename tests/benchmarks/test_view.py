"""The page of runs: what it holds is what the predictions say, nothing in it runs, and what is missing is told."""

from __future__ import annotations

import base64
import hashlib
import json
import re
import zlib
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from click.testing import CliRunner

from benchmarks import evaluate, predictions
from benchmarks.cli import main
from benchmarks.encoders.baselines import Random
from benchmarks.view.columns import SHOWN, Words, read
from tests.benchmarks.pictures import Thumbnails, draw

KINDS = {"f4": np.float32, "i4": np.int32, "u4": np.uint32, "u1": np.uint8}


class Page:
    """What a browser would see of the page's data."""

    def __init__(self, path: Path) -> None:
        self.html = path.read_text("utf-8")
        self.header = json.loads(self._block("header"))
        self._bytes = zlib.decompress(base64.b64decode(json.loads(f'"{self._block("block")}"')))

    def _block(self, name: str) -> str:
        found = re.search(rf'<script type="application/json" id="{name}">(.*?)</script>', self.html, re.DOTALL)
        assert found
        return found[1]

    def array(self, place: list[Any]) -> np.ndarray:
        kind, offset, length = place
        return np.frombuffer(self._bytes, KINDS[kind], length, offset)

    def texts(self, place: dict[str, list[Any]]) -> list[str]:
        data, ends = self.array(place["bytes"]).tobytes(), self.array(place["ends"]).tolist()
        return [data[begin:end].decode() for begin, end in zip([0, *ends], ends, strict=False)]


@pytest.fixture(scope="module")
def runs(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("runs")
    source = f"folder:{draw(folder / 'pictures', 3)}"
    for name, encoder in (("a", Thumbnails()), ("b", Random())):
        evaluate(encoder, tasks=["tgit/crop", "tgit/flip"], source=source, output=folder / name, cache=False)
    return folder


def view(*arguments: object) -> tuple[int, str]:
    result = CliRunner().invoke(main, ["view", *map(str, arguments)])
    return result.exit_code, result.output


def test_the_page_holds_what_the_predictions_say(runs: Path) -> None:
    code, output = view(runs / "a", runs / "b", "--out", runs / "view.html")
    assert code == 0, output
    page = Page(runs / "view.html")
    assert [run["label"] for run in page.header["runs"]] == ["Thumbnails", "random"]
    words = page.texts(page.header["words"])
    for task in page.header["tasks"]:
        for run, held in zip(("a", "b"), task["runs"], strict=True):
            file = predictions.read(runs / run / "tasks" / task["name"].replace("/", "__") / "predictions.parquet")
            rows = file.variants["model"]
            assert page.texts(task["queries"]) == [row.query for row in rows]
            assert page.array(held["ranks"]).tolist() == [row.targets[0].above + 1 for row in rows]
            assert [words[n] for n in page.array(task["answers"])] == [row.targets[0].key for row in rows]
            picks = page.array(held["picks"]).reshape(-1, SHOWN)
            assert [words[n] for n in picks[:, 0]] == [row.top[0][0] for row in rows]
            right = page.array(held["values"]).mean()
            told = json.loads((runs / run / "summary.json").read_text())["tasks"]
            assert right == pytest.approx(next(t["value"] for t in told if t["name"] == task["name"]), abs=1e-6)
        texts = [words[number] for number in page.array(task["texts"])]
        assert any("crop to" in text or "flip" in text for text in texts)
        assert task["queryPictures"]
    assert all(uri.startswith("data:image/jpeg;base64,") for uri in page.header["pictures"])


def test_nothing_runs_but_the_script_that_the_policy_names(runs: Path) -> None:
    summary = json.loads((runs / "a" / "summary.json").read_text())
    evil = '</script><script>alert(1)</script><img src=x onerror="alert(2)">'
    strange = runs / "strange"
    strange.mkdir(exist_ok=True)
    for name in ("tasks",):
        (strange / name).symlink_to(runs / "a" / name)
    summary["model"]["label"] = summary["model"]["name"] = evil
    (strange / "summary.json").write_text(json.dumps(summary))
    code, output = view(strange, "--out", runs / "strange.html")
    assert code == 0, output
    html = (runs / "strange.html").read_text()
    scripts = re.findall(r"<script>(.*?)</script>", html, re.DOTALL)
    assert len(scripts) == 1
    digest = base64.b64encode(hashlib.sha256(scripts[0].encode()).digest()).decode()
    assert f"script-src &#x27;sha256-{digest}&#x27;" in html
    assert "default-src &#x27;none&#x27;" in html
    assert "<img src=x" not in html
    assert "alert(1)</script>" not in html


def test_without_the_pictures_it_says_so(runs: Path, tmp_path: Path) -> None:
    code, output = view(runs / "a", "--source", "photos:quick", "--out", tmp_path / "view.html")
    assert code == 0, output
    page = Page(tmp_path / "view.html")
    assert page.header["pictures"] == []
    assert "its data is not what the run had" in page.html


def test_pictures_and_rows_are_limited(runs: Path, tmp_path: Path) -> None:
    code, _ = view(runs / "a", "--pictures", 5, "--rows", 7, "--out", tmp_path / "view.html")
    assert code == 0
    page = Page(tmp_path / "view.html")
    assert len(page.header["pictures"]) == 5
    assert [task["n"] for task in page.header["tasks"]] == [7, 7]
    whole = read(runs / "a" / "tasks" / "tgit__crop" / "predictions.parquet", Words())
    assert page.texts(page.header["tasks"][0]["queries"]) == whole.queries[:7]


def test_bad_input(runs: Path, tmp_path: Path) -> None:
    code, output = view(tmp_path / "nowhere")
    assert (code, "there is no run" in output) == (1, True)
    other = tmp_path / "other"
    evaluate(Random(), tasks=["tgit/crop"], source="photos:quick", limit=1, output=other, cache=False)
    code, output = view(runs / "a", other)
    assert (code, "share no task" in output) == (1, True)
    (other / "tasks" / "tgit__crop" / "predictions.parquet").write_bytes(b"PAR1 nothing")
    code, output = view(other)
    assert (code, "not a readable predictions file" in output) == (1, True)
