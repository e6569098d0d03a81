"""Transformation retrieval on pictures that are made: drawn scenes of the held-out split, and textures."""

from __future__ import annotations

from dataclasses import replace

from benchmarks.tasks import tgit
from benchmarks.types import TaskContext, TaskData, TaskSpec

MADE = {
    "scenes": ("scenes:test?count=4&seed=1&size=256", "drawn scenes of the held-out test split"),
    "textures": ("textures?count=4&seed=1&size=256", "dead leaves, a fractal, a gradient and 1/f noise"),
}
"""(source, what it gives). Seed 1: the corners of these scenes all differ, and training sets start from seed 0."""

ROWS = tuple(
    replace(
        row,
        name=f"tgit-{name}/{row.params['family']}",
        loader="benchmarks.tasks.tgit_made:made",
        description=f"[{name}] {row.description}",
        source=f"{what}; nothing is downloaded",
        licence="as fuselip",
        params={**row.params, "source": source},
    )
    for name, (source, what) in MADE.items()
    for row in tgit.ROWS
    if row.name.startswith("tgit/")
)


def made(spec: TaskSpec, context: TaskContext) -> TaskData:
    """`tgit-scenes/<family>`, `tgit-textures/<family>`: as `tgit/<family>`, whatever source the run names."""
    return tgit.clean(spec, replace(context, source=str(spec.params["source"]), data_root=None))


def fresh(spec: TaskSpec, seed: int, count: int = 4) -> TaskSpec:
    """A row of `tgit-scenes` on `count` other scenes, those of `seed` (any whole number, however large)."""
    return replace(spec, params={**spec.params, "source": f"scenes:test?count={count}&seed={seed}&size=256"})
