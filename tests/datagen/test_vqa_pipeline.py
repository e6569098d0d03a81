"""The transformers backend with a tiny model of random weights: its words are noise, its workings are not."""

from __future__ import annotations

from importlib import metadata
from pathlib import Path

import pytest
from vqa_server import Captions

from datagen.vqa.making import Work, generate
from datagen.vqa.pipeline import Pipeline
from datagen.vqa.types import Row, Said
from fuselip.core.errors import UsageError, UserError

TEMPLATE = "{% for message in messages %}{{ message['role'] }}: {{ message['content'] }}\n{% endfor %}"


def test_without_transformers_the_extra_is_named(monkeypatch: pytest.MonkeyPatch) -> None:
    def missing(name: str) -> str:
        raise metadata.PackageNotFoundError(name)

    monkeypatch.setattr(metadata, "version", missing)
    with pytest.raises(UsageError, match=r"pip install 'fuselip\[transformers\]'"):
        Pipeline("any/model")


@pytest.fixture(scope="module", params=["chat", "plain"])
def model(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Path:
    transformers = pytest.importorskip("transformers")
    from tokenizers import Tokenizer, decoders, models, pre_tokenizers

    folder = tmp_path_factory.mktemp("model")
    letters = {letter: index for index, letter in enumerate(sorted(pre_tokenizers.ByteLevel.alphabet()))}
    tokenizer = Tokenizer(models.BPE(vocab={**letters, "<end>": len(letters)}, merges=[]))
    tokenizer.pre_tokenizer = pre_tokenizers.ByteLevel(add_prefix_space=False)
    tokenizer.decoder = decoders.ByteLevel()
    fast = transformers.PreTrainedTokenizerFast(tokenizer_object=tokenizer, eos_token="<end>")
    if request.param == "chat":
        fast.chat_template = TEMPLATE
    fast.save_pretrained(folder)
    transformers.set_seed(0)
    sizes = {"hidden_size": 16, "intermediate_size": 16, "num_hidden_layers": 1, "num_attention_heads": 2}
    config = transformers.LlamaConfig(vocab_size=len(letters) + 1, max_position_embeddings=8192, **sizes)
    transformers.LlamaForCausalLM(config).save_pretrained(folder)
    return folder


def rows(count: int) -> list[Row]:
    return [Row.of(str(number), "ab", "a dog" * (number + 1), 0, {}) for number in range(count)]


def test_answers_repeat_for_the_same_seed_and_batch(model: Path) -> None:
    pipe = Pipeline(str(model), seed=1, batch=3, device="cpu", max_tokens=8)
    first = pipe.ask(rows(3))
    assert [type(each) for each in first] == [Said] * 3
    assert len({each.text for each in first if isinstance(each, Said)}) == 3
    assert first == pipe.ask(rows(3))
    assert first != Pipeline(str(model), seed=2, batch=3, device="cpu", max_tokens=8).ask(rows(3))
    assert str(model.parent) not in str(pipe.settings)


def test_a_run_counts_what_noise_is(model: Path, tmp_path: Path) -> None:
    summary = generate(Work(Captions(10), Pipeline(str(model), batch=4, device="cpu")), tmp_path)
    assert summary["reasons"] == {"unparsable": 10}
    assert summary["settings"]["backend"] == "transformers"


def test_a_folder_without_a_model(tmp_path: Path) -> None:
    pytest.importorskip("transformers")
    with pytest.raises(UserError, match="cannot be loaded"):
        Pipeline(str(tmp_path))
