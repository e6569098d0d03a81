"""`fuselip-leaderboard verify`: what a bundle scores by our own arithmetic, what is wrong with it, and its badge."""

from __future__ import annotations

import json
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from fuselip.core.console import debug_option
from fuselip.core.errors import UsageError

if TYPE_CHECKING:
    from leaderboard.bundle import Bundle
    from leaderboard.rerun import Rerun
    from leaderboard.verify import Verdict


@click.command("verify", short_help="Compute a bundle's scores again and say what differs.")
@click.argument("bundle", type=click.Path(path_type=Path, dir_okay=False))
@click.option("--data", type=click.Path(path_type=Path, file_okay=False), help="The folder of the public data sets.")
@click.option(
    "--against",
    multiple=True,
    type=click.Path(path_type=Path, dir_okay=False),
    help="Another bundle, of which this one may be a copy; several times for several.",
)
@click.option(
    "--rerun",
    "num_again",
    type=click.IntRange(min=1),
    metavar="N",
    help="Ask N random questions again of the encoder that --model names.",
)
@click.option("--model", help="The encoder to ask again: a name, package.module:attr, or ./file.py:attr.")
@click.option(
    "--model-arg",
    "--model-args",
    "model_args",
    multiple=True,
    metavar="KEY=VALUE",
    help="Passed to its class or factory.",
)
@click.option("--weights", help="Its weights: auto, a PATH, or hf:REPO[@REV].")
@click.option("--device", help="auto, cpu, cuda or mps.")
@click.option("--precision", type=click.Choice(["fp32", "bf16", "fp16"]))
@click.option("--seed", type=int, help="Of the questions drawn by --rerun.  [default: a new one]")
@click.option("--json", "as_json", is_flag=True, help="Print all of it as JSON.")
@debug_option
def command(
    bundle: Path,
    data: Path | None,
    against: tuple[Path, ...],
    num_again: int | None,
    model: str | None,
    model_args: tuple[str, ...],
    weights: str | None,
    device: str | None,
    precision: str | None,
    seed: int | None,
    as_json: bool,
) -> int:
    """Rank a bundle's answers again from its listed scores and compute every number anew.

    Says which numbers follow, the first difference where one does not, what is odd, and the badge that it earns.
    """
    from fuselip.core.files import cache_home
    from leaderboard.answers import Book
    from leaderboard.bundle import Limits, read
    from leaderboard.verify import verify

    if (num_again is None) != (model is None):
        raise UsageError("--rerun N and --model go together: the encoder is the one you name, not the bundle's")
    book = Book(cache_home() / "leaderboard", data)
    found = read(bundle, Limits())
    verdict = verify(found, book, others=[_other(path, book) for path in against])
    again = None
    if num_again is not None and model is not None and not verdict.faults:
        again = _again(found, book, num_again, seed, (model, model_args, weights, device, precision))
    told = to_json(found, verdict, again)
    click.echo(json.dumps(told, indent=2) if as_json else "\n".join(lines(told)))
    return 0 if told["badge"] and (again is None or again.passed) else 1


def _other(path: Path, book: Any) -> Any:
    from leaderboard.bundle import Limits, read
    from leaderboard.copies import Other
    from leaderboard.verify import verify

    return Other(path.name, verify(read(path, Limits()), book).prints)


def _again(bundle: Bundle, book: Any, count: int, seed: int | None, named: tuple[Any, ...]) -> Rerun:
    import secrets

    from benchmarks.console import ConsoleListener
    from benchmarks.model_options import encoder_of
    from leaderboard.rerun import rerun

    model, model_args, weights, device, precision = named
    encoder = encoder_of(model, model_args, weights, device, precision, None, None)
    with ConsoleListener() as listener:
        listener.introduce(encoder)
        drawn = secrets.randbits(32) if seed is None else seed
        return rerun(bundle, encoder, book, count, seed=drawn, listener=listener)


def to_json(bundle: Bundle, verdict: Verdict, again: Rerun | None) -> dict[str, Any]:
    """Plain data: {sha256, badge (null where refused), faults, flags, notes, tasks, rerun}."""
    from leaderboard.types import Badge

    badge = Badge.RERUN if verdict.badge and again and again.passed else verdict.badge
    return {
        "sha256": bundle.sha256,
        "badge": str(badge) if badge else None,
        "faults": [vars(fault) for fault in verdict.faults],
        "flags": verdict.flags,
        "notes": verdict.notes,
        "tasks": [
            {
                "name": name,
                "metric": scored.sheet.metric,
                **{key: getattr(scored.numbers, key) for key in ("value", "low", "high", "chance", "n", "clusters")},
            }
            for name, scored in verdict.scored.items()
        ],
        "rerun": {**vars(again), "left_out": dict(again.left_out), "passed": again.passed} if again else None,
    }


def lines(told: dict[str, Any]) -> list[str]:
    """The same for a person."""
    rows = [
        f"{row['name']}: {row['metric']} {100 * row['value']:.1f} [{100 * row['low']:.1f}, {100 * row['high']:.1f}], "
        f"chance {100 * row['chance']:.1f}, n = {row['n']}: agrees"
        for row in told["tasks"]
    ]
    rows += [f"FAULT {fault['where']}: {fault['what']}; {fault['mend']}" for fault in told["faults"]]
    rows += [f"flag: {flag}" for flag in told["flags"]] + [f"note: {note}" for note in told["notes"]]
    again = told["rerun"]
    if again:
        share = (
            f"{100 * again['agree'] / again['questions']:.1f}% [{100 * again['low']:.1f}, {100 * again['high']:.1f}]"
        )
        rows.append(
            f"re-run: {again['agree']} of {again['questions']} questions agree, {share}, largest difference "
            f"{again['largest']:.2g} (tolerance {again['tolerance']:g}), seed {again['seed']}"
        )
        rows += [f"re-run, first difference: {again['difference']}"] if again["difference"] else []
        rows += [f"re-run left out {name}: {why}" for name, why in again["left_out"].items()]
    rows.append(f"badge: {told['badge']}" if told["badge"] else "refused")
    return ["".join(letter if letter.isprintable() else "?" for letter in row) for row in rows]
