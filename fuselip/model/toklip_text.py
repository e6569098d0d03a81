"""TokLIP's text tokenizers: ids filled up to the whole length, as SigLIP's towers were trained, unmasked."""

from __future__ import annotations

from pathlib import Path

from fuselip.core.errors import UserError
from fuselip.model import gemma_tokenizer, hub
from fuselip.model.byte_bpe import ByteBPE, byte_bpe
from fuselip.model.sizes import PAD
from fuselip.model.toklip_config import TokLIPConfig


class FullLength:
    """Another tokenizer's ids, filled up with PAD to the limit."""

    def __init__(self, tokenizer: ByteBPE) -> None:
        self._tokenizer = tokenizer
        self.version = tokenizer.version

    def encode(self, text: str, limit: int) -> list[int]:
        """Exactly `limit` ids."""
        ids = self._tokenizer.encode(text, limit)
        return ids + [PAD] * (limit - len(ids))


class Missing:
    """No tokenizer: images can be embedded, and a text is told why it cannot."""

    version = "none"

    def __init__(self, why: str) -> None:
        self._why = why

    def encode(self, text: str, limit: int) -> list[int]:
        """Raises UserError."""
        raise UserError(self._why)


def text_of(
    config: TokLIPConfig, folder: str = "", weights: Path | None = None, *, offline: bool = False
) -> FullLength | Missing | gemma_tokenizer.GemmaTokenizer:
    """The tokenizer of a model. Where its files are not ours: from `folder`, or beside the weights, or from the hub.

    Raises UserError for files in `folder` or beside the weights that are not the model's.
    """
    if not config.with_text:
        return Missing("this checkpoint holds the image tower alone; load the whole model to embed texts")
    repo = config.size.tokenizer_repo
    if not repo:
        return FullLength(byte_bpe())
    if folder:
        return gemma_tokenizer.of_folder(Path(folder).expanduser(), config.num_text_tokens)
    if weights is not None and gemma_tokenizer.is_there(weights):
        return gemma_tokenizer.of_folder(weights, config.num_text_tokens)
    files = (gemma_tokenizer.TOKENIZER, gemma_tokenizer.SETTINGS)
    found = [hub.cached_file(repo, name) for name in files]
    if None in found:
        if reason := "working offline" if offline else hub.unreachable():
            return Missing(
                f"the text tokenizer of {repo} is not in the hub cache and cannot be downloaded ({reason}); put its "
                f"{' and '.join(files)} into one folder and name that: tokenizer=FOLDER"
            )
        found = [hub.download_file(repo, name) for name in files]
    assert found[0] is not None
    return gemma_tokenizer.of_folder(found[0].parent, config.num_text_tokens)
