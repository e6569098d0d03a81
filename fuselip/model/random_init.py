"""Seeded random weights that are the same bytes on every machine, filled fast and hashed on the way.

Values are read from a table of 65,536 quantiles by raw 16-bit draws: unlike the usual samplers this involves no
transcendental function per value, so neither the processor nor the version of numpy or torch changes a bit.
"""

from __future__ import annotations

import hashlib
import math
import os
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from functools import lru_cache
from statistics import NormalDist
from typing import overload

import numpy as np
import torch
from torch import Tensor

from fuselip.core.seeds import derive
from fuselip.model.checkpoints import Network, blank, fill
from fuselip.model.configs import Config, FuseLIPConfig
from fuselip.model.fuselip import FuseLIP
from fuselip.model.image_tokenizers import shipped_tensors
from fuselip.model.late_fusion import LateFusion
from fuselip.model.late_fusion_config import LateFusionConfig
from fuselip.model.sizes import MLF_LAYERS, MLP_RATIO, TransformerSize
from fuselip.model.toklip import TokLIP
from fuselip.model.toklip_config import TokLIPConfig

INIT_VERSION = 1
LOGIT_SCALE, LOGIT_BIAS = math.log(10), -10.0
PROJECTION = "image_projection.proj.weight"
TABLE_STD = {"token_embedding.weight": 0.02, "positional_embedding": 0.01}
BLOCK = 1 << 18
_OPEN_CLIP = {"qkv.weight": "in_proj_weight", "attn.proj": "attn.out_proj", "fc1": "c_fc", "fc2": "c_proj"}
TITOK_ATTENTION_GAIN = 2.5  # sharp enough that latent tokens look at different patches and so get different codes
CODEBOOK_STD = 0.02  # small beside the latents, so that direction and not norm picks the code


@dataclass(frozen=True)
class Draw:
    """How a parameter is drawn: its standard deviation, from a normal distribution or a uniform one."""

    std: float
    uniform: bool = False


@overload
def random_model(config: FuseLIPConfig, seed: int) -> tuple[FuseLIP, str]: ...
@overload
def random_model(config: LateFusionConfig, seed: int) -> tuple[LateFusion, str]: ...
@overload
def random_model(config: TokLIPConfig, seed: int) -> tuple[TokLIP, str]: ...
def random_model(config: Config, seed: int) -> tuple[Network, str]:
    """A model with the paper's initialisation, and the sha256 over names, shapes and values of its weights.

    The frozen image tokenizer is the package's trained one where the package has it.
    """
    model = blank(config)
    frozen = shipped_tensors(config)
    shapes = {name: tuple(tensor.shape) for name, tensor in model.named_parameters()}  # a tied tensor comes once
    with ThreadPoolExecutor(min(8, os.cpu_count() or 1)) as pool:
        drawn = pool.map(
            lambda item: _given(frozen[item[0]]) if item[0] in frozen else _draw(config, seed, *item), shapes.items()
        )
        tensors: dict[str, Tensor] = {}
        total = hashlib.sha256()
        for (name, shape), (values, digest) in zip(shapes.items(), drawn, strict=True):
            tensors[name] = torch.from_numpy(values)
            total.update(f"{name} {shape} {digest}\n".encode())
    fill(model, tensors)
    return model, total.hexdigest()


def draw_of(name: str, shape: tuple[int, ...], config: Config) -> Draw | None:
    """How a parameter is drawn; None where it is a constant."""
    if isinstance(config, FuseLIPConfig):
        return _fuselip_draw(name, shape, config)
    if isinstance(config, TokLIPConfig):
        return _toklip_draw(name, shape, config)
    return _late_fusion_draw(name, shape, config)


def _fuselip_draw(name: str, shape: tuple[int, ...], config: FuseLIPConfig) -> Draw | None:
    """Fused transformer: open_clip's. Image tokenizer (never trained by us): by fan in, which unlike TiTok's flat 0.02
    lets the image reach the codes, so that different pictures get different ids.
    """
    leaf = name.rsplit(".", 1)[-1]
    if name in TABLE_STD:
        return Draw(TABLE_STD[name])
    if name.endswith("quantize.embedding.weight"):
        return Draw(CODEBOOK_STD)
    if leaf.endswith("embedding") or leaf == "latent_tokens":
        return Draw(shape[-1] ** -0.5)
    if len(shape) < 2 or leaf.endswith("bias"):
        return None
    fan_in = math.prod(shape[1:])
    if name == PROJECTION:  # as large as the token embeddings that it stands beside
        return Draw(TABLE_STD["token_embedding.weight"] * fan_in**-0.5)
    if name.startswith("image_tokenizer.") and name.endswith("in_proj_weight"):
        return Draw(TITOK_ATTENTION_GAIN * fan_in**-0.5)
    return _block_draw(name, config.size) if name.startswith("transformer.") else Draw(fan_in**-0.5)


def _late_fusion_draw(name: str, shape: tuple[int, ...], config: LateFusionConfig) -> Draw | None:
    """Text tower and MLF blocks: open_clip's for text. Image tower and MLF pooler: torch's defaults around tables and
    projections at width^-0.5.
    """
    tower, _, rest = name.removeprefix("model.").partition(".")
    leaf = name.rsplit(".", 1)[-1]
    if tower == "text" and rest in TABLE_STD:
        return Draw(TABLE_STD[rest])
    if leaf in ("class_embedding", "positional_embedding", "query"):
        return Draw(shape[-1] ** -0.5)
    if leaf in ("proj", "text_projection"):
        return Draw(shape[0] ** -0.5)
    if tower != "visual" and rest.startswith("transformer."):
        size = config.sizes.text
        return _block_draw(name, size if tower == "text" else TransformerSize(size.width, size.heads, MLF_LAYERS))
    return _torch_draw(name, shape)


def _toklip_draw(name: str, shape: tuple[int, ...], config: TokLIPConfig) -> Draw | None:
    """Both towers: open_clip's for text, which their blocks have by other names. Tokenizer and heads: by fan in."""
    part, _, rest = name.partition(".")
    if part == "text" and rest in TABLE_STD:
        return Draw(TABLE_STD[rest])
    if name.endswith(("pos_embed", "quantize.embedding.weight")):
        return Draw(CODEBOOK_STD)
    if name.endswith("attn_pool.latent"):
        return Draw(shape[-1] ** -0.5)
    if ".blocks." in name or ".resblocks." in name:
        for theirs, ours in _OPEN_CLIP.items():
            name = name.replace(theirs, ours)
        return _block_draw(name, config.size.tower)
    return Draw(math.prod(shape[1:]) ** -0.5) if len(shape) > 1 else None


def _block_draw(name: str, size: TransformerSize) -> Draw | None:
    """open_clip's text transformer, by width and depth; biases and norms are constants."""
    if not name.endswith(("proj.weight", "fc.weight", "in_proj_weight")):
        return None
    if name.endswith(("attn.out_proj.weight", "mlp.c_proj.weight")):
        return Draw(size.width**-0.5 * (2 * size.layers) ** -0.5)
    return Draw((2 * size.width) ** -0.5 if name.endswith("mlp.c_fc.weight") else size.width**-0.5)


def _torch_draw(name: str, shape: tuple[int, ...]) -> Draw | None:
    """What torch gives nn.MultiheadAttention, nn.Linear and nn.Conv2d; norms and attention biases are constants."""
    if name.endswith("in_proj_weight"):  # Xavier's, over the three projections at once
        return Draw((2 / sum(shape)) ** 0.5, uniform=True)
    if name.endswith(("c_fc.bias", "c_proj.bias")):
        fan_in = shape[0] // MLP_RATIO if name.endswith("c_fc.bias") else shape[0] * MLP_RATIO
        return Draw((3 * fan_in) ** -0.5, uniform=True)
    return Draw((3 * math.prod(shape[1:])) ** -0.5, uniform=True) if len(shape) > 1 else None


def _given(tensor: Tensor) -> tuple[np.ndarray, str]:
    values = tensor.numpy()
    return values, hashlib.sha256(values.tobytes()).hexdigest()


def _draw(config: Config, seed: int, name: str, shape: tuple[int, ...]) -> tuple[np.ndarray, str]:
    draw = draw_of(name, shape, config)
    if draw is None:
        leaf = name.rsplit(".", 1)[-1]
        gain = float(len(shape) == 1 and leaf == "weight")
        values = np.full(shape, {"logit_scale": LOGIT_SCALE, "logit_bias": LOGIT_BIAS}.get(leaf, gain), np.float32)
    else:
        values = _values(math.prod(shape), draw, derive("weights", INIT_VERSION, seed, name)).reshape(shape)
    return values, hashlib.sha256(values.data).hexdigest()


def _values(count: int, draw: Draw, seed: int) -> np.ndarray:
    """float32 [count]; block by block, so that what lies between draw and table stays in the processor's cache."""
    table = (_uniform_quantiles() if draw.uniform else _normal_quantiles()) * np.float32(draw.std)
    source = np.random.PCG64(seed)
    values = np.empty(count, np.float32)
    for start in range(0, count, BLOCK):
        block = values[start : start + BLOCK]
        bits = source.random_raw(-(-len(block) // 4)).astype("<u8", copy=False).view("<u2")[: len(block)]
        np.take(table, bits, out=block, mode="clip")
    return values


@lru_cache(maxsize=1)
def _normal_quantiles() -> np.ndarray:
    """float32 [65536]: the standard normal's quantiles at the middles of 65,536 equal steps; symmetric around 0."""
    steps = 1 << 16
    upper = [NormalDist().inv_cdf((i + 0.5) / steps) for i in range(steps // 2, steps)]
    half = np.array(upper, np.float64).astype(np.float32)
    return np.concatenate([-half[::-1], half])


@lru_cache(maxsize=1)
def _uniform_quantiles() -> np.ndarray:
    """float32 [65536]: those of the uniform distribution with mean 0 and deviation 1."""
    steps = 1 << 16
    return (((np.arange(steps) + 0.5) / steps * 2 - 1) * math.sqrt(3)).astype(np.float32)
