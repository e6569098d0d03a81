"""What a run costs on paper: steps, pairs, FLOPs, and hours on eight GPUs at a stated share of their peak."""

from __future__ import annotations

from fuselip.core.errors import UsageError
from fuselip.core.plugins import did_you_mean
from fuselip.model.models import model_of
from fuselip.model.toklip_config import TokLIPConfig
from fuselip.train.config import Train
from fuselip.train.flops import PEAKS, pair, text_tokens

GPUS = 8


def estimate(config: Train, gpu: str, share: float) -> str:
    """A few lines of text. Raises UsageError for a GPU whose peak is not known here."""
    if gpu not in PEAKS:
        raise UsageError(f"the peak of {gpu!r} is not known here{did_you_mean(gpu, PEAKS)}; known: {', '.join(PEAKS)}")
    if not 0 < share <= 1:
        raise UsageError(f"--share is a share of the peak, above 0 and at most 1, not {share}")
    model = model_of(config.model).config
    images, frozen_parts = (1.0, "and teacher ") if isinstance(model, TokLIPConfig) else (1.5, "")
    cost = pair(model, config.mask.ratio, images)
    pairs = config.steps * config.batch_size
    total, frozen = pairs * cost.model, pairs * cost.tokenizer
    speed = GPUS * PEAKS[gpu] * share * 3600
    lines = [
        f"{config.name or config.model}: {config.steps:,} steps of {config.batch_size:,} pairs = {pairs:,} pairs",
        f"model       {cost.model / 1e9:10.1f} GFLOP a pair  {total:10.3g} FLOP  {total / speed:8.3g} h",
        f"tokenizer   {cost.tokenizer / 1e9:10.1f} GFLOP a pair  {frozen:10.3g} FLOP  {frozen / speed:8.3g} h"
        f"  {frozen_parts}(left out with a token cache, once it is filled)",
        f"hours are those of {GPUS} {gpu} at {share:.0%} of {PEAKS[gpu] / 1e12:.0f} TFLOP/s (dense bf16), on paper; a "
        f"pair is taken to hold {images} images and a text of {text_tokens(model)} tokens",
    ]
    if config.data is not None:
        parts, whole = config.data.parts, sum(part.weight for part in config.data.parts)
        lines += [
            "data:",
            *(f"  {part.weight / whole:6.1%}  {part.source} {dict(part.options) or ''}" for part in parts),
        ]
    return "\n".join(line.rstrip() for line in lines) + "\n"
