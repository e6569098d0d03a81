"""Pieces to the tensors of a Batch: each distinct image of a side once; codes that are not cached yet are made here."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import torch
from torch import Tensor

from fuselip.core.errors import UserError
from fuselip.model.sizes import PAD
from fuselip.train.batch import Batch, Side
from fuselip.train.data.pieces import NO_IMAGE, Piece, SidePiece
from fuselip.train.data.tokens import ImageTokenizer, TokenCache, WithVectors


class Collator:
    """`codes` and `tokenizer`: where codes are cached, and what makes those missing; without them sides have pixels."""

    def __init__(self, side: int, codes: TokenCache | None = None, tokenizer: ImageTokenizer | None = None) -> None:
        assert (codes is None) == (tokenizer is None), "codes are cached for a tokenizer"
        self._side, self._codes, self._tokenizer = side, codes, tokenizer

    def __call__(self, pieces: Sequence[Piece]) -> Batch:
        groups = np.repeat(np.arange(len(pieces)), [len(piece) for piece in pieces])
        return Batch(
            left=self._join([piece.left for piece in pieces]),
            right=self._join([piece.right for piece in pieces]),
            groups=torch.from_numpy(groups),
            right_keys=tuple(key for piece in pieces for key in piece.right_keys),
        )

    def _join(self, parts: Sequence[SidePiece]) -> Side:
        text_ids, lengths = _padded([ids for part in parts for ids in part.texts])
        place: dict[bytes, int] = {}
        rows, chosen = [], list[list[int]]()
        for part in parts:
            new = [at for at, key in enumerate(part.keys) if key not in place]
            place |= {part.keys[at]: len(place) + offset for offset, at in enumerate(new)}
            chosen.append(new)
            number = np.array([*(place[key] for key in part.keys), NO_IMAGE], np.int64)
            rows.append(number[part.rows])  # the last place stands for no image
        image_rows = torch.from_numpy(np.concatenate(rows))
        if self._codes is None:
            pixels = [_picked(part.pixels, new) for part, new in zip(parts, chosen, strict=True) if new]
            empty = np.empty((0, self._side, self._side, 3), np.uint8)
            joined = torch.from_numpy(np.concatenate(pixels) if pixels else empty)
            return Side(text_ids, lengths, image_rows, None, joined)
        codes = self._complete(parts, chosen, list(place))
        vectors = self._codes.vectors(list(place))
        return Side(
            text_ids,
            lengths,
            image_rows,
            torch.from_numpy(codes.astype(np.int64)),
            vectors=None if vectors is None else torch.from_numpy(vectors),
        )

    def _complete(self, parts: Sequence[SidePiece], chosen: Sequence[list[int]], keys: list[bytes]) -> np.ndarray:
        """Codes int32 [M, K] of the chosen images, the missing ones made and cached."""
        assert self._codes is not None
        assert self._tokenizer is not None
        found = [_picked(part.codes, new) for part, new in zip(parts, chosen, strict=True) if new]
        codes = np.concatenate([np.empty((0, self._tokenizer.num_tokens), np.int32), *found])
        missing = np.flatnonzero(codes[:, 0] < 0)
        if len(missing):
            pixels = []
            for part, new in zip(parts, chosen, strict=True):
                if part.codes is not None and part.pixels is not None:
                    pixels += [part.pixels[at] for at in new if part.codes[at, 0] < 0]
            given, vectors = np.stack(pixels), None
            if isinstance(self._tokenizer, WithVectors):
                made, vectors = self._tokenizer.encode(given)
            else:
                made = np.asarray(self._tokenizer(given))
            if made.shape != (len(missing), self._tokenizer.num_tokens) or made.min() < 0:
                raise UserError(f"the image tokenizer gave codes of shape {made.shape}; it is not as its settings say")
            codes[missing] = made
            self._codes.put([keys[at] for at in missing], codes[missing], vectors)
        return codes


def _picked(values: np.ndarray | None, chosen: list[int]) -> np.ndarray:
    assert values is not None, "what is asked for was made"
    return values if len(chosen) == len(values) else values[chosen]


def _padded(texts: Sequence[np.ndarray]) -> tuple[Tensor, Tensor]:
    """int64 [N, T] and [N]."""
    lengths = np.array([len(ids) for ids in texts], np.int64)
    padded = np.full((len(texts), int(lengths.max())), PAD, np.int64)
    padded[np.arange(padded.shape[1]) < lengths[:, None]] = np.concatenate(texts)
    return torch.from_numpy(padded), torch.from_numpy(lengths)
