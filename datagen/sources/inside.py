"""File names from data (CSV rows, annotations) stay inside their folder."""

from __future__ import annotations

from pathlib import Path

from fuselip.core.errors import UserError


def inside(root: Path, name: str) -> Path:
    """The file that `name` means under `root`. Links are followed, and must not lead out either.

    Raises UserError for an empty name, a URL, `..`, an absolute name or a link that leaves `root`.
    """
    if not name or "\0" in name:
        raise UserError(f"the file name {name!r} is empty or holds a NUL character")
    if "://" in name:
        raise UserError(f"{name!r} is a web address; download the file and give its path")
    if ".." in name.replace("\\", "/").split("/"):
        raise UserError(f"the file name {name!r} leads out of {root} by '..'; give names inside it")
    path = root / name
    try:
        inner = path.resolve().is_relative_to(root.resolve())
    except (OSError, RuntimeError) as error:  # too long a name, a loop of links
        raise UserError(f"the file name {name!r} cannot be followed ({error})") from error
    if not inner:
        raise UserError(
            f"the file name {name!r} leads out of {root}; copy the file into it or choose another data root"
        )
    return path
