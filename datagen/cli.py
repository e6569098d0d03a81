"""`fuselip-datagen`: build training sets from images, check them, look at them, publish them."""

from __future__ import annotations

import sys
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from datagen.fetch.command import fetch
from datagen.mix.command import mix
from datagen.negatives.command import index_negatives
from datagen.querysets_command import build_queries
from datagen.recipes.registry import BUILDERS, Builder
from datagen.vqa import command as vqa
from fuselip.core.console import Group, debug_option
from fuselip.core.errors import UsageError

if TYPE_CHECKING:
    from collections.abc import Callable

FOLDER = click.Path(path_type=Path, file_okay=False)


@click.group(cls=Group, context_settings={"help_option_names": ["-h", "--help"]})
@click.version_option(package_name="fuselip", prog_name="fuselip-datagen")
@debug_option
def main() -> None:
    """Multimodal training pairs and hard negatives, as shards that can be made again byte by byte."""


SOURCE_OPTIONS = (
    click.option("--data-root", help="Where relative paths of the source start."),
    click.option("--source", help="folder:DIR, csv:FILE, wds:PATTERN, photos, or a path (`list sources`)."),
)
RUN_OPTIONS = (
    click.option("--workers", type=click.IntRange(min=1), help="Processes.  [default: one a core]"),
    click.option("--engine", default="local", show_default=True, help="local or ray."),
    click.option(
        "--max-errors",
        type=float,
        default=0.5,
        show_default=True,
        help="Stop when so many items are bad: a share (below 1) or a number.",
    ),
)
BUILD_OPTIONS = (
    click.option("--out", type=FOLDER, required=True, help="Folder of the set."),
    *SOURCE_OPTIONS,
    click.option("--seed", type=int, default=0, show_default=True, help="Seed of all draws."),
    click.option("--epoch", type=int, default=0, show_default=True, help="Part of the seed: other draws, same source."),
    click.option("--limit", type=click.IntRange(min=1), help="Use at most so many source items."),
    click.option(
        "--set", "settings", multiple=True, metavar="KEY=VALUE", help="A recipe's parameter (`list recipes`)."
    ),
    click.option("--shard-items", type=click.IntRange(min=1), help="Source items a shard.  [default: the recipe's]"),
    click.option("--codec", default="jpeg", show_default=True, help="jpeg, png or webp (`list codecs`)."),
    click.option("--quality", type=int, default=0, help="Of the codec.  [default: the codec's]"),
    click.option("--virtual", is_flag=True, help="Write how to make the groups, not the groups."),
    click.option("--resume/--no-resume", default=True, show_default=True, help="Go on with a set begun in --out."),
    click.option("--dry-run", is_flag=True, help="Say what would be made, measured on a sample, and write nothing."),
    *RUN_OPTIONS,
)


def with_options(options: tuple[Callable[..., Any], ...]) -> Callable[..., Any]:
    def add(command: Callable[..., Any]) -> Callable[..., Any]:
        for option in reversed(options):
            command = option(command)
        return command

    return add


def _build(name: str, given: dict[str, Any]) -> None:
    from datagen import engines
    from datagen.codecs import Codec
    from datagen.estimate import estimate, to_text
    from datagen.generate import Budget, build
    from datagen.plan import Config
    from datagen.progress import Progressing, told
    from datagen.recipes import registry
    from datagen.sources.registry import open_source

    given["source"] = given["source"] or BUILDERS[name].source
    if not given["source"]:
        raise UsageError("--source is missing: folder:DIR, csv:FILE, wds:PATTERN, photos, or a path")
    source = open_source(given["source"], given["data_root"])
    config = Config.of(
        name,
        source.name,
        registry.parse(name, _pairs(given["settings"])),
        codec=Codec(given["codec"], given["quality"]),
        **{key: given[key] for key in ("seed", "epoch", "limit", "shard_items", "virtual")},
    )
    workers, root = given["workers"] or engines.cores(), _root(given["data_root"])
    if given["dry_run"]:
        click.echo(to_text(estimate(config, source, given["out"], workers, root), workers), nl=False)
        return
    with Progressing(f"build-{name}") as listener:
        summary = build(
            config,
            source,
            given["out"],
            workers=workers,
            engine=given["engine"],
            resume=given["resume"],
            budget=Budget(given["max_errors"]),
            root=root,
            about={"source": given["source"], "data_root": given["data_root"]},
            listener=listener,
        )
    click.echo(told(summary, given["out"]), nl=False)


def _add_builder(name: str, row: Builder) -> None:
    @main.command(f"build-{name}", help=row.help)
    @with_options(BUILD_OPTIONS)
    @debug_option
    def command(**given: Any) -> None:
        _build(name, given)


for _name, _row in BUILDERS.items():
    _add_builder(_name, _row)
main.add_command(vqa.command(BUILD_OPTIONS, _build))  # asks a language model first, then builds like the others
main.add_command(index_negatives)
main.add_command(build_queries)
main.add_command(mix)
main.add_command(fetch)


@main.command("list")
@click.argument("what", type=click.Choice(["recipes", "sources", "codecs", "engines"]), default="recipes")
@debug_option
def list_(what: str) -> None:
    """What there is: recipes with their parameters, sources, codecs, engines."""
    from datagen.listing import LISTINGS

    click.echo(LISTINGS[what](), nl=False)


@main.command()
@click.argument("out", type=FOLDER)
@with_options(SOURCE_OPTIONS)
@click.option("--sample", type=click.IntRange(min=0), default=20, show_default=True, help="Items to make again.")
@click.option("--workers", type=click.IntRange(min=1), help="Processes.  [default: one a core]")
@debug_option
def verify(out: Path, source: str | None, data_root: str | None, sample: int, workers: int | None) -> int:
    """Read a set again, all of it, and make a sample of it anew from its source."""
    from datagen import engines
    from datagen.progress import Progressing
    from datagen.rejects import source_of
    from datagen.sources.registry import open_source
    from datagen.verify import verify as check

    spec = source_of(out, source, data_root)
    with Progressing("verify") as shown:
        report = check(
            out,
            open_source(*spec) if spec else None,
            root=_root(spec[1]) if spec else None,
            sample=sample,
            workers=workers or engines.cores(),
            progress=shown.steps,
        )
    click.echo("checked: " + ", ".join(f"{count} {name}" for name, count in report.checked.items()))
    for text in report.skipped:
        click.echo(f"skipped: {text}")
    for text in report.problems:
        click.echo(f"problem: {text}")
    if report.found > len(report.problems):
        click.echo(f"and {report.found - len(report.problems)} more problems")
    if not report.found:
        click.echo("no problem found")
    return 1 if report.found else 0


@main.command()
@click.argument("out", type=FOLDER)
@click.option("--groups", type=click.IntRange(min=1), default=12, show_default=True, help="How many to show.")
@click.option("--seed", type=int, default=0, show_default=True, help="Which ones.")
@click.option("--data-root", help="Where the file names of a virtual set start.")
@click.option("--html", type=click.Path(path_type=Path, dir_okay=False), help="[default: OUT-review.html]")
@debug_option
def review(out: Path, groups: int, seed: int, data_root: str | None, html: Path | None) -> None:
    """A page of pairs to look at: left, instruction, right, parameters."""
    from datagen.rejects import source_of
    from datagen.review import review as make
    from fuselip.core.files import write_bytes

    spec = source_of(out, None, data_root)
    text = make(out, groups, seed, _root(data_root or (spec[1] if spec else None)))
    html = html or out.absolute().parent / f"{out.absolute().name}-review.html"
    write_bytes(html, text.encode())
    click.echo(f"written to {html}")


@main.command()
@click.argument("out", type=FOLDER)
@click.option("--html", type=click.Path(path_type=Path, dir_okay=False), help="Write a page of bar charts.")
@click.option("--json", "as_json", is_flag=True, help="Print JSON.")
@debug_option
def stats(out: Path, html: Path | None, as_json: bool) -> None:
    """Distributions: shard sets, texts, parameters, sizes, and what was left out."""
    import json

    from datagen import stats as statistics
    from fuselip.core.files import write_bytes

    found = statistics.distributions(out)
    if html:
        write_bytes(html, statistics.to_html(out, found).encode())
    as_text = json.dumps(statistics.to_json(found), indent=2, ensure_ascii=False) if as_json else ""
    click.echo(as_text or statistics.to_text(found))


@main.command()
@click.argument("reason")
@click.argument("out", type=FOLDER)
@with_options((*SOURCE_OPTIONS, *RUN_OPTIONS))
@debug_option
def retry(
    reason: str,
    out: Path,
    source: str | None,
    data_root: str | None,
    workers: int | None,
    engine: str,
    max_errors: float,
) -> None:
    """Take items again that were rejected for REASON (see `stats`), once they are mended; `changed`: that differ now.

    The shards that hold them are made anew, and missing ones as well.
    """
    from datagen import engines, output, rejects
    from datagen.generate import Budget, build
    from datagen.progress import Progressing, told
    from datagen.sources.registry import open_source

    config = output.read_config(out)
    spec = rejects.source_of(out, source, data_root)
    if spec is None:
        raise UsageError("it is not known here what the set was made of; name it with --source")
    with Progressing("retry") as listener:
        summary = build(
            config,
            open_source(*spec),
            out,
            workers=workers or engines.cores(),
            engine=engine,
            budget=Budget(max_errors),
            root=_root(spec[1]),
            about={"source": spec[0], "data_root": spec[1]},
            again=rejects.choose(out, reason),
            listener=listener,
        )
    click.echo(told(summary, out), nl=False)


@main.command()
@click.argument("out", type=FOLDER)
@click.argument("repository", metavar="OWNER/NAME")
@click.option("--public", is_flag=True, help="Let everyone see it; mind the images' licences.  [default: private]")
@click.option("--revision", help="A branch, made if it is not there.")
@click.option("--dry-run", is_flag=True, help="Say what would be uploaded.")
@debug_option
def push(out: Path, repository: str, public: bool, revision: str | None, dry_run: bool) -> None:
    """Publish a complete set on the Hugging Face hub."""
    from datagen.push import files_to_push
    from datagen.push import push as upload

    if dry_run:
        files = files_to_push(out)
        click.echo(f"{len(files)} files, {sum(files.values()) / 1e6:.1f} MB, to {repository}")
        return
    click.echo(upload(out, repository, private=not public, revision=revision))


def _pairs(values: tuple[str, ...]) -> dict[str, str]:
    pairs = {}
    for value in values:
        key, separator, rest = value.partition("=")
        if not separator or not key:
            raise UsageError(f"--set {value!r} is not KEY=VALUE")
        pairs[key] = rest
    return pairs


def _root(data_root: str | None) -> Path | None:
    return Path(data_root).expanduser() if data_root else None


if __name__ == "__main__":
    sys.exit(main())
