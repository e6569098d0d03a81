"""Decoding and resizing: what is refused, before how much work, with which words; and what comes out of the rest."""

from __future__ import annotations

import io
import os
import resource
import struct
import time
import tracemalloc
import zipfile
import zlib
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from PIL import Image, ImageCms

from fuselip.core import images
from fuselip.core.errors import UserError
from fuselip.core.types import FileBytes, ImageRef
from tests.core.pictures import save
from tests.datagen.synthetic import synthetic


def encoded(kind: str, image: Image.Image | None = None) -> bytes:
    stream = io.BytesIO()
    (image or synthetic()).save(stream, kind)
    return stream.getvalue()


def png_header(width: int, height: int) -> bytes:
    def chunk(kind: bytes, data: bytes) -> bytes:
        return struct.pack(">I", len(data)) + kind + data + struct.pack(">I", zlib.crc32(kind + data))

    header = struct.pack(">IIBBBBB", width, height, 8, 2, 0, 0, 0)
    return b"\x89PNG\r\n\x1a\n" + chunk(b"IHDR", header) + chunk(b"IDAT", zlib.compress(bytes(10**6)))


@pytest.mark.parametrize("size", [(50_000, 50_000), (9_000, 9_000), (64_000_001, 1)])
@pytest.mark.filterwarnings("ignore::PIL.Image.DecompressionBombWarning")
def test_decompression_bomb_is_refused_before_decoding(tmp_path: Path, size: tuple[int, int]) -> None:
    path = tmp_path / "bomb.png"
    path.write_bytes(png_header(*size))
    ref = ImageRef.from_file(path)
    tracemalloc.start()
    started, before = time.perf_counter(), resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    for attempt in (ref.load, lambda: images.measure(ref)):
        with pytest.raises(UserError, match=r"bomb.png is too large: .*megapixels"):
            attempt()
    _, peak = tracemalloc.get_traced_memory()
    tracemalloc.stop()
    assert time.perf_counter() - started < 10  # a few ms; decoding would take minutes
    assert peak < 5 << 20
    assert resource.getrusage(resource.RUSAGE_SELF).ru_maxrss - before < 50_000  # kB: the codecs' own memory too


def test_image_objects_are_capped_too() -> None:
    with pytest.raises(UserError, match="this image object is too large"):
        ImageRef.from_pil(Image.new("1", (9000, 9000)))


@pytest.mark.parametrize("kind", ["JPEG", "PNG", "WEBP", "GIF", "BMP", "TIFF"])
@pytest.mark.parametrize("share", [0.02, 0.5, 0.95])
def test_cut_file_is_refused(tmp_path: Path, kind: str, share: float) -> None:
    data = encoded(kind)
    path = tmp_path / "cut.jpg"
    path.write_bytes(data[: int(len(data) * share)])
    with pytest.raises(UserError, match=r"cut.jpg is (damaged or cut short|not an image)"):
        ImageRef.from_file(path).load()


@given(place=st.integers(0, 5000), value=st.integers(0, 255), kind=st.sampled_from(["JPEG", "PNG", "WEBP", "GIF"]))
def test_damaged_bytes_give_an_image_or_a_user_error(place: int, value: int, kind: str) -> None:
    data = bytearray(encoded(kind, synthetic().resize((64, 48))))
    data[place % len(data)] = value
    try:
        image = images.decode_bytes(bytes(data), "damaged")
    except UserError:
        return
    image.convert("RGB").load()
    assert image.width * image.height <= images.MAX_PIXELS


def zipped() -> bytes:
    stream = io.BytesIO()
    with zipfile.ZipFile(stream, "w") as archive:
        archive.writestr("a.jpg", b"x")
    return stream.getvalue()


@pytest.mark.parametrize(
    ("data", "seems"),
    [
        (b"%PDF-1.7\n%...", "a PDF document"),
        (b'<svg xmlns="http://www.w3.org/2000/svg"/>', "an SVG drawing"),
        (b'\xef\xbb\xbf<?xml version="1.0"?><svg/>', "an XML or SVG file"),
        (zipped(), "a zip archive"),
        (b"\n <!DOCTYPE HTML><html>404</html>", "an HTML page"),
        (b"<HTML><body>", "an HTML page"),
        (b"version https://git-lfs.github.com/spec/v1\n", "a Git LFS pointer"),
        (b"%!PS-Adobe-3.0 EPSF-3.0\n", "a PostScript"),
        (b'{"error": "not found"}', "JSON text"),
        (b"\0\0\0\x1cftypheic\0\0\0\0", "a HEIC, AVIF or video file"),
        (b"hello", "text"),
        (bytes(100), "something else"),
    ],
)
def test_disguised_file_is_refused_for_what_it_is(tmp_path: Path, data: bytes, seems: str) -> None:
    path = tmp_path / "photo.jpg"
    path.write_bytes(data)
    ref = ImageRef.from_file(path)
    for attempt in (ref.load, lambda: images.measure(ref)):
        with pytest.raises(UserError, match=f"photo.jpg is not an image we read .*: it looks like {seems}"):
            attempt()


@pytest.mark.parametrize("kind", ["PNG", "GIF", "WEBP"])
def test_extension_does_not_matter(tmp_path: Path, kind: str) -> None:
    ref = ImageRef.from_file(save(tmp_path / "photo.jpg", kind=kind))
    assert ref.load().size == images.measure(ref) == (320, 240)


@pytest.mark.parametrize("kind", ["ICO", "PPM", "TGA", "JPEG2000", "EPS"])
def test_other_formats_of_pillow_are_not_read(tmp_path: Path, kind: str) -> None:
    with pytest.raises(UserError, match="is not an image we read"):
        ImageRef.from_file(save(tmp_path / "photo.png", kind=kind)).load()


MODES = {"PNG": ("P", "RGBA", "LA", "1"), "JPEG": ("L", "CMYK"), "GIF": ("P",), "WEBP": ("RGBA",), "TIFF": ("LAB",)}


@pytest.mark.parametrize(("kind", "mode"), [(kind, mode) for kind, modes in MODES.items() for mode in modes])
def test_modes(tmp_path: Path, mode: str, kind: str) -> None:
    source = synthetic()
    if mode == "LAB":
        profiles = (ImageCms.createProfile(name) for name in ("sRGB", "LAB"))
        source = ImageCms.applyTransform(source, ImageCms.buildTransform(*profiles, "RGB", "LAB"))
    else:
        source = source.convert(mode)
    if mode == "RGBA":
        source.putalpha(Image.radial_gradient("L").resize(source.size))
    path = save(tmp_path / "a", source, kind)
    ref = ImageRef.from_file(path)
    assert ref.decode().mode == mode
    assert ref.load().mode == "RGB"
    squashed = Image.open(path).resize((64, 64), Image.Resampling.BICUBIC).convert("RGB")
    assert np.array_equal(images.rgb_pixels(ref, 64), np.asarray(squashed))
    assert images.rgb_pixels(ref, 64).shape == (64, 64, 3)


@pytest.mark.parametrize("kind", ["PNG", "TIFF"])
def test_sixteen_bits_by_their_high_byte(tmp_path: Path, kind: str) -> None:
    values = np.arange(0, 65536, 64, dtype=np.uint16).reshape(32, 32)
    image = ImageRef.from_file(save(tmp_path / "a", Image.fromarray(values), kind)).decode()
    assert image.mode == "L"
    assert np.array_equal(np.asarray(image), values >> 8)


def test_floats_and_odd_ranges(tmp_path: Path) -> None:
    ramp = np.linspace(0, 1, 64, dtype=np.float32).reshape(8, 8)
    assert np.array_equal(np.asarray(ImageRef.from_pil(Image.fromarray(ramp)).load())[..., 0], np.rint(ramp * 255))
    assert np.asarray(ImageRef.from_pil(Image.fromarray(ramp * 100 + 2)).load()).max() == 102
    for values in (ramp - 1, ramp * 1000, np.full((8, 8), np.nan, np.float32)):
        with pytest.raises(UserError, match="save it with 8 bits per channel"):
            ImageRef.from_file(save(tmp_path / "a.tif", Image.fromarray(values), "TIFF")).load()


@pytest.mark.parametrize("kind", ["GIF", "WEBP", "PNG"])
def test_first_frame_of_an_animation(tmp_path: Path, kind: str) -> None:
    frames = [Image.new("RGB", (20, 10), colour) for colour in ("red", "lime", "blue")]
    options: dict[str, object] = {"lossless": True} if kind == "WEBP" else {}
    path = save(tmp_path / "a.gif", frames[0], kind, save_all=True, append_images=frames[1:], **options)
    assert getattr(Image.open(path), "n_frames", 1) == 3
    assert ImageRef.from_file(path).load().getcolors() == [(200, (255, 0, 0))]


def test_tiff_of_several_pages_is_refused(tmp_path: Path) -> None:
    path = save(tmp_path / "a.tif", kind="TIFF", save_all=True, append_images=[synthetic()])
    with pytest.raises(UserError, match="several pages"):
        ImageRef.from_file(path).load()


def test_exif_orientation_is_not_applied(tmp_path: Path) -> None:
    exif = Image.Exif()
    exif[0x0112] = 6
    assert ImageRef.from_file(save(tmp_path / "a.jpg", kind="JPEG", exif=exif)).load().size == (320, 240)


def test_what_is_no_file(tmp_path: Path) -> None:
    (tmp_path / "empty.jpg").touch()
    os.mkfifo(tmp_path / "pipe.jpg")
    (tmp_path / "large.jpg").touch()
    os.truncate(tmp_path / "large.jpg", images.MAX_BYTES + 1)
    for name, message in (
        ("empty.jpg", "is empty"),
        ("", "is a folder"),
        ("missing.jpg", "does not exist"),
        ("pipe.jpg", "no regular file"),
        ("large.jpg", "is over 256 MiB"),
        ("empty.jpg/a.jpg", "cannot be read"),
        ("a\0b.jpg", "cannot be read"),
    ):
        with pytest.raises(UserError, match=message):
            ImageRef.from_file(tmp_path / name)


def test_unreadable_file(tmp_path: Path) -> None:
    path = save(tmp_path / "a.png")
    path.chmod(0)
    if os.access(path, os.R_OK):
        pytest.skip("root may read everything")
    with pytest.raises(UserError, match=r"cannot be read \(Permission denied\)"):
        ImageRef.from_file(path)


def test_file_changed_or_gone_after_listing(tmp_path: Path) -> None:
    path = save(tmp_path / "a.png")
    ref = ImageRef.from_file(path)
    save(path, synthetic().rotate(10))
    images._decoded.clear()  # another test's decoded pixels of the same bytes would do
    with pytest.raises(UserError, match="has changed since it was listed"):
        ref.load()
    path.unlink()
    with pytest.raises(UserError, match="is gone since it was listed"):
        ref.load()


def test_ranges_of_an_archive(tmp_path: Path) -> None:
    data = encoded("PNG")
    path = tmp_path / "some.tar"
    path.write_bytes(bytes(512) + data + bytes(100))
    ref = images.ref_from_range(path, 512, len(data))
    assert np.array_equal(np.asarray(ref.load()), np.asarray(synthetic()))
    assert images.measure(ref) == (320, 240)
    assert ref == ImageRef.from_file(save(tmp_path / "same.png"))
    for offset, size, message in ((512, 0, "is empty"), (512, len(data) + 101, "cut short"), (0, 1 << 30, "over 256")):
        with pytest.raises(UserError, match=message):
            images.ref_from_range(path, offset, size)


def test_size_that_stands_far_behind_the_start(tmp_path: Path) -> None:
    """A large profile before the size of a JPEG; the directory of a TIFF at its end."""
    jpeg = save(tmp_path / "a.jpg", kind="JPEG", icc_profile=os.urandom(3 * images.HEADER_BYTES))
    tiff = save(tmp_path / "a.tif", kind="TIFF")
    assert images.measure(ImageRef.from_file(jpeg)) == images.measure(ImageRef.from_file(tiff)) == (320, 240)


def test_refs_without_a_place() -> None:
    with pytest.raises(UserError, match="not known where"):
        ImageRef("ab" * 32).load()
    with pytest.raises(UserError, match="neither source bytes nor operations"):
        ImageRef("").load()


def test_locator_is_no_part_of_the_identity() -> None:
    assert ImageRef("ab", (), FileBytes("x")) == ImageRef("ab", (), FileBytes("y", 3, 4))
