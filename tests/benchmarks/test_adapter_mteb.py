"""mteb, both ways: its encoders here, ours there."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import tiny_models
from PIL import Image

from benchmarks.encoders import adapt, resolve
from benchmarks.testing import check
from fuselip.core import seeds
from fuselip.core.errors import UserError
from fuselip.core.types import ImageRef, Input

pytestmark = pytest.mark.slow


@pytest.fixture(autouse=True)
def _needs_mteb(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    pytest.importorskip("mteb")
    monkeypatch.setenv("MTEB_CACHE", str(tmp_path / "mteb"))


def vector(*parts: str) -> np.ndarray:
    return seeds.generator(*parts).standard_normal(8).astype(np.float32)


class Tiny:
    """An encoder as mteb wants them: of texts, images and both, by the columns of the batches it is given."""

    def __init__(self) -> None:
        self.told: list[tuple[str, str, Any]] = []

    def encode(
        self, inputs: Any, *, task_metadata: Any, hf_split: str, hf_subset: str, prompt_type: Any = None, **_: Any
    ) -> Any:
        import torch

        self.told.append((task_metadata.name, task_metadata.prompt[prompt_type.value], prompt_type))
        columns = [name for name in ("text", "image") if name in inputs.dataset.features]
        rows = []
        for batch in inputs:
            for index in range(len(batch[columns[0]])):
                parts = {name: batch[name][index] for name in columns}
                total = np.zeros(8, np.float32)
                if "text" in parts:
                    total += vector(parts["text"], task_metadata.prompt[prompt_type.value], prompt_type.value)
                if "image" in parts:
                    total += vector(parts["image"].tobytes().hex())
                rows.append(total)
        return torch.from_numpy(np.stack(rows))

    def similarity(self, embeddings1: Any, embeddings2: Any) -> Any:
        raise AssertionError("scores are ours")

    similarity_pairwise = similarity

    @property
    def mteb_model_meta(self) -> Any:
        from mteb.models import ModelMeta

        return ModelMeta.create_empty({"name": "tiny/tiny", "modalities": ["text", "image"], "embed_dim": 8})


def test_their_protocol_is_met() -> None:
    from mteb.models.models_protocols import EncoderProtocol

    from benchmarks.encoders.mteb_model import MtebEncoder
    from benchmarks.export.mteb_wrapper import MtebModel

    assert isinstance(Tiny(), EncoderProtocol)
    assert isinstance(MtebModel("random"), EncoderProtocol)
    findings = check(MtebEncoder(Tiny()))
    assert not [str(finding) for finding in findings if finding.status == "fail"]


def test_neutral_task_and_rows_in_order() -> None:
    from benchmarks.encoders.mteb_model import NEUTRAL, MtebEncoder

    tiny = Tiny()
    encoder = adapt(MtebEncoder(tiny))
    image = Image.new("RGB", (3, 2), "red")
    pair = Input("a", ImageRef.from_pil(image))
    found = encoder.encode([pair, Input("b"), Input(image=pair.image)], role="candidate")
    pixels = vector(image.tobytes().hex())
    expected = [vector("a", NEUTRAL, "document") + pixels, vector("b", NEUTRAL, "document"), pixels]
    assert np.array_equal(found, np.stack(expected))
    encoder.encode([pair], instruction="Find it.")
    assert tiny.told[-1][:2] == ("Inputs", "Find it.")


def test_modalities_that_a_model_does_not_list() -> None:
    from benchmarks.encoders.mteb_model import MtebEncoder

    class Texts(Tiny):
        @property
        def mteb_model_meta(self) -> Any:
            return super().mteb_model_meta.model_copy(update={"modalities": ["text"]})

    with pytest.raises(UserError, match="takes text, and got an input of image; leave tasks with a image out"):
        MtebEncoder(Texts()).encode([Input(image=ImageRef.from_pil(Image.new("RGB", (3, 2))))])


def test_by_name_from_their_registry() -> None:
    import mteb

    encoder = resolve("mteb:mteb/baseline-random-encoder", device="cpu", offline=True)
    found = encoder.encode([Input("a"), Input("b"), Input("a")])
    assert np.array_equal(found[0], found[2])
    assert not np.array_equal(found[0], found[1])
    assert encoder.info.revision == mteb.get_model_meta("mteb/baseline-random-encoder").revision
    with pytest.raises(UserError, match="mteb knows no model nobody/nothing"):
        resolve("mteb:nobody/nothing", offline=True)


def test_their_sentence_transformers_wrapper(tmp_path: Path) -> None:
    from mteb.models import SentenceTransformerEncoderWrapper
    from sentence_transformers import SentenceTransformer

    from benchmarks.encoders.mteb_model import MtebEncoder

    model = SentenceTransformer(str(tiny_models.bert(tmp_path)), device="cpu")
    found = MtebEncoder(SentenceTransformerEncoderWrapper(model)).encode([Input("a cat"), Input("two dogs")])
    assert np.abs(found - model.encode(["a cat", "two dogs"])).max() < 1e-5


def test_remote_code_is_refused_unless_allowed() -> None:
    from mteb.models.model_implementations import MODEL_REGISTRY

    name = next(name for name, meta in MODEL_REGISTRY.items() if meta.loader_kwargs.get("trust_remote_code"))
    with pytest.raises(UserError, match="runs code of its repository"):
        resolve(f"mteb:{name}", offline=True)


class Seen:
    """An encoder of ours that keeps what it was given."""

    def __init__(self) -> None:
        self.calls: list[tuple[list[Input], str, str]] = []

    def encode(self, inputs: Iterable[Input], *, role: str = "query", instruction: str = "") -> np.ndarray:
        items = list(inputs)
        self.calls.append((items, role, instruction))
        return np.stack([vector(item.key) for item in items])


class Task:
    prompt: Mapping[str, str] | str | None = {"query": "Find it."}
    name = "SecretName"


def test_ours_there_rows_roles_and_instructions() -> None:
    from benchmarks.export.mteb_wrapper import MtebModel

    seen = Seen()
    model = MtebModel(seen)
    image = Image.new("RGB", (3, 2), "red")
    batches = [{"text": ["a", ""], "image": [image, image]}, {"text": ["b"]}, {"image": [image]}, {"text": [""]}]
    options = {"task_metadata": Task(), "hf_split": "test", "hf_subset": "default"}
    found = model.encode(batches, prompt_type="query", **options)
    items = [item for call in seen.calls for item in call[0]]
    assert [(item.text, item.modality) for item in items] == [
        ("a", "image+text"),
        ("", "image"),
        ("b", "text"),
        ("", "image"),
        (" ", "text"),
    ]
    assert np.array_equal(found, np.stack([vector(item.key) for item in items]))
    assert {call[1:] for call in seen.calls} == {("query", "Find it.")}
    seen.calls.clear()
    model.encode([{"text": ["b"]}], prompt_type="document", **options)
    assert seen.calls[0][1:] == ("candidate", "")
    with pytest.raises(UserError, match="has the columns audio"):
        model.encode([{"audio": [0]}], **options)


def test_mteb_evaluates_ours() -> None:
    """mteb's own retrieval task of its test suite, texts to images, with the control that is right by chance."""
    import mteb
    from mteb.mocks.mock_tasks.retrieval import MockAny2AnyRetrievalT2ITask, MockRetrievalTask

    from benchmarks.export.mteb_wrapper import MtebModel

    model = MtebModel("random")
    meta = model.mteb_model_meta
    assert meta.name == "fuselip/random"
    assert meta.embed_dim == 512
    result = mteb.evaluate(
        model, [MockRetrievalTask(), MockAny2AnyRetrievalT2ITask()], cache=None, show_progress_bar=False
    )
    assert len(result.task_results) == 2
    assert all(0 <= each.get_score() <= 1 for each in result.task_results)
