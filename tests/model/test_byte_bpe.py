"""The small text tokenizer: lossless for every text, short for ours, and the shipped merges are what training gives."""

from __future__ import annotations

from pathlib import Path

import bpe_texts
import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from datagen.scenes import vocabulary
from fuselip.core.errors import UserError
from fuselip.model import byte_bpe as module
from fuselip.model.byte_bpe import LAYOUT, MERGES_FILE, byte_bpe, normalise, to_file, train_merges
from fuselip.model.models import MODELS
from fuselip.model.text_tokenizers import text_tokenizer_of

LIMIT = 10_000


@given(st.text(max_size=80))
@example("\x00\x1c \u2028\ufeff\ud800 <end_of_text>")
@example("Ünï  çode 😀 İ 日本 1.35")
def test_round_trip(text: str) -> None:
    ids = byte_bpe().encode(text, LIMIT)
    assert (ids[0], ids[-1]) == (LAYOUT.sot, LAYOUT.eot)
    assert all(0 < token < LAYOUT.sot for token in ids[1:-1])
    assert byte_bpe().decode(ids) == normalise(text)
    assert byte_bpe().encode(f"\n{text}  ", LIMIT) == ids


def test_words_of_the_scenes_are_single_tokens() -> None:
    words = {
        word
        for table in (vocabulary.SHAPES, vocabulary.COLOURS, vocabulary.TEXTURES, vocabulary.HALF_SIZES)
        for entry in table
        for word in entry.split()
    }
    assert len(words) > 30
    assert {word: n for word in words if (n := len(byte_bpe().encode(word, LIMIT)) - 2) != 1} == {}


def test_digits_are_single() -> None:
    assert len(byte_bpe().encode("2026 0.35", LIMIT)) == 2 + 4 + 4


def test_truncation_keeps_an_eot() -> None:
    ids = byte_bpe().encode("red " * 50, 20)
    assert len(ids) == 20
    assert ids[-1] == LAYOUT.eot
    assert LAYOUT.eot not in ids[:-1]


@pytest.mark.slow
def test_the_shipped_merges_are_what_training_gives() -> None:
    assert to_file(train_merges(bpe_texts.texts())) == MERGES_FILE.read_bytes()


def test_training_is_the_same_twice_and_needs_enough_text() -> None:
    texts = ["a red ring left of a blue star", "is there a red star?", "rotate 30 degrees clockwise"]
    assert train_merges(texts, 20) == train_merges(texts, 20)
    with pytest.raises(UserError, match="more texts"):
        train_merges(texts, 5000)


def test_damage_is_told(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    damaged = tmp_path / MERGES_FILE.name
    damaged.write_bytes(MERGES_FILE.read_bytes()[:-2])
    monkeypatch.setattr(module, "MERGES_FILE", damaged)
    with pytest.raises(UserError, match="damaged; install"):
        byte_bpe.__wrapped__()


def test_which_models_have_it() -> None:
    having = {name for name, model in MODELS.items() if model.config.text_tokenizer == "bytes"}
    assert having == {"fuselip-ti", "fuselip-b-scenes", "siglip-ti-sf", "siglip-ti-mlf", "toklip-ti"}
    assert all(text_tokenizer_of(MODELS[name].config) is byte_bpe() for name in having - {"toklip-ti"})
