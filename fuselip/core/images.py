"""The one place that decodes and resizes images: from an ImageRef (where the bytes are, which operations) to pixels.

Files are taken for what their bytes say, never for their extension. Formats are allow-listed, sizes are checked before
decoding, damaged files are refused. EXIF orientation is not applied: the published models were trained without it.
"""

from __future__ import annotations

import hashlib
import io
import os
import stat
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import numpy as np
from PIL import Image

from fuselip.core import parquet, source_index
from fuselip.core.errors import UserError
from fuselip.core.operations import OPERATIONS as OPERATIONS
from fuselip.core.operations import apply
from fuselip.core.types import EncodedBytes, FileBytes, ImageRef, ParquetCell, PixelBytes
from fuselip.core.weighted_lru import WeightedLRU

FORMATS = ("JPEG", "PNG", "WEBP", "GIF", "BMP", "TIFF")
MAX_PIXELS = 64_000_000
MAX_BYTES = 256 << 20
HEADER_BYTES = 64 << 10
CACHE_BYTES = 128 << 20

_decoded = WeightedLRU[tuple[object, ...], Image.Image](CACHE_BYTES)

# First bytes of what is met under image names; only for saying what a refused file looks like.
_LOOKS_LIKE = (
    (b"%PDF", "a PDF document"),
    (b"%!PS", "a PostScript (EPS) file"),
    (b"\xc5\xd0\xd3\xc6", "a PostScript (EPS) file"),
    (b"PK\x03\x04", "a zip archive"),
    (b"\x1f\x8b", "a gzip archive"),
    (b"<svg", "an SVG drawing"),
    (b"<?xml", "an XML or SVG file"),
    (b"<!doctype html", "an HTML page (a failed download?)"),
    (b"<html", "an HTML page (a failed download?)"),
    (b"version https://git-lfs", "a Git LFS pointer: run `git lfs pull`"),
    (b"{", "JSON text"),
)


def ref_from_file(path: Path) -> ImageRef:
    """Reference an image file by the sha256 of its bytes. Pixels are not decoded.

    Raises UserError where the file is missing, is no regular file, is empty, too large or unreadable.
    """
    status = _check_file(path)
    return ImageRef(source_index.sha256_of(path, status), (), FileBytes(str(path), 0, status.st_size))


def ref_from_range(path: Path, offset: int, size: int) -> ImageRef:
    """Reference an image file that lies in an archive, uncompressed, as the `size` bytes from `offset`.

    Raises UserError where the archive cannot be read, or the range is empty, too large or reaches past its end.
    """
    status = _check_file(path, archive=True)
    if size == 0:
        raise UserError(f"{path} (bytes from {offset}) is empty (0 bytes); replace it or leave it out")
    if size > MAX_BYTES:
        raise UserError(f"{path} (bytes from {offset}) is over {MAX_BYTES >> 20} MiB; make the image smaller")
    if offset + size > status.st_size:
        raise UserError(f"{path} is cut short: an image reaches past its end; get the file again")
    return ImageRef(source_index.sha256_of(path, status, offset, size), (), FileBytes(str(path), offset, size))


def measure(ref: ImageRef) -> tuple[int, int]:
    """(width, height) of the source image, from the file's header alone; damage further on is not noticed.

    Raises UserError as `realise` does for other formats and excess size.
    """
    if isinstance(ref.locator, PixelBytes):
        return ref.locator.size
    locator = _locate(ref)
    start = _read(locator, HEADER_BYTES)
    with _codec_errors(start, _name(locator)):
        try:
            return _open(start, _name(locator)).size
        except UserError:
            raise
        except Exception:  # refused, or the size stands further on (after thumbnails and profiles; TIFF: anywhere)
            return _open(_read(locator), _name(locator)).size


def ref_from_pil(image: Image.Image) -> ImageRef:
    """Reference an image object. Its pixels are copied as L, RGB or RGBA; other modes become the nearest of these.

    Raises UserError where the object is empty, too large, or its file cannot be decoded.
    """
    _check_size(image, "this image object")
    try:
        image.load()
        image = to_8_bit(image, "this image object")
        if image.mode not in ("L", "RGB", "RGBA"):
            transparent = image.mode in ("LA", "PA", "La", "RGBa") or "transparency" in image.info
            image = image.convert("RGBA" if transparent else "L" if image.mode == "1" else "RGB")
    except (UserError, MemoryError):
        raise
    except Exception as error:  # an object of a damaged file: the codecs raise many kinds
        raise UserError(f"this image object cannot be decoded ({error}); open its file again or replace it") from error
    data = image.tobytes()
    header = f"{image.mode} {image.width}x{image.height}\n".encode()
    pixels = PixelBytes(image.mode, image.size, data)
    return ImageRef(hashlib.sha256(header + data).hexdigest(), (), pixels)


def realise(ref: ImageRef) -> Image.Image:
    """Decode `ref` and apply its operations. The mode is the file's own (P, RGBA, ...) until an operation changes it.

    The longest recently realised prefix of the operations is reused: many transforms of one photo decode it once.
    Thread-safe. The image returned is the caller's own. Raises UserError that names the file.
    """
    count = len(ref.operations)
    start, kept = 0, None
    for length in range(count, -1, -1):
        if (kept := _decoded.get((ref.source, ref.operations[:length]))) is not None:
            start = length
            break
    if kept is None and ref.source:
        kept = _decode(ref)
        _keep(ref, 0, kept)
    if kept is None and not count:
        raise UserError("this ImageRef has neither source bytes nor operations; make it with ImageRef.from_file")
    image = kept
    for index in range(start, count):
        image = apply(ref.operations[index], image)
        if index + 1 < count:  # what is asked for in full is seldom asked for again; what is built on often is
            _keep(ref, index + 1, image)
            kept = image
    assert image is not None
    return image.copy() if image is kept else image  # an operation may have nothing to do and give back what it got


def rgb_pixels(ref: ImageRef, side: int) -> np.ndarray:
    """uint8 [side, side, 3]: squashed to a square (bicubic, antialiased) in the file's own mode, only then made RGB.

    This order is that of the published models' preprocessing; it matters for palette, RGBA and CMYK files.
    """
    return np.asarray(resize(realise(ref), side, side).convert("RGB"))


def resize(image: Image.Image, width: int, height: int) -> Image.Image:
    """Bicubic, antialiased, aspect not kept, mode kept. Palette and 1-bit images are resampled by nearest pixel."""
    return image if image.size == (width, height) else image.resize((width, height), Image.Resampling.BICUBIC)


def to_8_bit(image: Image.Image, what: str) -> Image.Image:
    """Images of 16 or 32 bits per channel as L: 16-bit values by their high byte, floats in [0, 1] times 255.

    Values within 0..255 are kept. Raises UserError for any other range: a guess would change the picture.
    """
    if not (image.mode in ("I", "F") or image.mode.startswith("I;16")):
        return image
    values = np.asarray(image)
    low, high = values.min(), values.max()
    if image.mode == "F" and low >= 0 and high <= 1:
        values = values * 255.0
    elif image.mode.startswith("I;16") or (image.mode == "I" and low >= 0 and 255 < high <= 65535):
        values = values // 256
    elif not (low >= 0 and high <= 255):
        raise UserError(f"{what} has {image.mode} pixels in {low}..{high}; save it with 8 bits per channel")
    return Image.fromarray(np.rint(values).astype(np.uint8), "L")


def _keep(ref: ImageRef, length: int, image: Image.Image) -> None:
    weight = image.width * image.height * len(image.getbands())
    _decoded.put((ref.source, ref.operations[:length]), image, weight)


def _decode(ref: ImageRef) -> Image.Image:
    if isinstance(ref.locator, PixelBytes):
        return Image.frombytes(ref.locator.mode, ref.locator.size, ref.locator.data)
    locator = _locate(ref)
    data = _read(locator)
    if hashlib.sha256(data).hexdigest() != ref.source:
        if isinstance(locator, FileBytes):
            source_index.forget(Path(locator.path))
        raise UserError(f"{_name(locator)} has changed since it was listed; run the command again")
    return decode_bytes(data, _name(locator))


def decode_bytes(data: bytes, name: str) -> Image.Image:
    """Decode an image file's bytes, in the file's own mode, 8 bits per channel; `name` is for messages.

    Of an animation the first frame is taken. Raises UserError for other formats, damage, excess size, several pages.
    """
    with _codec_errors(data, name):
        image = _open(data, name)
        if image.format == "TIFF" and getattr(image, "n_frames", 1) > 1:
            raise UserError(f"{name} is a TIFF of several pages; save the page wanted as PNG")
        image.load()
        # The copy lets go of the file and of its position in the animation.
        return to_8_bit(image.copy() if getattr(image, "is_animated", False) else image, name)


def _open(data: bytes, name: str) -> Image.Image:
    image = Image.open(io.BytesIO(data), formats=FORMATS)
    _check_size(image, name)
    return image


@contextmanager
def _codec_errors(data: bytes, name: str) -> Iterator[None]:
    """The many errors of the codecs as UserErrors that name the file."""
    try:
        yield
    except (UserError, MemoryError):
        raise
    except Image.UnidentifiedImageError as error:
        seen = looks_like(data)
        raise UserError(f"{name} is not an image we read ({', '.join(FORMATS)}): it looks like {seen}") from error
    except (Image.DecompressionBombError, Image.DecompressionBombWarning) as error:
        raise UserError(f"{name} is too large: more than {MAX_PIXELS // 10**6} megapixels; make it smaller") from error
    except Exception as error:  # on damaged bytes the codecs raise many kinds, and all mean the same here
        raise UserError(f"{name} is damaged or cut short ({error}); replace it or leave it out") from error


def _locate(ref: ImageRef) -> FileBytes | ParquetCell | EncodedBytes:
    if ref.locator is None or isinstance(ref.locator, PixelBytes):
        raise UserError(f"it is not known where the image {ref.source[:12]} is on this machine; load its source again")
    return ref.locator


def looks_like(data: bytes) -> str:
    """What a refused file seems to be, in words, by its first bytes."""
    head = data[:512].lstrip(b"\xef\xbb\xbf \t\r\n").lower()
    for magic, name in _LOOKS_LIKE:
        if head.startswith(magic.lower()):
            return name
    if data[4:8] == b"ftyp":
        return "a HEIC, AVIF or video file"
    return "text" if head and all(byte >= 9 for byte in head) and b"\x7f" not in head else "something else"


def _check_size(image: Image.Image, name: str) -> None:
    width, height = image.size
    if width < 1 or height < 1:
        raise UserError(f"{name} has no pixels ({width}x{height}); replace it or leave it out")
    if width * height > MAX_PIXELS:
        limit = MAX_PIXELS // 10**6
        raise UserError(f"{name} is too large: {width}x{height} is over {limit} megapixels; make it smaller")


def _check_file(path: Path, archive: bool = False) -> os.stat_result:
    try:
        status = path.stat()
    except FileNotFoundError as error:
        raise UserError(f"{path} does not exist; check the spelling and the folder") from error
    except (OSError, ValueError) as error:
        raise UserError(f"{path} cannot be read ({error}); check its permissions") from error
    if not stat.S_ISREG(status.st_mode):
        kind = "a folder" if stat.S_ISDIR(status.st_mode) else "no regular file"
        raise UserError(f"{path} is {kind}, not a file to read")
    if status.st_size == 0:
        raise UserError(f"{path} is empty (0 bytes); replace it or leave it out")
    if status.st_size > MAX_BYTES and not archive:
        raise UserError(f"{path} is over {MAX_BYTES >> 20} MiB; make the image smaller")
    return status


def _read(locator: FileBytes | ParquetCell | EncodedBytes, most: int = MAX_BYTES) -> bytes:
    """The encoded bytes; of a file no more than `most`."""
    if isinstance(locator, EncodedBytes):
        return locator.data
    if isinstance(locator, ParquetCell):
        return parquet.read_cell(locator)
    path = Path(locator.path)
    try:
        with open(path, "rb") as stream:
            stream.seek(locator.offset)
            return stream.read(most if locator.size is None else min(locator.size, most))
    except FileNotFoundError as error:
        raise UserError(f"{path} is gone since it was listed; restore it or run the command again") from error
    except OSError as error:
        raise UserError(f"{path} cannot be read ({error.strerror}); check its permissions") from error


def _name(locator: FileBytes | ParquetCell | EncodedBytes) -> str:
    if isinstance(locator, EncodedBytes):
        return "an image of a streamed set"
    if isinstance(locator, ParquetCell):
        return f"{locator.path} (row {locator.row} of row group {locator.row_group}, {locator.column})"
    return f"{locator.path} (bytes from {locator.offset})" if locator.offset else locator.path
