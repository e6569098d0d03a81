"""An encoder of ours as a sentence-transformers model of texts, images, and {"text", "image"} pairs.

    model = sentence_transformer("fuselip-b")
    model.encode(["a red circle", image, {"text": "rotate it", "image": image}])

It is a SentenceTransformer of one module. `encode_query` and `encode_document` give the roles, `prompt` the
instruction. It is not saved: a folder that names code would run it for whoever loads the folder.
"""

from __future__ import annotations

from collections.abc import Sequence
from functools import cache
from typing import Any

from benchmarks.encoders import Adapted, adapt, resolve
from benchmarks.encoders.libraries import need
from benchmarks.testing.contract import encode
from fuselip.core.encoder import Role
from fuselip.core.errors import UserError
from fuselip.core.types import Input


def sentence_transformer(encoder: Any, **model_args: str) -> Any:
    """A SentenceTransformer over an Encoder, or over one by its name as on our command line (with `model_args`)."""
    need("sentence_transformers", "encoders")
    from sentence_transformers import SentenceTransformer

    return SentenceTransformer(modules=[module(encoder, **model_args)], device="cpu")


def module(encoder: Any, **model_args: str) -> Any:
    """The one module, for `SentenceTransformer(modules=[module(...), Normalize()])`. UserError without the library."""
    need("sentence_transformers", "encoders")
    return _module_class()(resolve(encoder, model_args) if isinstance(encoder, str) else adapt(encoder))


@cache
def _module_class() -> Any:
    """Made when it is first needed: its base class is torch's, and importing this file must not import torch."""
    import torch
    from sentence_transformers.base.modules.input_module import InputModule

    class FuselipModule(InputModule):
        """`preprocess` makes Inputs, `forward` embeds them."""

        forward_kwargs = frozenset({"task"})

        def __init__(self, encoder: Adapted) -> None:
            super().__init__()
            self.encoder = encoder

        @property
        def modalities(self) -> list[Any]:
            """ "message" is what sentence-transformers calls a batch of several kinds."""
            return ["text", "image", ("image", "text"), ("text", "image"), "message"]

        def preprocess(self, inputs: Sequence[Any], prompt: str | None = None, **_: Any) -> dict[str, Any]:
            return {"inputs": [as_input(value) for value in inputs], "instruction": prompt or ""}

        def forward(self, features: dict[str, Any], task: str | None = None, **_: Any) -> dict[str, Any]:
            role: Role = "candidate" if task == "document" else "query"
            vectors = encode(self.encoder, features["inputs"], role, features["instruction"])
            return {**features, "sentence_embedding": torch.from_numpy(vectors)}

        def get_embedding_dimension(self) -> int | None:
            return self.encoder.info.dim

        def save(self, output_path: str, *_: Any, **__: Any) -> None:
            raise UserError(f"nothing was saved to {output_path}: make the model again with sentence_transformer(NAME)")

    return FuselipModule


def as_input(value: Any) -> Input:
    """A str (always text), an image, or a dictionary with "text", "image" or both. Raises UserError for all else.

    An empty text is embedded as a single blank: sentence-transformers' own models take one.
    """
    if isinstance(value, dict):
        if not value or set(value) - {"text", "image"}:
            raise UserError(f"an input has the keys text and image, or one of them; this one has {sorted(value)}")
        image = value.get("image")
        value = (image, value.get("text") or "") if image is not None else value.get("text") or ""
    try:
        return Input.of(value or " " if isinstance(value, str) else value)
    except TypeError as error:
        raise UserError(str(error)) from error
