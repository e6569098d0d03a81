"""Query sets of Open Images boxes in the paper's two formats: OI-Crop (which class?) and OI-Pos (which side?).

Queries are (image + class name) and (image + "The bird on the left"); candidates are boxes, the target first. Written
and read in the JSON of the published oi-crop.json and oi-crop-positional-v3.json. The rules are those that hold in all
of the published queries (measured). What these leave open is ours: the draw, and background squares beside the boxes
only (a quarter of the published ones lie above or below them).
"""

from __future__ import annotations

from collections import Counter, defaultdict
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from datagen.boxes import Box, iou
from datagen.sources.open_images import Labelled, OpenImages
from datagen.sources.types import Rejected
from fuselip.core import images, seeds
from fuselip.core.errors import UserError
from fuselip.core.files import read_json

BACKGROUND = "neg"
SIDES = ("left", "right")


@dataclass(frozen=True)
class Sample:
    """A candidate: a box (left, top, right, bottom; pixels) of the image file `image`; label "neg" is background."""

    image: str
    label: str
    box: Box


@dataclass(frozen=True)
class BoxQuery:
    """`image` and `text` ask for `samples[0]`; `label` is the class meant."""

    image: str
    text: str
    label: str
    samples: tuple[Sample, ...]


@dataclass(frozen=True)
class Annotated:
    """An image file, its size in pixels, and all its boxes."""

    image: str
    size: tuple[int, int]
    boxes: Sequence[Labelled]


def annotated(source: OpenImages) -> Iterator[Annotated | Rejected]:
    """Every image of the source with its size and its boxes; those that are missing or damaged are Rejected."""
    for each in source.annotations():
        if isinstance(each, Rejected):
            yield each
            continue
        image_id, boxes = each
        try:
            yield Annotated(f"{image_id}.jpg", images.measure(source.image(image_id)), boxes)
        except UserError as error:
            yield Rejected(image_id, str(error))


@dataclass(frozen=True)
class CropRules:
    """What holds in all 1046 published OI-Crop queries: sides of 50 px, overlap below 0.6, at most 5 queries a class.

    `own` boxes are of the query image, target included, each of another class; `others` of the class, other images.
    """

    own: int = 5
    others: int = 5
    min_side: float = 50
    max_iou: float = 0.6
    per_class: int = 5


@dataclass(frozen=True)
class PositionRules:
    """What holds in all 2546 published OI-Pos queries: exactly two boxes of the class, sides of 50 px, centres apart.

    `gap` is how far the centres are apart at least, in pixels to the side; background squares keep `margin` pixels from
    both boxes and are at least `min_background` pixels wide.
    """

    min_side: float = 50
    gap: float = 41
    margin: int = 10
    min_background: int = 30
    max_background: int = 2
    per_class: int = 100


def crop_queries(pictures: Iterable[Annotated], rules: CropRules = CropRules(), seed: int = 0) -> Iterator[BoxQuery]:
    """OI-Crop queries: the target, four boxes of other classes on its image, five of its class on other images.

    All boxes of the set are kept in memory (120 bytes each). Classes with too few boxes give no query.
    """
    usable = [(each, _single_boxes(each, rules)) for each in pictures]
    by_label: dict[str, list[Sample]] = defaultdict(list)
    for sample in (sample for _, found in usable for sample in found):
        by_label[sample.label].append(sample)
    asked: Counter[str] = Counter()
    for each, found in usable:
        if len(found) < rules.own:
            continue
        rng = seeds.generator("oi-crop", seed, each.image)
        for index in rng.permutation(len(found)):
            target = found[index]
            if asked[target.label] >= rules.per_class:
                continue
            own = [sample for sample in found if sample is not target]
            own = [own[i] for i in rng.permutation(len(own))][: rules.own - 1]
            elsewhere = _one_an_image([s for s in by_label[target.label] if s.image != each.image], rng.permutation)
            if len(elsewhere) < rules.others:
                continue
            asked[target.label] += 1
            yield BoxQuery(each.image, target.label, target.label, (target, *own, *elsewhere[: rules.others]))


def _single_boxes(each: Annotated, rules: CropRules) -> list[Sample]:
    """Boxes whose class occurs once in the image, large enough, and not over one another."""
    counts = Counter(box.label for box in each.boxes)
    kept: list[Sample] = []
    for box in each.boxes:
        pixels = box.pixels(*each.size)
        large = min(pixels[2] - pixels[0], pixels[3] - pixels[1]) >= rules.min_side
        apart = all(iou(pixels, other.box) < rules.max_iou for other in kept)
        if counts[box.label] == 1 and "IsGroupOf" not in box.flags and large and apart:
            kept.append(Sample(each.image, box.label, pixels))
    return kept


def _one_an_image(samples: list[Sample], permutation: Any) -> list[Sample]:
    found: dict[str, Sample] = {}
    for index in permutation(len(samples)):
        found.setdefault(samples[index].image, samples[index])
    return list(found.values())


def position_queries(pictures: Iterable[Annotated], rules: PositionRules = PositionRules()) -> Iterator[BoxQuery]:
    """OI-Pos queries: for each image with exactly two boxes of a class, one to the left of the other, both questions.

    The candidates are the target, the other one, and up to two squares of background.
    """
    asked: Counter[str] = Counter()
    for each in pictures:
        by_label: dict[str, list[Labelled]] = defaultdict(list)
        for box in each.boxes:
            by_label[box.label].append(box)
        for label, found in by_label.items():
            if len(found) != 2 or any("IsGroupOf" in box.flags for box in found):
                continue
            one, two = sorted((box.pixels(*each.size) for box in found), key=_centre)
            small = min(min(b[2] - b[0], b[3] - b[1]) for b in (one, two)) < rules.min_side
            if small or _centre(two) - _centre(one) < rules.gap or asked[label] + 2 > rules.per_class:
                continue
            asked[label] += 2
            background = [Sample(each.image, BACKGROUND, box) for box in backgrounds((one, two), each.size, rules)]
            boxes = [Sample(each.image, label, box) for box in (one, two)]
            for side, samples in zip(SIDES, (boxes, boxes[::-1]), strict=True):
                text = f"The {label.lower()} on the {side}"
                yield BoxQuery(each.image, text, label, (*samples, *background))


def backgrounds(boxes: Sequence[Box], size: tuple[int, int], rules: PositionRules) -> list[Box]:
    """The largest squares in the strips left of, between and right of the boxes, halfway down; largest first."""
    width, height = size
    bars = sorted((box[0] - rules.margin, box[2] + rules.margin) for box in boxes)
    free, at = [], 0.0
    for left, right in [*bars, (float(width), float(width))]:
        if left > at:
            free.append((at, left))
        at = max(at, right)
    squares: list[Box] = []
    for left, right in free:
        side = int(min(right - left, height))
        if side >= rules.min_background:
            x, y = int(-(-left // 1)), (height - side) // 2
            side = min(side, int(right) - x)
            squares.append((x, y, x + side, y + side))
    return sorted(squares, key=lambda box: box[0] - box[2])[: rules.max_background]


def _centre(box: Box) -> float:
    return (box[0] + box[2]) / 2


def to_json_crop(queries: Iterable[BoxQuery], subset: str, rules: CropRules = CropRules()) -> dict[str, Any]:
    """As oi-crop.json: {meta: {subset, length, iou_thresh}, data: [{query_img, query_target, retrieval_samples}]}."""
    data = [
        {"query_img": query.image, "query_target": query.text, "retrieval_samples": _samples(query)}
        for query in queries
    ]
    return {"meta": {"subset": subset, "length": len(data), "iou_thresh": rules.max_iou}, "data": data}


def to_json_position(queries: Iterable[BoxQuery], subset: str) -> dict[str, Any]:
    """As oi-crop-positional-v3.json: data by label, meta's length is the number of labels."""
    data: dict[str, list[dict[str, Any]]] = defaultdict(list)
    for query in queries:
        target = _box_json(query.samples[0].box)
        row = {"query_img": query.image, "query_target": query.text, "label": query.label, "bbox": target}
        data[query.label].append(row | {"retrieval_samples": _samples(query)})
    return {"meta": {"subset": subset, "length": len(data), "iou_thresh": "none"}, "data": dict(data)}


def read(path: Path) -> list[BoxQuery]:
    """Queries of either format, in the order of the file. Raises UserError where it is none of them."""
    value = read_json(path)
    try:
        data = value["data"]
        rows = [row for rows in data.values() for row in rows] if isinstance(data, dict) else data
        return [_query(row) for row in rows]
    except (KeyError, TypeError, ValueError, AttributeError) as error:
        raise UserError(f"{path} is no query set of Open Images boxes ({error!r}); get it again") from error


def _query(row: Mapping[str, Any]) -> BoxQuery:
    samples = tuple(
        Sample(str(each["ImageID"]), str(each["LabelName"]), _box_of(each["bbox"])) for each in row["retrieval_samples"]
    )
    query = BoxQuery(
        str(row["query_img"]), str(row["query_target"]), str(row.get("label", row["query_target"])), samples
    )
    if not samples or samples[0].image != query.image or samples[0].label != query.label:
        raise ValueError(f"the first candidate of {query.image!r} is not its target")
    return query


def _samples(query: BoxQuery) -> list[dict[str, Any]]:
    return [
        {"ImageID": sample.image, "LabelName": sample.label, "bbox": _box_json(sample.box)} for sample in query.samples
    ]


def _box_json(box: Box) -> dict[str, float]:
    return {"XMin": box[0], "XMax": box[2], "YMin": box[1], "YMax": box[3]}


def _box_of(value: Mapping[str, Any]) -> Box:
    left, top, right, bottom = (float(value[name]) for name in ("XMin", "YMin", "XMax", "YMax"))
    if not (left < right and top < bottom):
        raise ValueError(f"an empty box {dict(value)}")
    return left, top, right, bottom
