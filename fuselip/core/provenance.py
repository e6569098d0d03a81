"""How a file was made: versions, machine, command; with tokens, credentials and home folders taken out."""

from __future__ import annotations

import os
import platform
import re
import subprocess
import sys
from collections.abc import Sequence
from datetime import UTC, datetime
from functools import cache
from importlib import metadata
from pathlib import Path
from typing import Any

PACKAGES = ("torch", "numpy", "pillow", "tokenizers", "safetensors", "ftfy", "scikit-image", "scikit-learn", "pyarrow")

_TOKEN = re.compile(r"\b(hf|ghp|gho|github_pat|sk|xox[abp])[-_][A-Za-z0-9_\-]{8,}")
_CREDENTIALS = re.compile(r"(?<=://)[^/@\s]+@")
_SECRET_VALUE = re.compile(r"(?i)\b((?:api[-_]?key|token|secret|password)[\"']?\s*[=: ]\s*)\S+")


def provenance(argv: Sequence[str] | None = None) -> dict[str, Any]:
    """Versions, platform, time (UTC) and the redacted command line, as JSON-able values."""
    return {
        "created": datetime.now(UTC).isoformat(timespec="seconds"),
        "fuselip": version("fuselip"),
        "commit": commit(),
        "python": platform.python_version(),
        "platform": platform.platform(),
        "cpu": cpu_name(),
        "cores": os.cpu_count(),
        "packages": {name: found for name in PACKAGES if (found := version(name))},
        "command": [redact(part) for part in (sys.argv if argv is None else argv)],
    }


def version(package: str) -> str | None:
    """The installed version of a distribution, without importing it."""
    try:
        return metadata.version(package)
    except metadata.PackageNotFoundError:
        return None


@cache
def commit() -> str | None:
    """The git commit of the checkout this code runs from (with "+dirty"), None where it is installed otherwise."""
    folder = Path(__file__).resolve().parents[2]
    if not (folder / ".git").exists():
        return None
    try:
        found = subprocess.run(["git", "-C", folder, "rev-parse", "HEAD"], capture_output=True, text=True, timeout=5)
        dirty = subprocess.run(
            ["git", "-C", folder, "status", "--porcelain"], capture_output=True, text=True, timeout=5
        )
    except (OSError, subprocess.TimeoutExpired):
        return None
    return found.stdout.strip() + ("+dirty" if dirty.stdout.strip() else "") if found.returncode == 0 else None


@cache
def cpu_name() -> str:
    """The processor's model name, or its architecture where the system does not tell."""
    try:
        for line in Path("/proc/cpuinfo").read_text().splitlines():
            if line.startswith("model name"):
                return line.partition(":")[2].strip()
    except OSError:
        pass
    return platform.processor() or platform.machine()


def redact(text: str) -> str:
    """Without tokens, credentials in URLs, `token=...` values and the home folder: fit to be published."""
    text = _CREDENTIALS.sub("***@", text)
    text = _TOKEN.sub("***", text)
    text = _SECRET_VALUE.sub(r"\1***", text)
    home = str(Path.home())
    return text.replace(home, "~") if len(home) > 1 else text
