"""Batches of exactly so many pairs, of whole groups: the parts take turns by weight, what does not fit waits.

A part is read when it has given the least pairs for its weight, so that shares hold exactly, whatever the groups'
sizes. A group that does not fit waits for the next batch, which begins with those that wait. Only where none of those
that wait fits, and they are many or the data has ended, is the first one cut to the room that is left (its other pairs
are not seen this time).
"""

from __future__ import annotations

from collections.abc import Sequence

from fuselip.core import seeds
from fuselip.train.data.pieces import Piece, drawn
from fuselip.train.data.state import DataState, Place
from fuselip.train.data.stream import Exhausted, Stream
from fuselip.train.data.work import Parts

PATIENCE = 64  # groups that may wait


class Packer:
    """`next()` gives the pieces of a batch, `state()` where it stands."""

    def __init__(self, streams: Sequence[Stream], weights: Sequence[float], batch_size: int, seed: int) -> None:
        self._streams, self._weights = streams, weights
        self._size, self._seed = batch_size, seed
        self._served = [0] * len(streams)
        self._pending: list[Piece] = []
        self._batches = 0

    def restore(self, state: DataState, parts: Parts) -> None:
        """Go to where `state` says; the groups that waited are read again."""
        self._batches = state.batches
        for index, place in enumerate(state.places):
            self._streams[index].seek(place.epoch, place.position)
            self._served[index] = place.served
        for part, epoch, number, which in state.pending:
            found = parts.pieces((part, epoch, number))
            self._pending += [piece for piece in found if piece.address[3] == which]

    def state(self, config: str) -> DataState:
        places = tuple(
            Place(stream.epoch, stream.position, served)
            for stream, served in zip(self._streams, self._served, strict=True)
        )
        return DataState(config, self._batches, places, tuple(piece.address for piece in self._pending))

    def next(self) -> list[Piece]:
        """Pieces of `batch_size` pairs together. Raises Exhausted where a part has no more and nothing waits."""
        room, batch = self._size, list[Piece]()
        while room:
            fitting = next((at for at, piece in enumerate(self._pending) if len(piece) <= room), None)
            if fitting is not None:
                batch.append(self._pending.pop(fitting))
            elif len(self._pending) < PATIENCE and self._read():
                continue
            else:
                batch.append(self._cut(self._pending.pop(0), room))
            room -= len(batch[-1])
        self._batches += 1
        return batch

    def _read(self) -> bool:
        """Read the part whose turn it is; False where it has no more, but something waits."""
        index = min(range(len(self._streams)), key=lambda at: (self._served[at] / self._weights[at], at))
        try:
            found = self._streams[index].next()
        except Exhausted:
            if not self._pending:
                raise
            return False
        self._served[index] += sum(map(len, found))
        self._pending += found
        return True

    def _cut(self, piece: Piece, room: int) -> Piece:
        return piece.take(drawn(len(piece), room, seeds.generator("cut", self._seed, *piece.address)))
