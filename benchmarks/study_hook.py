"""What a study measures of a finished run: the five families with their intervals and chance, by name."""

from __future__ import annotations

from pathlib import Path

from benchmarks.encoders import resolve
from benchmarks.evaluation import evaluate
from fuselip.core.errors import UserError
from fuselip.core.files import read_json

FAMILIES = ("crop", "rotate", "jitter", "flip", "colorize")
SCENES = "scenes:test?count=24&seed=1&size=256"  # six times those of the suite: rows of a study differ by little


def tgit(folder: Path, step: int) -> dict[str, float]:
    """hit@1 of the five families on held-out scenes and their mean, each with /low, /high (95%) and /chance.

    The mean's interval is the mean of the families' bounds: as if they erred together, which is the widest it can be.
    """
    path = folder.parents[1] / "run.json"
    run = read_json(path)
    model = run.get("config", {}).get("model") if isinstance(run, dict) else None
    if not isinstance(model, str):
        raise UserError(f"{path} does not say which model the run trains")
    encoder = resolve("fuselip.model.encoder:load", {"name": model}, weights=str(folder), device="cpu")
    tasks = [f"tgit/{family}" for family in FAMILIES]
    results = evaluate(encoder, tasks=tasks, source=SCENES, cache=False, shared=False).results
    found: dict[str, float] = {}
    for part, suffix in (("value", ""), ("low", "/low"), ("high", "/high"), ("chance", "/chance")):
        values = {result.name: float(getattr(result, part)) for result in results}
        found |= {name + suffix: value for name, value in values.items()}
        found["mean" + suffix] = sum(values.values()) / len(values)
    return found
