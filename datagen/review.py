"""A contact sheet of a set: left, instruction, right and parameters of a seeded sample of groups, in one HTML file."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from pathlib import Path

from datagen import output, virtual
from datagen.types import Skip
from fuselip.core import seeds
from fuselip.core.errors import UserError
from fuselip.core.html import Html, page, table, tag, thumbnail
from fuselip.core.shards import Shard
from fuselip.core.types import Group, Input, Pair

MAX_PAIRS = 24


def review(out: Path, count: int = 12, seed: int = 0, root: Path | None = None) -> str:
    """The page, as text: `count` groups spread over all shard sets. Raises UserError where nothing was made yet."""
    config = output.read_config(out)
    groups = _of_rows(out, count, seed, root) if config.virtual else _of_shards(out, count, seed)
    sections = [part for number, group in enumerate(groups, 1) for part in _section(number, group)]
    if not sections:
        raise UserError(f"{out} holds no groups yet; build it first")
    about = table(("setting", "value"), [(key, str(value)) for key, value in config.to_json().items()])
    return page(f"{config.builder} from {config.source}", about, *sections)


def _of_shards(out: Path, count: int, seed: int) -> Iterator[Group]:
    """Groups of finished shards: as many of each set, drawn without repetition."""
    tars: dict[str, list[str]] = {}
    for record in output.records(out):
        for name in record.files:
            if name.endswith(".tar"):
                tars.setdefault(name.rpartition("/")[0], []).append(name)
    for number, (name, paths) in enumerate(sorted(tars.items())):
        share = count // len(tars) + (number < count % len(tars))
        rng = seeds.generator("review", seed, name)
        shards = [Shard(out / path) for path in _some(paths, share, rng.permutation(len(paths)).tolist())]
        places = [(shard, index) for shard in shards for index in range(len(shard))]
        for chosen in rng.permutation(len(places))[:share].tolist():
            shard, index = places[chosen]
            yield shard[index].group()


def _some(paths: Sequence[str], share: int, order: Sequence[int]) -> list[str]:
    return [paths[index] for index in order[: max(share, 1)]]


def _of_rows(out: Path, count: int, seed: int, root: Path | None) -> Iterator[Group]:
    """Groups of virtual rows: a reservoir of rows, realised."""
    rng = seeds.generator("review", seed)
    kept = []
    for number, row in enumerate(virtual.read(out)):
        if number < count:
            kept.append(row)
        elif (slot := int(rng.integers(number + 1))) < count:
            kept[slot] = row
    for row in kept:
        yield from (found for found in virtual.realise(row, root=root) if not isinstance(found, Skip))


def _section(number: int, group: Group) -> Iterator[Html]:
    yield tag("h2", f"{number}. {group.source}")
    params = ", ".join(f"{key}={value}" for key, value in group.params.items())
    yield tag("p", f"{group.recipe} v{group.version}, {len(group.pairs)} pairs; {params}", class_="quiet")
    yield tag("div", *(_pair(pair) for pair in group.pairs[:MAX_PAIRS]), class_="pairs")
    if len(group.pairs) > MAX_PAIRS:
        yield tag("p", f"and {len(group.pairs) - MAX_PAIRS} more", class_="quiet")


def _pair(pair: Pair) -> Html:
    return tag("div", tag("div", _side(pair.left), _side(pair.right), class_="sides"), class_="pair")


def _side(value: Input) -> Html:
    parts = []
    if value.image is not None:
        parts.append(thumbnail(value.image.load()))
        made = "; ".join(
            f"{operation.name} {', '.join(f'{key}={each}' for key, each in operation.params)}"
            for operation in value.image.operations
        )
        parts.append(tag("div", made, class_="quiet"))
    return tag("div", *parts, tag("div", value.text))
