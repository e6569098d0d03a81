"""Image files for tests."""

from __future__ import annotations

from pathlib import Path

from PIL import Image

from tests.datagen.synthetic import synthetic


def save(path: Path, image: Image.Image | None = None, kind: str = "PNG", **options: object) -> Path:
    """Writes the picture (the synthetic one) as a file of format `kind`, whatever the file is called."""
    (image or synthetic()).save(path, kind, **options)
    return path
