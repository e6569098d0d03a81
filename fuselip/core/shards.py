"""The shard layout: a webdataset tar of groups, written to the same bytes every time and read back by random access.

A sample is one group: `KEY.json, KEY.00.jpg .. KEY.NN.jpg`, each distinct image once. All samples of a shard set have
the same members and the same number of pairs. In the JSON, `left_image` and `right_image` are numbers of images of the
sample (-1: none), and `params` and `operations` are JSON texts, so that every sample has one and the same schema.
"""

from __future__ import annotations

import json
import re
import tarfile
from bisect import bisect_right
from collections import OrderedDict
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from itertools import accumulate
from pathlib import Path
from typing import Any, Protocol

from fuselip.core import images
from fuselip.core.archive import BadMember, Member, members, read_member
from fuselip.core.errors import UserError
from fuselip.core.files import read_json
from fuselip.core.types import FileBytes, Group, ImageRef, Input, Pair

SCHEMA = 1
NO_IMAGE = -1
MAX_RECORD_BYTES = 4 << 20
MAX_IMAGES = 1000  # numbers have two or three digits

_MEMBER = re.compile(r"([0-9A-Za-z_-]{1,64})\.(?:(json)|(\d{2,3})\.(jpg|png|webp))")
_SHARD = re.compile(r"\d{5,}\.tar")
_BLOCK = 512
_TEXTS = ("key", "group", "recipe", "params", "source", "source_sha256", "origin", "credit")


@dataclass(frozen=True)
class Encoded:
    """An image as it is stored: the file's bytes, their sha256, and the size in pixels."""

    data: bytes
    sha256: str
    width: int
    height: int


def distinct_images(group: Group) -> list[ImageRef]:
    """The images of a group, each once, in the order in which its pairs name them (left before right)."""
    sides = [side for pair in group.pairs for side in (pair.left, pair.right)]
    return list(dict.fromkeys(side.image for side in sides if side.image is not None))


def record_of(
    key: str, group: Group, encoded: Sequence[Encoded], source_sha256: str = "", origin: str = "", credit: str = ""
) -> dict[str, Any]:
    """The JSON of a sample. `encoded` are the group's distinct images in their order."""
    refs = distinct_images(group)
    assert len(refs) == len(encoded) <= MAX_IMAGES, "one encoded image for each distinct one"
    number = {ref: index for index, ref in enumerate(refs)}

    def side(name: str, value: Input) -> dict[str, Any]:
        return {f"{name}_text": value.text, f"{name}_image": NO_IMAGE if value.image is None else number[value.image]}

    return {
        "schema": SCHEMA,
        "key": key,
        "group": group.key,
        "recipe": group.recipe,
        "version": group.version,
        "params": compact(dict(group.params)),
        "source": group.source,
        "source_sha256": source_sha256,
        "origin": origin,
        "credit": credit,
        "pairs": [side("left", pair.left) | side("right", pair.right) for pair in group.pairs],
        "images": [
            {
                "sha256": image.sha256,
                "width": image.width,
                "height": image.height,
                "source": ref.source,
                "operations": compact([operation.to_json() for operation in ref.operations]),
            }
            for ref, image in zip(refs, encoded, strict=True)
        ],
    }


def compact(value: Any) -> str:
    """JSON without spaces, keys in order; NaN and infinity are a ValueError."""
    return json.dumps(value, sort_keys=True, separators=(",", ":"), ensure_ascii=False, allow_nan=False)


class Sink(Protocol):
    def write(self, data: bytes, /) -> int: ...


class ShardWriter:
    """Appends samples to a tar on `stream`. Headers hold no time, owner or machine; `close` ends the archive."""

    def __init__(self, stream: Sink, extension: str) -> None:
        self._stream = stream
        self._extension = extension
        self._size = 0

    def add(self, record: Mapping[str, Any], encoded: Sequence[bytes]) -> None:
        key = record["key"]
        self._member(f"{key}.json", compact(record).encode())
        for index, data in enumerate(encoded):
            self._member(f"{key}.{index:02d}.{self._extension}", data)

    def close(self) -> None:
        """Two empty blocks, then zeros up to a multiple of 10240 bytes, as tar has it."""
        self._size += 2 * _BLOCK
        self._stream.write(bytes(2 * _BLOCK + -self._size % tarfile.RECORDSIZE))

    def _member(self, name: str, data: bytes) -> None:
        info = tarfile.TarInfo(name)  # mtime, uid and gid are 0, mode 0644, no user's name
        info.size = len(data)
        padding = -len(data) % _BLOCK
        self._stream.write(info.tobuf(tarfile.USTAR_FORMAT) + data + bytes(padding))
        self._size += _BLOCK + len(data) + padding


@dataclass(frozen=True)
class Sample:
    """One group of a shard. Its JSON has been checked; images are read when asked for."""

    path: Path
    record: Mapping[str, Any]
    images: tuple[Member, ...]

    @property
    def key(self) -> str:
        return str(self.record["key"])

    def image_bytes(self, number: int) -> bytes:
        return read_member(self.path, self.images[number], images.MAX_BYTES)

    def image(self, number: int) -> ImageRef:
        """The stored image, lazily. Its identity is the sha256 of the stored bytes, checked when it is decoded."""
        member, sha256 = self.images[number], self.record["images"][number]["sha256"]
        return ImageRef(sha256, (), FileBytes(str(self.path), member.offset, member.size))

    def group(self) -> Group:
        """The group, with images that load from this shard."""
        refs = [self.image(number) for number in range(len(self.images))]

        def side(pair: Mapping[str, Any], name: str) -> Input:
            number = pair[f"{name}_image"]
            return Input(pair[f"{name}_text"], None if number == NO_IMAGE else refs[number])

        record = self.record
        pairs = [Pair(side(pair, "left"), side(pair, "right")) for pair in record["pairs"]]
        params = json.loads(record["params"])
        return Group(record["group"], pairs, record["recipe"], record["version"], params, record["source"])


class Shard:
    """A tar of groups, read in place: `len`, `[i]`, iteration, `keys`. Nothing is unpacked or unpickled.

    Opening it reads the headers only. Raises UserError where a member's name is none of ours, where samples are torn,
    doubled or incomplete, and (on access) where a JSON breaks the schema.
    """

    def __init__(self, path: Path) -> None:
        self.path = path
        self._samples: dict[str, tuple[Member, tuple[Member, ...]]] = {}
        key, found = "", list[Member]()
        for member in members(path):
            if isinstance(member, BadMember):
                raise UserError(f"{path}: {member.name}: {member.reason}")
            matched = _MEMBER.fullmatch(member.name)
            if matched is None:
                raise UserError(f"{path}: {member.name!r} is no member of a shard of ours (KEY.json, KEY.00.jpg)")
            if matched[1] != key:
                self._close(key, found)
                key, found = matched[1], []
            found.append(member)
        self._close(key, found)
        self.keys = tuple(self._samples)

    def __len__(self) -> int:
        return len(self.keys)

    def __iter__(self) -> Iterator[Sample]:
        return (self.get(key) for key in self.keys)

    def __getitem__(self, index: int) -> Sample:
        return self.get(self.keys[index])

    def get(self, key: str) -> Sample:
        """The sample of that key. KeyError where there is none."""
        record, pictures = self._samples[key]
        where = f"{self.path}: {record.name}"
        try:
            value = json.loads(read_member(self.path, record, MAX_RECORD_BYTES))
        except (UnicodeDecodeError, json.JSONDecodeError, RecursionError) as error:
            raise UserError(f"{where} is not valid JSON ({error}); make the shard again") from error
        check_record(value, key, len(pictures), where)
        return Sample(self.path, value, pictures)

    def _close(self, key: str, found: list[Member]) -> None:
        """Take in the members of a sample, which must stand together and be numbered without gaps."""
        if not found:
            return
        if key in self._samples:
            raise UserError(f"{self.path}: the members of {key!r} do not stand together; make the shard again")
        record, *pictures = found
        wanted = [f"{key}.{number:02d}" for number in range(len(pictures))]
        if record.name != f"{key}.json" or [member.name.rpartition(".")[0] for member in pictures] != wanted:
            raise UserError(f"{self.path}: the members of {key!r} are not its JSON and then its images by number")
        self._samples[key] = (record, tuple(pictures))


class ShardSet:
    """Shards one after the other as one sequence of samples: `len`, `[i]`, iteration. A few stay open."""

    OPEN = 64

    def __init__(self, paths: Sequence[Path], sizes: Sequence[int] | None = None) -> None:
        """`sizes` (samples in each shard) saves opening all of them to count. Raises UserError as Shard does."""
        self.paths = tuple(paths)
        self._open: OrderedDict[int, Shard] = OrderedDict()
        counts = [len(Shard(path)) for path in paths] if sizes is None else sizes
        self._ends = list(accumulate(counts))

    def __len__(self) -> int:
        return self._ends[-1] if self._ends else 0

    def __iter__(self) -> Iterator[Sample]:
        return map(self.__getitem__, range(len(self)))

    def __getitem__(self, index: int) -> Sample:
        if not 0 <= index < len(self):
            raise IndexError(f"sample {index} of {len(self)}")
        number = bisect_right(self._ends, index)
        return self._shard(number)[index - (self._ends[number - 1] if number else 0)]

    def _shard(self, number: int) -> Shard:
        if number not in self._open:
            self._open[number] = Shard(self.paths[number])
            if len(self._open) > self.OPEN:
                self._open.popitem(last=False)
        self._open.move_to_end(number)
        return self._open[number]


def open_sets(folder: Path) -> dict[str, ShardSet]:
    """The shard sets of a built folder (`folder/data/<set>/*.tar`) by name. Raises UserError where there are none."""
    found = {}
    for part in sorted((folder / "data").glob("*/sizes.json")):
        sizes = read_json(part)
        if not isinstance(sizes, dict) or not all(_SHARD.fullmatch(n) and type(c) is int for n, c in sizes.items()):
            raise UserError(f"{part} does not list shards and their numbers of samples; make the set again")
        names = sorted(sizes)
        found[part.parent.name] = ShardSet([part.parent / name for name in names], [sizes[name] for name in names])
    if not found:
        raise UserError(f"{folder} holds no finished shard sets (data/*/sizes.json); is the build complete?")
    return found


def check_record(value: Any, key: str, num_images: int, where: str) -> None:
    """UserError(`where` ...) unless `value` is the JSON of a sample of that key with so many images."""

    def need(condition: bool, what: str) -> None:
        if not condition:
            raise UserError(f"{where}: {what}; make the shard again or get it again")

    need(isinstance(value, dict), "it is not a JSON object")
    need(value.get("schema") == SCHEMA, f"its schema is {value.get('schema')!r}, and this version reads {SCHEMA}")
    need(all(isinstance(value.get(name), str) for name in _TEXTS), f"one of {', '.join(_TEXTS)} is missing or no text")
    need(value["key"] == key, f"it says it is {value['key']!r}")
    need(type(value.get("version")) is int, "'version' is no whole number")
    need(_is_mapping_text(value["params"]), "'params' is not the JSON text of an object")
    found, pairs = value.get("images"), value.get("pairs")
    need(isinstance(found, list) and len(found) == num_images, f"'images' does not list the {num_images} images")
    for image in found:
        need(
            isinstance(image, dict)
            and all(isinstance(image.get(name), str) for name in ("sha256", "source", "operations"))
            and all(type(image.get(name)) is int and image[name] > 0 for name in ("width", "height")),
            "an entry of 'images' is not as it should be",
        )
    need(isinstance(pairs, list) and len(pairs) > 0, "'pairs' is no list, or empty")
    for pair in pairs:
        for side in ("left", "right"):
            text, number = (pair.get(f"{side}_text"), pair.get(f"{side}_image")) if isinstance(pair, dict) else (0, 0)
            need(isinstance(text, str), f"a pair has no {side}_text")
            need(type(number) is int and NO_IMAGE <= number < num_images, f"a pair's {side}_image is not in the sample")
            need(bool(text) or number != NO_IMAGE, f"a pair's {side} side is empty")


def _is_mapping_text(text: str) -> bool:
    try:
        value = json.loads(text)
    except (json.JSONDecodeError, RecursionError):
        return False
    return isinstance(value, dict) and all(isinstance(each, bool | int | float | str) for each in value.values())
