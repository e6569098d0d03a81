"""How numbers and names are written on a page, and the names of its files."""

from __future__ import annotations

import hashlib
import re
from collections.abc import Mapping
from typing import Any

from leaderboard.board import Interval, Rank, Score

BADGES = {
    "reported": ("○", "printed by others; we have not seen what it was computed from"),
    "consistent": ("◔", "every number was computed again by us from the encoder's answers"),
    "challenged": ("◑", "consistent, and questions that were secret until they were answered were answered as well"),
    "re-run": ("●", "consistent, and we encoded a random sample again with the public weights"),
}
"""{badge: (mark, what was done)}: no more than what was done."""

_PLAIN = re.compile(r"[A-Za-z0-9_-][A-Za-z0-9._-]{0,79}")
_UNITS = (("B", 1e9), ("M", 1e6), ("k", 1e3))


def file_name(name: str) -> str:
    """A name as part of a path: itself where it is plain ("/" as "__"), else its hash. Never leaves a folder."""
    plain = name.replace("/", "__")
    return plain if _PLAIN.fullmatch(plain) else hashlib.sha256(name.encode("utf-8", "replace")).hexdigest()[:20]


def hundred(share: float | None) -> str:
    """A share as a percentage with one decimal, with a true minus sign; "–" for None."""
    return "–" if share is None else f"{round(100 * share, 1) + 0.0:.1f}".replace("-", "−")


def signed(share: float) -> str:
    return ("+" if round(100 * share, 1) > 0 else "") + hundred(share)


def span(found: Interval | Score | None) -> str:
    """The interval in words: "60.1 to 64.7"; "" where there is none."""
    if found is None or found.low is None or found.high is None:
        return ""
    return f"{hundred(found.low)} to {hundred(found.high)}"


def band(rank: Rank | None) -> str:
    if rank is None:
        return "–"
    return str(rank.best) if rank.best == rank.worst else f"{rank.best}–{rank.worst}"


def short(number: float | None) -> str:
    """86_000_000 as "86M": three digits; "–" for None."""
    if number is None:
        return "–"
    name, unit = next(((name, unit) for name, unit in _UNITS if number >= unit), ("", 1))
    return f"{number / unit:.3g}{name}"


def sentence(text: str) -> str:
    """With a capital letter and a full stop; otherwise as it is."""
    text = text.strip()
    return text[:1].upper() + text[1:] + ("" if text.endswith((".", "?", "!")) or not text else ".")


def speed(throughput: Mapping[str, Any]) -> float | None:
    """Inputs (or queries) a second, as measured."""
    found = next((value for key, value in sorted(throughput.items()) if key.endswith("_per_second")), None)
    return float(found) if isinstance(found, int | float) and found > 0 else None


def machine(throughput: Mapping[str, Any]) -> str:
    """What it was measured on: "AMD EPYC, 2 cores"."""
    found = throughput.get("machine") or ""
    if not isinstance(found, Mapping):
        return str(found)
    cores = f"{found['cores']} cores" if found.get("cores") else ""
    return ", ".join(str(part) for part in (found.get("cpu"), cores) if part)
