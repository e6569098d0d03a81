"""The central types: an Input (an image, a text, or both) is embedded; an ImageRef is a recipe for its pixels.

Nothing here holds pixels of a file: an ImageRef is small, hashable and picklable, and decodes on `load()`.
Identities are hashes of recipes (source bytes + operations), never of decoded pixels, because JPEG decoding and
resizing differ between builds of the same library.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from functools import cached_property
from pathlib import Path
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from PIL import Image

Scalar = bool | int | float | str


def content_hash(value: Any) -> str:
    """sha256 of `value` as canonical JSON (sorted keys, no spaces): the one way we turn a recipe into a key."""
    text = json.dumps(value, sort_keys=True, separators=(",", ":"), ensure_ascii=True, allow_nan=False)
    return hashlib.sha256(text.encode("ascii")).hexdigest()


@dataclass(frozen=True)
class Operation:
    """One step from source pixels to the pixels wanted, by registered name and version (see `images.OPERATIONS`)."""

    name: str
    version: int = 1
    params: tuple[tuple[str, Scalar], ...] = ()

    @classmethod
    def of(cls, name: str, version: int = 1, **params: Scalar) -> Operation:
        return cls(name, version, tuple(sorted(params.items())))

    def to_json(self) -> list[Any]:
        return [self.name, self.version, [list(pair) for pair in self.params]]


@dataclass(frozen=True)
class FileBytes:
    """The bytes of a file, or of the byte range of one (a member of an uncompressed tar)."""

    path: str
    offset: int = 0
    size: int | None = None


@dataclass(frozen=True)
class PixelBytes:
    """Raw pixels held in memory, for images that a caller passes as objects. Modes: L, RGB, RGBA."""

    mode: str
    size: tuple[int, int]
    data: bytes = field(repr=False)


@dataclass(frozen=True)
class EncodedBytes:
    """The bytes of an image file, held in memory: of a streamed set, which has no file here to point at."""

    data: bytes = field(repr=False)


@dataclass(frozen=True)
class ParquetCell:
    """The bytes in one cell of a parquet file; `column` is a dotted path to a binary leaf (`image.bytes`)."""

    path: str
    row_group: int
    row: int
    column: str


Locator = FileBytes | ParquetCell | EncodedBytes | PixelBytes


@dataclass(frozen=True)
class ImageRef:
    """A lazy, picklable image: where the bytes are, their sha256, and the operations applied after decoding.

    `source` is the sha256 (hex) of the encoded bytes, or "" for an image made by its first operation (a scene).
    `locator` says where those bytes are on this machine and is no part of the identity.
    """

    source: str
    operations: tuple[Operation, ...] = ()
    locator: Locator | None = field(default=None, compare=False, repr=False)

    @cached_property
    def key(self) -> str:
        """Identity: sha256 of source hash and operations."""
        return content_hash([self.source, [op.to_json() for op in self.operations]])

    def __hash__(self) -> int:
        return hash((self.source, self.operations))

    def then(self, *operations: Operation) -> ImageRef:
        """The same image with further operations applied."""
        return ImageRef(self.source, self.operations + operations, self.locator)

    def load(self) -> Image.Image:
        """Decode and apply the operations. Returns an RGB image of at least 1x1 pixel.

        Raises UserError (naming the file) for what is not a readable image of an allowed format and size.
        """
        return self.decode().convert("RGB")

    def decode(self) -> Image.Image:
        """As `load`, but in the mode the file has (palette, RGBA, CMYK, ...): for preprocessing that resizes first."""
        from fuselip.core import images

        return images.realise(self)

    @classmethod
    def from_file(cls, path: str | Path) -> ImageRef:
        """Reference an image file. Raises UserError if it cannot be read; pixels are not decoded yet."""
        from fuselip.core import images

        return images.ref_from_file(Path(path))

    @classmethod
    def from_pil(cls, image: Image.Image) -> ImageRef:
        """Reference an image object (its pixels are copied)."""
        from fuselip.core import images

        return images.ref_from_pil(image)


@dataclass(frozen=True)
class Input:
    """What is embedded: a text, an image, or both as one input. An empty one is a ValueError."""

    text: str = ""
    image: ImageRef | None = None

    def __post_init__(self) -> None:
        if not isinstance(self.text, str):
            raise ValueError(f"Input.text must be a str, not {type(self.text).__name__}")
        if not self.text and self.image is None:
            raise ValueError("an Input needs a text, an image, or both; this one is empty")

    @cached_property
    def key(self) -> str:
        """Content hash; a cache key only (names and answers live on Query and Candidate)."""
        return content_hash([self.text, self.image.key if self.image else None])

    @property
    def modality(self) -> str:
        """ "text", "image" or "image+text"."""
        if self.image is None:
            return "text"
        return "image+text" if self.text else "image"

    def without_text(self) -> Input | None:
        """The image alone; None where nothing would be left or nothing would change."""
        return Input(image=self.image) if self.modality == "image+text" else None

    def without_image(self) -> Input | None:
        """The text alone; None where nothing would be left or nothing would change."""
        return Input(text=self.text) if self.modality == "image+text" else None

    @classmethod
    def of(cls, value: Any) -> Input:
        """Make an Input of an Input, a str (always text), PIL image, pathlib.Path, ImageRef, or (image, text).

        Raises TypeError for anything else, ValueError for an empty one, UserError for an unreadable file.
        """
        if isinstance(value, cls):
            return value
        if isinstance(value, str):
            return cls(text=value)
        if isinstance(value, tuple | list) and len(value) == 2:
            image, text = value
            if text is not None and not isinstance(text, str):
                raise TypeError(f"a pair is (image, text); the text is a {type(text).__name__}")
            return cls(text=text or "", image=None if image is None else as_image(image))
        return cls(image=as_image(value))


def as_image(value: Any) -> ImageRef:
    """An ImageRef of an ImageRef, a PIL image or a pathlib.Path. A str is refused: it is always text."""
    if isinstance(value, ImageRef):
        return value
    if isinstance(value, Path):
        return ImageRef.from_file(value)
    if hasattr(value, "convert") and hasattr(value, "tobytes"):
        return ImageRef.from_pil(value)
    raise TypeError(
        f"cannot make an input of a {type(value).__name__}: pass a str (text), a PIL image, a pathlib.Path (image "
        "file), an ImageRef, or a pair (image, text)"
    )


@dataclass(frozen=True)
class Pair:
    """Two Inputs that training pulls together: left (often image + instruction) and right (often the answer)."""

    left: Input
    right: Input


@dataclass(frozen=True)
class Group:
    """Pairs that are each other's hard negatives, made together by one recipe from one source item."""

    key: str
    pairs: Sequence[Pair]
    recipe: str
    version: int
    params: Mapping[str, Scalar] = field(default_factory=dict)
    source: str = ""
