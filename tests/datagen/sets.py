"""Sources of small pictures with captions, and the hashes of what was built of them."""

from __future__ import annotations

import csv
import hashlib
import shutil
import struct
import subprocess
import sys
import zlib
from pathlib import Path

import numpy as np
from PIL import Image

from datagen.generate import Summary, build
from datagen.plan import Config
from datagen.sources.registry import open_source

# What `spoil` does to which item, by the code it is rejected with.
REASONS = {
    "0001.jpg": "damaged",
    "0002.jpg": "not_image",
    "0003.jpg": "duplicate",
    "0004.jpg": "missing",
    "0005.jpg": "empty",
    "0006.jpg": "oversized",
    "0007.jpg": "no_caption",
    "list.csv, line 10": "bad_row",
}


def picture(number: int, width: int = 48, height: int = 32) -> Image.Image:
    """A picture like no other number's."""
    noise = np.random.default_rng(number).integers(0, 255, (4, 6, 3), dtype=np.uint8)
    return Image.fromarray(noise).resize((width, height), Image.Resampling.BICUBIC)


def source(folder: Path, count: int, width: int = 48, height: int = 32) -> str:
    """Spec of a CSV of `count` pictures with a caption each."""
    folder.mkdir(parents=True)
    rows = [("path", "caption")]
    for number in range(count):
        picture(number, width, height).save(folder / f"{number:04d}.jpg", quality=90)
        rows.append((f"{number:04d}.jpg", f"picture number {number}"))
    with open(folder / "list.csv", "w", newline="", encoding="utf-8") as stream:
        csv.writer(stream).writerows(rows)
    return f"csv:{folder / 'list.csv'}"


def captions(spec: str, out: Path, shard_items: int = 4, workers: int = 1, **options: object) -> Summary:
    """Build image-caption pairs. Options of Config.of are told apart from those of `build`."""
    found = open_source(spec)
    known = {"seed", "epoch", "limit", "codec", "virtual", "params"}
    config = {key: value for key, value in options.items() if key in known}
    rest = {key: value for key, value in options.items() if key not in known}
    made = Config.of("captions", found.name, shard_items=shard_items, **config)  # type: ignore[arg-type]
    return build(made, found, out, workers=workers, **rest)  # type: ignore[arg-type]


def hashes(out: Path) -> dict[str, str]:
    """Every file's hash but those of the two files that belong to sessions."""
    return {
        path.relative_to(out).as_posix(): hashlib.sha256(path.read_bytes()).hexdigest()
        for path in sorted(out.rglob("*"))
        if path.is_file() and path.name not in ("sessions.jsonl", ".lock")
    }


def command(*arguments: object) -> list[str]:
    return [sys.executable, "-m", "datagen.cli", *map(str, arguments)]


def cli(*arguments: object) -> subprocess.CompletedProcess[str]:
    return subprocess.run(command(*arguments), capture_output=True, text=True, timeout=120, check=False)


def spoil(folder: Path) -> None:
    """A bad item of each kind that REASONS names."""
    (folder / "0001.jpg").write_bytes((folder / "0001.jpg").read_bytes()[:-200])
    (folder / "0002.jpg").write_bytes(b"%PDF-1.7 nothing to see")
    shutil.copy(folder / "0000.jpg", folder / "0003.jpg")
    (folder / "0004.jpg").unlink()
    (folder / "0005.jpg").write_bytes(b"")
    (folder / "0006.jpg").write_bytes(huge_png())
    lines = (folder / "list.csv").read_text().splitlines()
    lines[8] = "0007.jpg,"
    lines[9] = "0008.jpg"
    (folder / "list.csv").write_text("\n".join(lines) + "\n")


def huge_png() -> bytes:
    """A picture that says it has 100,000 x 100,000 pixels."""
    header = struct.pack(">IIBBBBB", 100_000, 100_000, 8, 2, 0, 0, 0)
    chunks = [(b"IHDR", header), (b"IDAT", zlib.compress(bytes(1000))), (b"IEND", b"")]
    parts = [struct.pack(">I", len(d)) + n + d + struct.pack(">I", zlib.crc32(n + d)) for n, d in chunks]
    return b"\x89PNG\r\n\x1a\n" + b"".join(parts)
