"""Which encoders there are, and how a name, a module, a file or an entry point becomes one."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from functools import partial
from importlib import metadata
from typing import Any

from benchmarks.encoders.adapt import Adapted, is_encoder
from benchmarks.encoders.arguments import bind
from benchmarks.encoders.code import load_file, load_module
from benchmarks.encoders.faults import blame
from fuselip.core.errors import UsageError, UserError
from fuselip.core.plugins import did_you_mean

GROUP = "fuselip.encoders"


@dataclass(frozen=True)
class Builtin:
    """A model of our own: `target` is called with `leading` and the user's arguments."""

    target: str
    description: str
    leading: tuple[str, ...] = ()


BUILTIN: dict[str, Builtin] = {
    "fuselip-s": Builtin("fuselip.model.encoder:load", "FuseLIP, small: one transformer", ("fuselip-s",)),
    "fuselip-b": Builtin("fuselip.model.encoder:load", "FuseLIP, base: one transformer", ("fuselip-b",)),
    "siglip-s-sf": Builtin("fuselip.model.encoder:load", "late fusion, small: towers added", ("siglip-s-sf",)),
    "siglip-s-mlf": Builtin("fuselip.model.encoder:load", "late fusion, small: MagicLens head", ("siglip-s-mlf",)),
    "siglip-b-sf": Builtin("fuselip.model.encoder:load", "late fusion, base: towers added", ("siglip-b-sf",)),
    "siglip-b-mlf": Builtin("fuselip.model.encoder:load", "late fusion, base: MagicLens head", ("siglip-b-mlf",)),
    "fuselip-b-scenes": Builtin("fuselip.model.encoder:load", "FuseLIP, base, for drawn scenes", ("fuselip-b-scenes",)),
    "fuselip-ti": Builtin("fuselip.model.encoder:load", "FuseLIP, tiny: runs and trains on a CPU", ("fuselip-ti",)),
    "siglip-ti-sf": Builtin("fuselip.model.encoder:load", "late fusion, tiny: towers added", ("siglip-ti-sf",)),
    "siglip-ti-mlf": Builtin("fuselip.model.encoder:load", "late fusion, tiny: MagicLens head", ("siglip-ti-mlf",)),
    "toklip-s": Builtin("fuselip.model.toklip_encoder:load", "TokLIP S, 256 pixels: towers added", ("toklip-s",)),
    "toklip-l": Builtin("fuselip.model.toklip_encoder:load", "TokLIP L, 384 pixels: towers added", ("toklip-l",)),
    "toklip-xl": Builtin("fuselip.model.toklip_encoder:load", "TokLIP XL, 512 pixels: towers added", ("toklip-xl",)),
    "toklip-ti": Builtin("fuselip.model.toklip_encoder:load", "TokLIP, tiny: its structure on a CPU", ("toklip-ti",)),
    "random": Builtin("benchmarks.encoders.baselines:Random", "control: a random vector for each input"),
    "constant": Builtin("benchmarks.encoders.baselines:Constant", "control: the same vector for every input"),
}

# Models that others made, as PREFIX:NAME: `target` is called with `leading` and the name.
PREFIXES: dict[str, Builtin] = {
    "clip": Builtin(
        "benchmarks.encoders.hf_towers:load", "CLIP of transformers, a hub repository or folder", ("clip",)
    ),
    "siglip": Builtin(
        "benchmarks.encoders.hf_towers:load", "SigLIP and SigLIP 2 of transformers, likewise", ("siglip",)
    ),
    "open_clip": Builtin(
        "benchmarks.encoders.open_clip_model:load", "ARCH/PRETRAINED or hf-hub:REPO (needs torchvision)"
    ),
    "vlm": Builtin(
        "benchmarks.encoders.hf_last_token:load", "a vision-language model's last token (preset=qwen, gme, ...)"
    ),
    "st": Builtin(
        "benchmarks.encoders.sentence_transformers:load", "sentence-transformers, a hub repository or folder"
    ),
    "mteb": Builtin("benchmarks.encoders.mteb_model:load", "an encoder of mteb's registry"),
    "http": Builtin("benchmarks.encoders.http_encoder:load", "http(s)://HOST/v1, a server of embeddings (model=...)"),
    "https": Builtin("benchmarks.encoders.http_encoder:load", "the same, encrypted"),
}


@dataclass(frozen=True)
class Model:
    """A row of the list of models. `origin` says which package offers it."""

    name: str
    origin: str
    description: str


def resolve(spec: str, model_args: Mapping[str, str] | None = None, **options: str | bool) -> Adapted:
    """The encoder that `spec` names, made uniform: built in, an entry point, PREFIX:NAME, "package.module:attr" or
    "./file.py:attr". A prefix decides before anything else does.

    `attr` is an encoder, or a class or function that makes one. It gets `model_args` (texts, parsed by its annotations)
    and those of `options` that the user set (weights, device, precision, compile, offline); what it does not take is a
    UsageError, but for `offline`, which is then dropped: who never fetches anything obeys it.
    Raises UsageError for what the command line has wrong, UserError where the code that was named fails.
    """
    texts = dict(model_args or {})
    found: Any
    if spec in BUILTIN:
        row = BUILTIN[spec]
        found = partial(load_module(row.target), *row.leading)
    elif (place := spec.partition(":"))[0] in PREFIXES:
        found = _prefixed(*place[::2])
    elif ":" in spec:
        path, _, attribute = spec.rpartition(":")
        found = load_file(path, attribute) if path.endswith(".py") else load_module(spec)
    elif spec.endswith(".py"):
        found = load_file(spec, "")
    else:
        found = load_module(_entry_point(spec).value)
    made_with = {**texts, **{key: value for key, value in options.items() if key != "offline"}}
    return Adapted(make(found, texts, options, spec), made_with)


def _prefixed(prefix: str, name: str) -> Any:
    row = PREFIXES[prefix]
    if not name:
        raise UsageError(f"{prefix}: names no model; write {prefix}:NAME ({row.description})")
    if name.startswith("//"):  # a URL, of which the prefix is a part
        name = f"{prefix}:{name}"
    return partial(load_module(row.target), *row.leading, name)


def make(found: Any, texts: Mapping[str, str], options: Mapping[str, Any], what: str) -> Any:
    """`found` itself where it is an encoder, else what calling it returns."""
    if is_encoder(found):
        refused = [f"--model-arg {key}" for key in texts] + [f"--{key}" for key in options if key != "offline"]
        if refused:
            raise UsageError(f"{what} is an encoder already made and takes no {refused[0]}; name its class instead")
        return found
    if not callable(found):
        kind = type(found).__name__
        raise UsageError(
            f"{what} is a {kind}: neither an encoder (it has no encode method) nor something that makes one"
        )
    arguments = bind(found, texts, options, what)
    try:
        encoder = found(**arguments)
    except (UserError, KeyboardInterrupt, MemoryError):
        raise
    except BaseException as error:  # SystemExit too: a library must not end our program without a word
        raise UserError(f"{what} could not be made: {blame(error)}") from error
    if not is_encoder(encoder):
        raise UsageError(f"{what} made a {type(encoder).__name__}, which has no encode method")
    return encoder


def list_models() -> list[Model]:
    """Built-ins, adapters by their prefix, then what installed packages offer. No encoder is imported for it."""
    rows = [Model(name, "built in", row.description) for name, row in BUILTIN.items()]
    rows += [Model(f"{prefix}:NAME", "adapter", row.description) for prefix, row in PREFIXES.items()]
    points = {(point.name, point.value): point for point in metadata.entry_points(group=GROUP)}
    for _, point in sorted(points.items()):
        package, summary = _package(point)
        if point.name in BUILTIN:
            summary = f"hidden by the built-in of that name; write {point.value}"
        rows.append(Model(point.name, package, summary))
    return rows


def _entry_point(name: str) -> metadata.EntryPoint:
    points = {point.value: point for point in metadata.entry_points(group=GROUP, name=name)}
    if len(points) > 1:
        raise UsageError(f"several packages offer an encoder {name!r}; name its code: {' or '.join(sorted(points))}")
    if points:
        return points.popitem()[1]
    known = [*BUILTIN, *(point.name for point in metadata.entry_points(group=GROUP))]
    raise UsageError(
        f"there is no model {name!r}{did_you_mean(name, known)} (known: {', '.join(sorted(set(known)))}). "
        "Code of your own is named package.module:attribute or ./file.py:attribute"
    )


def _package(point: metadata.EntryPoint) -> tuple[str, str]:
    if point.dist is None:
        return "an installed package", ""
    return f"{point.dist.name} {point.dist.version}", str(point.dist.metadata.json.get("summary", ""))
