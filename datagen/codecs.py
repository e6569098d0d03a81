"""How images are written: a codec by name and quality, part of a build's configuration, never chosen silently."""

from __future__ import annotations

import hashlib
import io
from collections.abc import Callable, Mapping
from dataclasses import asdict, dataclass
from typing import Any

from PIL import Image

from fuselip.core.errors import UsageError
from fuselip.core.plugins import did_you_mean
from fuselip.core.provenance import version
from fuselip.core.shards import Encoded


@dataclass(frozen=True)
class Kind:
    """`options(quality)` are Pillow's; `default` is the quality where none is asked for."""

    extension: str
    format: str
    default: int
    options: Callable[[int], Mapping[str, Any]]
    help: str


CODECS: dict[str, Kind] = {
    # 4:2:0, Pillow's own default, is named outright so that a change of that default cannot change shards.
    "jpeg": Kind("jpg", "JPEG", 95, lambda q: {"quality": q, "subsampling": "4:2:0"}, "quality 1 to 100, 4:2:0"),
    "png": Kind("png", "PNG", 3, lambda q: {"compress_level": q}, "pixel-exact; quality is zlib's level, 1 to 9"),
    "webp": Kind("webp", "WEBP", 90, lambda q: {"quality": q, "method": 2}, "quality 1 to 100"),
}


@dataclass(frozen=True)
class Codec:
    """`quality` 0 stands for the codec's default. Raises UsageError for an unknown name or a quality out of range."""

    name: str = "jpeg"
    quality: int = 0

    def __post_init__(self) -> None:
        if self.name not in CODECS:
            raise UsageError(
                f"unknown codec {self.name!r}{did_you_mean(self.name, CODECS)}; known: {', '.join(CODECS)}"
            )
        most = 9 if self.name == "png" else 100
        if not 0 <= self.quality <= most:
            raise UsageError(f"--quality {self.quality}: {self.name} takes 1 to {most}")
        object.__setattr__(self, "quality", self.quality or CODECS[self.name].default)

    @property
    def extension(self) -> str:
        return CODECS[self.name].extension

    def encode(self, image: Image.Image) -> Encoded:
        """An image, as RGB, as a file's bytes: no metadata, the same bytes for the same pixels and library."""
        kind = CODECS[self.name]
        buffer = io.BytesIO()
        image = image if image.mode == "RGB" else image.convert("RGB")
        info, image.info = image.info, {}  # Pillow would write profiles and comments of the source
        try:
            image.save(buffer, kind.format, **kind.options(self.quality))
        finally:
            image.info = info
        data = buffer.getvalue()
        return Encoded(data, hashlib.sha256(data).hexdigest(), image.width, image.height)

    def to_json(self) -> dict[str, Any]:
        """Name, quality, and the options as Pillow gets them."""
        return {**asdict(self), "options": dict(CODECS[self.name].options(self.quality))}


def software() -> dict[str, str | None]:
    """What the bytes of an encoded image depend on beside the codec's settings."""
    from PIL import features

    return {
        "pillow": version("pillow"),
        "numpy": version("numpy"),
        "pyarrow": version("pyarrow"),
        "libjpeg-turbo": features.version("libjpeg_turbo"),
        "zlib": features.version("zlib"),
        "webp": features.version("webp"),
    }
