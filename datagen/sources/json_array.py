"""The elements of a JSON array in a large file, one by one: memory holds one element, never the array."""

from __future__ import annotations

import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any, TextIO

from fuselip.core.errors import UserError

CHUNK = 1 << 20
# An element that does not end within so many characters is damage, not data.
MAX_ELEMENT = 64 << 20


def elements(path: Path) -> Iterator[Any]:
    """Elements of the array that the UTF-8 file holds, in order. Raises UserError where it is no whole JSON array."""
    try:
        with open(path, encoding="utf-8-sig") as stream:
            yield from _elements(stream, path)
    except FileNotFoundError as error:
        raise UserError(f"{path} does not exist; check the spelling and the folder") from error
    except (OSError, UnicodeDecodeError) as error:
        raise UserError(f"{path} cannot be read ({error}); get it again") from error


def _elements(stream: TextIO, path: Path) -> Iterator[Any]:
    decoder = json.JSONDecoder()
    text = stream.read(CHUNK)
    while text.isspace():
        text = stream.read(CHUNK)
    text = text.lstrip()
    if not text.startswith("["):
        raise UserError(f"{path} is no JSON array (it begins with {text[:20]!r}); get it again")
    at, first, wanted = 1, True, CHUNK
    while True:
        try:
            at = _skip_space(text, at)
            if first and text[at] == "]":
                return
            value, end = decoder.raw_decode(text, at)
            end = _skip_space(text, end)
            mark = text[end]
            if mark not in ",]":  # of a number at the end of the buffer perhaps only the start has been read
                raise json.JSONDecodeError(f"{mark!r} follows an element", text, end)
        except (json.JSONDecodeError, IndexError, RecursionError) as error:
            text, at = text[at:], 0
            more = stream.read(wanted)
            wanted *= 2  # a long element is then tried a few times only
            if not more or len(text) > MAX_ELEMENT:
                raise UserError(f"{path} is not valid JSON or is cut short ({error}); get it again") from error
            text += more
            continue
        yield value
        if mark == "]":
            return
        at, first, wanted = end + 1, False, CHUNK


def _skip_space(text: str, at: int) -> int:
    """Where the next character that is no white space stands. IndexError at the end of the text."""
    while text[at] in " \t\r\n":
        at += 1
    return at
