"""What the composed-retrieval families share: galleries of pictures by name, and rows that name them."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from benchmarks.tasks.folder import DataFolder
from benchmarks.types import Candidate
from fuselip.core.errors import UserError
from fuselip.core.types import ImageRef, Input


def rows(folder: DataFolder, name: str, kinds: dict[str, type | tuple[type, ...]]) -> list[dict[str, Any]]:
    """The objects of a JSON list, each with keys of these kinds. UserError, naming the file and entry, for all else."""
    found = folder.json(name)
    if not isinstance(found, list) or not found:
        raise UserError(f"{folder.path(name)} is not a list of questions; get it again from its publisher")
    for number, row in enumerate(found):
        folder.require(row, kinds, f"{name}, entry {number}")
    return found


def gallery(folder: DataFolder, places: Mapping[str, str]) -> dict[str, Candidate]:
    """A candidate for every name, from the picture at its place under the data folder."""
    return {key: Candidate(key, (Input(image=folder.image(place)),)) for key, place in places.items()}


def picture(candidates: Mapping[str, Candidate], key: str, where: str) -> ImageRef:
    """The picture of a candidate. UserError where the row at `where` names one that the gallery does not have."""
    if key not in candidates:
        raise UserError(f"{where}: there is no picture {key!r} in the gallery; the files are of different versions")
    image = candidates[key].inputs[0].image
    assert image is not None
    return image


def strings(value: Any, where: str) -> list[str]:
    """`value` where it is a list of strings, else UserError."""
    if not isinstance(value, list) or not all(isinstance(each, str) for each in value):
        raise UserError(f"{where}: a list of strings is needed here, as the publisher's format has it")
    return value


def fresh(key: str, seen: set[str], where: str) -> str:
    """The key, which joins `seen`. UserError where it is in it already."""
    if key in seen:
        raise UserError(f"{where}: the question {key!r} comes twice; the file was edited or is damaged")
    seen.add(key)
    return key
