"""The paper's pretraining mixtures: which sets, with what weight, and where each comes from.

FuseLIP, section 4 and its published training scripts: captions with TGIT made of the same pictures, question answering
on CC3M and Visual Genome, Visual Genome's regions, and HQ-Edit. Weights are shares of a set's groups in an epoch.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field, replace

from fuselip.core.errors import UsageError
from fuselip.core.plugins import did_you_mean
from fuselip.core.types import Scalar


@dataclass(frozen=True)
class PresetSet:
    """A set of a preset. `origin`: how one gets it; `expect`: what its configuration must say to be the paper's."""

    name: str
    origin: str
    weight: float = 1.0
    virtual: bool | None = None
    builder: str = ""
    expect: Mapping[str, Scalar] = field(default_factory=dict)


def _captions(name: str, hub: str, unimodal: float) -> PresetSet:
    origin = (
        f"the tars of the hub's data set {hub}, or `fuselip-datagen fetch` on the publisher's list; then "
        f"`fuselip-datagen build-transforms --virtual --set preset=paper-{name} --source 'wds:TARS' --out DIR/{name}`"
    )
    expect: dict[str, Scalar] = {"preset": f"paper-{name}", "unimodal": unimodal}
    return PresetSet(name, origin, virtual=True, builder="transforms", expect=expect)


_VQA = PresetSet(
    "cc3m-vqa",
    "a question and an answer that a language model makes of each CC3M caption: `fuselip-datagen build-vqa --source "
    "'wds:TARS' --out DIR/cc3m-vqa`",
    builder="vqa",
)
_REGIONS = PresetSet(
    "vg-crop",
    "Visual Genome's images and region_descriptions.json (visualgenome.org) as groups of 4: `fuselip-datagen "
    "build-regions --set task=crop --set grouping=paper --out DIR/vg-crop` with that source, ?grouping=paper",
    builder="regions",
    expect={"task": "crop", "grouping": "paper"},
)
_QUESTIONS = PresetSet(
    "vg-vqa",
    "Visual Genome's images and question_answers.json (visualgenome.org) as groups of 4: `fuselip-datagen "
    "build-regions --set task=answer --set grouping=paper --out DIR/vg-vqa` with that source, ?grouping=paper",
    builder="regions",
    expect={"task": "answer", "grouping": "paper"},
)
_EDITS = PresetSet(
    "hq-edit",
    "the hub's data set UCSC-VLAA/HQ-Edit: each edit and its inverse as a group of two, and the edit alone: "
    "`fuselip-datagen build-edits --out DIR/hq-edit` with its parquet files as source",
    builder="edits",
    expect={"inverse": True, "captioned": True},
)

PRESETS: dict[str, tuple[PresetSet, ...]] = {
    "cc3m-mm": (
        _captions("cc3m", "pixparse/cc3m-wds", 0.9),
        _VQA,
        _REGIONS,
        replace(_QUESTIONS, weight=0.5),
        _EDITS,
    ),
    "cc12m-mm": (
        _captions("cc12m", "pixparse/cc12m-wds", 0.971),
        _VQA,
        _REGIONS,
        _QUESTIONS,
        _EDITS,
    ),
}


def preset(name: str) -> tuple[PresetSet, ...]:
    """The sets of a preset. UsageError for an unknown one."""
    if name not in PRESETS:
        raise UsageError(f"there is no preset {name!r}{did_you_mean(name, PRESETS)}; known: {', '.join(PRESETS)}")
    return PRESETS[name]
