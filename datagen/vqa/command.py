"""The command `build-vqa`: questions from captions, then the set of image + question -> answer."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import click

from datagen.vqa import prompt
from datagen.vqa.rules import MIN_GROUNDED
from fuselip.core.console import debug_option
from fuselip.core.errors import UsageError

BACKENDS = ("offline", "openai", "transformers", "given")
OPTIONS = (
    click.option(
        "--backend",
        type=click.Choice(BACKENDS),
        default="offline",
        show_default=True,
        help="Who asks: a grammar, a server, a local model; given: the source's own questions.",
    ),
    click.option("--model", default="", help="Its name on the server or the hub, or a folder."),
    click.option("--base-url", default="http://localhost:8000/v1", show_default=True, help="Of an OpenAI-like server."),
    click.option(
        "--api-key-env", default="FUSELIP_API_KEY", show_default=True, help="Environment variable with its key."
    ),
    click.option(
        "--temperature",
        type=click.FloatRange(0, 2),
        default=prompt.TEMPERATURE,
        show_default=True,
        help="0: the likeliest.",
    ),
    click.option(
        "--max-tokens", type=click.IntRange(min=1), default=prompt.NEW_TOKENS, show_default=True, help="Of a reply."
    ),
    click.option(
        "--concurrency", type=click.IntRange(1, 1024), default=16, show_default=True, help="Requests at once."
    ),
    click.option(
        "--timeout", type=click.FloatRange(min=0.1), default=60.0, show_default=True, help="Seconds a request."
    ),
    click.option(
        "--attempts", type=click.IntRange(min=1), default=5, show_default=True, help="Requests a row at most."
    ),
    click.option(
        "--batch-size", type=click.IntRange(min=1), default=8, show_default=True, help="Rows at once (transformers)."
    ),
    click.option("--device", help="cpu, cuda:0, ... (transformers)."),
    click.option(
        "--per-caption", type=click.IntRange(min=1), default=1, show_default=True, help="Questions a caption."
    ),
    click.option(
        "--min-grounded",
        type=click.FloatRange(0, 1),
        default=MIN_GROUNDED,
        show_default=True,
        help="Share of an answer's content words that its caption must hold.",
    ),
    click.option(
        "--max-opening",
        type=click.FloatRange(0, 1, min_open=True),
        default=0.6,
        show_default=True,
        help="Share of questions that may begin with the same word.",
    ),
    click.option(
        "--retry", multiple=True, metavar="REASON", help="Ask again what failed for REASON; all: whatever failed."
    ),
    click.option("--questions-only", is_flag=True, help="Write the questions, and build no set of them."),
)
OWN = (
    "backend",
    "model",
    "base_url",
    "api_key_env",
    "temperature",
    "max_tokens",
    "concurrency",
    "timeout",
    "attempts",
    "batch_size",
    "device",
    "per_caption",
    "min_grounded",
    "max_opening",
    "retry",
    "questions_only",
)

Build = Callable[[str, dict[str, Any]], None]


def command(build_options: Sequence[Callable[..., Any]], build: Build) -> click.Command:
    """`build-vqa` with the options of every builder and its own; `build(name, options)` makes the set in the end."""

    def run(**given: Any) -> None:
        own = {name: given.pop(name) for name in OWN}
        if own["backend"] != "given":
            folder = questions_folder(given["out"])
            if _ask(given, own, folder):
                return
            file = (folder / "questions.jsonl").absolute()
            given["source"] = f"questions:{file}::{given['source']}"
        elif own["retry"] or own["questions_only"]:
            raise UsageError("--retry and --questions-only are for questions that are made; --backend given makes none")
        build("vqa", given)

    for option in reversed((*build_options, *OPTIONS)):
        run = option(run)
    return click.command("build-vqa", help="Image and question, with the answer; questions made from captions.")(
        debug_option(run)
    )


def questions_folder(out: Path) -> Path:
    """Where the questions of a set are made: OUT-questions, beside it."""
    return out.absolute().parent / f"{out.absolute().name}-questions"


def _ask(given: dict[str, Any], own: dict[str, Any], folder: Path) -> bool:
    """Make the questions. True where that was all: --questions-only or --dry-run."""
    from datagen.progress import Progressing
    from datagen.sources.registry import open_source
    from datagen.vqa.making import Work, generate, plan
    from datagen.vqa.rules import Rules

    if not given["source"]:
        raise UsageError("--source is missing: folder:DIR, csv:FILE, wds:PATTERN, or a path")
    source = open_source(given["source"], given["data_root"])
    work = Work(source, backend(own, given["seed"]), given["limit"], own["per_caption"])
    if given["dry_run"]:
        rows, known = plan(work, folder)
        click.echo(f"{rows} questions to ask, {known} of them asked already; nothing was written")
        return True
    with Progressing("questions") as shown:
        summary = generate(
            work,
            folder,
            rules=Rules(own["min_grounded"]),
            max_opening=own["max_opening"],
            retry=own["retry"],
            show=shown.show,
        )
    click.echo(told(summary, folder), nl=False)
    return bool(own["questions_only"])


def backend(own: dict[str, Any], seed: int) -> Any:
    """The Backend that the options name."""
    sampling = {"temperature": own["temperature"], "max_tokens": own["max_tokens"], "seed": seed}
    if own["backend"] == "openai":
        from datagen.vqa.endpoint import Endpoint

        return Endpoint(
            own["base_url"],
            own["model"],
            threads=own["concurrency"],
            timeout=own["timeout"],
            attempts=own["attempts"],
            key_name=own["api_key_env"],
            **sampling,
        )
    if own["backend"] == "transformers":
        from datagen.vqa.pipeline import Pipeline

        return Pipeline(own["model"], batch=own["batch_size"], device=own["device"], **sampling)
    from datagen.vqa.offline import Offline

    return Offline(seed)


def told(summary: dict[str, Any], folder: Path) -> str:
    reasons = dict(summary["reasons"])
    good = reasons.pop("ok", 0)
    lines = [f"{folder}: {good} questions of {summary['rows']} rows"]
    if reasons:
        lines.append("left out: " + ", ".join(f"{code} {count}" for code, count in sorted(reasons.items())))
    asked = sum(summary["asked"].values())
    if asked:
        rate = asked / max(summary["seconds"], 1e-9)
        lines.append(f"this session asked {asked} in {summary['seconds']:.1f} s: {rate:.1f}/s")
    if summary["damaged"]:
        lines.append(f"{summary['damaged']} lines of the journal were damaged; their rows were asked again")
    return "\n".join(lines) + "\n"
