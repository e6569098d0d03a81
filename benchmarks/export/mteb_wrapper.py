"""An encoder of ours as a model of mteb: `mteb.evaluate(MtebModel("fuselip-b"), tasks)`.

mteb's batches are dictionaries of lists with the columns `text` and `image`; both together are one input.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping
from typing import Any

import numpy as np

from benchmarks.encoders import adapt, resolve
from benchmarks.encoders.libraries import need
from benchmarks.testing.contract import encode
from fuselip.core.encoder import Role
from fuselip.core.errors import UserError
from fuselip.core.types import Input


class MtebModel:
    """mteb's EncoderProtocol over an Encoder, or over one by its name as on our command line."""

    def __init__(
        self, encoder: Any, revision: str | None = None, *, device: str | None = None, **model_args: str
    ) -> None:
        """`device` and `model_args` are for a name. Raises UserError where mteb is missing or they are misplaced."""
        need("mteb", "encoders")
        options = {"device": device} if device else {}
        if not isinstance(encoder, str) and (options or model_args):
            raise UserError("device and further arguments are for an encoder given by name; this one is made already")
        self.encoder = resolve(encoder, model_args, **options) if isinstance(encoder, str) else adapt(encoder)
        self.revision = revision

    def encode(
        self,
        inputs: Iterable[Mapping[str, Any]],
        *,
        task_metadata: Any,
        hf_split: str,
        hf_subset: str,
        prompt_type: Any = None,
        **_: Any,
    ) -> np.ndarray:
        """float32 [N, D], a row for each row of all batches, in order.

        An encoder that follows instructions gets the task's own prompt where it has one, never the task's name. mteb
        holds rows without any text; they are embedded as a single blank.
        """
        kind = getattr(prompt_type, "value", prompt_type)
        role: Role = "candidate" if kind == "document" else "query"
        prompt = getattr(task_metadata, "prompt", None)
        told = prompt.get(kind) if isinstance(prompt, Mapping) else prompt
        items = [item for batch in inputs for item in _inputs(batch)]
        return encode(self.encoder, items, role, str(told or ""))

    def similarity(self, embeddings1: Any, embeddings2: Any) -> Any:
        """Cosines [N, M]."""
        from mteb.similarity_functions import cos_sim

        return cos_sim(embeddings1, embeddings2)

    def similarity_pairwise(self, embeddings1: Any, embeddings2: Any) -> Any:
        """Cosines [N] of rows that stand at one place."""
        from mteb.similarity_functions import pairwise_cos_sim

        return pairwise_cos_sim(embeddings1, embeddings2)

    @property
    def mteb_model_meta(self) -> Any:
        """mteb's record of a model. Its revision is ours, else the fingerprint, so that changed weights show."""
        from mteb.models import ModelMeta
        from mteb.models.model_meta import ScoringFunction

        info = self.encoder.info
        known = {
            "name": f"fuselip/{re.sub(r'[^A-Za-z0-9._-]+', '-', info.label).strip('-')}",
            "revision": self.revision or info.revision or (info.fingerprint or "unknown")[:40],
            "n_parameters": info.params,
            "embed_dim": info.dim,
            "modalities": ["text", "image"],
            "framework": ["PyTorch"],
            "similarity_fn_name": ScoringFunction.COSINE,
            "use_instructions": info.instructions != "ignored",
            "experiment_kwargs": {"fusion": info.fusion, "precision": info.precision},
            "loader": type(self),
        }
        return ModelMeta.create_empty(known)


def _inputs(batch: Mapping[str, Any]) -> list[Input]:
    texts, images = batch.get("text"), batch.get("image")
    if texts is None and images is None:
        raise UserError(f"a batch of mteb has the columns {', '.join(batch)}; text, image or both are needed")
    rows = range(len(texts if texts is not None else images))  # type: ignore[arg-type]
    return [Input.of((None if images is None else images[row], _text(texts, row, images is None))) for row in rows]


def _text(texts: Any, row: int, alone: bool) -> str:
    text = "" if texts is None else str(texts[row] or "")
    return text or (" " if alone else "")
