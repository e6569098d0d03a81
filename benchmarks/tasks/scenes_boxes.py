"""Crops of scenes as answers: of the thing that is named (as OI-Crop), and of the one of two on a side (as OI-Pos)."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable
from dataclasses import replace
from itertools import islice

from benchmarks.tasks.drawn import SIZE, image, query, row, scenes, task
from benchmarks.types import Candidate, Query, TaskContext, TaskData, TaskSpec
from datagen.boxes import Box
from datagen.querysets import Annotated, BoxQuery, CropRules, PositionRules, Sample, crop_queries, position_queries
from datagen.scenes.render import box
from datagen.scenes.truth import CLEAR
from datagen.scenes.types import Scene, Thing
from datagen.sources.open_images import Labelled
from fuselip.core.types import Input, Operation

OWN, OTHERS = 4, 3
CROP_SCENES, POSITION_SCENES = 36, 30
CROP = CropRules(own=OWN, others=OTHERS, min_side=SIZE // 8, per_class=10)
POSITION = PositionRules(
    min_side=SIZE // 8, gap=SIZE * CLEAR / 1000, margin=4, min_background=SIZE // 10, max_background=1
)

ROWS = (
    row(
        "crop",
        "scenes_boxes:crops",
        "the crop of the thing of this shape, among its picture's other things and things of its shape elsewhere",
        "image+text -> image",
        citation="after OI-Crop of FuseLIP, arXiv 2506.03096",
        chance=1 / (OWN + OTHERS),
        partial={"the right picture, whatever thing": 1 / OWN, "the right shape, whatever picture": 1 / (1 + OTHERS)},
    ),
    row(
        "position",
        "scenes_boxes:positions",
        "the crop of the left or of the right one of two things of a shape; often with a crop of the background",
        "image+text -> image",
        citation="after OI-Pos of FuseLIP, arXiv 2506.03096",
        partial={"the right shape, ignores left and right": 0.5},
    ),
)


def crops(spec: TaskSpec, context: TaskContext) -> TaskData:
    """`scenes/crop`. Things of the shape elsewhere have another color than the one asked for."""
    pictures = dict(islice(((key, of) for key, of in scenes(context.seed) if _enough(of)), CROP_SCENES))
    asked = crop_queries((_annotated(key, of) for key, of in pictures.items()), CROP, context.seed)
    return _data(pictures, (each for each in asked if _differ(pictures, each)), context)


def positions(spec: TaskSpec, context: TaskContext) -> TaskData:
    """`scenes/position`. The two differ in color; each of them is asked for."""
    pictures: dict[str, Scene] = {}
    asked: list[BoxQuery] = []
    for key, of in scenes(context.seed):
        if made := list(position_queries([_annotated(key, _twins(of))], POSITION)):
            pictures[key] = of
            asked += [_even(each) for each in made]
        if len(pictures) == POSITION_SCENES:
            break
    return _data(pictures, asked, context)


def _even(asked: BoxQuery) -> BoxQuery:
    """With background crops no wider than the narrower of the two things: their size is not to give them away."""
    things = asked.samples[:2]
    side = min(round(each.box[2] - each.box[0]) for each in things)
    return replace(
        asked, samples=(*things, *(replace(each, box=_shrunk(each.box, side)) for each in asked.samples[2:]))
    )


def _shrunk(square: Box, side: int) -> Box:
    left, top, right, bottom = square
    cut = max(0, round(right - left) - side) // 2
    return left + cut, top + cut, right - cut, bottom - cut


def _data(pictures: dict[str, Scene], asked: Iterable[BoxQuery], context: TaskContext) -> TaskData:
    queries: list[Query] = []
    candidates: dict[str, Candidate] = {}
    for each in asked:
        made = [_candidate(pictures, sample) for sample in each.samples]
        candidates |= {candidate.key: candidate for candidate in made}
        keys = [candidate.key for candidate in made]
        of = Input(each.text, image(pictures[each.image]))
        key = f"{each.image}/{each.text.lower()}"
        queries.append(query(key, of, keys[0], keys, each.image, tags={"shape": each.label}))
    return task(queries, candidates, context)


def _candidate(pictures: dict[str, Scene], sample: Sample) -> Candidate:
    left, top, right, bottom = (round(value) for value in sample.box)
    crop = image(pictures[sample.image]).then(Operation.of("box", left=left, top=top, right=right, bottom=bottom))
    return Candidate(f"{sample.image}/{left}-{top}-{right}-{bottom}", (Input(image=crop),))


def _annotated(key: str, of: Scene) -> Annotated:
    boxes = []
    for thing in of.things:
        left, top, right, bottom = (side / SIZE for side in box(thing, SIZE))
        boxes.append(Labelled(thing.shape, left, top, right, bottom))
    return Annotated(key, (SIZE, SIZE), boxes)


def _enough(of: Scene) -> bool:
    """Whether enough shapes occur once."""
    return sum(number == 1 for number in Counter(thing.shape for thing in of.things).values()) >= OWN


def _differ(pictures: dict[str, Scene], asked: BoxQuery) -> bool:
    """Whether no other thing of the shape has the colour of the one asked for: else their crops can look the same."""
    colours = [_only(pictures[each.image], asked.label).colour for each in asked.samples if each.label == asked.label]
    return colours[0] not in colours[1:]


def _only(of: Scene, shape: str) -> Thing:
    [thing] = [thing for thing in of.things if thing.shape == shape]
    return thing


def _twins(of: Scene) -> Scene:
    """The scene without what is not one of two things of one shape and of two colours."""
    colours: dict[str, list[str]] = {}
    for thing in of.things:
        colours.setdefault(thing.shape, []).append(thing.colour)
    return replace(of, things=tuple(t for t in of.things if len(colours[t.shape]) == len(set(colours[t.shape])) == 2))
