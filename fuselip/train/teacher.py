"""The frozen teacher of TokLIP's distillation: unit image features, and the weights that the student begins with.

Shapes: M images, D width of the embeddings.
"""

from __future__ import annotations

import hashlib
from collections.abc import Callable, Mapping
from pathlib import Path

import numpy as np
import torch
from torch import Tensor, nn
from torch.nn import functional as F

from fuselip.core.errors import UsageError, UserError
from fuselip.model.checkpoints import CONFIG_FILE, check_shapes, load_model, read_config, read_state_dict, weights_file
from fuselip.model.configs import Config
from fuselip.model.image_tokenizers import bundled_file
from fuselip.model.late_fusion import LateFusion
from fuselip.model.late_fusion_config import LateFusionConfig
from fuselip.model.models import MODELS
from fuselip.model.siglip_tower import SigLIPTower
from fuselip.model.toklip import TokLIP
from fuselip.model.toklip_config import TokLIPConfig
from fuselip.train.config import Distil, Train

TRUNK = "visual.trunk."
TOWER_FILES = ("open_clip_model.safetensors", "model.safetensors")
# What no teacher has: the tokenizer, the projector from its vectors, the bias of the sigmoid loss.
OWN = (f"{TRUNK}vq.", f"{TRUNK}vq_table.", f"{TRUNK}vq_mapping.", "logit_bias")
_BLOCK = (  # of a late-fusion image tower by the names of TokLIP's
    ("attn.in_proj_weight", "attn.qkv.weight"),
    ("attn.in_proj_bias", "attn.qkv.bias"),
    ("attn.out_proj.", "attn.proj."),
    ("mlp.c_fc.", "mlp.fc1."),
    ("mlp.c_proj.", "mlp.fc2."),
    ("ln_1.", "norm1."),
    ("ln_2.", "norm2."),
)


class Teacher:
    """`fingerprint`: of its weights. `tensors`: those that a student may begin with, by the student's names."""

    def __init__(self, model: nn.Module, embed: Callable[[Tensor], Tensor], tensors: Mapping[str, Tensor]) -> None:
        self._model = model.eval().requires_grad_(False)
        self._embed = embed
        self.tensors = tensors
        digest = hashlib.sha256()
        for name, value in sorted(model.state_dict().items()):
            digest.update(name.encode() + np.ascontiguousarray(value.float().numpy()).tobytes())
        self.fingerprint = digest.hexdigest()

    def to(self, device: torch.device) -> Teacher:
        """Itself, moved."""
        self._model.to(device)
        return self

    @torch.no_grad()
    def __call__(self, pixels_MCHW: Tensor) -> Tensor:
        """Unit features float16 [M, D] of float pixels [M, 3, S, S] in 0..1.

        In fp32 whatever the training's precision is, and then rounded, so that a cache of them changes no number.
        """
        with torch.autocast(pixels_MCHW.device.type, enabled=False):
            return F.normalize(self._embed(pixels_MCHW).float(), dim=-1).half()


def check_distil(config: Train, model: Config) -> None:
    """Raises UsageError for settings of distillation that this model, or these weights, cannot have."""
    distil, default = config.distil, Distil()
    if not isinstance(model, TokLIPConfig):
        if distil != default:
            raise UsageError(f"distil is for TokLIP; {config.model} is none")
        return
    if not distil.teacher and (distil.weight or (distil.start and not config.init)):
        raise UsageError(
            "TokLIP is distilled from a teacher, and none is named: --set distil.teacher=PATH (a folder of a trained "
            "late-fusion model, which fuselip train ti-siglip-sf makes for toklip-ti; SigLIP 2's weights for the "
            "published sizes). Without one: --set distil.weight=0 --set distil.start=false --set distil.text=trained"
        )
    if not model.with_text:
        raise UsageError("this TokLIP has no text tower, and cannot be trained")
    if config.image_tokenizer:
        raise UsageError("image_tokenizer is for FuseLIP; TokLIP's is the package's, or that of `init`")


def teacher_of(name: str, student: TokLIPConfig) -> Teacher | None:
    """The teacher that `distil.teacher` names, fp32 on the CPU; None for "".

    A model of ours whose weights the package ships; a folder of a late-fusion model, whose embedding of a picture
    alone is the target; or a safetensors file (or its folder) of SigLIP 2's in open_clip's layout, whose tower has the
    student's shape. Raises UsageError for a name that is none of these; UserError for a teacher of another size.
    """
    if not name:
        return None
    path = Path(name).expanduser()
    if name in MODELS and not path.exists():
        file = bundled_file(name)
        if file is None:
            raise UserError(
                f"the package holds no trained weights of {name}, which distil.teacher names; name the folder of a "
                "trained one: --set distil.teacher=FOLDER"
            )
        return _late(load_model(MODELS[name].config, file), name, student)
    if path.is_dir() and (path / CONFIG_FILE).is_file():
        config = _config(path)
        if config is not None:
            return _late(load_model(config, weights_file(path)), name, student)
    file = next((path / each for each in TOWER_FILES if (path / each).is_file()), None) if path.is_dir() else path
    if file is None or not file.is_file():
        raise UsageError(
            f"distil.teacher={name} is neither a model that the package ships, nor a checkpoint folder, nor a file"
        )
    return _siglip(file, student)


def begin(model: TokLIP, teacher: Teacher, name: str) -> list[str]:
    """Put the teacher's tensors in place of the student's; the names of those left as they were, but its own ones.

    Raises UserError where a tensor of the text tower, or of the image tower's blocks, is missing or of another shape.
    """
    state = model.state_dict()
    unfit = [key for key, value in teacher.tensors.items() if key in state and state[key].shape != value.shape]
    absent = [key for key in state if key not in teacher.tensors and not key.startswith(OWN)]
    if unfit or any(key.startswith(("text.", f"{TRUNK}blocks.")) for key in absent):
        wrong = (unfit or absent)[0]
        raise UserError(
            f"distil.teacher={name} has towers of another shape than {model.config.architecture} (such as {wrong}), so "
            "that the student cannot begin with its weights; take the fitting teacher, or distil.start=false"
        )
    with torch.no_grad():
        for key, value in teacher.tensors.items():
            if key in state:
                state[key].copy_(value)
    return absent


def _config(folder: Path) -> Config | None:
    """That of a checkpoint of ours; None for another publisher's config.json beside SigLIP 2's weights."""
    try:
        return read_config(folder)
    except UserError:
        if any((folder / each).is_file() for each in TOWER_FILES[:1]):
            return None
        raise


def _late(model: nn.Module, name: str, student: TokLIPConfig) -> Teacher:
    if not isinstance(model, LateFusion):
        raise UsageError(f"distil.teacher={name} is no late-fusion model; these have the image tower that is needed")
    config: LateFusionConfig = model.config
    if (config.dim, config.image_side) != (student.dim, student.image_side):
        raise UserError(
            f"distil.teacher={name} is of another size: it embeds pictures of {config.image_side} pixels a side in "
            f"{config.dim} numbers, and {student.architecture} gives {student.dim}"
        )
    empty = torch.tensor([[config.sot_id, config.eot_id]])

    def embed(pixels_MCHW: Tensor) -> Tensor:
        images_MD = model.image_embedding(pixels_MCHW)
        text_1D = model.text_embedding(empty.to(pixels_MCHW.device), torch.tensor([2], device=pixels_MCHW.device))
        return model.fuse(images_MD, text_1D.expand_as(images_MD))

    return Teacher(model, embed, _late_tensors(model.state_dict(), student))


def _late_tensors(state: Mapping[str, Tensor], student: TokLIPConfig) -> dict[str, Tensor]:
    """Of a late-fusion model by TokLIP's names: the text tower, and the image tower without what reads pixels."""
    text, image = "model.text.", "model.visual."
    found = {"logit_scale": state["model.logit_scale"]}
    found |= {key.removeprefix("model."): value for key, value in state.items() if key.startswith(text)}
    projection = found.pop("text.text_projection")
    found["text.text_projection.weight"] = projection.T
    found["text.text_projection.bias"] = torch.zeros(projection.shape[1])
    found["text.positional_embedding"] = found["text.positional_embedding"][: student.context_length]
    found[f"{TRUNK}pos_embed"] = state[f"{image}positional_embedding"][None, 1:]  # the first is the class token's
    for part in ("weight", "bias"):
        found[f"{TRUNK}norm.{part}"] = state[f"{image}ln_post.{part}"]
    blocks = f"{image}transformer.resblocks."
    for key in (key for key in state if key.startswith(blocks)):
        name = key.removeprefix(blocks)
        for theirs, ours in _BLOCK:
            name = name.replace(theirs, ours)
        found[f"{TRUNK}blocks.{name}"] = state[key]
    return found


def _siglip(file: Path, student: TokLIPConfig) -> Teacher:
    state = read_state_dict(file)
    with torch.device("meta"):
        tower = SigLIPTower(student.size)
    found = {key.removeprefix(TRUNK): value for key, value in state.items() if key.startswith(TRUNK)}
    what = f"the image tower that {student.architecture} is distilled from"
    check_shapes(tower.state_dict(), found, file, what, "Name SigLIP 2's weights of the student's size")
    tower.load_state_dict(found, assign=True)
    return Teacher(tower, tower.forward, {key: value for key, value in state.items() if "patch_embed" not in key})
