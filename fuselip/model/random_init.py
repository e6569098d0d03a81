"""Seeded random weights that are the same bytes on every machine, filled fast and hashed on the way.

Normal values are read from a table of 65,536 quantiles by raw 16-bit draws: unlike the usual samplers this involves
no transcendental function per value, so neither the processor nor the version of numpy or torch changes a bit.
"""

from __future__ import annotations

import hashlib
import math
import os
from concurrent.futures import ThreadPoolExecutor
from functools import lru_cache
from statistics import NormalDist

import numpy as np
import torch
from torch import Tensor

from fuselip.core.seeds import derive
from fuselip.model.checkpoints import blank, fill
from fuselip.model.fuselip import FuseLIP
from fuselip.model.sizes import FuseLIPConfig

INIT_VERSION = 1
LOGIT_SCALE, LOGIT_BIAS = math.log(10), -10.0
TABLE_STD = {"token_embedding.weight": 0.02, "positional_embedding": 0.01}
BLOCK = 1 << 18
TITOK_ATTENTION_GAIN = 2.5  # sharp enough that latent tokens look at different patches and so get different codes
CODEBOOK_STD = 0.02  # small beside the latents, so that direction and not norm picks the code


def random_model(config: FuseLIPConfig, seed: int) -> tuple[FuseLIP, str]:
    """A model with the paper's initialisation, and the sha256 over names, shapes and values of its weights."""
    model = blank(config)
    shapes = {name: tuple(tensor.shape) for name, tensor in model.named_parameters()}  # a tied tensor comes once
    with ThreadPoolExecutor(min(8, os.cpu_count() or 1)) as pool:
        drawn = pool.map(lambda item: _draw(config, seed, *item), shapes.items())
        tensors: dict[str, Tensor] = {}
        total = hashlib.sha256()
        for (name, shape), (values, digest) in zip(shapes.items(), drawn, strict=True):
            tensors[name] = torch.from_numpy(values)
            total.update(f"{name} {shape} {digest}\n".encode())
    fill(model, tensors)
    return model, total.hexdigest()


def scale_of(name: str, shape: tuple[int, ...], config: FuseLIPConfig) -> float | None:
    """The standard deviation of a parameter's normal draw; None where it is a constant.

    Text and fused transformer: open_clip's. Image tokenizer (never trained by us): by fan in, which unlike TiTok's
    flat 0.02 lets the image reach the codes, so that different pictures get different ids.
    """
    leaf = name.rsplit(".", 1)[-1]
    if name in TABLE_STD:
        return TABLE_STD[name]
    if name.endswith("quantize.embedding.weight"):
        return CODEBOOK_STD
    if leaf.endswith("embedding") or leaf == "latent_tokens":
        return shape[-1] ** -0.5
    if len(shape) < 2 or leaf.endswith("bias"):
        return None
    fan_in = math.prod(shape[1:])
    if name.startswith("image_tokenizer.") and name.endswith("in_proj_weight"):
        return TITOK_ATTENTION_GAIN * fan_in**-0.5
    if not name.startswith("transformer."):
        return fan_in**-0.5
    width, depth = config.size.width, config.size.layers
    if name.endswith(("attn.out_proj.weight", "mlp.c_proj.weight")):
        return width**-0.5 * (2 * depth) ** -0.5
    return (2 * width) ** -0.5 if name.endswith("mlp.c_fc.weight") else width**-0.5


def _draw(config: FuseLIPConfig, seed: int, name: str, shape: tuple[int, ...]) -> tuple[np.ndarray, str]:
    std = scale_of(name, shape, config)
    if std is None:
        constant = {"logit_scale": LOGIT_SCALE, "logit_bias": LOGIT_BIAS}.get(name)
        gain = len(shape) == 1 and name.endswith("weight")
        values = np.full(shape, float(gain) if constant is None else constant, np.float32)
    else:
        values = _normal(math.prod(shape), std, derive("weights", INIT_VERSION, seed, name)).reshape(shape)
    return values, hashlib.sha256(values.data).hexdigest()


def _normal(count: int, std: float, seed: int) -> np.ndarray:
    """float32 [count]; block by block, so that what lies between draw and table stays in the processor's cache."""
    table = _normal_quantiles() * np.float32(std)
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
