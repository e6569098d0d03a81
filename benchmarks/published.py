"""The FuseLIP paper's table (arXiv 2506.03096, as printed in its code repository), and what it averages over."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

SOURCE = "FuseLIP, arXiv 2506.03096: the table in its code repository; accuracy in percent, one decimal"


@dataclass(frozen=True)
class Column:
    """A published column: the mean of the main metric over `tasks` (patterns), which are `count` tasks."""

    title: str
    tasks: tuple[str, ...]
    count: int
    note: str = ""


_MMEB = "mmeb-paper/*"
COLUMNS: dict[str, Column] = {
    "mmeb_classification": Column("MMEB classification", (_MMEB,), 11, "mean of 10 and CIFAR-100 (inferred)"),
    "mmeb_vqa": Column("MMEB VQA", (_MMEB,), 10),
    "mmeb_retrieval": Column("MMEB retrieval", (_MMEB,), 12),
    "mmeb_grounding": Column("MMEB grounding", (_MMEB,), 4),
    "imagenet_zeroshot_top1": Column("ImageNet", ("imagenet/zero-shot",), 1),
    "vg_crop": Column("VG-Crop", ("vg/crop",), 1),
    "oi_crop": Column("OI-Crop", ("oi/crop",), 1),
    "oi_pos": Column("OI-Pos", ("oi/pos",), 1),
    "tgit": Column(
        "TGIT", ("tgit-cc3m/*",), 5, "flip's pool repeats the query image: a tie is worth its expectation here"
    ),
}

_ROWS = {
    ("cc3m-mm", "siglip-s-sf"): (21.5, 12.7, 13.0, 74.8, 8.8, 52.0, 55.2, 45.4, 57.3),
    ("cc3m-mm", "siglip-s-mlf"): (18.0, 14.2, 12.7, 74.2, 10.2, 53.0, 66.2, 46.9, 67.2),
    ("cc3m-mm", "siglip-b-sf"): (22.2, 13.6, 13.4, 77.2, 10.3, 55.1, 56.9, 45.9, 56.6),
    ("cc3m-mm", "siglip-b-mlf"): (19.5, 14.8, 13.9, 76.9, 12.2, 55.4, 68.4, 47.4, 69.4),
    ("cc3m-mm", "fuselip-s"): (18.5, 15.9, 11.2, 70.8, 13.5, 49.6, 59.8, 53.9, 79.0),
    ("cc3m-mm", "fuselip-b"): (23.3, 17.5, 15.0, 82.4, 18.1, 55.8, 68.1, 70.8, 94.3),
    ("cc12m-mm", "siglip-s-sf"): (30.4, 16.2, 23.8, 74.2, 21.4, 57.1, 60.1, 47.1, 66.0),
    ("cc12m-mm", "siglip-s-mlf"): (28.5, 16.9, 23.2, 72.7, 25.5, 58.8, 72.2, 46.6, 81.0),
    ("cc12m-mm", "siglip-b-sf"): (31.5, 17.0, 23.8, 72.7, 25.4, 58.0, 63.2, 47.3, 67.1),
    ("cc12m-mm", "siglip-b-mlf"): (30.3, 16.8, 23.2, 73.4, 28.8, 61.5, 74.0, 48.9, 78.1),
    ("cc12m-mm", "fuselip-s"): (25.2, 18.2, 20.1, 75.2, 26.0, 53.5, 64.7, 61.5, 90.6),
    ("cc12m-mm", "fuselip-b"): (31.2, 19.8, 26.2, 82.3, 32.7, 61.5, 71.3, 68.9, 94.2),
}
DATA = ("cc3m-mm", "cc12m-mm")
MODELS = tuple(dict.fromkeys(model for _, model in _ROWS))


def published(model: str, data: str) -> Mapping[str, float]:
    """{column: percent} of one model trained on one mixture."""
    return dict(zip(COLUMNS, _ROWS[data, model], strict=True))
