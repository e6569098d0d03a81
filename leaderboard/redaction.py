"""What leaves the machine: no tokens, credentials, host names, private addresses or folders, in any text."""

from __future__ import annotations

import re
import socket
from collections.abc import Iterator
from functools import cache
from typing import Any

from fuselip.core.provenance import redact as without_secrets

_HOMES = re.compile(r"(?<![\w:/.~\\-])(?:file://)?(?:/(?:home|Users|export/home)/[^\s/:;,'\"<>|]+|/root(?=/|\b))")
_FOLDERS = re.compile(r"(?<![\w:/.~\\-])(?:file://)?(?:~[\w.-]*/|/)(?:[^\s/:;,'\"<>|]+/)+(?=[^\s/:;,'\"<>|]*)")
_WINDOWS = re.compile(r"(?<!\w)(?:[A-Za-z]:|\\)\\(?:[^\\/:*?\"<>|\r\n]+\\)+")
_SECRET = re.compile(r"(?i)[-\w]*(?:api[-_]?key|token|secret|password|credentials?)")
_PRIVATE = re.compile(
    r"(?<=://)(?:localhost|10\.[\d.]+|127\.[\d.]+|192\.168\.[\d.]+|172\.(?:1[6-9]|2\d|3[01])\.[\d.]+|\[[^\]]*\]|[\w-]+"
    r"|[\w.-]+\.(?:local|lan|internal|intranet|corp|home|localdomain))(?=[:/\s]|$)"
)


_PASSES = 8


def redact(text: str) -> str:
    """Without secrets, and with "~/NAME" for any absolute path and "HOST" for this machine and private addresses.

    Doing it twice changes nothing, so that a reader can tell whether it was done.
    """
    for _ in range(_PASSES):  # what one pass leaves may be the beginning of another folder
        before, text = text, _once(text)
        if text == before:
            break
    return text


def _once(text: str) -> str:
    text = without_secrets(text)
    text = _HOMES.sub("~", text)
    text = _FOLDERS.sub("~/", text)
    text = _WINDOWS.sub("~/", text)
    text = _PRIVATE.sub("HOST", text)
    for name in _host_names():
        text = re.sub(rf"(?<![\w.-]){re.escape(name)}(?![\w-])", "HOST", text)
    return text


def redacted(value: Any) -> Any:
    """Plain data with every text in it redacted, keys too."""
    if isinstance(value, str):
        return redact(value)
    if isinstance(value, dict):
        return {redact(str(key)): _under(str(key), part) for key, part in value.items()}
    if isinstance(value, list | tuple):  # of a command line, an option stands before its value
        return [_under(str(before), part) for before, part in zip(("", *value), value, strict=False)]
    return value


def _under(name: str, value: Any) -> Any:
    """What a name or an option says of itself to be a secret is cut whole."""
    return "***" if isinstance(value, str) and value and _SECRET.fullmatch(name) else redacted(value)


def differences(before: Any, after: Any, where: str = "") -> Iterator[tuple[str, str]]:
    """(place, the text as it is now) of every text that redaction changed; never what it was."""
    if isinstance(before, dict) and isinstance(after, dict):
        for (key, old), (new_key, new) in zip(before.items(), after.items(), strict=True):
            if key != new_key:
                yield f"{where}.{new_key}".lstrip("."), new_key
            yield from differences(old, new, f"{where}.{new_key}".lstrip("."))
    elif isinstance(before, list | tuple):
        for index, (old, new) in enumerate(zip(before, after, strict=True)):
            yield from differences(old, new, f"{where}[{index}]")
    elif before != after:
        yield where, str(after)


@cache
def _host_names() -> tuple[str, ...]:
    """This machine's names, the longest first. Short ones are words as likely as names, and are left alone."""
    full = socket.gethostname()
    names = {full, full.partition(".")[0]}
    return tuple(sorted((name for name in names if len(name) > 3 and name != "localhost"), key=len, reverse=True))
