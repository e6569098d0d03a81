"""The text tokenizer: recorded cases, ours and the reference's, and what holds for every text."""

from __future__ import annotations

import hashlib
import json
from pathlib import Path

import pytest
from golden_cases import GOLDEN, TEXTS, long_text
from hypothesis import example, given
from hypothesis import strategies as st

from fuselip.core.errors import UserError
from fuselip.model import text_tokenizer as module
from fuselip.model.sizes import EOT, NUM_TEXT_TOKENS, SOT
from fuselip.model.text_tokenizer import MERGES_FILE, MERGES_SHA256, clean, text_tokenizer

LIMIT = 180


def test_own_cases() -> None:
    cases = json.loads((GOLDEN / "text.json").read_text())
    assert [case["text"] for case in cases] == TEXTS
    for case in cases:
        assert text_tokenizer().encode(case["text"], LIMIT) == case["ids"], case["text"]


def test_reference_cases(shared: Path) -> None:
    cases = json.loads((shared / "reference" / "golden" / "tokenizer_cases.json").read_text())["cases"]
    assert len(cases) == 40
    for case in cases:
        assert text_tokenizer().encode(case["text"], LIMIT) == case["ids_until_last_eot"], case["text"]


def test_literal_special_strings() -> None:
    encode = text_tokenizer().encode
    assert encode("a <end_of_text>", LIMIT) == [SOT, 320, EOT, EOT]
    assert encode("<START_OF_TEXT>", LIMIT) == [SOT, SOT, EOT]
    assert SOT not in encode("!<start_of_text>", LIMIT)[1:]  # punctuation comes first: no special string here
    assert NUM_TEXT_TOKENS not in encode("[MASK]", LIMIT)


def test_truncation_keeps_an_eot() -> None:
    fits, cut = (text_tokenizer().encode(long_text(count), LIMIT) for count in (178, 300))
    assert len(fits) == len(cut) == LIMIT
    assert fits == cut
    assert fits[-1] == EOT


@given(st.text(max_size=60))
@example("\x00\u2028\ufeff")
def test_any_text_has_ids(text: str) -> None:
    ids = text_tokenizer().encode(text, LIMIT)
    assert ids[0] == SOT
    assert ids[-1] == EOT
    assert all(0 <= i < NUM_TEXT_TOKENS for i in ids)
    assert text_tokenizer().encode(f"  {text}\n", LIMIT) == ids


@given(st.text(st.characters(min_codepoint=32, max_codepoint=126), max_size=80))
def test_plain_ascii_needs_no_mending(text: str) -> None:
    """The short cut of `clean` gives what the long way gives."""
    import html

    import ftfy

    assert clean(text) == " ".join(html.unescape(html.unescape(ftfy.fix_text(text))).split()).lower()


def test_merges_are_the_published_ones(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    assert hashlib.sha256(MERGES_FILE.read_bytes()).hexdigest() == MERGES_SHA256
    damaged = tmp_path / MERGES_FILE.name
    damaged.write_bytes(MERGES_FILE.read_bytes()[:-1])
    monkeypatch.setattr(module, "MERGES_FILE", damaged)
    with pytest.raises(UserError, match="damaged; install"):
        module.TextTokenizer()
