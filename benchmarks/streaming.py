"""Big galleries: a matrix product in tiles, each counted and searched for the best while it lies in the CPU's cache."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass

import numpy as np

from benchmarks.vectors import ROWS as PART
from benchmarks.vectors import TIE

COLUMNS = 1 << 14
"""Candidates in a block, and"""
ROWS = 256
"""queries in a tile: 16 MB of scores, wide enough for the matrix product to run at full rate."""

STEP = 256
"""A block is padded to a multiple of this, so that no column falls to a kernel for edges, which rounds otherwise."""

PENDING = 1 << 20
"""Scores a tile keeps at most before it sorts out which are among the best: a bound on memory, seldom met."""

Read = Callable[[np.ndarray | slice], np.ndarray]
"""Candidates, by number, to their unit vectors, float32 [n, D]."""


@dataclass(frozen=True)
class Wanted:
    """What of a query matters here, by number of the candidate: its `targets`, and who does not take part (`gone`)."""

    targets: Sequence[int]
    gone: Sequence[int]


@dataclass(frozen=True)
class Found:
    """`places`: (target, above, tied), best first. `best`: at least the first `keep` of the ranking, by number, with
    their scores; those left out follow them.
    """

    places: list[tuple[int, int, int]]
    best: np.ndarray
    scores: np.ndarray


def tie_groups(scored: Sequence[tuple[int, float]]) -> list[tuple[list[int], float, float]]:
    """(targets, upper, lower) of each tie group, best first, from (target, score).

    Above a group stands what scores > upper, and to it belongs what else scores >= lower. "Within the tie width" is
    not transitive, a total order of ties is: so the best target draws its tie group around itself, lower targets
    inside it share its counts, and the next target outside draws a group of what is left.
    """
    groups: list[tuple[list[int], float, float]] = []
    anchor = ceiling = float("inf")
    for target, score in sorted(scored, key=lambda pair: (-pair[1], pair[0])):
        if score < anchor - TIE:
            ceiling = float(np.nextafter(anchor - TIE, -np.inf)) if groups else ceiling
            anchor = score
            groups.append(([], min(anchor + TIE, ceiling), anchor - TIE))
        groups[-1][0].append(target)
    return groups


def stream(queries_QD: np.ndarray, read: Read, size: int, wanted: Sequence[Wanted], keep: int) -> list[Found]:
    """What `size` candidates score for unit vectors [Q, D]: each block is read once and meets all queries.

    Memory: one block, one tile of scores, and about 2 `keep` scores a query. A target's score is known before its
    competitors are counted: from a product like theirs, and put in the place of what the tile has for it.
    """
    width = min(COLUMNS, size + -size % STEP)
    block_BD = np.zeros((width, queries_QD.shape[1]), np.float32)
    buffer = np.empty(min(ROWS, len(queries_QD)) * width, np.float32)

    def product(tile: slice, count: int) -> np.ndarray:
        shape = tile.stop - tile.start, count + -count % STEP
        out = buffer[: shape[0] * shape[1]].reshape(shape)
        return np.matmul(queries_QD[tile], block_BD[: shape[1]].T, out=out)[:, :count]

    tiles = [slice(start, min(start + ROWS, len(queries_QD))) for start in range(0, len(queries_QD), ROWS)]
    targets = _Cells.of([query.targets for query in wanted])
    for tile in tiles:
        cells = targets.inside(tile)
        distinct = np.unique(targets.columns[cells])
        for start in range(0, len(distinct), width):
            part = distinct[start : start + width]
            _fill(block_BD, read, part)
            at = cells[np.isin(targets.columns[cells], part)]
            scores = product(tile, len(part))
            targets.values[at] = scores[targets.rows[at] - tile.start, np.searchsorted(part, targets.columns[at])]
    gone = _Cells.of([query.gone for query in wanted], -np.inf)
    counts = _Counts(targets, len(wanted))
    best = [_Best(tile.stop - tile.start, keep) for tile in tiles]
    for start in range(0, size, width):
        count = min(width, size - start)
        _fill(block_BD, read, range(start, start + count))
        for tile, kept in zip(tiles, best, strict=True):
            scores = product(tile, count)
            for known in (targets, gone):
                known.put(scores, tile, start)
            counts.add(scores, tile)
            kept.add(scores)
    chosen = [row for kept in best for row in kept.rows()]
    return [Found(counts.places(row), *chosen[row]) for row in range(len(wanted))]


def _fill(block_BD: np.ndarray, read: Read, which: np.ndarray | range) -> None:
    """In parts: what they are read and normalised from stays small beside the block."""
    for start in range(0, len(which), PART):
        part = which[start : start + PART]
        rows = slice(part.start, part.stop) if isinstance(part, range) else part
        block_BD[start : start + len(part)] = read(rows)


@dataclass
class _Cells:
    """Single cells of the matrix of scores, by row: int64 [n] rows and columns, float32 [n] values."""

    rows: np.ndarray
    columns: np.ndarray
    values: np.ndarray

    @classmethod
    def of(cls, columns: Sequence[Sequence[int]], value: float = 0.0) -> _Cells:
        flat = np.array([column for row in columns for column in row], np.int64)
        rows = np.repeat(np.arange(len(columns)), [len(row) for row in columns])
        return cls(rows, flat, np.full(len(flat), value, np.float32))

    def inside(self, tile: slice) -> np.ndarray:
        return np.arange(*np.searchsorted(self.rows, [tile.start, tile.stop]))

    def put(self, scores: np.ndarray, tile: slice, first: int) -> None:
        """Write the values into a tile whose columns begin with number `first`."""
        at = self.inside(tile)
        at = at[(self.columns[at] >= first) & (self.columns[at] < first + scores.shape[1])]
        scores[self.rows[at] - tile.start, self.columns[at] - first] = self.values[at]


class _Counts:
    """How many candidates stand above, and how many reach, each tie group of each query's targets."""

    def __init__(self, targets: _Cells, num_queries: int) -> None:
        starts = np.searchsorted(targets.rows, np.arange(num_queries + 1))
        pairs = list(zip(targets.columns.tolist(), targets.values.astype(np.float64).tolist(), strict=True))
        self.groups = [tie_groups(pairs[starts[row] : starts[row + 1]]) for row in range(num_queries)]
        self.levels = [_Level(level, self.groups) for level in range(max(map(len, self.groups), default=0))]

    def add(self, scores: np.ndarray, tile: slice) -> None:
        for level in self.levels:
            level.add(scores, tile)

    def places(self, row: int) -> list[tuple[int, int, int]]:
        found: list[tuple[int, int, int]] = []
        for level, (targets, _, _) in zip(self.levels, self.groups[row], strict=False):
            above, reach = level.counts(row)
            found += [(target, above, reach - above - 1) for target in targets]
        return found


class _Level:
    """The counts of the queries that have a tie group of this number: most queries have one, so one is fast."""

    def __init__(self, level: int, groups: Sequence[Sequence[tuple[list[int], float, float]]]) -> None:
        self.rows = np.array([row for row, found in enumerate(groups) if len(found) > level], np.int64)
        # Scores are float32 and bounds float64: the nearest float32 on the safe side decides every comparison alike.
        self.upper = _down(np.array([groups[row][level][1] for row in self.rows]))[:, None]
        self.lower = -_down(-np.array([groups[row][level][2] for row in self.rows]))[:, None]
        self.above, self.reach = np.zeros(len(self.rows), np.int64), np.zeros(len(self.rows), np.int64)

    def add(self, scores: np.ndarray, tile: slice) -> None:
        at = slice(*np.searchsorted(self.rows, [tile.start, tile.stop]))
        rows = self.rows[at] - tile.start
        mine = scores if len(rows) == len(scores) else scores[rows]
        self.above[at] += _row_counts(mine > self.upper[at])
        self.reach[at] += _row_counts(mine >= self.lower[at])

    def counts(self, row: int) -> tuple[int, int]:
        at = int(np.searchsorted(self.rows, row))
        return int(self.above[at]), int(self.reach[at])


def _row_counts(mask: np.ndarray) -> np.ndarray:
    return np.array([np.count_nonzero(row) for row in mask], np.int64)  # many times faster than a sum over an axis


def _down(values: np.ndarray) -> np.ndarray:
    """float32: the largest that is not above each float64."""
    near = values.astype(np.float32)
    return np.where(near > values, np.nextafter(near, np.float32(-np.inf)), near)


class _Best:
    """The first `keep` of each row's ranking, of columns that arrive in order.

    A score can be among them only if it is above the keep-th best of the columns before it: those would all come
    first otherwise, in the ranking or within a tie. So few are kept, even where a whole gallery is tied. The keep-th
    best is found anew whenever the number of columns has doubled, which keeps about `keep` more.
    """

    def __init__(self, num_rows: int, keep: int) -> None:
        self.keep, self.seen, self.settle_at, self.pending = keep, 0, 2 * keep, 0
        self.bar = np.full((num_rows, 1), -np.inf, np.float32)
        self.parts: list[tuple[np.ndarray, np.ndarray, np.ndarray]] = []  # rows, columns, scores

    def add(self, scores: np.ndarray) -> None:
        done = 0
        while done < scores.shape[1]:
            segment = scores[:, done : done + self.settle_at - self.seen]
            rows, columns = np.divmod(np.flatnonzero(segment > self.bar).astype(np.int32), segment.shape[1])
            self.parts.append((rows, columns + np.int32(self.seen), segment[rows, columns]))
            self.pending += len(rows)
            self.seen += segment.shape[1]
            done += segment.shape[1]
            if self.seen == self.settle_at:
                self.settle_at *= 2
                self._settle()
            elif self.pending > PENDING:
                self._settle()

    def _settle(self) -> None:
        rows, columns, scores = (np.concatenate(part) for part in zip(*self.parts, strict=True))
        order = np.argsort(-scores)
        order = order[np.argsort(rows[order].astype(np.uint16), kind="stable")]  # 16 bits are sorted by radix
        counts = np.bincount(rows, minlength=len(self.bar))
        full = np.flatnonzero(counts >= self.keep)
        last = np.cumsum(counts)[full] - counts[full] + self.keep - 1
        self.bar[full, 0] = scores[order[last]]
        kept = scores >= (self.bar[:, 0].astype(np.float64) - TIE)[rows]
        self.parts, self.pending = [(rows[kept], columns[kept], scores[kept])], 0

    def rows(self) -> Iterator[tuple[np.ndarray, np.ndarray]]:
        """(columns, scores float64) of each row, by column."""
        self._settle()
        rows, columns, scores = self.parts[0]
        order = np.lexsort((columns, rows))
        ends = np.cumsum(np.bincount(rows, minlength=len(self.bar)))[:-1]
        yield from zip(np.split(columns[order], ends), np.split(scores[order].astype(np.float64), ends), strict=True)
