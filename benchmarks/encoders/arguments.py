"""From `--model-arg key=value` texts to the keyword arguments that a class or factory takes."""

from __future__ import annotations

import inspect
import types
import typing
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any, Literal, Union

from fuselip.core.errors import UsageError
from fuselip.core.plugins import did_you_mean

BOOLS = {"true": True, "yes": True, "1": True, "false": False, "no": False, "0": False}


def bind(
    factory: Callable[..., Any], texts: Mapping[str, str], options: Mapping[str, Any], what: str
) -> dict[str, Any]:
    """Keyword arguments for `factory`: `texts` parsed by its annotations (else as literals), `options` as they are.

    The option `offline` is left out where it is not taken.

    Raises UsageError for a key that it does not take, a value of another type, or a required one that is missing.
    """
    parameters = _parameters(factory)
    open_ended = any(parameter.kind is parameter.VAR_KEYWORD for parameter in parameters.values())
    named = {name: each for name, each in parameters.items() if _by_name(each)}
    options = {key: value for key, value in options.items() if key != "offline" or key in named}
    for key in options:
        if key in texts:
            raise UsageError(f"{key} is given twice: as --{key} and as --model-arg {key}=...; leave one out")
        if key not in named and not open_ended:
            raise UsageError(f"{what} takes no --{key}; leave it out ({_takes(named)})")
    hints = _hints(factory)
    arguments = dict(options)
    for key, text in texts.items():
        if key not in named and not open_ended:
            raise UsageError(f"{what} takes no --model-arg {key}{did_you_mean(key, named)} ({_takes(named)})")
        arguments[key] = parse(text, hints.get(key), f"--model-arg {key}={text}")
    missing = [name for name, each in named.items() if each.default is each.empty and name not in arguments]
    if missing:
        raise UsageError(f"{what} needs --model-arg {missing[0]}=... ({_takes(named)})")
    return arguments


def parse(text: str, hint: Any, what: str) -> Any:
    """The value that `text` stands for: of type `hint` where that is one we know, else bool, int, float or str."""
    origin = typing.get_origin(hint)
    if origin in (Union, types.UnionType):
        return _parse_union(text, typing.get_args(hint), what)
    if origin is Literal:
        by_text = {str(value): value for value in typing.get_args(hint)}
        if text not in by_text:
            raise UsageError(f"{what}: it is one of {', '.join(by_text)}{did_you_mean(text, by_text)}")
        return by_text[text]
    if hint is bool:
        if text.lower() not in BOOLS:
            raise UsageError(f"{what}: it is true or false")
        return BOOLS[text.lower()]
    if hint in (int, float):
        try:
            return hint(text)
        except ValueError as error:
            raise UsageError(f"{what}: it is {'a whole number' if hint is int else 'a number'}") from error
    if hint is Path:
        return Path(text).expanduser()
    return text if hint is str else _literal(text)


def _parse_union(text: str, members: tuple[Any, ...], what: str) -> Any:
    if type(None) in members and text.lower() == "none":
        return None
    order = [bool, int, float]  # the narrowest reading first; str, which takes anything, last
    members = tuple(sorted((member for member in members if member is not type(None)), key=lambda m: _rank(m, order)))
    for member in members[:-1]:
        try:
            return parse(text, member, what)
        except UsageError:
            continue
    return parse(text, members[-1], what)


def _rank(member: Any, order: list[Any]) -> int:
    return order.index(member) if member in order else len(order) + (member is str)


def _literal(text: str) -> Any:
    if text.lower() in ("true", "false"):
        return text.lower() == "true"
    for kind in (int, float):
        try:
            return kind(text)
        except ValueError:
            continue
    return text


def _parameters(factory: Callable[..., Any]) -> Mapping[str, inspect.Parameter]:
    try:
        return inspect.signature(factory).parameters
    except (TypeError, ValueError):  # some classes written in C have none; their own error then speaks
        return {"arguments": inspect.Parameter("arguments", inspect.Parameter.VAR_KEYWORD)}


def _by_name(parameter: inspect.Parameter) -> bool:
    return parameter.kind in (parameter.POSITIONAL_OR_KEYWORD, parameter.KEYWORD_ONLY)


def _hints(factory: Callable[..., Any]) -> dict[str, Any]:
    """The annotations as objects; none where one of them names something that is not importable at run time."""
    try:
        parameters = inspect.signature(factory, eval_str=True).parameters
    except Exception:  # evaluating a stranger's annotation can raise anything; it is then as if there were none
        return {}
    return {name: each.annotation for name, each in parameters.items() if each.annotation is not each.empty}


def _takes(named: Mapping[str, inspect.Parameter]) -> str:
    if not named:
        return "it takes no arguments"
    shown = [name if each.default is each.empty else f"{name}={each.default!r}" for name, each in named.items()]
    return "it takes " + ", ".join(shown)
