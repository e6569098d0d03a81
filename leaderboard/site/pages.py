"""The templates: every text escaped, every name that is missing an error."""

from __future__ import annotations

from functools import cache
from typing import TYPE_CHECKING, Any
from urllib.parse import urlsplit

from fuselip.core.errors import UsageError
from leaderboard.site import marks, words

if TYPE_CHECKING:
    from jinja2 import Environment

POLICY = (
    "default-src 'none'; script-src 'self'; style-src 'self'; img-src 'self' data:; connect-src 'self'; base-uri 'none'"
)


@cache
def environment() -> Environment:
    """Raises UsageError where Jinja is not installed."""
    try:
        from jinja2 import Environment, PackageLoader, StrictUndefined
        from markupsafe import Markup
    except ImportError as error:
        raise UsageError("the pages need Jinja: pip install 'fuselip[leaderboard]'") from error

    made = Environment(
        loader=PackageLoader("leaderboard", "templates"),
        autoescape=True,
        undefined=StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
    )
    made.filters.update(
        {
            **{each.__name__: each for each in (words.hundred, words.signed, words.span, words.band, words.short)},
            **{each.__name__: each for each in (words.file_name, words.sentence, words.speed, words.machine, http)},
        }
    )
    made.globals.update(
        interval=lambda *args, **named: Markup(marks.interval(*args, **named)),
        ranks=lambda *args: Markup(marks.ranks(*args)),
        badges=words.BADGES,
        policy=POLICY,
    )
    return made


def render(template: str, **context: Any) -> str:
    """A page. `root` is the way to the site's top folder ("" or "../")."""
    return environment().get_template(template).render(context)


def http(link: str) -> str:
    """The link, where it is http or https; else "", so that no other scheme is ever a link."""
    try:
        parts = urlsplit(link)
    except ValueError:
        return ""
    return link if parts.scheme in ("http", "https") and parts.netloc else ""
