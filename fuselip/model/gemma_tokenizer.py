"""SigLIP 2's text tokenizer (Gemma's) from its own files: tokenizer.json and tokenizer_config.json of a folder.

Texts are cleaned as open_clip's "canonicalize" does: mended, without ASCII punctuation, lower case, single spaces.
"""

from __future__ import annotations

import hashlib
import html
import string
from functools import lru_cache
from pathlib import Path
from typing import Any

import ftfy
from tokenizers import Tokenizer

from fuselip.core.errors import UserError
from fuselip.core.files import read_json
from fuselip.model.sizes import PAD

TOKENIZER, SETTINGS = "tokenizer.json", "tokenizer_config.json"
MAX_BYTES = 128 << 20  # Gemma's is about 34 MB
# What transformers' GemmaTokenizer takes where tokenizer_config.json says nothing.
DEFAULTS = {"add_bos_token": True, "add_eos_token": False, "padding_side": "left"}
_NO_PUNCTUATION = str.maketrans("", "", string.punctuation)


def clean(text: str) -> str:
    """Mend mojibake, unescape HTML twice, "_" to a space, drop ASCII punctuation, lower case, collapse white space."""
    text = html.unescape(html.unescape(ftfy.fix_text(text)))
    return " ".join(text.replace("_", " ").translate(_NO_PUNCTUATION).lower().split())


class GemmaTokenizer:
    """Ids of a text, filled up with PAD to the whole length: these models mask no padding. Build with `of_folder`."""

    def __init__(self, folder: Path, num_tokens: int) -> None:
        data = _read(folder / TOKENIZER)
        settings = DEFAULTS | _settings(folder / SETTINGS)
        try:
            self._tokenizer = Tokenizer.from_str(data.decode())
        except Exception as error:  # the library raises bare Exceptions
            raise UserError(f"{folder / TOKENIZER} is no tokenizer that we read ({error}); get it again") from error
        self._tokenizer.no_truncation()
        self._tokenizer.no_padding()
        if (size := self._tokenizer.get_vocab_size()) > num_tokens:
            raise UserError(f"{folder / TOKENIZER} has {size:,} ids, and the model {num_tokens:,}; it is another's")
        self._before = [self._special("<bos>", folder)] if settings["add_bos_token"] else []
        self._after = [self._special("<eos>", folder)] if settings["add_eos_token"] else []
        self._left = settings["padding_side"] == "left"
        kept = {key: settings[key] for key in DEFAULTS}
        self.version = f"{hashlib.sha256(data).hexdigest()[:16]} {sorted(kept.items())} ftfy {ftfy.__version__}"

    def encode(self, text: str, limit: int) -> list[int]:
        """Exactly `limit` ids; a longer text is cut, and keeps its last special id."""
        room = limit - len(self._before) - len(self._after)
        ids = [*self._before, *self._tokenizer.encode(clean(text), add_special_tokens=False).ids[:room], *self._after]
        padding = [PAD] * (limit - len(ids))
        return padding + ids if self._left else ids + padding

    def _special(self, token: str, folder: Path) -> int:
        found = self._tokenizer.token_to_id(token)
        if found is None:
            raise UserError(f"{folder / TOKENIZER} has no {token}, which its {SETTINGS} asks for; is it Gemma's?")
        return int(found)


@lru_cache(maxsize=2)
def of_folder(folder: Path, num_tokens: int) -> GemmaTokenizer:
    """The tokenizer of a folder, kept. Raises UserError for missing, damaged or other models' files."""
    return GemmaTokenizer(folder, num_tokens)


def is_there(folder: Path) -> bool:
    """Whether the folder holds both files."""
    return all((folder / name).is_file() for name in (TOKENIZER, SETTINGS))


def _read(path: Path) -> bytes:
    if not path.is_file():
        raise UserError(f"{path} is missing; SigLIP 2's text tokenizer is {TOKENIZER} and {SETTINGS} in one folder")
    if path.stat().st_size > MAX_BYTES:
        raise UserError(f"{path} is over {MAX_BYTES >> 20} MiB: not a tokenizer")
    return path.read_bytes()


def _settings(path: Path) -> dict[str, Any]:
    _read(path)
    found = read_json(path)
    if not isinstance(found, dict):
        raise UserError(f"{path} is not a table of settings; get it again")
    wrong = [key for key, usual in DEFAULTS.items() if not isinstance(found.get(key, usual), type(usual))]
    if wrong:
        raise UserError(f"{path}: {wrong[0]} is {found[wrong[0]]!r}; get it again")
    return found
