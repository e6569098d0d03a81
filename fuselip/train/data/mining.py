"""Hard negatives mined by a trained model: the pairs of a prepared set in new groups, by what the model confuses.

What is written is which pairs share a group; pictures stay in the prepared set, beside which `Mined` reads it.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from dataclasses import asdict, dataclass
from itertools import accumulate
from pathlib import Path
from typing import Any

import numpy as np

from fuselip.core import seeds
from fuselip.core.errors import UsageError, UserError
from fuselip.core.files import atomic, lock, read_json, write_json
from fuselip.core.types import Group, ImageRef, Input, Pair, PixelBytes, content_hash
from fuselip.train.data.stored import TABLE, read_manifest, read_shard

BEGUN, DONE, GROUPS = "mining.json", "mined.json", "groups.npy"
MINED = "fuselip.train.data.mining:Mined"
SCHEMA = 1
CHUNK = 256  # inputs embedded at once
BLOCK = 1 << 24  # similarities held at once
NEAREST = 8  # times the size of a group: so many answers are looked at for each of them


@dataclass(frozen=True)
class Mining:
    """`size`: pairs of a group. `same`: answers at or above this cosine are taken for equally right, and kept apart."""

    model: str = "fuselip-ti"
    weights: str = "bundled"
    size: int = 8
    same: float = 0.98
    seed: int = 0


class Pairs:
    """The pairs of a prepared set by number. Raises UserError as `read_manifest` and `read_shard` do."""

    def __init__(self, folder: Path) -> None:
        manifest = read_manifest(folder)
        self.hash, self.side = content_hash(manifest), int(manifest["side"])
        self._pixels: list[np.ndarray] = []
        self._image_keys: list[np.ndarray] = []
        self._texts: list[list[str]] = []
        tables, rights = [], []
        for shard in manifest["shards"]:
            pixels, found = read_shard(folder, shard, self.side)
            ends, data = found["text_ends"].tolist(), found["texts"].tobytes()
            self._texts.append([data[start:end].decode() for start, end in zip([0, *ends], ends, strict=False)])
            self._pixels.append(pixels)
            self._image_keys.append(found["image_key"])
            tables.append(np.stack([found[name] for name in TABLE], axis=1))
            rights.append(found["right_key"])
        self.ends = list(accumulate(map(len, tables)))
        self._shards = np.repeat(np.arange(len(tables)), [len(table) for table in tables])
        self._rows = np.concatenate(tables)
        _, found_rights = np.unique(np.concatenate(rights), axis=0, return_inverse=True)
        self.rights: np.ndarray = found_rights.reshape(-1)  # int [N]: equal for equal right-hand Inputs

    def __len__(self) -> int:
        return len(self._rows)

    def lefts(self) -> np.ndarray:
        """int [N]: equal for equal left-hand Inputs."""
        known: dict[tuple[str, bytes], int] = {}
        found = np.empty(len(self), np.int64)
        for number, (shard, (text, image, _, _)) in enumerate(zip(self._shards, self._rows, strict=True)):
            key = b"" if image < 0 else self._image_keys[shard][image].tobytes()
            found[number] = known.setdefault((self._texts[shard][text], key), len(known))
        return found

    def pair(self, number: int) -> Pair:
        """Its pixels are those of the set, of its side."""
        shard, (left_text, left_image, right_text, right_image) = self._shards[number], self._rows[number].tolist()
        return Pair(self._input(shard, left_text, left_image), self._input(shard, right_text, right_image))

    def _input(self, shard: int, text: int, image: int) -> Input:
        if image < 0:
            return Input(self._texts[shard][text])
        # Named by recipe and side: the same picture of a set of another side is another one.
        source = content_hash([self._image_keys[shard][image].tobytes().hex(), self.side])
        pixels = PixelBytes("RGB", (self.side, self.side), self._pixels[shard][image].tobytes())
        return Input(self._texts[shard][text], ImageRef(source, (), pixels))


class Mined:
    """The mined groups of `folder`, whose pairs are those of the prepared set `data`: a source of training groups.

    As a part: fuselip.train.data.mining:Mined?folder=FOLDER&data=DATA. Reshuffled every epoch.
    """

    def __init__(self, seed: int, folder: str, data: str) -> None:
        """Raises UserError for a folder that is not finished or damaged, and where it was mined from another set."""
        path = Path(folder)
        if not (path / DONE).is_file():
            raise UserError(f"{folder} holds no finished mined groups (no {DONE}); run `fuselip mine` (it resumes)")
        about, self._pairs, self._seed = read_json(path / DONE), Pairs(Path(data)), seed
        if not isinstance(about, dict) or about.get("set") != self._pairs.hash:
            raise UserError(f"{folder} was mined from another set than {data}; name that one, or mine again")
        try:
            self._groups = np.load(path / GROUPS, allow_pickle=False)
            if self._groups.ndim != 2 or self._groups.dtype != np.int64:
                raise ValueError(f"{self._groups.dtype} {self._groups.shape}")
            if not ((self._groups >= -1) & (self._groups < len(self._pairs))).all() or (self._groups[:, 0] < 0).any():
                raise ValueError("numbers of pairs are out of range")
        except (OSError, ValueError, EOFError) as error:
            raise UserError(f"{path / GROUPS} is damaged ({error}); delete {folder} and mine again") from error

    def __len__(self) -> int:
        return len(self._groups)

    def order(self, epoch: int = 0, part: int = 0, parts: int = 1) -> Iterator[int]:
        return iter(seeds.generator("mined", self._seed, epoch).permutation(len(self))[part::parts].tolist())

    def read(self, number: int, epoch: int = 0) -> tuple[Group]:
        """One group; its pairs are the same in every epoch."""
        chosen = self._groups[number]
        pairs = tuple(self._pairs.pair(each) for each in chosen[chosen >= 0].tolist())
        return (Group(f"mined-{number}", pairs, "mined", SCHEMA, {"kind": "mined"}, f"mined-{number}"),)


def mine(
    data: Path,
    out: Path,
    mining: Mining,
    *,
    device: str = "auto",
    report: Callable[[int, int], None] = lambda done, total: None,
) -> dict[str, Any]:
    """Group the pairs of the prepared set `data` anew, into `out`; what is told of it (DONE). Nothing is drawn twice.

    The vectors of a shard are kept until all is done, so that the same call goes on with what was begun;
    `report(shards embedded, shards)`. Raises UsageError where `out` was begun with other settings and for settings out
    of range, UserError for a set with fewer different answers than a group has pairs.
    """
    if mining.size < 2 or not 0 < mining.same <= 1:
        raise UsageError("a group has 2 pairs or more, and the cosine of what is the same is above 0, at most 1")
    from fuselip.model.encoder import load

    with lock(out / ".lock", f"another process mines into {out}; wait for it to end"):
        pairs = Pairs(data)
        if (different := int(pairs.rights.max(initial=-1)) + 1) < mining.size:
            raise UserError(
                f"{data} has {len(pairs)} pairs with {different} different right-hand sides, too few for groups of "
                f"{mining.size}; prepare more, or take a smaller --size"
            )
        encoder = load(mining.model, weights=mining.weights, device=device)
        weights = encoder.info.weights
        assert weights is not None, "an encoder of ours says what it runs on"
        told = {"source": weights.source, "sha256": weights.sha256}
        about = {"schema": SCHEMA, "mining": asdict(mining), "weights": told, "set": pairs.hash, "side": pairs.side}
        if not _begin(out, about):
            found: dict[str, Any] = read_json(out / DONE)
            return found
        starts = [0, *pairs.ends]
        files = [out / f"vectors-{number:05d}.npy" for number in range(len(pairs.ends))]
        for number, file in enumerate(files):
            report(number, len(files))
            if not file.is_file():
                _save(file, _embedded(encoder, pairs, range(starts[number], starts[number + 1])))
        report(len(files), len(files))
        left, right = np.concatenate([np.load(file, allow_pickle=False) for file in files], axis=1)
        groups = grouped(left, right, pairs.lefts(), pairs.rights, mining)
        _save(out / GROUPS, groups)
        used = int((groups >= 0).sum())
        about |= {"groups": len(groups), "pairs": used, "left_out": len(pairs) - used}
        write_json(out / DONE, about)
        for file in files:
            file.unlink()
    return about


def grouped(left: np.ndarray, right: np.ndarray, lefts: np.ndarray, rights: np.ndarray, mining: Mining) -> np.ndarray:
    """int64 [G, size], numbers of pairs, -1 where a group is smaller; each pair is in one group at most.

    `left`, `right`: unit vectors [N, D]; `lefts`, `rights`: int [N], equal for equal Inputs. Pairs are taken in an
    order drawn by the seed; each that is still free is joined by those whose answers (right-hand sides) are nearest to
    its question, less answers that are known to be right for a question of the group, or are nearly the same as one of
    its answers. Who finds too few is asked again at the end, when smaller groups will do; pairs alone are left out.
    """
    kinds, first = np.unique(rights, return_index=True)
    assert np.array_equal(kinds, np.arange(len(kinds))), "rights are numbered from 0 on"
    grouper = _Grouper(right[first], lefts.tolist(), rights.tolist(), mining)
    waiting = seeds.generator("mining", mining.seed).permutation(len(left)).tolist()
    step = max(1, BLOCK // len(kinds))
    found: list[list[int]] = []
    for least in (mining.size, 2):
        again: list[int] = []
        while waiting:
            block, waiting = _first_free(waiting, grouper.free, step)
            near = left[block] @ grouper.answers.T
            near[:, grouper.gone()] = -np.inf
            for number, row in zip(block, near, strict=True):
                if not grouper.free[number]:
                    continue
                group = grouper.group(number, row)
                if len(group) >= least:
                    grouper.take(group)
                    found.append(group)
                else:
                    again.append(number)
        waiting = again
    table = np.full((len(found), mining.size), -1, np.int64)
    for row, group in zip(table, found, strict=True):
        row[: len(group)] = group
    return table


def _first_free(waiting: Sequence[int], free: np.ndarray, count: int) -> tuple[list[int], list[int]]:
    left = [number for number in waiting if free[number]]
    return left[:count], left[count:]


class _Grouper:
    """Which pairs are free, by the answer they have. `answers` [U, D]: the vectors of different answers."""

    def __init__(self, answers: np.ndarray, lefts: Sequence[int], rights: Sequence[int], mining: Mining) -> None:
        self.answers, self._mining = answers, mining
        self._lefts, self._rights = lefts, rights
        self.free = np.ones(len(lefts), bool)
        self._left_over = np.bincount(rights, minlength=len(answers))
        self._having: list[list[int]] = [[] for _ in answers]
        self._right_for: dict[int, set[int]] = {}
        for number, (asked, answer) in enumerate(zip(lefts, rights, strict=True)):
            self._having[answer].append(number)
            self._right_for.setdefault(asked, set()).add(answer)

    def gone(self) -> np.ndarray:
        """bool [U]: answers that no free pair has."""
        gone: np.ndarray = self._left_over == 0
        return gone

    def group(self, seed: int, near: np.ndarray) -> list[int]:
        """The pair `seed` and those that join it; `near` [U]: how near each answer is to its question."""
        size = self._mining.size
        count = min(NEAREST * size, len(near))
        best = np.argpartition(-near, count - 1)[:count]
        best = best[np.isfinite(near[best])]
        best = best[np.lexsort((best, -near[best]))]
        vectors = np.concatenate([self.answers[[self._rights[seed]]], self.answers[best]])
        alike = vectors @ vectors.T >= self._mining.same
        group, places, taken = [seed], [0], {self._rights[seed]}
        known = set(self._right_for[self._lefts[seed]])
        for place, answer in enumerate(best.tolist(), 1):
            if len(group) == size:
                break
            if answer in known or answer in taken or alike[place, places].any():
                continue
            number = self._free_with(answer, taken)
            if number is not None:
                group.append(number)
                places.append(place)
                taken.add(answer)
                known |= self._right_for[self._lefts[number]]
        return group

    def _free_with(self, answer: int, others: set[int]) -> int | None:
        """A free pair with that answer, for whose question none of the others is right."""
        having = self._having[answer]
        while having and not self.free[having[-1]]:
            having.pop()
        fitting = (each for each in reversed(having) if self.free[each])
        return next((each for each in fitting if self._right_for[self._lefts[each]].isdisjoint(others)), None)

    def take(self, group: Sequence[int]) -> None:
        self.free[list(group)] = False
        for number in group:
            self._left_over[self._rights[number]] -= 1


def _begin(out: Path, about: dict[str, Any]) -> bool:
    """Write what is to be done, or see that it is what was begun here; False where it is done."""
    if (out / BEGUN).is_file():
        if read_json(out / BEGUN) != about:
            raise UsageError(f"{out} was begun with other settings or another set (see {BEGUN}); choose another --out")
    else:
        write_json(out / BEGUN, about)
    return not (out / DONE).is_file()


def _embedded(encoder: Any, pairs: Pairs, numbers: Sequence[int]) -> np.ndarray:
    """float32 [2, P, D]: questions and answers of the pairs."""
    chunks = []
    for start in range(0, len(numbers), CHUNK):
        chosen = [pairs.pair(number) for number in numbers[start : start + CHUNK]]
        chunks.append(
            np.stack([encoder.encode([pair.left for pair in chosen]), encoder.encode([pair.right for pair in chosen])])
        )
    return np.concatenate(chunks, axis=1).astype(np.float32)


def _save(path: Path, array: np.ndarray) -> None:
    with atomic(path) as stream:
        np.save(stream, array, allow_pickle=False)
