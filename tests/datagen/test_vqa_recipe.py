"""From captions to a set of image + question -> answer, by the command and by hand."""

from __future__ import annotations

import csv
from pathlib import Path

import click
import numpy as np
import pytest
from click.testing import CliRunner, Result
from sets import picture

from datagen.cli import BUILD_OPTIONS
from datagen.generate import Summary, build
from datagen.plan import Config
from datagen.recipes.registry import BUILDERS, Builder
from datagen.recipes.vqa import Vqa
from datagen.sources.registry import open_source
from datagen.sources.types import Question, Rejected, SourceItem
from datagen.types import Skip
from datagen.vqa.command import command
from datagen.vqa.source import Questions, open_questions
from fuselip.core.console import Group as Commands
from fuselip.core.errors import UsageError, UserError
from fuselip.core.shards import open_sets
from fuselip.core.types import Group, ImageRef

CAPTIONS = ["Two brown dogs lie on a red couch", "A man riding a horse, on a beach", "", "Three boats near the shore"]


@pytest.fixture
def spec(tmp_path: Path) -> str:
    with open(tmp_path / "list.csv", "w", newline="") as stream:
        rows = csv.writer(stream)
        rows.writerow(("path", "caption"))
        for number, caption in enumerate(CAPTIONS):
            picture(number).save(tmp_path / f"{number}.png")
            rows.writerow((f"{number}.png", caption))
    return f"csv:{tmp_path / 'list.csv'}"


def run(*arguments: object) -> tuple[Result, list[tuple[str, dict[str, object]]]]:
    """The command by itself; in place of the engine, what it is told to build."""
    told: list[tuple[str, dict[str, object]]] = []
    group = Commands()
    group.add_command(command(BUILD_OPTIONS, lambda name, given: told.append((name, given))))
    assert isinstance(group, click.Group)
    return CliRunner().invoke(group, ["build-vqa", *map(str, arguments)]), told


def made(source: object, out: Path, monkeypatch: pytest.MonkeyPatch) -> Summary:
    monkeypatch.setitem(BUILDERS, "vqa", Builder("datagen.recipes.vqa:Vqa", "VQA"))
    return build(Config.of("vqa", source.name), source, out)  # type: ignore[attr-defined,arg-type]


def test_from_captions_to_shards(spec: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    done, told = run("--source", spec, "--out", tmp_path / "set", "--per-caption", 2, "--seed", 3)
    assert done.exit_code == 0, done.output
    assert "6 questions of 6 rows" in done.output
    ((name, given),) = told
    file = tmp_path / "set-questions/questions.jsonl"
    assert (name, given["source"]) == ("vqa", f"questions:{file}::{spec}")
    source = open_questions(str(given["source"]).removeprefix("questions:"), None)
    summary = made(source, tmp_path / "set", monkeypatch)
    assert summary.counts["pairs"] == 6
    assert summary.rejects == {"no_question": 1}
    (found,) = open_sets(tmp_path / "set").values()
    groups = [sample.group() for sample in found]
    assert len(groups) == 6
    asked = {(group.pairs[0].left.text, group.pairs[0].right.text) for group in groups}
    with open(tmp_path / "set-questions/questions.csv", newline="") as stream:
        assert asked == {(row["question"], row["answer"]) for row in csv.DictReader(stream)}
    assert {group.pairs[0].left.modality for group in groups} == {"image+text"}


def test_questions_of_a_csv_like_the_papers(spec: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    rows = ["path,question,answer", "1.png,Who rides?,A man", "9.png,Is it?,It is", "1.png,Where?,On a beach"]
    (tmp_path / "qa.csv").write_text("\n".join(rows))
    source = Questions(open_source(spec), tmp_path / "qa.csv")
    items = list(source.items())
    assert [len(item.questions) for item in items if isinstance(item, SourceItem)] == [0, 2, 0, 0]
    assert items[-1] == Rejected("9.png", "questions of qa.csv: this image does not exist in csv:list.csv")
    summary = made(source, tmp_path / "set", monkeypatch)
    assert summary.counts["pairs"] == 2
    assert summary.rejects == {"no_question": 3, "missing": 1}
    (tmp_path / "qa.csv").write_text("path,question,answer\n1.png,Who rides?,A woman\n")
    with pytest.raises(UsageError, match="holds another set"):
        made(Questions(open_source(spec), tmp_path / "qa.csv"), tmp_path / "set", monkeypatch)


@pytest.mark.parametrize(
    ("name", "text", "message"),
    [
        ("a.csv", "path,question,answers\n", "has no column 'answer'.*did you mean 'answers'"),
        ("a.csv", "path,question,answer\n1.png,Who?\n", "line 2: fewer fields"),
        ("a.csv", 'path,question,answer\n1.png,"Who?', "is not a CSV"),
        ("a.jsonl", '{"path": "1.png"}\n', "line 1: no object with the texts"),
        ("a.jsonl", '{"path": 1, "question": "q", "answer": "a"}\n', "line 1"),
        ("a.jsonl", "[]\n", "line 1"),
        ("a.jsonl", "{\n", "line 1"),
    ],
)
def test_files_that_are_no_questions(name: str, text: str, message: str, spec: str, tmp_path: Path) -> None:
    (tmp_path / name).write_text(text)
    with pytest.raises(UserError, match=message):
        list(Questions(open_source(spec), tmp_path / name).items())


def test_a_missing_file_and_a_wrong_spec(spec: str) -> None:
    with pytest.raises(UserError, match="is no file"):
        open_questions(f"nowhere.csv::{spec}", None)
    for rest in ("a.csv", "::photos", "a.csv::"):
        with pytest.raises(UsageError, match="questions:FILE::SOURCE"):
            open_questions(rest, None)


def test_dry_run_writes_nothing_and_knows_what_was_asked(spec: str, tmp_path: Path) -> None:
    before = set(tmp_path.iterdir())
    done, told = run("--source", spec, "--out", tmp_path / "set", "--dry-run")
    assert done.output == "3 questions to ask, 0 of them asked already; nothing was written\n"
    assert (told, set(tmp_path.iterdir())) == ([], before)
    run("--source", spec, "--out", tmp_path / "set", "--questions-only", "--limit", 2)
    done, _ = run("--source", spec, "--out", tmp_path / "set", "--dry-run")
    assert done.output.startswith("3 questions to ask, 2 of them")


def test_questions_that_the_source_has(spec: str, tmp_path: Path) -> None:
    done, told = run("--source", spec, "--out", tmp_path / "set", "--backend", "given", "--limit", 2)
    assert done.exit_code == 0
    assert [(name, given["source"], given["limit"]) for name, given in told] == [("vqa", spec, 2)]
    assert not (tmp_path / "set-questions").exists()


@pytest.mark.parametrize(
    ("arguments", "code", "message"),
    [
        (["--backend", "openai"], 2, "--model is missing"),
        (["--backend", "openai", "--model", "m", "--base-url", "x"], 2, "is no http(s) URL"),
        (["--backend", "openai", "--model", "m", "--api-key-env", "NO_SUCH"], 2, "NO_SUCH is not set"),
        (["--backend", "given", "--questions-only"], 2, "--backend given makes none"),
        (["--backend", "gpt"], 2, "gpt"),
        (["--retry", "timeout"], 2, "no row failed for timeout; reasons: not_asked (3)"),
        (["--max-opening", "0"], 2, "max-opening"),
        (["--source", "photos:quick"], 1, "has no captions"),
    ],
)
def test_wrong_use_is_told(arguments: list[str], code: int, message: str, spec: str, tmp_path: Path) -> None:
    done, told = run("--source", spec, "--out", tmp_path / "set", *arguments)
    assert done.exit_code == code, done.output
    assert message in done.output
    assert told == []


def item(*questions: Question) -> SourceItem:
    return SourceItem("k", ImageRef("ab" * 32), questions=questions)


def test_the_recipe() -> None:
    rng = np.random.default_rng(0)
    asked = item(Question("Who?", "A man", "who"), Question("Where?", " "), Question(" Is it? ", "It is"))
    groups = list(Vqa().generate(asked, rng))
    assert [type(each) for each in groups] == [Group, Skip, Group]
    first = groups[0]
    assert isinstance(first, Group)
    assert (first.pairs[0].left.text, first.pairs[0].left.image) == ("Who?", asked.image)
    assert (first.pairs[0].right.text, first.pairs[0].right.image) == ("A man", None)
    assert dict(first.params) == {"question": 0, "kind": "who"}
    assert [each.reason for each in Vqa().generate(item(), rng) if isinstance(each, Skip)] == ["no_question"]
    assert len(list(Vqa(2).generate(asked, rng))) == 2
    same, other = (next(iter(Vqa().generate(item(Question("Who?", answer)), rng))) for answer in ("A man", "A boy"))
    assert isinstance(same, Group)
    assert isinstance(other, Group)
    assert first.key == same.key != other.key
    with pytest.raises(UsageError, match="per_image"):
        Vqa(-1)
