"""Weights that are a function of their name and shape alone, as the recorded reference runs used them."""

from __future__ import annotations

import math
import zlib
from concurrent.futures import ThreadPoolExecutor

import numpy as np
import torch
from torch import Tensor, nn

from fuselip.model.checkpoints import Network, blank, fill
from fuselip.model.configs import Config
from fuselip.model.sizes import TiTokVariant
from fuselip.model.titok import TiTokEncoder

CONSTANTS = {"logit_scale": math.log(10), "logit_bias": -10.0}


def value_of(name: str, shape: tuple[int, ...]) -> np.ndarray:
    """float32 of `shape`; the rules are tried in the order in which the recordings were made."""
    leaf = name.rsplit(".", 1)[-1]
    if leaf in CONSTANTS:
        return np.full(shape, CONSTANTS[leaf], np.float32)
    noise = np.random.default_rng(zlib.crc32(name.encode())).standard_normal(shape).astype(np.float32)
    if name.endswith("quantize.embedding.weight"):
        return noise
    if "embedding" in leaf or leaf in ("latent_tokens", "query") or name.endswith("token_embedding.weight"):
        return noise * np.float32(0.02)
    if leaf == "weight" and len(shape) == 1:
        return np.float32(1) + np.float32(0.1) * noise
    if leaf.endswith("bias") or len(shape) == 1:
        return np.float32(0.02) * noise
    return noise / np.float32(np.sqrt(math.prod(shape[1:])))


def name_seeded(config: Config) -> Network:
    """A model filled with those values (the tied tensor goes by the name of the token embedding)."""
    model = blank(config)
    fill(model, _values(model, ""))
    return model


def name_seeded_titok(variant: TiTokVariant) -> TiTokEncoder:
    """An image tokenizer alone, filled as it would be inside a FuseLIP model."""
    with torch.device("meta"):
        model = TiTokEncoder(variant)
    model.load_state_dict(_values(model, "image_tokenizer.model."), assign=True)
    return model.eval()


def _values(model: nn.Module, prefix: str) -> dict[str, Tensor]:
    shapes = {name: tuple(parameter.shape) for name, parameter in model.named_parameters()}
    with ThreadPoolExecutor(2) as pool:
        arrays = pool.map(value_of, (prefix + name for name in shapes), shapes.values())
        return {name: torch.from_numpy(array) for name, array in zip(shapes, arrays, strict=True)}
