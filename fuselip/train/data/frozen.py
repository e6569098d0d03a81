"""A model's frozen image tokenizer as the token cache takes it."""

from __future__ import annotations

import hashlib

import numpy as np
import torch

from fuselip.model.fuselip import FuseLIP
from fuselip.train.batch import Side
from fuselip.train.early import codes_of


class FrozenTokenizer:
    """Codes by the image tokenizer of `model`, as the training step makes them. `fingerprint` is of its weights."""

    def __init__(self, model: FuseLIP) -> None:
        self._model = model
        self.num_tokens = model.config.num_image_tokens
        digest = hashlib.sha256(model.config.image_tokenizer.encode())
        for name, value in sorted(model.image_tokenizer.state_dict().items()):
            digest.update(name.encode() + np.ascontiguousarray(value.detach().float().cpu().numpy()).tobytes())
        self.fingerprint = digest.hexdigest()

    def __call__(self, pixels: np.ndarray) -> np.ndarray:
        """uint8 [M, S, S, 3] to codes int64 [M, num_tokens]."""
        nothing = torch.zeros(0, dtype=torch.int64)
        with torch.no_grad():
            codes = codes_of(self._model, Side(nothing, nothing, nothing, None, torch.from_numpy(pixels)))
        assert codes is not None, "pixels give codes"
        return codes.numpy()
