"""Token layout: image ids first, then SOT, text ids, EOT; cut to the context and at the first EOT."""

from __future__ import annotations

from collections.abc import Iterator, Sequence

import torch
from torch import Tensor

from fuselip.model.sizes import EOT, PAD
from fuselip.model.text_config import Padding


def join(image_ids: Sequence[int], text_ids: Sequence[int], context_length: int, eot: int = EOT) -> list[int]:
    """One input's sequence, ending at its first EOT, from which its embedding is read.

    `text_ids` are [SOT, ..., EOT]. What exceeds the context is cut, and where that takes the EOT away, the last token
    becomes EOT. The literal text "<end_of_text>" is an EOT as well, and what follows it is not seen (in the reference
    code it is seen only if a longer input happens to be in the same batch).
    """
    ids = [*image_ids, *text_ids][:context_length]
    if eot not in ids:
        ids[-1] = eot
    return ids[: ids.index(eot) + 1]


def pad(sequences: Sequence[Sequence[int]]) -> tuple[Tensor, Tensor]:
    """ids int64 [B, T], filled up with PAD to the longest, and lengths int64 [B]."""
    lengths = [len(ids) for ids in sequences]
    width = max(lengths)
    rows = [[*ids, *[PAD] * (width - len(ids))] for ids in sequences]
    return torch.tensor(rows, dtype=torch.int64), torch.tensor(lengths, dtype=torch.int64)


def key_mask(ids_BT: Tensor, lengths_B: Tensor, padding: Padding) -> Tensor | None:
    """Which keys attention may see: bool [B, 1, 1, T], or None where it is all of them."""
    seen_BT = torch.arange(ids_BT.shape[1], device=ids_BT.device) < lengths_B[:, None]
    if padding == "id":
        seen_BT = seen_BT & (ids_BT != PAD)
    return None if bool(seen_BT.all()) else seen_BT[:, None, None, :]


def apart_mask(image_BT: Tensor, mask: Tensor | None) -> Tensor:
    """Which keys each token may see where picture and text keep to themselves: bool [B, 1, T, T].

    `image`: which tokens are a picture's; `mask`: what `key_mask` gives.
    """
    alike_BQT = image_BT[:, :, None] == image_BT[:, None, :]
    return alike_BQT[:, None] if mask is None else alike_BQT[:, None] & mask


def by_length(sequences: Sequence[Sequence[int]], max_tokens: int) -> Iterator[list[int]]:
    """Indices of `sequences` in chunks of similar length, each at most `max_tokens` after padding (or one sequence)."""
    chunk: list[int] = []
    for index in sorted(range(len(sequences)), key=lambda i: len(sequences[i])):
        length = len(sequences[index])
        if chunk and (length * (len(chunk) + 1) > max_tokens or length > 2 * len(sequences[chunk[0]])):
            yield chunk
            chunk = []
        chunk.append(index)
    if chunk:
        yield chunk
