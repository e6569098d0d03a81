"""Metadata: what a submitter says of the encoder, checked field by field so that all faults are told at once."""

from __future__ import annotations

import unicodedata
from collections.abc import Mapping
from typing import Annotated, Any, Literal
from urllib.parse import urlsplit

import msgspec

from fuselip.core.plugins import did_you_mean
from leaderboard.types import Fault

UNDECLARED = ("", "unknown")
"""What an encoder's record says of its fusion where nothing was recorded."""

_UNSEEN = frozenset({"Cc", "Cf", "Cs", "Co", "Cn", "Zl", "Zp"})
"""Unicode categories that are not shown, or change how other text is shown: control, format, private, line breaks."""

EXAMPLES: Mapping[str, Any] = {
    "name": "SigLIP base",
    "organisation": "Example Lab",
    "link": "https://example.org/model",
    "revision": "main",
    "licence": "apache-2.0",
    "parameters": 203_000_000,
    "dimension": 768,
    "fusion_policy": "sum of the normalised towers",
    "training_data": "WebLI",
    "contact": "name@example.org",
    "quantised": "none",
}


Word = Annotated[str, msgspec.Meta(min_length=1, max_length=80)]
Line = Annotated[str, msgspec.Meta(min_length=1, max_length=120)]
Sentence = Annotated[str, msgspec.Meta(min_length=1, max_length=200)]
Link = Annotated[str, msgspec.Meta(min_length=1, max_length=300)]
Paragraph = Annotated[str, msgspec.Meta(min_length=1, max_length=2000)]


class Metadata(msgspec.Struct, frozen=True, forbid_unknown_fields=True, kw_only=True):
    """What is shown of an encoder in the words of who submits it; `parameters` and `dimension` are counts.

    `quantised` declares a run whose vectors were scored as integers or signs (`fuselip-bench run --quantise`).
    """

    name: Word
    organisation: Line
    link: Link
    revision: Line
    licence: Word
    parameters: Annotated[int, msgspec.Meta(ge=1, le=10**14)]
    dimension: Annotated[int, msgspec.Meta(ge=1, le=65_536)]
    fusion_policy: Sentence
    training_data: Paragraph
    contact: Sentence
    quantised: Literal["none", "int8", "binary"] = "none"


def parse(value: Any, where: str = "metadata") -> tuple[Metadata | None, list[Fault]]:
    """The metadata of plain data (decoded JSON), or None and everything that is wrong with it."""
    if not isinstance(value, dict):
        return None, [Fault(where, "is not a JSON object", f"write one with the fields {', '.join(EXAMPLES)}")]
    faults = []
    known = {field.name: field for field in msgspec.structs.fields(Metadata)}
    for name in value:
        if name not in known:
            guess = did_you_mean(str(name)[:80], known)
            faults.append(Fault(where, f"has an unknown field {str(name)[:80]!r}{guess}", "take it out"))
    for name, field in known.items():
        if name not in value:
            if field.required:
                faults.append(Fault(f"{where}.{name}", "is missing", f'add it, as in "{name}": {example(name)}'))
            continue
        why = _why_not(name, value[name], field.type)
        if why:
            faults.append(Fault(f"{where}.{name}", why, f"write something like {example(name)}"))
    return (None, faults) if faults else (msgspec.convert(value, Metadata), [])


def contradictions(
    metadata: Metadata, encoder: Mapping[str, Any], scored_as: Mapping[str, Any], where: str = "metadata"
) -> list[Fault]:
    """Where the metadata says something else than the run recorded.

    `encoder` is the run's record of it, `scored_as` what was scored of its vectors ({} for all of them).
    """
    faults = []
    dim = scored_as.get("dim") or encoder.get("dim")
    if dim is not None and dim != metadata.dimension:
        cut = f" of {encoder['dim']}" if scored_as.get("dim") and encoder.get("dim") else ""
        what = f"is {metadata.dimension}, but the run scored vectors of {dim}{cut} numbers"
        faults.append(Fault(f"{where}.dimension", what, f"write {dim}, or run without --truncate-dim"))
    fusion = encoder.get("fusion")
    if fusion not in (None, *UNDECLARED) and fusion != metadata.fusion_policy:
        what = f"is {metadata.fusion_policy!r}, but the run recorded {fusion!r}"
        faults.append(Fault(f"{where}.fusion_policy", what, f'write "{fusion}"'))
    quantised = scored_as.get("quantise") or "none"
    if quantised != metadata.quantised:
        what = f"is {metadata.quantised!r}, but the run scored vectors quantised as {quantised!r}"
        faults.append(Fault(f"{where}.quantised", what, f'write "{quantised}", or run with other --quantise'))
    return faults


def is_link(text: str) -> bool:
    """Whether a text is a plain http(s) address, fit for an `href`: with a host, without credentials or odd signs."""
    try:
        parts = urlsplit(text)
        _ = parts.port
    except ValueError:
        return False
    odd = any(sign <= " " or sign in "\"'<>\\^`{|}" for sign in text)
    return parts.scheme in ("http", "https") and bool(parts.hostname) and "@" not in parts.netloc and not odd


def _why_not(name: str, value: Any, kind: Any) -> str:
    """Why a field cannot hold this value; "" where it can."""
    if value in ("", None):
        return "is empty"
    try:
        msgspec.convert(value, kind)
    except (msgspec.ValidationError, RecursionError) as error:
        return f"is not valid ({str(error)[:200]})"
    if not isinstance(value, str):
        return ""
    if value != value.strip():
        return "begins or ends with a space"
    unseen = next((sign for sign in value if unicodedata.category(sign) in _UNSEEN), None)
    if unseen is not None:
        return f"holds a sign that is not shown (U+{ord(unseen):04X})"
    if name == "link" and not is_link(value):
        return "is no plain http(s) address"
    return ""


def example(name: str) -> str:
    """What a field may hold, as JSON."""
    return msgspec.json.encode(EXAMPLES[name]).decode()
