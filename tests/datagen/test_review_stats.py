"""The contact sheet and the distributions: complete, self-contained, and harmless whatever the captions say."""

from __future__ import annotations

import re
from html.parser import HTMLParser
from pathlib import Path

import pytest
from sets import captions, source

from datagen import stats
from datagen.review import review
from fuselip.core.errors import UserError
from fuselip.core.html import page, tag

EVIL = "<script>alert('x')</script><img src=http://evil.example/x.png>"


class Reading(HTMLParser):
    """Tags with their attributes, and the text between them."""

    def __init__(self, text: str) -> None:
        super().__init__()
        self.tags: list[tuple[str, dict[str, str | None]]] = []
        self.text = ""
        self.open: list[str] = []
        self.feed(text)

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.tags.append((tag, dict(attrs)))
        if tag not in ("img", "meta"):
            self.open.append(tag)

    def handle_endtag(self, tag: str) -> None:
        assert self.open.pop() == tag

    def handle_data(self, data: str) -> None:
        self.text += data


@pytest.fixture(scope="module")
def built(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("built")
    spec = source(folder / "images", 20)
    table = folder / "images/list.csv"
    table.write_text(table.read_text().replace("picture number 3\n", f'"{EVIL}"\n').replace("picture number 9\n", "\n"))
    captions(spec, folder / "set")
    captions(spec, folder / "virtual", virtual=True)
    return folder


@pytest.mark.parametrize("name", ["set", "virtual"])
def test_the_sheet_shows_pairs_and_is_one_file(built: Path, name: str) -> None:
    text = review(built / name, count=30)
    read = Reading(text)
    assert read.open == []
    pictures = [attributes for tag, attributes in read.tags if tag == "img"]
    assert len(pictures) == 19
    assert all((attributes["src"] or "").startswith("data:image/jpeg;base64,") for attributes in pictures)
    assert EVIL in read.text
    assert not {tag for tag, _ in read.tags} & {"script", "link", "iframe"}
    assert "picture number 12" in read.text


def test_the_sample_is_seeded(built: Path) -> None:
    assert review(built / "set", 5) == review(built / "set", 5)
    assert review(built / "set", 5) != review(built / "set", 5, seed=1)
    assert len(re.findall("<h2>", review(built / "set", 5))) == 5


def test_an_empty_set_has_no_sheet(tmp_path: Path) -> None:
    spec = source(tmp_path / "images", 3)
    captions(spec, tmp_path / "set")
    for path in (tmp_path / "set/records").iterdir():
        path.unlink()
    with pytest.raises(UserError, match="no groups yet"):
        review(tmp_path / "set")


def test_distributions_add_up(built: Path) -> None:
    found = {each.title: each for each in stats.distributions(built / "set")}
    assert found["pairs by shard set"].rows() == [("captions-p1-i1", 19)]
    assert found["left: modality"].rows() == [("image", 19)]
    assert found["right: words a text"].rows() == [("2", 1), ("3", 18)]
    assert found["left out, by reason"].rows() == [("no_caption", 1)]
    read = Reading(stats.to_html(built / "set", list(found.values())))
    assert read.open == []
    for title in found:
        assert title in read.text
    assert "no_caption" in stats.to_text(list(found.values()))


@pytest.mark.parametrize(
    ("values", "rows"),
    [
        ([1, 1, 3], [("1", 2), ("3", 1)]),
        (["b", "a", "b"], [("b", 2), ("a", 1)]),
        (list(range(24)), [(f"{2 * i} to {2 * i + 1}", 2) for i in range(12)]),
        ([True, False, True], [("0", 1), ("1", 2)]),
    ],
)
def test_rows_of_a_distribution(values: list[object], rows: list[tuple[str, int]]) -> None:
    found = stats.Distribution("x")
    for value in values:
        found.add(value)
    assert found.rows() == rows


def test_many_values_are_grouped_and_none_is_lost() -> None:
    numbers, words = stats.Distribution("n"), stats.Distribution("w")
    for number in range(30_000):
        numbers.add(number / 7)
        words.add(f"word {number}")
    for found in (numbers, words):
        assert len(found.counts) <= stats.MAX_KEPT + 1
        assert sum(count for _, count in found.rows()) == 30_000
        assert len(found.rows()) <= stats.MAX_VALUES + 1


def test_text_and_attributes_are_escaped() -> None:
    text = page(EVIL, tag("p", EVIL, title='"><b>'))
    read = Reading(text)
    assert [name for name, _ in read.tags if name in ("script", "img", "b")] == []
    assert ("p", {"title": '"><b>'}) in read.tags
    assert "Content-Security-Policy" in text
