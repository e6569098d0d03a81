"""What `fuselip-datagen list` shows: recipes with their parameters, sources, codecs, engines."""

from __future__ import annotations

from datagen.codecs import CODECS
from datagen.engines import ENGINES
from datagen.recipes import registry
from datagen.sources.registry import KINDS


def recipes() -> str:
    lines = []
    for name, row in registry.BUILDERS.items():
        lines.append(f"build-{name:<14}{row.help}")
        lines += [f"    --set {key}={value}" for key, value in registry.parameters(name).items()]
    return "\n".join(lines) + "\n"


def sources() -> str:
    width = max(map(len, KINDS))
    return "".join(f"{spec:<{width}}  {help_}\n" for spec, help_ in KINDS.items())


def codecs() -> str:
    return "".join(f"{name:<6} {kind.help}; default {kind.default}\n" for name, kind in CODECS.items())


def engines() -> str:
    return "".join(f"{name}\n" for name in ENGINES)


LISTINGS = {"recipes": recipes, "sources": sources, "codecs": codecs, "engines": engines}
