"""The API's documentation as a page of ours: no script, and nothing from elsewhere."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

from fuselip.core.html import Html, join, table, tag

STYLE = """:root { color-scheme: light dark; }
body { font: 15px/1.5 system-ui, sans-serif; max-width: 60rem; margin: 2rem auto; padding: 0 1rem; }
h2 { font-size: 1.05rem; margin-top: 2rem; overflow-wrap: anywhere; }
table { border-collapse: collapse; }
th, td { text-align: left; vertical-align: top; padding: .2rem .8rem .2rem 0; border-bottom: 1px solid #8884; }
code { font-size: .95em; }
"""


def page(openapi: dict[str, Any]) -> str:
    """The whole of an OpenAPI document, as far as people read it."""
    info = openapi["info"]
    head = tag(
        "head",
        tag("meta", charset="utf-8"),
        tag("meta", name="viewport", content="width=device-width, initial-scale=1"),
        tag("title", info["title"]),
        tag("link", rel="stylesheet", href="/api/docs.css"),
    )
    body = tag(
        "body",
        tag("h1", info["title"]),
        tag("p", info["description"]),
        tag("p", "For programs: ", tag("a", "/api/openapi.json", href="/api/openapi.json"), "."),
        *(join(_operation(path, method, told)) for path, method, told in _operations(openapi)),
    )
    return f"<!doctype html>\n{tag('html', head, body, lang='en')}\n"


def _operations(openapi: dict[str, Any]) -> Iterator[tuple[str, str, dict[str, Any]]]:
    for path, methods in openapi["paths"].items():
        for method, told in methods.items():
            yield path, method, told


def _operation(path: str, method: str, told: dict[str, Any]) -> Iterator[Html]:
    yield tag("h2", tag("code", f"{method.upper()} {path}"))
    yield tag("p", told.get("description") or told.get("summary", ""))
    if parameters := told.get("parameters"):
        rows = [
            (each["name"], each["in"], "yes" if each.get("required") else "no", _kind(each["schema"]))
            for each in parameters
        ]
        yield table(("parameter", "in", "needed", "value"), rows)
    if body := told.get("requestBody"):
        yield tag("p", "Body: ", ", ".join(body["content"]))
    yield tag("p", "Answers: ", ", ".join(told["responses"]))


def _kind(schema: dict[str, Any]) -> str:
    if "anyOf" in schema:
        return " or ".join(_kind(each) for each in schema["anyOf"] if each.get("type") != "null")
    if "$ref" in schema:
        return str(schema["$ref"].rpartition("/")[2])
    if "enum" in schema:
        return " | ".join(map(str, schema["enum"]))
    bounds = [f"{key} {schema[key]}" for key in ("minimum", "maximum", "maxLength", "default") if key in schema]
    return ", ".join([str(schema.get("type", "any")), *bounds])
