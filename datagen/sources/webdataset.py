"""Webdataset tars: KEY.jpg beside KEY.txt or KEY.json, read in place by byte offset, nothing unpacked."""

from __future__ import annotations

import glob
import json
import re
from collections.abc import Iterator
from itertools import product
from pathlib import Path

from datagen.sources.quarantine import quarantine
from datagen.sources.types import Rejected, SourceItem
from fuselip.core import images
from fuselip.core.archive import BadMember, Member, members, read_member
from fuselip.core.errors import UserError

IMAGES = frozenset({"jpg", "jpeg", "png", "webp"})
CAPTION_FIELDS = ("caption", "text")
MAX_TEXT_BYTES = 1 << 20
MAX_TARS = 100_000


class WebDataset:
    """Samples in archive order, tars in order of name. A sample's members share their name up to its first dot.

    Keys are `tar name/sample key`. The image is KEY.jpg (.png, ...), or else the only one of KEY.x.jpg; the caption is
    KEY.txt, or else `caption` or `text` of KEY.json. A tar that breaks off is used up to there and reported.
    """

    def __init__(self, pattern: str, root: Path | None = None) -> None:
        self.tars = expand(pattern, root or Path())
        self.name = f"wds:{Path(pattern).name}"

    def items(self) -> Iterator[SourceItem | Rejected]:
        return quarantine(self.name, self._items())

    def _items(self) -> Iterator[SourceItem | Rejected]:
        for tar in self.tars:
            yield from _samples(tar)


def expand(pattern: str, root: Path) -> list[Path]:
    """Files under `root` that a pattern names: `{000..012}` (zero-padded), `{a,b}` and the shell's `*`, `?`.

    Raises UserError where nothing matches, a tar named by braces is missing, or there are over MAX_TARS.
    """
    parts = re.split(r"\{([^{}]*)\}", pattern)
    choices = [_choices(part) if index % 2 else [part] for index, part in enumerate(parts)]
    count = 1
    for choice in choices:
        count *= len(choice)
    if count > MAX_TARS:
        raise UserError(f"{pattern!r} names {count} files, more than {MAX_TARS}; give a narrower pattern")
    found: list[Path] = []
    for names in product(*choices):
        name = "".join(names)
        literal = (root / name).is_file()  # "[", "*" and "?" can stand in a file's name too
        matches = [root / name] if literal else sorted(Path(path) for path in glob.glob(str(_escaped(root) / name)))
        if not matches or not all(path.is_file() for path in matches):
            raise UserError(f"no file matches {str(root / name)!r}; check the spelling of --source and --data-root")
        found += matches
    return list(dict.fromkeys(found))


def _escaped(root: Path) -> Path:
    return Path(glob.escape(str(root)))


def _choices(braces: str) -> list[str]:
    bounds = re.fullmatch(r"(\d+)\.\.(\d+)", braces)
    if bounds is None:
        return braces.split(",")
    first, last = int(bounds[1]), int(bounds[2])
    if last < first:
        raise UserError(f"'{{{braces}}}' counts down; write the lower number first")
    if last - first >= MAX_TARS:
        raise UserError(f"'{{{braces}}}' names more than {MAX_TARS} files; give a narrower pattern")
    return [str(number).zfill(len(bounds[1])) for number in range(first, last + 1)]


def _samples(tar: Path) -> Iterator[SourceItem | Rejected]:
    """Groups neighbouring members into samples, as webdataset does."""
    sample: dict[str, Member] = {}
    current = ""
    for member in members(tar):
        if isinstance(member, BadMember):
            yield Rejected(f"{tar.name}/{member.name}", member.reason)
            continue
        folder, _, base = member.name.rpartition("/")
        stem, _, extension = base.partition(".")
        key = f"{folder}/{stem}" if folder else stem
        if key != current and sample:
            yield from _item(tar, current, sample)
            sample = {}
        current = key
        if extension.lower() in sample:
            yield Rejected(f"{tar.name}/{member.name}", "its sample has a file of this extension already")
        else:
            sample[extension.lower()] = member
    if sample:
        yield from _item(tar, current, sample)


def _item(tar: Path, key: str, sample: dict[str, Member]) -> Iterator[SourceItem | Rejected]:
    name = f"{tar.name}/{key}"
    plain = [extension for extension in sample if extension in IMAGES]
    pictures = plain or [extension for extension in sample if extension.rpartition(".")[2] in IMAGES]
    if not pictures or len(pictures) > max(len(plain), 1):
        what = "several images, none of them plainly KEY.jpg," if pictures else "no image"
        yield Rejected(name, f"{what} among its files ({', '.join(sorted(sample))})")
        return
    picture = sample[pictures[0]]
    try:
        image = images.ref_from_range(tar, picture.offset, picture.size)
        yield SourceItem(name, image, _captions(tar, sample))
    except UserError as error:
        yield Rejected(name, str(error))


def _captions(tar: Path, sample: dict[str, Member]) -> tuple[str, ...]:
    try:
        if "txt" in sample:
            found: object = read_member(tar, sample["txt"], MAX_TEXT_BYTES).decode("utf-8")
        elif "json" in sample:
            record = json.loads(read_member(tar, sample["json"], MAX_TEXT_BYTES))
            fields = record if isinstance(record, dict) else {}
            found = next((fields[field] for field in CAPTION_FIELDS if field in fields), "")
        else:
            return ()
        texts = [text.strip() for text in (found if isinstance(found, list) else [found]) if isinstance(text, str)]
        "".join(texts).encode()  # JSON can hold halves of a surrogate pair, which are no text
    except (ValueError, RecursionError) as error:
        raise UserError(f"its caption cannot be read ({error})") from error
    return tuple(dict.fromkeys(text for text in texts if text))
