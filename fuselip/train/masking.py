"""Masked multimodal modelling (arXiv 2506.03096, section 3): which tokens are hidden, and the loss of guessing them."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import torch
from torch import Tensor
from torch.nn import functional as F

from fuselip.core.errors import UsageError
from fuselip.core.seeds import generator
from fuselip.model.configs import FuseLIPConfig

IGNORED = -100


@dataclass(frozen=True)
class Masked:
    """Ids int64 [N, T] with [MASK] where a token was hidden, and labels [N, T]: the hidden ids, -100 elsewhere."""

    ids: Tensor
    labels: Tensor

    @property
    def count(self) -> int:
        return int((self.labels != IGNORED).sum())


def never_masked(config: FuseLIPConfig, *, paper: bool) -> tuple[int, ...]:
    """Ids that are never hidden: padding, the two ends and [MASK] itself.

    `paper`: those of the paper's code. There SOT may be hidden, and the id after [MASK] may not; it was meant as an
    end of image, but is image code 0.
    """
    always = (config.pad_id, config.eot_id, config.mask_id)
    return (*always, config.image_offset if paper else config.sot_id)


def check_maskable(config: FuseLIPConfig, ratio: float) -> None:
    """Raises UsageError where parts of a picture would be hidden, and there are no ids of theirs to guess."""
    if ratio and config.mask_token and not config.has_ids:
        raise UsageError(
            f"mask.ratio is {ratio}, and the image tokenizer {config.image_tokenizer!r} gives vectors alone, so that a "
            "hidden part of a picture has no id to be guessed; set mask.ratio=0, or take a tokenizer with ids"
        )


def mask(
    ids_NT: Tensor, lengths_N: Tensor, config: FuseLIPConfig, *, ratio: float, seed: Sequence[str | int], paper: bool
) -> Masked:
    """Hide each token of a sequence with probability `ratio`, independently; always by [MASK]. CPU tensors.

    The draw follows from `seed` and the batch's shape alone. It may hide nothing.
    """
    draw_NT = torch.from_numpy(generator(*seed).random(ids_NT.shape, dtype=np.float32))
    keep_NT = torch.isin(ids_NT, torch.tensor(never_masked(config, paper=paper)))
    keep_NT |= torch.arange(ids_NT.shape[1]) >= lengths_N[:, None]
    hidden_NT = (draw_NT < ratio) & ~keep_NT
    return Masked(ids_NT.masked_fill(hidden_NT, config.mask_id), ids_NT.masked_fill(~hidden_NT, IGNORED))


def masked_loss(logits_MV: Tensor, labels_M: Tensor, weight: float) -> Tensor:
    """`weight` times the summed cross-entropy of the hidden tokens. Zero, with a gradient of zero, where M is 0."""
    return F.cross_entropy(logits_MV.float(), labels_M, reduction="sum") * weight


@torch.no_grad()
def accuracy_counts(logits_MV: Tensor, labels_M: Tensor, image_offset: int) -> Tensor:
    """float64 [4]: image tokens guessed right, image tokens, text tokens guessed right, text tokens."""
    right_M = logits_MV.argmax(-1) == labels_M
    image_M = labels_M >= image_offset
    return torch.stack(
        [(right_M & image_M).sum(), image_M.sum(), (right_M & ~image_M).sum(), (~image_M).sum()]
    ).double()
