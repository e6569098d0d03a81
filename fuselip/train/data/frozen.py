"""What of a model is frozen as the token cache takes it: ids of images, and vectors where the training reads them."""

from __future__ import annotations

import hashlib

import numpy as np
import torch
from torch import nn

from fuselip.model.fuselip import FuseLIP
from fuselip.model.image_tokens import ImageTokens
from fuselip.model.toklip import TokLIP
from fuselip.train.batch import Side
from fuselip.train.early import tokens_of
from fuselip.train.image_text import tokens_of_image
from fuselip.train.teacher import Teacher


class FrozenTokenizer:
    """Codes by the image tokenizer of `model`, as the training step makes them. `fingerprint` is of frozen weights.

    `num_vectors`, `vector_dim`: vectors of an image, and their channels (0: none). A FuseLIP reads those of its
    tokenizer; of a TokLIP's `teacher` it is one, the feature that is distilled.
    """

    def __init__(self, model: FuseLIP | TokLIP, teacher: Teacher | None = None) -> None:
        self._model, self._teacher = model, teacher
        self.num_tokens = model.config.num_image_tokens
        frozen: nn.Module
        if isinstance(model, FuseLIP):
            self.num_vectors, self.vector_dim = self.num_tokens, model.config.vector_dim
            name, frozen = model.config.image_tokenizer, model.image_tokenizer
        else:
            self.num_vectors, self.vector_dim = 1, model.config.dim if teacher else 0
            name, frozen = f"{model.config.architecture}{teacher.fingerprint if teacher else ''}", model.visual.trunk.vq
        digest = hashlib.sha256(name.encode())
        for key, value in sorted(frozen.state_dict().items()):
            digest.update(key.encode() + np.ascontiguousarray(value.detach().float().cpu().numpy()).tobytes())
        self.fingerprint = digest.hexdigest()

    def __call__(self, pixels: np.ndarray) -> np.ndarray:
        """uint8 [M, S, S, 3] to codes int64 [M, num_tokens]."""
        return self.encode(pixels)[0]

    def encode(self, pixels: np.ndarray) -> tuple[np.ndarray, np.ndarray | None]:
        """Those codes, and vectors float16 [M, num_vectors, vector_dim] where there are any."""
        nothing = torch.zeros(0, dtype=torch.int64)
        with torch.no_grad():
            tokens = self._tokens(Side(nothing, nothing, nothing, None, torch.from_numpy(pixels)))
        assert tokens is not None, "pixels give codes"
        return tokens.ids.numpy(), None if tokens.vectors is None else tokens.vectors.numpy()

    def _tokens(self, side: Side) -> ImageTokens | None:
        if isinstance(self._model, TokLIP):
            return tokens_of_image(self._model, self._teacher, side)
        return tokens_of(self._model, side)
