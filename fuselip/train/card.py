"""The model card of a trained model as Markdown: data, seeds, steps, cost, loss, scores, commands, hash, licence."""

from __future__ import annotations

import json
import math
import re
from collections import defaultdict
from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path
from typing import Any

from safetensors import SafetensorError, safe_open

from fuselip.core.errors import UserError
from fuselip.core.files import sha256_file
from fuselip.model.models import model_of
from fuselip.model.toklip_config import TokLIPConfig
from fuselip.train.card_sources import WEIGHTS_FILE, Leg, Scores, read_legs, read_scores, weights_of
from fuselip.train.config import Distil
from fuselip.train.data.config import Part
from fuselip.train.reproduce import Prepared, place, prepared_sets, train_command

POINTS = 8  # rows of a leg's loss table
FROZEN = "image_tokenizer."
LICENCE = "MIT"


def card(runs: Sequence[Path], scores: Sequence[Path] = ()) -> str:
    """The card of the model that the last of `runs` left; the others are the legs before it, in order.

    `scores`: finished `fuselip-bench run` folders of that very model. The text follows from the folders alone,
    and names no folder of this machine. Raises UsageError and UserError, naming the file that is wrong.
    """
    legs = read_legs(runs)
    weights = weights_of(legs[-1]) / WEIGHTS_FILE
    digest, model = sha256_file(weights), legs[-1].config.model
    found = [read_scores(folder, digest) for folder in scores]
    lines = [
        *_head(model, found),
        "",
        f"# {_text(model)}",
        "",
        f"Embeds texts, pictures and pairs of both into one space; see {_paper(legs[0].config.model)}.",
        f"Trained by the fuselip project, from {_text(legs[0].begun) or 'scratch'}.",
        "",
        *_facts(legs, weights, digest),
        "",
        "## Data",
        "",
        *_data(legs),
        "",
        "## Training",
        "",
        *_training(legs),
        "",
        "## Scores",
        "",
        *_scores(found),
        "",
        "## Make it again",
        "",
        *_commands(legs),
    ]
    return "\n".join(lines) + "\n"


def _head(model: str, scores: Sequence[Scores]) -> list[str]:
    """The hub's metadata. Texts are written as JSON, which YAML reads alike."""
    lines = ["---", "license: mit", "library_name: fuselip", "pipeline_tag: feature-extraction"]
    lines.append("tags: [fuselip, multimodal-embeddings, feature-extraction]")
    tasks = [(task, each.source or each.suite) for each in scores for task in each.tasks]
    if tasks:
        lines += ["model-index:", f"  - name: {json.dumps(model)}", "    results:"]
    for task, pictures in tasks:
        kind, metric = json.dumps(task["name"]), json.dumps(task["metric"])
        name = json.dumps(f"{task['name']} ({pictures})" if pictures else task["name"])
        lines += [
            "      - task: {type: feature-extraction}",
            f"        dataset: {{name: {name}, type: {kind}}}",
            f"        metrics: [{{type: {metric}, value: {task['value']:.4f}}}]",
        ]
    return [*lines, "---"]


def _facts(legs: Sequence[Leg], weights: Path, digest: str) -> list[str]:
    trained, frozen = _parameters(weights)
    hours = sum(leg.seconds for leg in legs) / 3600
    rows = [
        ("parameters", f"{trained:,}" + (f", and {frozen:,} of the frozen image tokenizer" if frozen else "")),
        ("pairs seen", f"{sum(leg.pairs for leg in legs):,} in {sum(leg.steps for leg in legs):,} steps"),
        ("cost", f"{hours:.2f} hours of steps"),
        ("licence of the weights", LICENCE),
        (f"sha256 of {weights.name}", f"`{digest}` ({weights.stat().st_size:,} bytes)"),
    ]
    return _table(("", ""), rows)


def _parameters(weights: Path) -> tuple[int, int]:
    """Numbers that were trained, and frozen ones."""
    counts = [0, 0]
    try:
        with safe_open(weights, framework="numpy") as file:
            for name in file.keys():  # noqa: SIM118 (it is no dict)
                counts[name.startswith(FROZEN)] += math.prod(file.get_slice(name).get_shape())
    except (SafetensorError, OSError) as error:
        raise UserError(f"{weights} is damaged or no safetensors file ({error})") from error
    return counts[0], counts[1]


def _data(legs: Sequence[Leg]) -> list[str]:
    """The sources of every leg with their shares of the pairs, and what prepared sets hold."""
    sets = _sets(legs)
    rows: list[tuple[str, ...]] = []
    for number, leg in enumerate(legs, 1):
        parts = leg.config.data.parts if leg.config.data else ()
        whole = sum(part.weight for part in parts)
        rows += [(str(number), f"{part.weight / whole:.1%}", _source(part, sets.get(part.source))) for part in parts]
        if not parts:
            rows.append((str(number), "100%", _code(leg.config.batches)))
    lines = _table(("leg", "share of pairs", "source"), rows)
    for each in sets.values():
        lines += [
            "",
            f"{_code('sets/' + each.name)}: {each.groups:,} groups, {each.pairs:,} pairs, {each.side} pixels a side, "
            f"made with seed {each.seed} of {f'the mixture {_code(each.mixture)}' if each.mixture else 'these parts'}:",
            "",
        ]
        whole = sum(part.weight for part in each.parts)
        shares = [(f"{part.weight / whole:.1%}", _source(part, None)) for part in each.parts]
        lines += _table(("share of pairs", "source"), shares)
    return lines


def _sets(legs: Sequence[Leg]) -> dict[str, Prepared]:
    return {source: each for leg in legs for source, each in prepared_sets(leg.config.data).items()}


def _source(part: Part, known: Prepared | None) -> str:
    options = ", ".join(f"{key}={value}" for key, value in part.options.items())
    name = f"sets/{known.name}" if known else place(part.source)
    return _code(name) + (f" {_text(options)}" if options else "")


def _training(legs: Sequence[Leg]) -> list[str]:
    columns = [_leg_facts(leg) for leg in legs]
    rows = [[name, *(column[name] for column in columns)] for name in columns[0]]
    lines = _table(("leg", *map(str, range(1, len(legs) + 1))), rows)
    lines += ["", "The loss, a mean over the steps since the row logged before:", ""]
    points = [(str(number), *row) for number, leg in enumerate(legs, 1) for row in _curve(leg)]
    lines += _table(("leg", "step", "pairs seen", "loss", "logit scale", "pairs/s"), points)
    measured = [
        (str(number), f"{step:,}", f"{mean:.1%}")
        for number, leg in enumerate(legs, 1)
        for step, mean in _spread(leg.measured)
    ]
    if measured:
        calls = ", ".join(dict.fromkeys(_code(leg.config.hook.call) for leg in legs if leg.measured))
        lines += ["", f"Measured during training by {calls}, the mean of its tasks:", ""]
        lines += _table(("leg", "step", "mean"), measured)
    return lines


def _paper(model: str) -> str:
    toklip = isinstance(model_of(model).config, TokLIPConfig)
    return "TokLIP (arXiv 2505.05422)" if toklip else "FuseLIP (arXiv 2506.03096)"


def _distilled(distil: Distil) -> dict[str, str]:
    """Only of a run that has a teacher."""
    if not distil.teacher:
        return {}
    weight = f"{distil.weight:g} times the squared distance of unit image features, a mean over their numbers"
    return {"teacher": _text(Path(distil.teacher).name), "distillation": weight, "text tower": distil.text}


def _leg_facts(leg: Leg) -> dict[str, str]:
    config, loss, optim = leg.config, leg.config.loss, leg.config.optim
    packages, commit = leg.provenance.get("packages"), leg.provenance.get("commit")
    return {
        "begun from": _text(leg.begun) or "scratch",
        "seed": str(config.seed),
        "steps": f"{leg.steps:,}" + (f" of {config.steps:,}" if leg.steps < config.steps else ""),
        "batch": f"{config.batch_size:,} pairs",
        "pairs seen": f"{leg.pairs:,}",
        "loss": f"{loss.kind}, scale from {loss.scale:g}"
        + (f", bias from {loss.bias:g}" if loss.kind == "sigmoid" else "")
        + (", equal right-hand sides masked" if loss.mask_equal_rights else ""),
        **_distilled(config.distil),
        "hidden tokens": f"{config.mask.ratio:.0%}",
        "codes that begin alike": "yes" if config.structured_codes else "no",
        "optimizer": f"AdamW, lr {optim.lr:g}, betas {optim.beta1:g} and {optim.beta2:g}, decay {optim.weight_decay:g}",
        "schedule": f"warm-up {optim.warmup:,} steps, then a cosine to 0",
        "precision": config.precision,
        "device": f"{_text(leg.device)}, {leg.world} process{'es' if leg.world > 1 else ''}",
        "cost": f"{leg.seconds / 3600:.2f} hours of steps, {leg.pairs / leg.seconds:.1f} pairs/s",
        "begun (UTC)": _text(str(leg.provenance.get("created"))),
        "code": _text(f"fuselip {leg.provenance.get('fuselip')}, commit {commit or 'not recorded'}"),
        "torch": _text(str(packages.get("torch") if isinstance(packages, Mapping) else "not recorded")),
    }


def _curve(leg: Leg) -> Iterable[tuple[str, ...]]:
    seen, rows = 0.0, []
    for row in leg.windows:
        seen += row["pairs"]
        scale = f"{math.exp(row['log_scale']):.1f}" if "log_scale" in row else ""
        speed = f"{row['pairs_per_second']:.1f}"
        rows.append((f"{int(row['step']):,}", f"{round(seen):,}", f"{row['loss']:.4f}", scale, speed))
    return _spread(rows)


def _spread(rows: Sequence[Any]) -> list[Any]:
    """The first, the last, and some at equal distances between."""
    count = min(POINTS, len(rows))
    places = dict.fromkeys(round(i * (len(rows) - 1) / max(1, count - 1)) for i in range(count))
    return [rows[place] for place in places]


def _scores(found: Sequence[Scores]) -> list[str]:
    if not found:
        return ["None were given."]
    lines: list[str] = []
    for run in found:
        told = [f"suite {_code(run.suite)}"] * bool(run.suite) + [f"pictures {_code(run.source)}"] * bool(run.source)
        told += [f"precision {_text(run.precision)}", f"seed {_text(str(run.seed))}"]
        lines += [f"`fuselip-bench` {_text(run.version)}: {', '.join(told)}.", ""]
        lines += [*_table(("task", "metric", "score", "95% interval", "chance", "n"), _score_rows(run.tasks)), ""]
    return [*lines, "Chance is that of a coin for these very questions. A mean's interval is the mean of the bounds."]


def _score_rows(tasks: Sequence[Mapping[str, Any]]) -> list[tuple[str, ...]]:
    """A row a task, and a mean of the tasks that share the part of their name before the slash and their metric."""
    rows: list[tuple[str, ...]] = []
    families = defaultdict(list)
    for task in tasks:
        rows.append((_code(task["name"]), _text(task["metric"]), *_numbers(task), f"{task['n']:,}"))
        if "/" in task["name"]:
            families[task["name"].partition("/")[0], task["metric"]].append(task)
    for (family, metric), members in families.items():
        if len(members) > 1:
            keys = ("value", "low", "high", "chance")
            mean = {key: sum(each[key] for each in members) / len(members) for key in keys}
            name = f"mean of {len(members)} {_code(family + '/*')}"
            rows.append((name, _text(metric), *_numbers(mean), f"{sum(each['n'] for each in members):,}"))
    return rows


def _numbers(row: Mapping[str, float]) -> tuple[str, str, str]:
    return f"{row['value']:.1%}", f"{row['low']:.1%} to {row['high']:.1%}", f"{row['chance']:.1%}"


def _commands(legs: Sequence[Leg]) -> list[str]:
    """Indented, so that nothing in a name can end the block."""
    commands = [each.command for each in _sets(legs).values()]
    before: Leg | None = None
    for leg in legs:
        init = leg.config.init if leg.config.init.startswith("hf:") else Path(leg.config.init).name
        if leg.begun_at is not None and before is not None:
            whole = leg.begun_at == before.config.steps
            init = f"runs/{_name(before)}/" + ("model" if whole else f"checkpoints/step-{leg.begun_at:08d}")
        commands.append(train_command(leg.config, leg.world, _name(leg), init))
        before = leg
    lines = [f"    {command}" for command in commands]
    stopped = [
        f"leg {number} after step {leg.steps:,} of {leg.config.steps:,}"
        for number, leg in enumerate(legs, 1)
        if leg.steps < leg.config.steps
    ]
    if stopped:
        lines += ["", f"Stopped amid the schedule (Ctrl-C): {', '.join(stopped)}."]
    return lines


def _name(leg: Leg) -> str:
    return leg.folder.resolve().name


def _table(head: Sequence[str], rows: Iterable[Sequence[str]]) -> list[str]:
    """Cells are Markdown already."""
    return ["| " + " | ".join(row) + " |" for row in (head, ["---"] * len(head), *rows)]


def _text(value: str) -> str:
    """Any text as Markdown that shows it: no markup, no HTML, one line, no cell's end."""
    return re.sub(r"([\\`*_\[\]<>|#~&])", r"\\\1", " ".join(value.split()))


def _code(value: str) -> str:
    """Any text in a code span, within a table."""
    return "`" + " ".join(value.split()).replace("`", "'").replace("|", "\\|") + "`"
