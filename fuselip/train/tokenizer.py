"""Training of our own image tokenizer: seeded, resumable to the bit on a CPU, in minutes.

Shapes: B batch, S pixels a side.
"""

from __future__ import annotations

import copy
import math
import time
from collections.abc import Callable, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import numpy as np
import torch
from safetensors import safe_open
from safetensors.torch import save
from torch import Tensor, nn
from torch.nn import functional as F

from fuselip.core.errors import UsageError, UserError
from fuselip.core.files import write_bytes
from fuselip.core.plugins import did_you_mean
from fuselip.core.seeds import generator
from fuselip.model.grid_tokenizer import GridTokenizer
from fuselip.model.image_tokenizers import fill_by_seed
from fuselip.model.sizes import BSQ_GRIDS, GRIDS, GridVariant
from fuselip.model.titok import TiTokEncoder
from fuselip.train.tokenizer_measure import Quality, measure
from fuselip.train.tokenizer_pictures import pictures, to_floats, vary

STATE_FILE = "state.safetensors"
SQUARED_WEIGHT, COLOUR_WEIGHT = 10.0, 0.2
SPREAD = 0.8  # deviation of what is squeezed and rounded: wide enough that all levels of a channel are met
WARMUP = 100


@dataclass(frozen=True)
class TokenizerTraining:
    """What a run is; resuming with another one is refused. `variant`: a name of `sizes.GRIDS` or `BSQ_GRIDS`."""

    variant: str = "grid64"
    steps: int = 3000
    batch: int = 32
    learning_rate: float = 3e-3
    seed: int = 0
    save_every: int = 500

    def __post_init__(self) -> None:
        known = GRIDS | BSQ_GRIDS
        if self.variant not in known:
            raise UsageError(
                f"unknown tokenizer {self.variant!r}{did_you_mean(self.variant, known)}; known: {', '.join(known)}"
            )

    @property
    def shape(self) -> GridVariant:
        return (GRIDS | BSQ_GRIDS)[self.variant]

    @property
    def side(self) -> int:
        """Pixels a side of the pictures."""
        return self.shape.side


def train(
    run: TokenizerTraining, pixels: np.ndarray, folder: Path, tell: Callable[[str], None], device: str = "cpu"
) -> GridTokenizer:
    """Train on uint8 pictures [N, S, S, 3], from the state in `folder` where there is one.

    Raises UserError for a state of another run, or when the loss is no number any more.
    """
    model = _Spread(run.shape)
    fill_by_seed(model.tokenizer, run.seed)
    model.to(device)
    optimizer = torch.optim.AdamW(model.parameters(), lr=run.learning_rate, betas=(0.9, 0.95), weight_decay=0.0)
    first = _restore(run, model, optimizer, folder / STATE_FILE)
    started = time.monotonic()
    for step in range(first, run.steps):
        loss = _step(run, model, optimizer, pixels, step)
        done = step + 1
        if done % run.save_every == 0 or done == run.steps:
            value = float(loss)
            if not math.isfinite(value):
                raise UserError(f"the loss is {value} at step {done}; lower the learning rate ({run.learning_rate})")
            _keep(run, model, optimizer, done, folder / STATE_FILE)
            rate = (done - first) * run.batch / (time.monotonic() - started)
            tell(f"step {done} of {run.steps}: loss {value:.4f}, {rate:.0f} pictures/s")
    return model.folded()


def measured_on(model: GridTokenizer | TiTokEncoder, sources: Sequence[str], cache: Path) -> dict[str, Quality]:
    """The quality on each source by itself."""
    side = model.variant.side
    return {name: measure(model, pictures([name], side, cache / "pictures")) for name in sources}


def trained_as(run: TokenizerTraining, sources: Sequence[str]) -> dict[str, Any]:
    """What a tokenizer's config.json says of its training."""
    return {"trained": asdict(run) | {"sources": list(sources), "torch": str(torch.__version__)}}


def reconstruction_loss(made: Tensor, wanted: Tensor) -> Tensor:
    """Mean squared error of pixels, and mean absolute error of 8x8 means, which is the colours'.

    Absolute errors of pixels or of edges are not asked for: they make a picture of few codes flat.
    """
    colour = F.l1_loss(F.avg_pool2d(made, 8), F.avg_pool2d(wanted, 8))
    return SQUARED_WEIGHT * F.mse_loss(made, wanted) + COLOUR_WEIGHT * colour


class _Spread(nn.Module):
    """The tokenizer with its latents normalised over the batch while it trains, so that few codes stay unused."""

    def __init__(self, variant: GridVariant) -> None:
        super().__init__()
        self.tokenizer = GridTokenizer(variant)
        self.norm = nn.BatchNorm1d(len(variant.levels), affine=False)

    def forward(self, pixels_BCHW: Tensor) -> Tensor:
        """The reconstruction."""
        z_BKE = self.tokenizer.encoder.latents(pixels_BCHW)
        z_BKE = SPREAD * self.norm(z_BKE.flatten(0, 1)).view_as(z_BKE)
        return self.tokenizer.decoder(self.tokenizer.encoder.quantize(z_BKE))

    def folded(self) -> GridTokenizer:
        """A copy with the running mean and deviation put into the last projection: no norm is left."""
        tokenizer = copy.deepcopy(self.tokenizer).eval().requires_grad_(False)
        mean, variance = self.norm.running_mean, self.norm.running_var
        assert mean is not None
        assert variance is not None
        scale = SPREAD * (variance + self.norm.eps).rsqrt()
        project = tokenizer.encoder.project
        project.weight.mul_(scale[:, None])
        project.bias.sub_(mean).mul_(scale)
        return tokenizer


def _step(
    run: TokenizerTraining, model: _Spread, optimizer: torch.optim.Optimizer, pixels: np.ndarray, step: int
) -> Tensor:
    """One step; its pictures and changes depend on seed and step alone."""
    draws = generator("tokenizer step", run.seed, step)
    rows = np.sort(draws.integers(0, len(pixels), run.batch))
    wanted = vary(to_floats(pixels[rows]), draws).to(next(model.parameters()).device)
    for group in optimizer.param_groups:
        group["lr"] = run.learning_rate * _schedule(step, run.steps)
    loss = reconstruction_loss(model(wanted), wanted)
    optimizer.zero_grad(set_to_none=True)
    loss.backward()
    torch.nn.utils.clip_grad_norm_(model.parameters(), 1.0)
    optimizer.step()
    return loss.detach()


def _schedule(step: int, steps: int) -> float:
    """Linear warm-up, then a cosine to zero."""
    return min(1.0, (step + 1) / WARMUP) * 0.5 * (1 + math.cos(math.pi * step / steps))


def _keep(run: TokenizerTraining, model: _Spread, optimizer: torch.optim.Optimizer, done: int, path: Path) -> None:
    tensors = {name: value.detach().cpu().contiguous() for name, value in model.state_dict().items()}
    for name, parameter in model.named_parameters():
        for key in ("exp_avg", "exp_avg_sq"):
            tensors[f"{key}/{name}"] = optimizer.state[parameter][key].cpu().contiguous()
    write_bytes(path, save(tensors, {"step": str(done), "run": _identity(run)}))


def _restore(run: TokenizerTraining, model: _Spread, optimizer: torch.optim.Optimizer, path: Path) -> int:
    """The step to go on from."""
    if not path.is_file():
        return 0
    with safe_open(str(path), "pt") as state:
        about = state.metadata() or {}
        if about.get("run") != _identity(run):
            raise UserError(
                f"{path} is of another run ({about.get('run')}, not {_identity(run)}); choose another folder"
            )
        names = state.keys()
        tensors = {name: state.get_tensor(name) for name in names}
    model.load_state_dict({name: tensors[name] for name in model.state_dict()})
    done = int(about["step"])
    for name, parameter in model.named_parameters():
        moments: dict[str, Any] = {key: tensors[f"{key}/{name}"].to(parameter) for key in ("exp_avg", "exp_avg_sq")}
        optimizer.state[parameter] = {"step": torch.tensor(float(done)), **moments}
    return done


def _identity(run: TokenizerTraining) -> str:
    return ", ".join(f"{key} {value}" for key, value in asdict(run).items() if key != "save_every")
