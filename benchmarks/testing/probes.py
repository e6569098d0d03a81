"""What the contract kit shows an encoder: a few plain inputs of each modality, and odd ones that real data holds."""

from __future__ import annotations

from pathlib import Path

import numpy as np
from PIL import Image, ImageDraw

from fuselip.core import seeds
from fuselip.core.types import ImageRef, Input

TEXTS = ("a red circle on a blue ground", "rotate the picture by ninety degrees", "Which animal sleeps on the sofa?")
SCENES = (
    ("navy", "red", "ellipse", (15, 10, 75, 70)),
    ("white", "green", "rectangle", (50, 5, 110, 40)),
    ("orange", "black", "ellipse", (70, 40, 115, 75)),
)


def plain(folder: Path) -> list[Input]:
    """Three texts, three images and three pairs of both, taken in turn. Files are written to `folder`."""
    images = [_scene(folder / f"scene-{number}.png", number) for number in range(len(SCENES))]
    inputs: list[Input] = []
    for text, image in zip(TEXTS, images, strict=True):
        inputs += [Input(text), Input(image=image), Input(text, image)]
    return inputs


def odd_texts() -> list[tuple[str, Input]]:
    """Texts that data sets hold and tokenizers stumble over, each with a name."""
    texts = {
        "a text of 2000 words": " ".join(["word"] * 2000),
        "a word of 5000 letters": "x" * 5000,
        "a single space": " ",
        "a line break": "\n",
        "emoji and scripts": "🦊👩‍👩‍👧 猫 قطة แมว ﬁ",
        "a null character": "a\x00b",
        "a control token's name": "<end_of_text>",
    }
    return [(name, Input(text)) for name, text in texts.items()]


def odd_images(folder: Path) -> list[tuple[str, Input]]:
    """Images of every mode that the allowed formats have, and of extreme shapes, each with a name."""
    pixels = seeds.generator("contract kit").integers(0, 256, (40, 60, 3)).astype(np.uint8)
    picture = Image.fromarray(pixels)
    see_through = picture.convert("RGBA")
    see_through.putalpha(128)
    odd = {
        "a 1x1 image": ("one.png", picture.resize((1, 1))),
        "a 4000x3 image": ("wide.png", picture.resize((4000, 3))),
        "a 3x4000 image": ("tall.png", picture.resize((3, 4000))),
        "a palette image": ("palette.png", picture.convert("P")),
        "an image with transparency": ("alpha.png", see_through),
        "a gray image": ("gray.png", picture.convert("L")),
        "a black-and-white (1 bit) image": ("bits.png", picture.convert("1")),
        "a CMYK image": ("cmyk.jpg", picture.convert("CMYK")),
    }
    inputs = []
    for name, (file, image) in odd.items():
        image.save(folder / file)
        inputs.append((name, Input(image=ImageRef.from_file(folder / file))))
    return inputs


def _scene(path: Path, number: int) -> ImageRef:
    ground, colour, shape, box = SCENES[number]
    image = Image.new("RGB", (120, 80), ground)
    getattr(ImageDraw.Draw(image), shape)(box, fill=colour)
    image.save(path)
    return ImageRef.from_file(path)
