"""Backend `transformers`: a text-generation pipeline in this process."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from datagen.vqa import prompt
from datagen.vqa.types import Failed, Row, Said
from fuselip.core import seeds
from fuselip.core.errors import UsageError, UserError
from fuselip.core.provenance import version
from fuselip.core.types import Scalar


class Pipeline:
    """`model` is a name on the hub or a folder. `batch` rows are generated together, one batch at a time.

    Draws are seeded by the rows of a batch, so sampled answers repeat exactly where batches do; with a batch of 1 they
    do always.
    """

    threads = 1

    def __init__(
        self,
        model: str,
        *,
        temperature: float = prompt.TEMPERATURE,
        max_tokens: int = prompt.NEW_TOKENS,
        seed: int = 0,
        batch: int = 8,
        device: str | None = None,
    ) -> None:
        if not model:
            raise UsageError("--model is missing: a name on the hub, or a folder")
        self.batch = batch
        self._transformers = _library()
        self._pipe = self._load(model, device)
        self.settings: Mapping[str, Scalar] = {
            "backend": "transformers",
            "model": Path(model).name if Path(model).is_dir() else model,
            "revision": str(getattr(self._pipe.model.config, "_commit_hash", "") or ""),
            "prompt": prompt.prompt_hash(),
            "temperature": temperature,
            "max_tokens": max_tokens,
            "seed": seed,
        }
        draws = {"do_sample": True, "temperature": temperature} if temperature else {"do_sample": False}
        self._options = {**draws, "max_new_tokens": max_tokens, "return_full_text": False}

    def _load(self, model: str, device: str | None) -> Any:
        try:
            pipe = self._transformers.pipeline("text-generation", model=model, device=device, dtype="auto")
        except (OSError, ValueError) as error:
            raise UserError(f"model {model!r} cannot be loaded: {error}") from error
        tokenizer = pipe.tokenizer
        tokenizer.padding_side = "left"
        if tokenizer.pad_token_id is None:
            tokenizer.pad_token_id = tokenizer.eos_token_id
        return pipe

    def ask(self, rows: Sequence[Row]) -> list[Said | Failed]:
        seed = seeds.derive("vqa", int(self.settings["seed"]), *(f"{row.hash} {row.tries}" for row in rows))
        self._transformers.set_seed(seed >> 32)
        write = prompt.messages if self._pipe.tokenizer.chat_template else prompt.plain
        replies = self._pipe([write(row.caption, row.avoid) for row in rows], batch_size=self.batch, **self._options)
        return [self._said(reply[0]["generated_text"]) for reply in replies]

    def stop(self) -> None:
        """A batch that is being generated ends by itself."""

    def _said(self, text: str) -> Said:
        """Whether the limit cut it is told by its length in tokens."""
        length = len(self._pipe.tokenizer(text, add_special_tokens=False)["input_ids"])
        return Said(text, cut=length >= int(self.settings["max_tokens"]))


def _library() -> Any:
    if version("transformers") is None:
        raise UsageError(
            "--backend transformers needs the package transformers: pip install 'fuselip[transformers]', or serve the "
            "model (vLLM, llama.cpp, Ollama) and use --backend openai"
        )
    import transformers

    return transformers
