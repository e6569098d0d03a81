"""HTML for every report we write: elements whose text is always escaped, one page shell, thumbnails, bars.

A page is one file: styles inside, pictures as data URIs, no script but one of ours that is allowed by its hash, and a
policy that lets a browser load nothing else.
"""

from __future__ import annotations

import base64
import hashlib
import io
from collections.abc import Iterable, Sequence
from html import escape

from PIL import Image

_VOID = frozenset({"img", "br", "hr", "meta", "link"})
_POLICY = "default-src 'none'; img-src data:; style-src 'unsafe-inline'; base-uri 'none'; form-action 'none'"
_STYLE = """
:root { color-scheme: light dark; }
body { font: 15px/1.45 system-ui, sans-serif; max-width: 75rem; margin: 2rem auto; padding: 0 1rem; }
h1 { font-size: 1.5rem; } h2 { font-size: 1.15rem; margin-top: 2rem; }
table { border-collapse: collapse; margin: .5rem 0; }
th, td { text-align: left; vertical-align: top; padding: .25rem .8rem .25rem 0; border-bottom: 1px solid #8884; }
td.number { text-align: right; font-variant-numeric: tabular-nums; }
img { max-width: 100%; height: auto; background: #8882; }
.pairs { display: grid; grid-template-columns: repeat(auto-fill, minmax(22rem, 1fr)); gap: 1rem; }
.pair { border: 1px solid #8884; border-radius: 4px; padding: .6rem; overflow-wrap: anywhere; }
.sides { display: grid; grid-template-columns: 1fr 1fr; gap: .6rem; }
.quiet { color: #888; font-size: .85em; overflow-wrap: anywhere; }
.bar { background: #4a7fb5; height: .8rem; min-width: 1px; }
.track { width: 16rem; }
"""


class Html(str):
    """Text that is HTML already. Only this module makes it, out of escaped parts."""


def tag(name: str, /, *children: str, **attributes: str | float) -> Html:
    """An element. Children that are not Html are escaped, and so are attributes.

    `class_` is written `class`, `text_anchor` `text-anchor`.
    """
    given = "".join(f' {key.rstrip("_").replace("_", "-")}="{escape(str(value))}"' for key, value in attributes.items())
    if name in _VOID:
        assert not children, f"<{name}> has no content"
        return Html(f"<{name}{given}>")
    return Html(f"<{name}{given}>{join(children)}</{name}>")


def join(parts: Iterable[str]) -> Html:
    return Html("".join(part if isinstance(part, Html) else escape(part) for part in parts))


def page(title: str, *body: str, style: str = "", script: str = "") -> str:
    """A whole document. `style` and `script` are ours, never a stranger's text; the script runs after the body."""
    policy, scripts = _POLICY, []
    if script:
        digest = base64.b64encode(hashlib.sha256(script.encode()).digest()).decode("ascii")
        policy += f"; script-src 'sha256-{digest}'"
        scripts.append(Html(f"<script>{script}</script>"))
    head = tag(
        "head",
        tag("meta", charset="utf-8"),
        Html(f'<meta http-equiv="Content-Security-Policy" content="{escape(policy)}">'),
        tag("meta", name="viewport", content="width=device-width, initial-scale=1"),
        tag("title", title),
        Html(f"<style>{_STYLE}{style}</style>"),
    )
    return f"<!doctype html>\n{tag('html', head, tag('body', tag('h1', title), *body, *scripts), lang='en')}\n"


def json_block(name: str, text: str) -> Html:
    """JSON for a page's script, under the id `name`; "<" is written so that nothing in it can end the element."""
    escaped = text.replace("<", "\\u003c")
    return Html(f'<script type="application/json" id="{escape(name)}">{escaped}</script>')


def table(header: Sequence[str], rows: Iterable[Sequence[str]], numbers: Sequence[int] = ()) -> Html:
    """Rows of text or Html; columns listed in `numbers` are set flush right."""

    def row(cells: Sequence[str]) -> Html:
        return tag(
            "tr", *(tag("td", c, class_="number") if i in numbers else tag("td", c) for i, c in enumerate(cells))
        )

    return tag(
        "table",
        tag("thead", tag("tr", *(tag("th", name) for name in header))),
        tag("tbody", *(row(cells) for cells in rows)),
    )


def bars(rows: Sequence[tuple[str, float]], header: Sequence[str] = ("", "", "")) -> Html:
    """A bar chart of (label, value >= 0), as a table that also reads without its bars."""
    most = max((value for _, value in rows), default=0) or 1
    return table(
        header,
        [
            (
                label,
                tag("div", tag("div", class_="bar", style=f"width:{value / most:.1%}"), class_="track"),
                f"{value:g}",
            )
            for label, value in rows
        ],
        numbers=(2,),
    )


def thumbnail(image: Image.Image, side: int = 192, alt: str = "") -> Html:
    """The image inside the page itself, as JPEG, at most `side` pixels wide and high."""
    small = image.convert("RGB")
    small.thumbnail((side, side))
    buffer = io.BytesIO()
    small.save(buffer, "JPEG", quality=80)
    data = base64.b64encode(buffer.getvalue()).decode("ascii")
    return tag("img", src=f"data:image/jpeg;base64,{data}", alt=alt, width=small.width, height=small.height)
