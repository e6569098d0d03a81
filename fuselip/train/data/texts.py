"""Texts as token ids for one model, each distinct text once. No torch here."""

from __future__ import annotations

from typing import Any

import numpy as np

from fuselip.model.text_tokenizers import text_tokenizer_of
from fuselip.model.toklip_config import TokLIPConfig

MOST = 200_000  # texts remembered


class Texts:
    """`texts(text)` is int32 [SOT .. EOT], no longer than the model's context; nothing of no text for a TokLIP."""

    def __init__(self, model_config: Any) -> None:
        self._tokenizer = text_tokenizer_of(model_config)
        self._limit = model_config.context_length
        self._known: dict[str, np.ndarray] = {}
        self._whole = {"": np.empty(0, np.int32)} if isinstance(model_config, TokLIPConfig) else {}

    def __call__(self, text: str) -> np.ndarray:
        if text in self._whole:
            return self._whole[text]
        if text not in self._known:
            if len(self._known) >= MOST:
                self._known.clear()
            self._known[text] = np.array(self._tokenizer.encode(text, self._limit), np.int32)
        return self._known[text]
