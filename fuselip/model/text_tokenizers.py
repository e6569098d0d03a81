"""Which text tokenizer a configuration has: CLIP's, our small one, TokLIP's. Each is imported where it is used."""

from __future__ import annotations

from typing import Protocol

from fuselip.core.errors import UserError
from fuselip.model.configs import Config
from fuselip.model.toklip_config import TokLIPConfig


class TextIds(Protocol):
    """What all text tokenizers do. `version`: whatever beside the ids' table a text's ids depend on."""

    version: str

    def encode(self, text: str, limit: int) -> list[int]:
        """Ids [SOT, ..., EOT], at most `limit` of them."""
        ...


def text_tokenizer_of(config: Config) -> TextIds:
    """The text tokenizer of a configuration; one for all that share it. UserError where CLIP's lacks its package."""
    if isinstance(config, TokLIPConfig):
        from fuselip.model.toklip_text import text_of

        return text_of(config)
    if config.text_tokenizer == "bytes":
        from fuselip.model.byte_bpe import byte_bpe

        return byte_bpe()
    try:
        from fuselip.model.text_tokenizer import text_tokenizer
    except ModuleNotFoundError as error:
        raise UserError(f"CLIP's text tokenizer needs the package {error.name}: pip install {error.name}") from error
    return text_tokenizer()
