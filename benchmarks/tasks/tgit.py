"""Text-guided image transformation (TGIT): find the picture that an instruction makes of another (FuseLIP, section 4).

`clean`: all candidates of a pool differ visibly, and every instruction of every pool is asked.
`paper`: the pools of the paper's evaluation, drawn as its code draws them, one question per photo and family.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence

import numpy as np

from benchmarks.types import Candidate, Query, Skip, TaskContext, TaskData, TaskSpec
from datagen.sources.registry import open_source
from datagen.sources.types import Rejected, SourceItem
from datagen.transforms import jitter
from datagen.transforms.base import BASE
from datagen.transforms.edit import Edit, Steps
from datagen.transforms.families import FAMILIES
from datagen.transforms.paper import PaperDraws, evaluation_mixture
from fuselip.core import seeds
from fuselip.core.errors import UserError
from fuselip.core.types import ImageRef, Input

MIN_DISTANCE = 2.0
"""Mean absolute difference of two candidates, in gray levels of 255, below which they count as the same picture."""

JITTERS = 10
DRAWS = 200

PAPER = "FuseLIP, arXiv 2506.03096"

QUESTIONS = {
    "crop": "which of the nine half-size crops does the instruction ask for?",
    "rotate": "which of 18 rotations, 10 to 90 degrees either way, does the instruction ask for?",
    "jitter": "which of ten changes of brightness, contrast and saturation does the instruction ask for?",
    "flip": "which mirror image does the instruction ask for, there and back?",
    "colorize": "the gray image of the coloured one, and the coloured one of the gray",
}

CHANCE = {"crop": 1 / 9, "rotate": 1 / 18, "jitter": 1 / 10, "flip": 1 / 3, "colorize": 1 / 2}
"""Of a whole pool; one from which a candidate was left out has its own, computed with every score."""

ROWS = tuple(
    TaskSpec(
        name=f"{variant}/{family}",
        version=1,
        loader=f"benchmarks.tasks.tgit:{loader}",
        description=f"{'[the paper: one question a photo] ' if loader == 'paper' else ''}{question}",
        source="any photos: bundled ones, a folder, a CSV or webdataset tars",
        citation=PAPER,
        licence="as the photos",
        chance=CHANCE[family],
        params={"family": family},
    )
    for variant, loader in (("tgit", "clean"), ("tgit-paper", "paper"))
    for family, question in QUESTIONS.items()
)


def clean(spec: TaskSpec, context: TaskContext) -> TaskData:
    """`tgit/<family>`. A candidate too like another of its pool is left out, with its instruction, and reported."""
    family = str(spec.params["family"])
    queries: list[Query] = []
    candidates: dict[str, Candidate] = {}
    skipped: list[Skip] = []
    for item in _items(context, skipped):
        edits, pool = _pool(item, family, context.seed)
        if len(pool) < 2:
            reason = "a gray photo" if family == "colorize" else "no two candidates differ"
            skipped.append(Skip(f"{item.key}/{family}", reason))
            continue
        alike = [name for name in dict.fromkeys(edit.target for edit in edits) if name not in pool]
        skipped += [Skip(f"{item.key}/{family}/{name}", "too like another candidate") for name in alike]
        if family == "jitter" and len(pool) < JITTERS:
            skipped.append(Skip(f"{item.key}/{family}", f"only {len(pool)} of {JITTERS} candidates differ"))
        keys = {name: f"{item.key}/{family}/{name}" for name in pool}
        candidates |= {keys[name]: Candidate(keys[name], (Input(image=image),)) for name, image in pool.items()}
        for edit in edits:
            if edit.target in pool:
                queries.append(_query(item, family, edit, keys[edit.target], tuple(keys.values())))
    notes = (f"candidates of a pool differ by at least {MIN_DISTANCE} of 255 gray levels on average",)
    return TaskData(tuple(queries), candidates, tuple(skipped), notes)


def paper(spec: TaskSpec, context: TaskContext) -> TaskData:
    """`tgit-paper/<family>`. Repeated candidates stay in, as in the paper; they form one bundle when scored."""
    family = str(spec.params["family"])
    skipped: list[Skip] = []
    items = list(_items(context, skipped))
    queries, candidates = paper_pools(items, family, context.seed)
    notes = ("drawn as the paper's evaluation draws, in the order of the source; its first candidate is the answer",)
    return TaskData(queries, candidates, tuple(skipped), notes)


def paper_pools(
    items: Sequence[SourceItem], family: str, seed: int, draw_for: int | None = None
) -> tuple[tuple[Query, ...], dict[str, Candidate]]:
    """A question for each item, in order, and all its candidates: what the paper draws of these items for the family.

    The draws go on from family to family, as in the paper's code, so all are drawn of whatever family is asked for;
    `draw_for` is the number of items that the paper draws for, where `items` are but the first of them.
    """
    draws = PaperDraws(seed)
    count = len(items) if draw_for is None else draw_for
    drawn = {name: [draws.item(evaluation_mixture(name)) for _ in range(count)] for name in FAMILIES}
    queries: list[Query] = []
    candidates: dict[str, Candidate] = {}
    for item, edits in zip(items, drawn[family], strict=False):
        keys = [f"{item.key}/{family}/{place}/{edit.target}" for place, edit in enumerate(edits)]
        for key, edit in zip(keys, edits, strict=True):
            candidates[key] = Candidate(key, (Input(image=_base(item).then(*edit.right)),))
        queries.append(_query(item, family, edits[0], keys[0], tuple(keys)))
    return tuple(queries), candidates


def _items(context: TaskContext, skipped: list[Skip]) -> Iterator[SourceItem]:
    """The source's items whose pixels can be decoded, up to the limit: the same ones for every family."""
    count = 0
    for item in open_source(context.source, context.data_root).items():
        if isinstance(item, Rejected):
            skipped.append(Skip(item.item, item.reason))
            continue
        if context.limit is not None and count >= context.limit:
            return
        try:
            _base(item).load()
        except UserError as error:
            skipped.append(Skip(item.key, str(error)))
            continue
        count += 1
        yield item


def _base(item: SourceItem) -> ImageRef:
    return item.image.then(BASE)


def _query(item: SourceItem, family: str, edit: Edit, target: str, pool: tuple[str, ...]) -> Query:
    return Query(
        key=f"{item.key}/{family}/{edit.key}",
        input=Input(edit.text, _base(item).then(*edit.left)),
        relevance={target: 1.0},
        candidates=pool,
        cluster=item.origin,
        tags={"family": family, **edit.tags},
    )


def _pool(item: SourceItem, family: str, seed: int) -> tuple[tuple[Edit, ...], dict[str, ImageRef]]:
    """The family's edits for this item, and the images they lead to by name: those that differ from all before them."""
    base = _base(item)
    if family == "jitter":
        return _jitters(item, seed)
    edits = FAMILIES[family].edits
    steps: dict[str, Steps] = {edit.target: edit.right for edit in edits}
    seen: list[np.ndarray] = []
    pool = {name: base.then(*made) for name, made in steps.items() if _is_new(base.then(*made), seen)}
    return edits, pool


def _jitters(item: SourceItem, seed: int) -> tuple[tuple[Edit, ...], dict[str, ImageRef]]:
    """Ten jitters drawn for this picture alone, each unlike those before it."""
    generator = seeds.generator("tgit", seed, "jitter", item.image.key)
    edits: list[Edit] = []
    pool: dict[str, ImageRef] = {}
    seen: list[np.ndarray] = []
    for _ in range(DRAWS):
        brightness, contrast, saturation = generator.choice(jitter.FACTORS, 3).tolist()
        edit = jitter.edit((brightness, contrast, saturation))
        image = _base(item).then(*edit.right)
        if edit.target not in pool and _is_new(image, seen):
            pool[edit.target] = image
            edits.append(edit)
        if len(edits) == JITTERS:
            break
    return tuple(edits), pool


def _is_new(image: ImageRef, seen: list[np.ndarray]) -> bool:
    """Whether the picture differs visibly from all in `seen`; if so it joins them."""
    pixels = np.asarray(image.load(), np.int16)
    if any(float(np.abs(pixels - other).mean()) < MIN_DISTANCE for other in seen):
        return False
    seen.append(pixels)
    return True
