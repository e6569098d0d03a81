"""The table of builders: one row here is a recipe, its `build-NAME` command, and its realise function."""

from __future__ import annotations

import inspect
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any

from datagen.types import Recipe
from fuselip.core.errors import UsageError, UserError
from fuselip.core.plugins import did_you_mean, load
from fuselip.core.types import Scalar

_BOOLS = {"true": True, "yes": True, "1": True, "false": False, "no": False, "0": False}


@dataclass(frozen=True)
class Builder:
    """`target` is a class or factory of keyword parameters with defaults (bool, int, float, str) that gives a Recipe.

    Its recipe's name is the row's, and `target(**recipe.params)` makes the same recipe again. `shard_items` is the
    default number of source items in a shard: some 100 MB of images is a good size. `source` is read unless another is
    named.
    """

    target: str
    help: str
    shard_items: int = 1000
    source: str = ""


BUILDERS: dict[str, Builder] = {
    "captions": Builder("datagen.recipes.captions:Captions", "An image and its caption, one pair a group."),
    "transforms": Builder("datagen.recipes.transforms:Transforms", "Edits of a photo by instruction (TGIT).", 100),
    "vqa": Builder("datagen.recipes.vqa:Vqa", "Image and question, with the answer; questions made from captions."),
    "regions": Builder("datagen.recipes.regions:Regions", "Image and phrase to a crop, or question to answer.", 200),
    "edits": Builder("datagen.recipes.edits:Edits", "A source's own edits, there and back (HQ-Edit, scenes).", 200),
    "scenes": Builder(
        "datagen.recipes.scenes:Scenes", "Drawn scenes: captions, questions, regions, edits.", source="scenes"
    ),
    "negatives": Builder("datagen.recipes.negatives:Negatives", "Hard negatives: captions, neighbours, edits.", 200),
}


def find(name: str) -> Builder:
    if name not in BUILDERS:
        raise UsageError(f"unknown recipe {name!r}{did_you_mean(name, BUILDERS)}; known: {', '.join(BUILDERS)}")
    return BUILDERS[name]


def create(name: str, params: Mapping[str, Scalar] | None = None, version: int | None = None) -> Recipe:
    """The recipe of that name. Raises UserError where it is another version than wanted, or takes other parameters."""
    factory = load(find(name).target)
    _check_known(name, factory, params or {})
    recipe: Recipe = factory(**(params or {}))
    assert recipe.name == name, f"the recipe of row {name!r} calls itself {recipe.name!r}"
    if version is not None and recipe.version != version:
        raise UserError(
            f"recipe {name!r} is version {recipe.version} here, and what is asked for was made by version {version}; "
            "install the fuselip that made it"
        )
    return recipe


def parameters(name: str) -> dict[str, Scalar]:
    """A recipe's parameters with their defaults."""
    return {key: each.default for key, each in _signature(load(find(name).target)).items()}


def parse(name: str, texts: Mapping[str, str]) -> dict[str, Scalar]:
    """`--set` texts as values of the type that each parameter's default has. UsageError for what does not fit."""
    factory = load(find(name).target)
    _check_known(name, factory, texts)
    defaults = _signature(factory)
    return {key: _value(key, text, defaults[key].default) for key, text in texts.items()}


def _value(key: str, text: str, default: Scalar) -> Scalar:
    kind = type(default)
    try:
        if kind is bool:
            return _BOOLS[text.lower()]
        return kind(text)
    except (KeyError, ValueError):
        wanted = {bool: "true or false", int: "a whole number", float: "a number"}[kind]
        raise UsageError(f"--set {key}={text}: it is {wanted}") from None


def _check_known(name: str, factory: Callable[..., Recipe], given: Mapping[str, Any]) -> None:
    known = _signature(factory)
    for key in given:
        if key not in known:
            listed = ", ".join(known) or "it has none"
            raise UsageError(f"recipe {name!r} has no parameter {key!r}{did_you_mean(key, known)}; known: {listed}")


def _signature(factory: Callable[..., Recipe]) -> Mapping[str, inspect.Parameter]:
    found = inspect.signature(factory).parameters
    assert all(isinstance(each.default, bool | int | float | str) for each in found.values()), (
        "parameters have defaults"
    )
    return found
