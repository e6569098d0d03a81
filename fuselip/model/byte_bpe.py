"""Our own small text tokenizer: byte-pair merges over bytes, so that any text has ids and any ids have a text.

Lower-cased; white space collapsed; every digit a token of its own. No text is special: "<end_of_text>" is letters.
Needs nothing but the `tokenizers` library.
"""

from __future__ import annotations

import hashlib
import json
import unicodedata
from collections.abc import Iterable, Sequence
from functools import lru_cache
from pathlib import Path

from tokenizers import Regex, Tokenizer, decoders, models, pre_tokenizers, trainers

from fuselip.core.errors import UserError
from fuselip.model.sizes import PAD, TEXTS

MERGES_FILE = Path(__file__).parent / "data" / "byte_bpe.json"
MERGES_SHA256 = "b99704b2e0437c8c83a4a53a64a2c2d31782e2018cd656608ac48df479377b8f"
LAYOUT = TEXTS["bytes"]
NUM_MERGES = LAYOUT.num_tokens - 1 - 256 - 2  # beside PAD, the bytes, SOT and EOT
# A word takes the space before it along, so that ids say where words begin and decoding loses nothing.
PIECES = r" ?\p{L}+| ?\p{N}| ?[^\s\p{L}\p{N}]+"


def normalise(text: str) -> str:
    """What encoding keeps of a text: composed (NFC), lower case, single spaces. Half surrogate pairs become "?"."""
    composed = unicodedata.normalize("NFC", text.encode("utf-8", "replace").decode())
    return " ".join(composed.lower().split())


class ByteBPE:
    """Ids: PAD, the 256 bytes, the merges in order, SOT, EOT. Build it with `byte_bpe()`, which keeps one."""

    version = f"{MERGES_SHA256[:16]} unicode {unicodedata.unidata_version}"  # part of every fingerprint

    def __init__(self, merges: Sequence[tuple[str, str]]) -> None:
        tokens = [*_alphabet(), *(first + second for first, second in merges)]
        vocab = {token: PAD + 1 + index for index, token in enumerate(tokens)}
        self._bpe = _tokenizer(models.BPE(vocab=vocab, merges=list(merges)))
        self._bpe.decoder = decoders.ByteLevel()

    def encode(self, text: str, limit: int) -> list[int]:
        """Ids from SOT to EOT, at most `limit` of them; of a longer text the last id kept is overwritten by EOT."""
        clean = normalise(text)
        ids = [LAYOUT.sot, *(self._bpe.encode(f" {clean}").ids if clean else []), LAYOUT.eot]
        return ids if len(ids) <= limit else [*ids[: limit - 1], LAYOUT.eot]

    def decode(self, ids: Iterable[int]) -> str:
        """The normalised text of ids; special ones are skipped."""
        body = [token for token in ids if PAD < token < LAYOUT.sot]
        return self._bpe.decode(body, skip_special_tokens=False).removeprefix(" ")


def train_merges(texts: Iterable[str], count: int = NUM_MERGES) -> list[tuple[str, str]]:
    """The `count` merges that shorten `texts` most; the same for the same texts. Raises UserError for too few texts."""
    tokenizer = _tokenizer(models.BPE())
    trainer = trainers.BpeTrainer(
        vocab_size=256 + count,
        initial_alphabet=_alphabet(),
        special_tokens=[],
        show_progress=False,
    )
    tokenizer.train_from_iterator((f" {normalise(text)}" for text in texts), trainer)
    merges = [(first, second) for first, second in json.loads(tokenizer.to_str())["model"]["merges"]]
    if len(merges) < count:
        raise UserError(f"these texts give {len(merges)} merges, not {count}; train on more texts")
    return merges


def to_file(merges: Sequence[tuple[str, str]]) -> bytes:
    """The merges as `byte_bpe` reads them: one line each."""
    return json.dumps({"merges": [" ".join(merge) for merge in merges]}, ensure_ascii=True, indent=0).encode() + b"\n"


@lru_cache(maxsize=1)
def byte_bpe() -> ByteBPE:
    """The one of this process, from the package's merges. Raises UserError where these are missing or damaged."""
    data = MERGES_FILE.read_bytes() if MERGES_FILE.is_file() else b""
    if hashlib.sha256(data).hexdigest() != MERGES_SHA256:
        raise UserError(f"the text tokenizer's {MERGES_FILE.name} is missing or damaged; install fuselip again")
    lines = json.loads(data)["merges"]
    return ByteBPE([(first, second) for first, second in (line.split(" ") for line in lines)])


def _tokenizer(model: models.BPE) -> Tokenizer:
    tokenizer = Tokenizer(model)
    pieces = pre_tokenizers.Split(Regex(PIECES), behavior="isolated")
    byte_level = pre_tokenizers.ByteLevel(add_prefix_space=False, use_regex=False)
    tokenizer.pre_tokenizer = pre_tokenizers.Sequence([pieces, byte_level])
    return tokenizer


def _alphabet() -> list[str]:
    """One printable character for each byte, in a fixed order."""
    return sorted(pre_tokenizers.ByteLevel.alphabet())
