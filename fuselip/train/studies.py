"""The small studies of the paper's open questions, as tables: each row is a training run that differs in one thing."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field

from fuselip.core.errors import UsageError
from fuselip.core.plugins import did_you_mean
from fuselip.model.configs import FuseLIPConfig
from fuselip.model.models import MODELS, TEXT_ROOM, TINY_CONTEXT, Model
from fuselip.model.sizes import GRIDS, TRANSFORMERS, TransformerSize
from fuselip.train.data.config import Part
from fuselip.train.data.mixtures import SCENES, mixture


@dataclass(frozen=True)
class Row:
    """One run: a model and what is set otherwise than in the study's other rows ("key=value", as `--set` takes it).

    `bundled`: it begins with the weights that come with the package, and where it is not `trained`, those are measured
    as they are; `condition`: what the measurement is then asked for. `mined`: the groups of the data are mined anew.
    """

    model: str
    settings: tuple[str, ...] = ()
    bundled: bool = False
    trained: bool = True
    condition: str = ""
    mined: bool = False


@dataclass(frozen=True)
class Study:
    """A question, the rows that answer it by name, and what belongs to it but is not built, with the reason.

    `measure` and `parts`: how its runs are measured and what they read, if nothing else is asked for.
    """

    question: str
    rows: Mapping[str, Row]
    not_built: Mapping[str, str] = field(default_factory=dict)
    measure: str = "benchmarks.study_hook:tgit"
    parts: tuple[Part, ...] = mixture("tgit")


# Blocks of about the parameters of fuselip-ti's (12 layers * width^2 = 1.2 million), and its own with other heads.
SHAPES: dict[str, TransformerSize] = {
    "ti-2x224": TransformerSize(224, 7, 2),
    "ti-8x112": TransformerSize(112, 4, 8),
    "ti-2-heads": TransformerSize(160, 2, 4),
    "ti-10-heads": TransformerSize(160, 10, 4),
}

VARIANTS: dict[str, Model] = {
    **{
        f"fuselip-{name}": Model(FuseLIPConfig(name, "grid64", TINY_CONTEXT, text_tokenizer="bytes")) for name in SHAPES
    },
    **{
        f"fuselip-ti-{name}": Model(FuseLIPConfig("ti", name, grid.num_latents + TEXT_ROOM, text_tokenizer="bytes"))
        for name, grid in GRIDS.items()
        if name != "grid64"
    },
    "fuselip-ti-joined": Model(FuseLIPConfig("ti", "grid64", TINY_CONTEXT, text_tokenizer="bytes", join=2)),
}

TI = "fuselip-ti"
CONDITIONS = (
    *("clean", "no image", "no text", "wrong image", "wrong text"),
    *("noise", "blur", "jpeg", "occlusion", "typos", "dropped words", "upper case"),
)
STUDIES: dict[str, Study] = {
    "fusion": Study(
        "Early fusion against late fusion, at equal transformers and steps",
        {
            "early": Row(TI),
            "joining half-way": Row("fuselip-ti-joined"),
            "score": Row("siglip-ti-sf"),
            "mlf": Row("siglip-ti-mlf"),
        },
    ),
    "codes": Study(
        "Discrete codes against continuous patches",
        {
            "codes": Row(TI, ("structured_codes=false",)),
            "structured": Row(TI, ("structured_codes=true",)),
            "patches": Row(f"{TI}+patches64:vectors", ("structured_codes=false",)),
        },
    ),
    "tokens": Study(
        "What stands for a picture: 16, 64, 128 or 256 low-level codes; 64 semantic vectors, alone or beside the codes",
        {
            "16": Row("fuselip-ti-grid16"),
            "64": Row(TI),
            "128": Row("fuselip-ti-grid128"),
            "256": Row("fuselip-ti-grid256"),
            "64 SigLIP features": Row(f"{TI}+grid64-siglip:vectors"),
            "64 codes and SigLIP features": Row(f"{TI}+grid64-siglip:both"),
            "64 TokLIP features": Row(f"{TI}+toklip-ti:vectors"),
            "64 codes and TokLIP features": Row(f"{TI}+toklip-ti:both"),
        },
    ),
    "tail": Study(
        "How many codes of a picture, where one tokenizer gives any number: One-D-Piece with its tail dropped",
        {
            str(count): Row(f"{TI}+onedpiece-s:{count}", ("structured_codes=false",))
            for count in (1, 4, 16, 32, 64, 128, 256)
        },
    ),
    "quantizer": Study(
        "How codes are rounded: finite scalar against binary spherical quantisation, of one encoder",
        {"fsq": Row(TI), "bsq": Row(f"{TI}+grid64-bsq")},
    ),
    "mask": Study(
        "The share of hidden tokens",
        {ratio: Row(TI, (f"mask.ratio={ratio}",)) for ratio in ("0", "0.1", "0.25", "0.5")},
    ),
    "temperature": Study(
        "Where the scale of the logits begins",
        {scale: Row(TI, (f"loss.scale={scale}",)) for scale in ("5", "10", "20", "50")},
    ),
    "groups": Study(
        "Hard negatives: pairs of one picture and one family that share a batch",
        {
            "none": Row(TI, ("data.max_group=1",)),
            "4 of a family": Row(TI, ("data.max_group=4",)),
            "whole pools": Row(TI, ("data.max_group=0",)),
            "mined": Row(TI, ("data.max_group=0",), mined=True),
        },
    ),
    "shape": Study(
        "Layers and heads, at equal parameters of the blocks",
        {
            "4 layers of 160, 5 heads": Row(TI),
            "2 layers of 224, 7 heads": Row("fuselip-ti-2x224"),
            "8 layers of 112, 4 heads": Row("fuselip-ti-8x112"),
            "4 layers of 160, 2 heads": Row("fuselip-ti-2-heads"),
            "4 layers of 160, 10 heads": Row("fuselip-ti-10-heads"),
        },
    ),
    "loss": Study(
        "The sigmoid loss of the paper against the softmax loss, with codes that begin alike or not",
        {
            "sigmoid": Row(TI, ("loss.kind=sigmoid", "structured_codes=false")),
            "softmax": Row(TI, ("loss.kind=softmax", "structured_codes=false")),
            "sigmoid, structured codes": Row(TI, ("loss.kind=sigmoid", "structured_codes=true")),
            "softmax, structured codes": Row(TI, ("loss.kind=softmax", "structured_codes=true")),
        },
    ),
    "finetune": Study(
        "Questions about scenes: the shipped weights as they are, after a short fine-tuning, and none of them",
        {
            "zero-shot": Row(TI, bundled=True, trained=False),
            "fine-tuned": Row(TI, bundled=True),
            "from scratch": Row(TI),
        },
        measure="benchmarks.study_hook:questions",
        parts=(Part(SCENES, 1.0, {"kind": "questions"}),),
    ),
    "modality": Study(
        "A query's image or text missing, another query's, or corrupted (see `fuselip-bench robustness`)",
        {
            f"{model}, {condition}": Row(model, bundled=True, trained=False, condition=condition)
            for model in (TI, "siglip-ti-sf", "siglip-ti-mlf")
            for condition in CONDITIONS
        },
        measure="benchmarks.study_hook:modality",
    ),
}


def study_of(name: str) -> Study:
    """Raises UsageError with the nearest name for an unknown one."""
    if name not in STUDIES:
        raise UsageError(f"unknown study {name!r}{did_you_mean(name, STUDIES)}; known: {', '.join(STUDIES)}")
    return STUDIES[name]


@contextmanager
def variants() -> Iterator[None]:
    """The studies' own models are known by name, to training and to loading, until the block ends."""
    TRANSFORMERS.update(SHAPES)
    MODELS.update(VARIANTS)
    try:
        yield
    finally:
        for name in VARIANTS:
            MODELS.pop(name, None)
        for name in SHAPES:
            TRANSFORMERS.pop(name, None)
