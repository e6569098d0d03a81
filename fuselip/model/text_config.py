"""What the configurations of all models that end a text alike share: its ids and its padding. No torch here."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Literal

from fuselip.model.sizes import PAD, TEXTS, TextLayout

Padding = Literal["length", "id"]
PADDINGS: Mapping[str, Padding] = {"id": "id", "length": "length"}
TEXT_TOKENIZERS = {name: name for name in TEXTS}


class TextConfig:
    """The ids of a configuration's text tokenizer; PAD is 0 in all of them."""

    text_tokenizer: str
    pad_id = PAD

    @property
    def text(self) -> TextLayout:
        return TEXTS[self.text_tokenizer]

    @property
    def num_text_tokens(self) -> int:
        """Text ids, the special ones among them."""
        return self.text.num_tokens

    @property
    def sot_id(self) -> int:
        return self.text.sot

    @property
    def eot_id(self) -> int:
        return self.text.eot
