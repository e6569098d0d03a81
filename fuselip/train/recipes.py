"""Recipes: a run is a function that returns its config. The paper's twelve, TokLIP's, the tiny ones. No torch here."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from functools import partial

from fuselip.core.errors import UsageError
from fuselip.core.plugins import did_you_mean
from fuselip.train.config import Distil, Loss, Mask, Optim, Train
from fuselip.train.data.config import DataConfig, Part
from fuselip.train.data.mixtures import mixture

PAPER_MODELS = ("fuselip-s", "fuselip-b", "siglip-s-sf", "siglip-s-mlf", "siglip-b-sf", "siglip-b-mlf")
TINY = {"ti-fuselip": "fuselip-ti", "ti-siglip-sf": "siglip-ti-sf", "ti-siglip-mlf": "siglip-ti-mlf"}
PAPER_BATCH = 2048  # 256 pairs on each of 8 GPUs

# Pairs of one epoch, from the sizes that the sets' cards commonly cite (to be confirmed at download). Captions come
# with transforms: 1.07877 pairs an item for CC3M and 1.02163 for CC12M (`unimodal_prob` 0.9 and 0.971). A row of
# HQ-Edit gives three pairs. The CC3M runs take half of the Visual Genome questions.
PAPER_PAIRS: dict[str, dict[str, float]] = {
    "cc3m": {
        "cc3m-aug": 2.9e6 * 1.07877,
        "cc3m-vqa": 2.9e6,
        "vg-crop": 5.4e6,
        "vg-vqa": 1.7e6 * 0.5,
        "hq-edit": 98.7e3 * 3,
    },
    "cc12m": {
        "cc12m-aug": 11.0e6 * 1.02163,
        "cc3m-vqa": 2.9e6,
        "vg-crop": 5.4e6,
        "vg-vqa": 1.7e6,
        "hq-edit": 98.7e3 * 3,
    },
}
TOKLIP_PAIRS, TOKLIP_EPOCHS, TOKLIP_GPUS = 10_968_539, 32, 8
PAPER_EPOCHS = {"cc3m": 8, "cc12m": 16}
PAPER_DECAY = {"cc3m": 1.0, "cc12m": 0.5}


def paper(model: str, captions: str, root: str = "sets") -> Train:
    """One of the paper's runs (arXiv 2506.03096): `model` on `captions` (cc3m, cc12m) and the multimodal sets.

    The sets are folders of `root`, built by fuselip-datagen and weighted by their pairs; steps are counted from
    PAPER_PAIRS. Departures: groups stay whole, SOT is never hidden and image code 0 is (`mask.paper` undoes the
    latter two), the loss is divided by the pairs of all processes.
    """
    pairs = PAPER_PAIRS[captions]
    parts = tuple(Part(f"{root}/{name}", count) for name, count in pairs.items())
    return Train(
        model=model,
        name=f"{model}-{captions}",
        steps=round(PAPER_EPOCHS[captions] * sum(pairs.values()) / PAPER_BATCH),
        batch_size=PAPER_BATCH,
        data=DataConfig(parts, workers=8),
        mask=_mask(model),
        optim=Optim(weight_decay=PAPER_DECAY[captions]),
        precision="bf16",
        compile=True,
        save_every=2000,
        log_every=50,
    )


def tiny(name: str, model: str) -> Train:
    """First leg of a model for CPUs: the five families alone, on pictures of scenes and textures made on the fly.

    Found by trying, the same for early and late fusion, so that these differ in nothing else: the softmax loss (the
    sigmoid's start, where nearly all it sees are negatives, costs most of a short run), nothing hidden, and for codes
    embeddings that begin alike where their pictures are.
    """
    return Train(
        model=model,
        name=name,
        steps=6000,
        batch_size=192,
        data=DataConfig(mixture("tgit")),
        structured_codes=model.startswith("fuselip"),
        loss=Loss(kind="softmax", scale=20.0, mask_equal_rights=True),
        mask=Mask(ratio=0.0),
        optim=Optim(lr=2e-3, weight_decay=0.1, warmup=300),
        save_every=250,
        log_every=10,
    )


def tiny_second(name: str, model: str) -> Train:
    """Second leg, to be started from the first one's model by --init: the families and all else, by halves."""
    base = tiny(name, model)
    optim = replace(base.optim, lr=1.5e-3, warmup=100)
    return replace(base, steps=2250, data=DataConfig(mixture("made")), optim=optim)


def scenes_base(name: str, leg: Callable[[str, str], Train]) -> Train:
    """A leg of the tiny model for `fuselip-b-scenes`, the base transformer with our tokenizer, on one GPU.

    As nothing was tried at this size, the learning rate and decay are the paper's; 4 million pairs a leg.
    """
    base = leg(name, "fuselip-b-scenes")
    assert base.data is not None
    return replace(
        base,
        steps=4000,
        batch_size=1024,
        optim=replace(base.optim, lr=1e-3, weight_decay=Optim().weight_decay, warmup=400),
        precision="bf16",
        compile=True,
        data=replace(base.data, workers=8),
        save_every=200,
    )


def toklip(size: str, gpu_batch: int, root: str = "sets") -> Train:
    """TokLIP of that size (arXiv 2505.05422) with the settings of its training code, on captions of CC12M.

    The number of GPUs was not published: 8 are taken, which decides batch and steps. Name the teacher, the SigLIP 2
    that the student begins as: --set distil.teacher=PATH. Departure: pictures are squashed whole, not cut at random to
    0.9 to 1 of their area.
    """
    batch = gpu_batch * TOKLIP_GPUS
    return Train(
        model=f"toklip-{size}",
        name=f"toklip-{size}",
        steps=round(TOKLIP_EPOCHS * TOKLIP_PAIRS / batch),
        batch_size=batch,
        data=DataConfig((Part(f"{root}/cc12m-captions"),), workers=8),
        loss=Loss(kind="softmax"),
        mask=Mask(ratio=0.0),
        distil=Distil(),
        optim=Optim(lr=1e-5, beta2=0.95, eps=1e-6, weight_decay=0.1, warmup=782, clip=0.0),
        precision="fp16",
        save_every=2000,
        log_every=50,
    )


def tiny_toklip(name: str, model: str, teacher: str) -> Train:
    """TokLIP for CPUs: captions of scenes made on the fly, `teacher` a tiny late-fusion model with a tower like its."""
    return Train(
        model=model,
        name=name,
        steps=2000,
        batch_size=192,
        data=DataConfig(mixture("captions")),
        loss=Loss(kind="softmax", scale=20.0, mask_equal_rights=True),
        mask=Mask(ratio=0.0),
        distil=Distil(teacher),
        optim=Optim(lr=1e-3, beta2=0.95, weight_decay=0.1, warmup=100),
        save_every=250,
        log_every=10,
    )


def _mask(model: str) -> Mask:
    return Mask() if model.startswith("fuselip") else Mask(ratio=0.0)


RECIPES: dict[str, Callable[[], Train]] = {
    **{f"{model}-{captions}": partial(paper, model, captions) for captions in PAPER_PAIRS for model in PAPER_MODELS},
    **{f"{name}-tgit": partial(tiny, f"{name}-tgit", model) for name, model in TINY.items()},
    **{name: partial(tiny_second, name, model) for name, model in TINY.items()},
    **{
        f"b-scenes{end}": partial(scenes_base, f"b-scenes{end}", leg)
        for end, leg in (("-tgit", tiny), ("", tiny_second))
    },
    **{f"toklip-{size}": partial(toklip, size, gpu_batch) for size, gpu_batch in (("s", 16), ("l", 32))},
    "ti-toklip": partial(tiny_toklip, "ti-toklip", "toklip-ti", "siglip-ti-sf"),
}


def recipe(name: str) -> Train:
    """The config of that name. Raises UsageError with the nearest name for an unknown one."""
    if name not in RECIPES:
        raise UsageError(f"unknown recipe {name!r}{did_you_mean(name, RECIPES)}; known: {', '.join(RECIPES)}")
    return RECIPES[name]()
