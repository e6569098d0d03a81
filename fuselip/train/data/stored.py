"""A prepared set: pixels at the model's side, texts and pairs, on disk, read by mapping. No torch here.

A folder holds `prepared.json` and for each shard `00000.npy`, the pixels uint8 [M, S, S, 3], and `00000.npz`, the rest:
texts, and for every pair the numbers of its texts and images. Nothing in it is unpickled.
"""

from __future__ import annotations

import zipfile
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

import numpy as np

from fuselip.core import seeds
from fuselip.core.errors import UsageError, UserError
from fuselip.core.files import read_json
from fuselip.train.data.pieces import NO_IMAGE, Address, Piece, SidePiece, drawn
from fuselip.train.data.realise import Making
from fuselip.train.data.texts import Texts
from fuselip.train.data.tokens import TokenCache

PLAN, MANIFEST = "plan.json", "prepared.json"
SCHEMA = 1
SIDES = ("left", "right")
TABLE = ("left_text", "left_image", "right_text", "right_image")
ARRAYS = (*TABLE, "right_key", "image_key", "starts", "kinds", "texts", "text_ends", "kind_names")


class Stored:
    """The groups of a prepared set, reshuffled every epoch. `kinds` ("crop+rotate"): only groups of these kinds."""

    def __init__(self, folder: Path, making: Making, kinds: str = "") -> None:
        """Raises UserError where the set is incomplete, damaged or of another side than the model's."""
        manifest = read_manifest(folder)
        if manifest["side"] != making.side:
            raise UserError(
                f"{folder} holds pixels of {manifest['side']} a side, and the model takes {making.side}; "
                f"prepare it again with --side {making.side}"
            )
        self._folder, self._making = folder, making
        self._encode = Texts(making.model_config)
        self._pixels: list[np.ndarray] = []
        self._keys: list[list[bytes]] = []
        self._texts: list[str] = []
        self._ids: dict[int, np.ndarray] = {}
        rows, right, groups, kind_of, names = [], [], [], [], list[str]()
        pairs = 0
        for number, shard in enumerate(manifest["shards"]):
            pixels, found = read_shard(folder, shard, making.side)
            table = np.stack([found[name].astype(np.int64) for name in TABLE], axis=1)
            table[:, ::2] += len(self._texts)
            ends = found["text_ends"].tolist()
            data = found["texts"].tobytes()
            self._texts += [data[start:end].decode() for start, end in zip([0, *ends], ends, strict=False)]
            starts = found["starts"].astype(np.int64)
            groups.append(np.stack([starts[:-1] + pairs, starts[1:] + pairs, np.full(len(starts) - 1, number)], axis=1))
            kind_of += [str(found["kind_names"][index]) for index in found["kinds"]]
            names += [str(name) for name in found["kind_names"]]
            rows.append(table)
            right.append(found["right_key"])
            self._pixels.append(np.asarray(pixels))  # the map itself is slower to take rows of
            self._keys.append([key.tobytes() for key in found["image_key"]])
            pairs += len(table)
        self._rows = np.concatenate(rows)
        self._right = np.concatenate(right)
        self._groups = np.concatenate(groups)
        if kinds:
            wanted = kinds.split("+")
            if unknown := sorted(set(wanted) - set(names)):
                known = ", ".join(sorted(set(names)))
                raise UsageError(f"{folder} has no groups of the kind {unknown[0]!r}; kinds: {known}")
            self._groups = self._groups[np.isin(kind_of, wanted)]
        given = making.tokenized
        self._codes = (
            TokenCache(Path(making.tokens), given, making.side) if given is not None and making.tokens else None
        )

    def __len__(self) -> int:
        return len(self._groups)

    def refresh(self) -> None:
        """See which codes have been cached since."""
        if self._codes is not None:
            self._codes.refresh()

    @property
    def pairs(self) -> int:
        """Pairs in all groups."""
        return int((self._groups[:, 1] - self._groups[:, 0]).sum())

    def order(self, epoch: int = 0, part: int = 0, parts: int = 1) -> Iterator[int]:
        shuffled = seeds.generator("stored", self._making.seed, epoch).permutation(len(self))
        return iter(shuffled[part::parts].tolist())

    def pieces(self, number: int, address: Address) -> list[Piece]:
        """The one group of that number, or a draw of its pairs."""
        start, end, shard = self._groups[number].tolist()
        most = self._making.max_group
        chosen = np.arange(start, end)
        if most and len(chosen) > most:
            rng = seeds.generator("max_group", self._making.seed, *address)
            chosen = chosen[drawn(len(chosen), most, rng)]
        table = self._rows[chosen]
        left = self._side(table[:, 0].tolist(), table[:, 1].tolist(), shard)
        right = self._side(table[:, 2].tolist(), table[:, 3].tolist(), shard)
        keys = tuple(key.tobytes().hex() for key in self._right[chosen])
        return [Piece(left, right, keys, address)]

    def _side(self, texts: Sequence[int], images: Sequence[int], shard: int) -> SidePiece:
        used = sorted({image for image in images if image >= 0})
        place = {image: row for row, image in enumerate(used)} | {NO_IMAGE: NO_IMAGE}
        rows = np.array([place[image] for image in images], np.int64)
        stored = self._keys[shard]
        keys = tuple(stored[image] for image in used)
        ids = tuple(self._text(number) for number in texts)
        codes = None
        if self._codes is not None:
            codes = self._codes.codes(keys)
            if (codes[:, 0] >= 0).all():
                return SidePiece(ids, rows, keys, codes, None)
        return SidePiece(ids, rows, keys, codes, self._pixels[shard][used])

    def _text(self, number: int) -> np.ndarray:
        if number not in self._ids:
            self._ids[number] = self._encode(self._texts[number])
        return self._ids[number]


def read_manifest(folder: Path) -> dict[str, Any]:
    """Raises UserError where the folder holds no finished prepared set."""
    if not (folder / MANIFEST).is_file():
        raise UserError(f"{folder} holds no finished prepared set (no {MANIFEST}); run `fuselip prepare` (it resumes)")
    found = read_json(folder / MANIFEST)
    if not isinstance(found, dict) or found.get("schema") != SCHEMA:
        raise UserError(f"{folder / MANIFEST} is of another schema than {SCHEMA}; prepare the set again")
    shards = found.get("shards")
    whole = isinstance(shards, list) and shards and all(isinstance(each, dict) for each in shards)
    if not whole or type(found.get("side")) is not int:
        raise UserError(f"{folder / MANIFEST} is damaged; prepare the set again")
    return found


def read_shard(folder: Path, shard: dict[str, Any], side: int) -> tuple[np.ndarray, dict[str, np.ndarray]]:
    """(pixels, mapped; the other arrays). Raises UserError where they are not what the manifest says."""
    path = folder / f"{int(shard['number']):05d}.npy"
    try:
        pixels = np.load(path, mmap_mode="r", allow_pickle=False)
        with np.load(path.with_suffix(".npz"), allow_pickle=False) as file:
            found = {name: file[name] for name in ARRAYS}
        if pixels.dtype != np.uint8 or pixels.shape != (shard["images"], side, side, 3):
            raise ValueError(f"pixels {pixels.shape}, not {shard['images']} of {side}")
        if len(found["left_text"]) != shard["pairs"] or len(found["starts"]) != shard["groups"] + 1:
            raise ValueError("pairs or groups are missing")
        for name in ("left_image", "right_image"):
            if len(found[name]) != shard["pairs"] or not ((found[name] >= -1) & (found[name] < len(pixels))).all():
                raise ValueError(f"{name} is out of range")
        for name in ("left_text", "right_text"):
            if not ((found[name] >= 0) & (found[name] < len(found["text_ends"]))).all():
                raise ValueError(f"{name} is out of range")
    except FileNotFoundError as error:
        raise UserError(f"{error.filename} is missing; prepare the set again (it resumes)") from error
    except (OSError, ValueError, KeyError, EOFError, zipfile.BadZipFile) as error:
        raise UserError(f"{path} is damaged ({error}); delete it and prepare the set again (it resumes)") from error
    return pixels, found
