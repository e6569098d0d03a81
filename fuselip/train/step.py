"""One optimizer step: both sides embedded, losses, gradients (at once or cached), sums over processes, AdamW.

Gradient caching is GradCache's (arXiv 2101.06983): features first, then their gradients, then every chunk again with
its own. The result is that of the whole batch, and the memory that of one chunk.
"""

from __future__ import annotations

from collections.abc import Sequence
from contextlib import AbstractContextManager
from dataclasses import dataclass

import torch
from torch import Tensor

from fuselip.model.checkpoints import Network
from fuselip.model.fuselip import FuseLIP
from fuselip.model.toklip import TokLIP
from fuselip.train.batch import Batch, Side
from fuselip.train.config import Train
from fuselip.train.early import Sequences, join, tokens_of
from fuselip.train.forward import Prepared, inverse, to
from fuselip.train.gather import Peers
from fuselip.train.image_text import ImageOrText, distilled, tokens_of_image
from fuselip.train.late import TwoTowers
from fuselip.train.losses import content_keys, sigmoid_loss, weight_of
from fuselip.train.masking import check_maskable, mask
from fuselip.train.optim import adamw, clamp_scale, learning_rate, temperature, trainable
from fuselip.train.parallel import clip, share, sum_gradients
from fuselip.train.softmax import softmax_loss
from fuselip.train.teacher import Teacher

AUTOCAST = {"fp32": torch.float32, "bf16": torch.bfloat16, "fp16": torch.float16}
SHARES = (
    *("contrastive", "mask_left", "mask_right"),
    *("image_right", "image_masked", "text_right", "text_masked"),
    *("distil", "pairs"),
)
SAME = ("grad_norm", "log_scale", "bias", "lr")


@dataclass(frozen=True)
class Report:
    """What one step measured, on the device: `shares` (SHARES) add up over processes, `same` (SAME) are equal there."""

    step: int
    shares: Tensor
    same: Tensor


class Stepper:
    """Model, optimizer and loss scaler of a run. `teacher`: what a TokLIP is distilled from."""

    def __init__(
        self, model: Network, config: Train, peers: Peers, device: torch.device, teacher: Teacher | None = None
    ) -> None:
        self.model, self.config, self.peers, self.device, self.teacher = model, config, peers, device, teacher
        if isinstance(model, FuseLIP):
            check_maskable(model.config, config.mask.ratio)
        if isinstance(model, TokLIP) and config.distil.text == "frozen":
            model.text.requires_grad_(False)
        share(model, config, peers)
        self.parameters = trainable(model)
        self.optimizer = adamw(model, config.optim)
        self.scaler = torch.amp.GradScaler(device.type, enabled=config.precision == "fp16")
        self.equal_chunks = config.parallel == "fsdp" and peers.world > 1

    def step(self, batch: Batch, number: int, counts: Sequence[int]) -> Report:
        """Take step `number` (from 0). `counts`: the pairs of each process."""
        lr = learning_rate(self.config.optim, number, self.config.steps)
        for group in self.optimizer.param_groups:
            group["lr"] = lr
        self.optimizer.zero_grad(set_to_none=True)
        shares = self.gradients(batch, number, counts)
        for parameter in self.parameters.values():
            if parameter.grad is None:  # an image tower whose batch held no image still decays
                parameter.grad = torch.zeros_like(parameter)
        sum_gradients(self.parameters.values(), self.peers)
        self.scaler.unscale_(self.optimizer)
        norm = clip(self.parameters.values(), self.config.optim.clip, self.peers)
        self.scaler.step(self.optimizer)
        self.scaler.update()
        clamp_scale(self.model)
        log_scale, bias = temperature(self.model)
        rate = torch.full_like(norm, lr)
        return Report(number, shares, torch.stack([norm, log_scale.detach(), bias.detach(), rate]).double())

    def gradients(self, batch: Batch, number: int, counts: Sequence[int]) -> Tensor:
        """Add this process's share of the gradients to `.grad`; the figures named in SHARES, float64 [9]."""
        sides = [self._prepare(side, where, number) for where, side in (("left", batch.left), ("right", batch.right))]
        mask_counts = self.peers.counts([side.num_masked for side in sides])
        divide, weight = self.config.loss.divide, self.config.mask.weight
        mask_weights = [
            weight * weight_of(mask_counts[:, i].tolist(), self.peers.rank, divide) for i in range(len(sides))
        ]
        plans = [self._plan(side, counts) for side in sides]
        keys = content_keys(batch.right_keys).to(self.device) if self.config.loss.mask_equal_rights else None
        cached = bool(self.config.chunk_pairs) and max(counts) > self.config.chunk_pairs
        shares = torch.zeros(len(SHARES), dtype=torch.float64, device=self.device)
        shares[-1] = len(batch)
        run = self._cached if cached else self._direct
        run(sides, plans, mask_weights, list(counts), keys, shares)
        return shares

    def _prepare(self, side: Side, where: str, number: int) -> Prepared:
        config = self.config
        if isinstance(self.model, TokLIP):
            return ImageOrText(self.model, side, tokens_of_image(self.model, self.teacher, side))
        if not isinstance(self.model, FuseLIP):
            return TwoTowers(self.model, side)
        tokens = tokens_of(self.model, side)
        model = self.model.config
        ids, lengths = join(side, tokens.ids if tokens else None, model)
        vectors = tokens.vectors if tokens else None
        if not (model.mask_token and config.mask.ratio and config.mask.sides in ("both", where)):
            return Sequences(self.model, ids, lengths, vectors=vectors, image_rows=side.image_rows)
        seed = ("mask", config.seed, number, self.peers.rank, where)
        masked = mask(ids, lengths, model, ratio=config.mask.ratio, seed=seed, paper=config.mask.paper)
        return Sequences(self.model, ids, lengths, masked, masked.count, vectors, side.image_rows)

    def _plan(self, side: Prepared, counts: Sequence[int]) -> list[Tensor]:
        limit = self.config.chunk_pairs
        if not self.equal_chunks:
            return side.chunks(limit)
        number = -(-max(counts) // limit) if limit else 1  # sharded blocks are gathered by all processes together
        return list(torch.cat(side.chunks(0)).tensor_split(number))

    def _direct(
        self,
        sides: Sequence[Prepared],
        plans: Sequence[Sequence[Tensor]],
        mask_weights: Sequence[float],
        counts: Sequence[int],
        keys: Tensor | None,
        shares: Tensor,
    ) -> None:
        features, losses = [], []
        for which, (side, plan) in enumerate(zip(sides, plans, strict=True)):
            with self._autocast():
                outputs = [side.embed(rows, mask_weights[which]) for rows in plan]
            order = to(inverse(torch.cat(list(plan))), self.device)
            features.append(torch.cat([output.features for output in outputs])[order])
            for output in outputs:
                if output.mask_loss is not None and output.mask_counts is not None:
                    losses.append(output.mask_loss)
                    shares[1 + which] += output.mask_loss.detach()
                    shares[3:7] += output.mask_counts
        total = self._loss(features, sides, counts, keys, shares)
        self.scaler.scale(torch.stack([total, *losses]).sum()).backward()

    def _cached(
        self,
        sides: Sequence[Prepared],
        plans: Sequence[Sequence[Tensor]],
        mask_weights: Sequence[float],
        counts: Sequence[int],
        keys: Tensor | None,
        shares: Tensor,
    ) -> None:
        features = []
        for side, plan in zip(sides, plans, strict=True):
            # On CPUs other kernels run where no gradient is wanted: with one, both passes give the same numbers.
            with self._autocast(), torch.set_grad_enabled(self.device.type == "cpu"):
                found = [side.embed(rows, None).features.detach() for rows in plan]
            order = to(inverse(torch.cat(list(plan))), self.device)
            features.append(torch.cat(found)[order].requires_grad_())
        self.scaler.scale(self._loss(features, sides, counts, keys, shares)).backward()
        for which, (side, plan) in enumerate(zip(sides, plans, strict=True)):
            wanted = features[which].grad
            assert wanted is not None
            for rows in plan:
                with self._autocast():
                    output = side.embed(rows, mask_weights[which])
                total = (output.features * wanted[to(rows, self.device)]).sum()
                if output.mask_loss is not None and output.mask_counts is not None:
                    total = total + self.scaler.scale(output.mask_loss)
                    shares[1 + which] += output.mask_loss.detach()
                    shares[3:7] += output.mask_counts
                if total.requires_grad:  # not so of texts of a frozen tower
                    total.backward()

    def _loss(
        self,
        features: Sequence[Tensor],
        sides: Sequence[Prepared],
        counts: Sequence[int],
        keys: Tensor | None,
        shares: Tensor,
    ) -> Tensor:
        """What follows from the features alone: contrastive, and the distance from the teacher's."""
        total = self._contrastive(features[0], features[1], counts, keys)
        shares[0] = total.detach()
        if self.teacher is None or not self.config.distil.weight:
            return total
        taught = [side for side in sides if isinstance(side, ImageOrText)]
        images = sum(int((side.side.image_rows >= 0).sum()) for side in taught)
        mean = weight_of(self.peers.counts([images])[:, 0].tolist(), self.peers.rank, self.config.loss.divide)
        for side, found in zip(taught, features, strict=True):
            if side.tokens is not None:
                weight = self.config.distil.weight * mean / found.shape[1]
                distance = distilled(found, side.side, side.tokens, weight)
                shares[SHARES.index("distil")] += distance.detach()
                total = total + distance
        return total

    def _contrastive(self, left: Tensor, right: Tensor, counts: Sequence[int], keys: Tensor | None) -> Tensor:
        log_scale, bias = temperature(self.model)
        divide = self.config.loss.divide
        if self.config.loss.kind == "softmax":
            return softmax_loss(left, right, log_scale, counts=counts, peers=self.peers, divide=divide, keys_N=keys)
        return sigmoid_loss(left, right, log_scale, bias, counts=counts, peers=self.peers, divide=divide, keys_N=keys)

    def _autocast(self) -> AbstractContextManager[None]:
        precision = self.config.precision
        return torch.autocast(self.device.type, AUTOCAST[precision], enabled=precision != "fp32")
