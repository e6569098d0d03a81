"""The inputs of our own golden files, and the script that writes them: `python tests/model/golden_cases.py`.

The files hold what this model gives with name-seeded weights on drawn pictures. They were written once, by code whose
ids and embeddings had just been checked against recordings of the reference code (test_parity); rewriting them is only
right after passing that check again.
"""

from __future__ import annotations

import json
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import torch
from name_seeded import name_seeded, name_seeded_titok
from PIL import Image

from fuselip.core.encoder import Weights
from fuselip.model.configs import Config
from fuselip.model.encoder import FuseLIPEncoder
from fuselip.model.encoder_base import ModelEncoder
from fuselip.model.late_fusion_config import LateFusionConfig
from fuselip.model.late_fusion_encoder import LateFusionEncoder
from fuselip.model.models import MODELS
from fuselip.model.sizes import TITOKS
from fuselip.model.text_tokenizer import text_tokenizer

GOLDEN = Path(__file__).parent / "golden"
FUSELIP = ("fuselip-s", "fuselip-b")
LATE = ("siglip-s-sf", "siglip-s-mlf")
VARIANTS = ("s128", "b64", "l32", "bl64", "bl128", "sl256")


def drawn(kind: str) -> Image.Image:
    """A 256x256 RGB picture by integer arithmetic, the same everywhere."""
    y, x = np.mgrid[0:256, 0:256]
    if kind == "plaid":
        channels = [x, y, (3 * x + 5 * y) % 256]
    else:
        rings = ((x - 90) ** 2 + (y - 140) ** 2) // 40 % 256
        channels = [rings, 255 - rings, (x * y) // 256]
    pixels = np.stack(channels, -1).astype(np.uint8)
    pixels[40:100, 60:140] = (250, 20, 30)
    pixels[(x - 190) ** 2 + (y - 180) ** 2 < 900] = (20, 240, 40)
    return Image.fromarray(pixels)


WORDS = ("red", "orange", "yellow", "green", "blue", "black", "white", "small", "large", "round", "quiet", "dark")


def long_text(count: int) -> str:
    """`count` words of one token each."""
    return " ".join(WORDS[i % len(WORDS)] for i in range(count))


INPUTS: dict[str, Any] = {
    "image": (drawn("plaid"), ""),
    "text": "a photo of a cat sitting on a wooden table",
    "both": (drawn("rings"), "rotate 30 degrees clockwise"),
    "both_fits": (drawn("plaid"), long_text(50)),
    "both_cut": (drawn("plaid"), long_text(51)),
    "text_cut": long_text(300),
    "id_0_inside": "a price of !$ and !% off today",
}

TEXTS = [
    "",
    " \t\n ",
    "cat",
    "A Photo, of 2 cats & 17 dogs!",
    "3.14159 and 2,500,000 at -40°C",
    "it's they'll we've I'm he'd don't you're",
    "'ſ 'S x'ſx \u1fb3\u0345!\u0345a",
    "caf\u00e9 cafe\u0301 ﬁne ＡＢＣ ① ⅷ ²",
    "&amp;amp;lt;tag&amp;gt; &eacute; 5 < 6",
    "â€œmojibakeâ€\x9d lâ€™étÃ©",
    "I ❤ 🍕 👩\u200d🚀 👍🏽 🇩🇪",
    "日本語のテキスト 한국어 Ελληνικά İstanbul ß",
    "!! !$ !% ?!?! ... --- ___",
    "control\x07char \x1b[31mred\x1b[0m\u00a0nbsp\u2003em",
    "before <end_of_text> after",
    "!<start_of_text> <START_OF_TEXT>! a<end_of_text>b",
    "a_b-c/d\\e|f~g`h^i",
    long_text(178),
    long_text(179),
    "supercalifragilisticexpialidocious" * 3,
]


def encoder_of(config: Config, **options: Any) -> ModelEncoder:
    """An encoder on name-seeded weights, on the CPU in fp32."""
    record = Weights("name-seeded", sha256="0" * 64)
    plain = {"device": torch.device("cpu"), "precision": "fp32", "compile": False}
    if isinstance(config, LateFusionConfig):
        return LateFusionEncoder("golden", name_seeded(config), record, **plain, **options)
    return FuseLIPEncoder(
        "golden", name_seeded(config), record, **plain, reread=lambda: (name_seeded(config), record), **options
    )


def official(name: str) -> Config:
    """The configuration that checkpoints of the paper's code need: padding by id."""
    return replace(MODELS[name].config, padding="id")


def pixels_of(image: Image.Image) -> torch.Tensor:
    """float [1, 3, 256, 256] in 0..1."""
    return torch.from_numpy(np.array(image)).permute(2, 0, 1)[None].float().div(255)


def main() -> None:
    GOLDEN.mkdir(exist_ok=True)
    for name in (*FUSELIP, *LATE):
        encoder = encoder_of(official(name))
        arrays = {f"emb__{key}": encoder.encode([value])[0] for key, value in INPUTS.items()}
        if name in FUSELIP:
            arrays |= {f"seq__{key}": np.array(encoder.sequence(value), np.int32) for key, value in INPUTS.items()}
        np.savez_compressed(GOLDEN / f"{name}.npz", **arrays)
    with torch.inference_mode():
        ids = {key: name_seeded_titok(TITOKS[key]).encode_ids(pixels_of(drawn("rings")))[0] for key in VARIANTS}
    np.savez_compressed(GOLDEN / "titok.npz", **{key: value.numpy().astype(np.int32) for key, value in ids.items()})
    cases = [{"text": text, "ids": text_tokenizer().encode(text, 180)} for text in TEXTS]
    (GOLDEN / "text.json").write_text(json.dumps(cases, ensure_ascii=True, separators=(",", ":")) + "\n")


if __name__ == "__main__":
    main()
