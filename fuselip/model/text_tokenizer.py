"""Text to token ids: CLIP's byte-pair encoding as OpenCLIP's SimpleTokenizer does it, by the `tokenizers` library."""

from __future__ import annotations

import gzip
import hashlib
import html
from functools import lru_cache
from pathlib import Path

import ftfy
from tokenizers import Regex, Tokenizer, models, pre_tokenizers

from fuselip.core.errors import UserError
from fuselip.model.sizes import EOT, NUM_TEXT_TOKENS, SOT

MERGES_FILE = Path(__file__).parent / "data" / "bpe_simple_vocab_16e6.txt.gz"
MERGES_SHA256 = "924691ac288e54409236115652ad4aa250f48203de50a9e4722a6ecd48d6804a"
NUM_MERGES = NUM_TEXT_TOKENS - 2 * 256 - 2

SPECIAL = {"<start_of_text>": SOT, "<end_of_text>": EOT}
# OpenCLIP matches without regard to case. On lower-cased text two characters show it: the long s counts as an s, and
# U+0345 (the Greek iota below, which is no letter but has a letter for its upper case) matches nothing and is dropped.
WORDS = r"'[sſ]|'t|'re|'ve|'m|'ll|'d|\p{L}+|\p{N}|[^\s\p{L}\p{N}\x{0345}]+"


def clean(text: str) -> str:
    """Mend mojibake, unescape HTML twice, collapse white space, lower the case."""
    if not (text.isascii() and text.isprintable() and "&" not in text):  # nothing to mend in plain ASCII
        text = html.unescape(html.unescape(ftfy.fix_text(text)))
    return " ".join(text.split()).lower()


class TextTokenizer:
    """Lower-casing CLIP tokenizer with 49,408 ids. Build it with `text_tokenizer()`, which keeps one."""

    version = ftfy.__version__  # of what mends texts: part of every fingerprint

    def __init__(self) -> None:
        merges = _read_merges()
        alphabet = _byte_alphabet()
        vocab = [
            *alphabet,
            *(letter + "</w>" for letter in alphabet),
            *(first + second for first, second in merges),
            *SPECIAL,
        ]
        assert len(vocab) == NUM_TEXT_TOKENS
        assert vocab[SOT] == "<start_of_text>"
        model = models.BPE(vocab={token: i for i, token in enumerate(vocab)}, merges=merges, end_of_word_suffix="</w>")
        self._bpe = Tokenizer(model)
        bytes_only = pre_tokenizers.ByteLevel(add_prefix_space=False, use_regex=False)
        self._bpe.pre_tokenizer = pre_tokenizers.Sequence([_split(WORDS), bytes_only])
        self._words_and_special = _split("|".join([*SPECIAL, WORDS]))

    def encode(self, text: str, limit: int) -> list[int]:
        """Ids from SOT to EOT, at most `limit` of them; of a longer text the last id kept is overwritten by EOT.

        The literal strings "<start_of_text>" and "<end_of_text>" give the special ids, as in OpenCLIP.
        """
        ids = [SOT, *self._body(clean(text)), EOT]
        return ids if len(ids) <= limit else [*ids[: limit - 1], EOT]

    def _body(self, text: str) -> list[int]:
        if not any(special in text for special in SPECIAL):
            return self._bpe.encode(text).ids
        # Rare: split first, because "!<start_of_text>" is punctuation and words while " <start_of_text>" is one token.
        ids: list[int] = []
        for piece, _ in self._words_and_special.pre_tokenize_str(text):
            ids += [SPECIAL[piece]] if piece in SPECIAL else self._bpe.encode(piece).ids
        return ids


@lru_cache(maxsize=1)
def text_tokenizer() -> TextTokenizer:
    """The one tokenizer of this process (building it takes a fraction of a second)."""
    return TextTokenizer()


def _split(pattern: str) -> pre_tokenizers.Split:
    """A pre-tokenizer that keeps what matches and drops the rest (white space)."""
    return pre_tokenizers.Split(Regex(pattern), behavior="removed", invert=True)


def _byte_alphabet() -> list[str]:
    """One printable character for each byte, in id order: printable bytes stand for themselves and come first."""
    printable = [*range(0x21, 0x7F), *range(0xA1, 0xAD), *range(0xAE, 0x100)]
    return [chr(byte) for byte in printable] + [chr(0x100 + i) for i in range(256 - len(printable))]


def _read_merges() -> list[tuple[str, str]]:
    data = MERGES_FILE.read_bytes() if MERGES_FILE.is_file() else b""
    if hashlib.sha256(data).hexdigest() != MERGES_SHA256:
        raise UserError(f"the text tokenizer's {MERGES_FILE.name} is missing or damaged; install fuselip again")
    lines = gzip.decompress(data).decode("utf-8").split("\n")[1 : NUM_MERGES + 1]
    return [(first, second) for first, second in (line.split() for line in lines)]
