"""Any encoder of mteb: fed the batches that mteb feeds it, with a neutral task in place of one of mteb's."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np

from benchmarks.encoders.libraries import Device, hub_offline, need, picture, torch_device
from fuselip.core.encoder import EncoderInfo, Limits, Role, Weights
from fuselip.core.errors import UserError
from fuselip.core.provenance import version
from fuselip.core.types import Input

NEUTRAL = "Represent the input."  # models that follow instructions get this where a task gives none
COLUMNS = {"text": ("text",), "image": ("image",), "image+text": ("image", "text")}


def load(
    name: str,
    *,
    revision: str | None = None,
    device: Device = "auto",
    trust_remote_code: bool = False,
    offline: bool = False,
) -> MtebEncoder:
    """The model that mteb's registry has under that name, or that it finds on the hub.

    Raises UserError for what is no encoder (a cross-encoder, say), and for a model whose entry in mteb runs code of its
    repository, unless `trust_remote_code` allows that.
    """
    mteb = need("mteb", "encoders")
    with hub_offline(offline):
        try:
            meta = mteb.get_model_meta(name, revision, fetch_from_hf=True)
        except Exception as error:  # the hub's client and pydantic raise many kinds
            raise UserError(f"mteb knows no model {name}: {' '.join(str(error).split())[:300]}") from error
        if meta.loader_kwargs.get("trust_remote_code") and not trust_remote_code:
            raise UserError(f"{name} runs code of its repository; allow it with --model-arg trust_remote_code=true")
        model = meta.load_model(device=str(torch_device(device)))
    if not callable(getattr(model, "encode", None)):
        raise UserError(f"{name} is no encoder of mteb: it has no encode (cross-encoders give scores, not vectors)")
    return MtebEncoder(model, trust_remote_code=trust_remote_code)


class MtebEncoder:
    """An object of mteb's EncoderProtocol as an Encoder. Also for one that you made yourself: MtebEncoder(model).

    What the model was made of is not known in detail, so no fingerprint is declared and nothing is reused.
    """

    limits = Limits(images=16, inputs=64)

    def __init__(self, model: Any, *, trust_remote_code: bool = False) -> None:
        need("mteb", "encoders")
        self.model = model
        meta = getattr(model, "mteb_model_meta", None)
        self.name = str(getattr(meta, "name", None) or type(model).__name__)
        dim = getattr(meta, "embed_dim", None)
        licence = getattr(meta, "license", None)
        follows = getattr(meta, "use_instructions", None)
        self.modalities = tuple(getattr(meta, "modalities", None) or ("text", "image"))
        self.info = EncoderInfo(
            name=f"mteb:{self.name}",
            revision=getattr(meta, "revision", None),
            dim=dim if isinstance(dim, int) else None,
            fusion="mteb: the model's own",
            instructions="ignored" if follows is False else "native",
            params=getattr(meta, "n_parameters", None),
            licence=None if licence is None else str(licence),
            weights=Weights("mteb", self.name, getattr(meta, "revision", None)),
            settings={"mteb": version("mteb"), "neutral": NEUTRAL, "trust_remote_code": trust_remote_code},
        )

    def encode(self, inputs: Sequence[Input], *, role: Role = "query", instruction: str = "") -> np.ndarray:
        """float32 [N, D], as the model gives them. Raises UserError for a modality that the model does not list."""
        rows: dict[int, np.ndarray] = {}
        for modality, columns in COLUMNS.items():  # mteb's batches are of one modality
            indices = [index for index, item in enumerate(inputs) if item.modality == modality]
            if not indices:
                continue
            if missing := [column for column in columns if column not in self.modalities]:
                raise UserError(
                    f"mteb:{self.name} takes {' and '.join(self.modalities)}, and got an input of {modality}; leave "
                    f"tasks with a {missing[0]} out (name others with --task), or choose another model"
                )
            vectors = self._embed([inputs[index] for index in indices], columns, role, instruction)
            if len(vectors) != len(indices):
                raise UserError(f"mteb:{self.name} gave {len(vectors)} vectors for {len(indices)} inputs of {modality}")
            rows.update(zip(indices, vectors, strict=True))
        return np.stack([rows[index] for index in range(len(inputs))])

    def _embed(self, items: Sequence[Input], columns: Sequence[str], role: Role, instruction: str) -> np.ndarray:
        from mteb.types import PromptType
        from torch.utils.data import DataLoader

        dataset = _Rows(items, columns)
        output = self.model.encode(
            DataLoader(dataset, batch_size=self.limits.inputs, collate_fn=_collate),  # type: ignore[arg-type]
            task_metadata=_task(self.modalities, instruction or NEUTRAL),
            hf_split="test",
            hf_subset="default",
            prompt_type=PromptType.query if role == "query" else PromptType.document,
            batch_size=self.limits.inputs,
            show_progress_bar=False,
        )
        array = output.detach().cpu().float().numpy() if hasattr(output, "detach") else output
        return np.asarray(array, np.float32)


class _Rows:
    """As much of a `datasets.Dataset` as mteb's encoders look at: length, rows, columns, and their names."""

    def __init__(self, items: Sequence[Input], columns: Sequence[str]) -> None:
        self.items = items
        self.column_names = list(columns)
        self.features = dict.fromkeys(columns)

    def __len__(self) -> int:
        return len(self.items)

    def __getitem__(self, index: int | str) -> Any:
        if isinstance(index, str):
            return [self._cell(item, index) for item in self.items]
        return {column: self._cell(self.items[index], column) for column in self.column_names}

    @staticmethod
    def _cell(item: Input, column: str) -> Any:
        if column == "text":
            return item.text
        assert item.image is not None
        return picture(item.image)


def _collate(rows: list[dict[str, Any]]) -> dict[str, list[Any]]:
    return {name: [row[name] for row in rows] for name in rows[0]}


def _task(modalities: Sequence[str], instruction: str) -> Any:
    """A task that says nothing but its instruction. One is needed: encoders choose their prompts by it."""
    from mteb.abstasks.task_metadata import TaskMetadata

    return TaskMetadata(
        name="Inputs",
        description=NEUTRAL,
        prompt={"query": instruction, "document": instruction},
        dataset={"path": "none/none", "revision": "none"},
        type="Any2AnyRetrieval" if "image" in modalities else "Retrieval",
        modalities=[each for each in ("text", "image") if each in modalities],
        eval_langs=["eng-Latn"],
        main_score="ndcg_at_10",
    )
