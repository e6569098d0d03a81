"""Models of open_clip: two towers. It needs torchvision, which we don't bring: beside a CPU torch it often fails."""

from __future__ import annotations

import hashlib
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np

from benchmarks.encoders.centring import Centre, centred
from benchmarks.encoders.libraries import (
    Device,
    Precision,
    hub_offline,
    machine,
    picture,
    settings_of,
    torch_device,
    torch_dtype,
)
from fuselip.core.encoder import EncoderInfo, Limits, Weights
from fuselip.core.errors import UsageError, UserError
from fuselip.core.fusion import Fused, FusionPolicy, PolicyName
from fuselip.core.types import ImageRef, content_hash

CODE_VERSION = 1


def load(
    name: str,
    *,
    fusion: PolicyName = "normalised-sum",
    image_weight: float = 0.5,
    centre: Centre = "none",
    precision: Precision = "fp32",
    device: Device = "auto",
    offline: bool = False,
) -> Fused:
    """`name`: ARCH/PRETRAINED, where PRETRAINED is a tag of open_clip or a path; or hf-hub:REPO.

    Raises UserError where open_clip or a torchvision that fits this torch is missing, UsageError for a name without
    weights: random ones would be scored as if they were a model.
    """
    open_clip = _library()
    policy = FusionPolicy(fusion, image_weight, "" if centre == "none" else centre)
    arch, _, pretrained = (name, "", "") if name.startswith(("hf-hub:", "local-dir:")) else name.partition("/")
    if not pretrained and ":" not in name:
        tags = ", ".join(open_clip.list_pretrained_tags_by_model(arch)) or "none known"
        raise UsageError(f"open_clip:{name} names no weights; write open_clip:{name}/PRETRAINED (tags: {tags})")
    with hub_offline(offline):
        towers = Towers(open_clip, name, arch, pretrained, torch_device(device), precision)
    return Fused(towers, policy if centre == "none" else centred(policy, towers))


class Towers:
    """A TwoTower of an open_clip model."""

    limits = Limits(images=16, inputs=64)

    def __init__(self, open_clip: Any, name: str, arch: str, pretrained: str, device: Any, precision: str) -> None:
        model, _, self.preprocess = open_clip.create_model_and_transforms(arch, pretrained=pretrained or None)
        self.device, self.dtype = device, torch_dtype(precision)
        digest = _sha256(model)
        self.model = model.eval().requires_grad_(False).to(device, self.dtype)
        self.tokenizer = open_clip.get_tokenizer(arch)
        if name.startswith("local-dir:") or Path(pretrained).is_file():  # a path may hold a user's name
            name, pretrained = f"{arch.partition(':')[0]}/{Path(pretrained or arch).name}", Path(pretrained).name
        settings = settings_of(device, ("open_clip_torch", "torchvision"), pretrained=pretrained)
        self.info = EncoderInfo(
            name=f"open_clip:{name}",
            instructions="ignored",
            roles="ignored",
            precision=precision,
            params=sum(parameter.numel() for parameter in self.model.parameters()),
            fingerprint=content_hash([digest, str(self.preprocess), CODE_VERSION, precision, settings, machine()]),
            weights=Weights("open_clip", name, None, digest),
            settings=settings,
        )

    def prepare_images(self, images: Sequence[ImageRef]) -> Any:
        """Decoded, resized and normalised: a tensor [N, 3, H, W]."""
        import torch

        return torch.stack([self.preprocess(picture(ref)) for ref in images])

    def encode_images(self, images: Any) -> np.ndarray:
        """float32 [N, D], not normalised."""
        import torch

        pixels = images if isinstance(images, torch.Tensor) else self.prepare_images(images)
        with torch.inference_mode():
            found: np.ndarray = self.model.encode_image(pixels.to(self.device, self.dtype)).float().cpu().numpy()
        return found

    def encode_texts(self, texts: Sequence[str]) -> np.ndarray:
        """float32 [N, D], not normalised. Texts are cut to the model's length by its tokenizer."""
        import torch

        with torch.inference_mode():
            ids = self.tokenizer(list(texts)).to(self.device)
            found: np.ndarray = self.model.encode_text(ids).float().cpu().numpy()
        return found


def _library() -> Any:
    """open_clip. torchvision first: where it is broken, open_clip fails with a message about an operator."""
    for module, package in (("torchvision", "torchvision"), ("open_clip", "open_clip_torch")):
        try:
            found = __import__(module)
        except ModuleNotFoundError as error:
            if error.name != module:
                raise UserError(f"importing {module} failed: {error}; install what it needs") from error
            raise UserError(
                f"open_clip models need {package}, which none of our extras brings; install open_clip_torch, and the "
                "torchvision that was built for your torch, or use clip:REPO with the transformers version of the model"
            ) from error
        except (ImportError, RuntimeError, OSError) as error:
            raise UserError(
                f"{package} is installed but does not work with this torch ({' '.join(str(error).split())[:200]}); "
                "install the torchvision built for it, or use clip:REPO with the transformers version of the model"
            ) from error
    return found


def _sha256(model: Any) -> str:
    """Of all weights by name: open_clip does not tell which file they came from."""
    import torch

    digest = hashlib.sha256()
    for name, tensor in sorted(model.state_dict().items()):
        digest.update(f"{name} {tensor.dtype} {list(tensor.shape)}\n".encode())
        digest.update(tensor.detach().cpu().contiguous().reshape(-1).view(torch.uint8).numpy().tobytes())
    return digest.hexdigest()
