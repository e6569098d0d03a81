"""A study as files: a table with intervals in NAME.md, all figures in NAME.json, a plot in NAME.svg."""

from __future__ import annotations

import math
import statistics
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

from fuselip.core.files import write_bytes, write_json
from fuselip.core.html import Html, tag
from fuselip.train.studies import Study
from fuselip.train.study import Setup

MAIN = "mean"
NONE = "–"  # in rows without training
# Two-sided 95% quantiles of Student's t, by degrees of freedom; beyond them the last one, which is a little too wide.
STUDENT = (12.706, 4.303, 3.182, 2.776, 2.571, 2.447, 2.365, 2.306, 2.262)


@dataclass(frozen=True)
class Estimate:
    """A score with its 95% interval (None: unknown), over seeds or over questions."""

    value: float
    low: float | None = None
    high: float | None = None

    def __str__(self) -> str:
        told = f"{self.value:.3f}"
        return told if self.low is None or self.high is None else f"{told} [{self.low:.3f}, {self.high:.3f}]"


def estimate(runs: Sequence[Mapping[str, float]], name: str) -> Estimate:
    """Of several seeds their mean with Student's interval; of one what the measurement itself says of its questions."""
    values = [run[name] for run in runs]
    if len(values) == 1:
        return Estimate(values[0], runs[0].get(f"{name}/low"), runs[0].get(f"{name}/high"))
    mean = statistics.fmean(values)
    quantile = STUDENT[min(len(values) - 1, len(STUDENT)) - 1]
    half = quantile * statistics.stdev(values) / math.sqrt(len(values))
    return Estimate(mean, mean - half, mean + half)


def write(name: str, study: Study, setup: Setup, found: Mapping[str, Any], out: Path) -> Path:
    """Write the three files into the folder `out`; the first one's path. `found`: as `run_study` gives it."""
    done = {row: [*each["runs"].values()] for row, each in found.items() if each["runs"]}
    plot = _plot({row: estimate([run["scores"] for run in runs], MAIN) for row, runs in done.items()}, _chance(done))
    write_json(out / f"{name}.json", {"study": name, "question": study.question, "rows": _plain(study, found)})
    if done:
        write_bytes(out / f"{name}.svg", plot.encode())
    write_bytes(out / f"{name}.md", _markdown(name, study, setup, found, done).encode())
    return out / f"{name}.md"


def command(name: str, row: str, study: Study, setup: Setup) -> str:
    """What runs one row. Folders are given by their names alone: where they lie is each machine's own."""
    parts = [f'fuselip study {name} --only "{row}" --steps {setup.steps} --seeds {",".join(map(str, setup.seeds))}']
    parts += [f"--data '{Path(setup.data).name}'"] if setup.data else []
    parts += [f"--tokenizers {setup.tokenizers.name}"] if setup.tokenizers else []
    parts += [f"--measure {setup.measure}"] if setup.measure != study.measure else []
    return " ".join([*parts, *(f"--set {_named(setting)}" for setting in setup.settings)])


def _named(setting: str) -> str:
    key, _, value = setting.partition("=")
    return f"{key}={Path(value).name}" if value.startswith("/") else setting


def _markdown(
    name: str, study: Study, setup: Setup, found: Mapping[str, Any], done: Mapping[str, Sequence[Mapping[str, Any]]]
) -> str:
    lines = [f"# {study.question}", "", f"Made by `fuselip study {name}`, measured by `{setup.measure}`.", ""]
    if done:
        chance = _chance(done)
        told = "" if chance is None else f"Chance is {chance:.3f}. "
        lines += [told + "Intervals (95%) are over seeds where a row has several (Student's t), else over questions."]
        lines += ["", f"![{study.question}]({name}.svg)", "", *_table(done), "", "## How each row was run", ""]
        for row, runs in done.items():
            lines += _how(name, row, study, setup, runs)
    absent = {row: each["lacking"] for row, each in found.items() if not each["runs"]}
    if absent or study.not_built:
        lines += ["", "## Not run", ""]
        for row, why in absent.items():
            lines += [f"- **{row}**{f' ({why})' if why else ''}: `{command(name, row, study, setup)}`"]
        lines += [f"- **{row}**: not built. {why[:1].upper()}{why[1:]}." for row, why in study.not_built.items()]
    return "\n".join(lines) + "\n"


def _table(done: Mapping[str, Sequence[Mapping[str, Any]]]) -> list[str]:
    first = next(iter(done.values()))[0]["scores"]
    everywhere = set(first).intersection(*(run["scores"] for runs in done.values() for run in runs))
    names = [MAIN, *(key for key in first if key in everywhere and not _tail(key, first) and key != MAIN)]
    lines = [
        "| row | " + " | ".join(names) + " | seeds | parameters | pairs | seconds |",
        "|---|" + "---|" * (len(names) + 4),
    ]
    for row, runs in done.items():
        cells = [str(estimate([run["scores"] for run in runs], name)) for name in names]
        spent = statistics.fmean(run["seconds"] for run in runs)
        cells += [str(len(runs)), f"{runs[0]['parameters']:,}", f"{runs[0]['pairs']:,}", f"{spent:,.0f}"]
        if not runs[0]["pairs"]:
            cells[-4], cells[-2:] = NONE, [NONE, NONE]
        lines.append(f"| {row} | " + " | ".join(cells) + " |")
    return lines


def _tail(key: str, scores: Mapping[str, float]) -> str:
    """`key` less the name of a score that it tells more of: "/low" of "tgit/flip/low"; "" for a score itself."""
    owner, _, part = key.rpartition("/")
    return f"/{part}" if owner in scores and part in ("low", "high", "chance") else ""


def _how(name: str, row: str, study: Study, setup: Setup, runs: Sequence[Mapping[str, Any]]) -> list[str]:
    run, made, config = runs[0], runs[0]["provenance"], runs[0]["config"]
    asked = study.rows[row]
    shipped = ["the weights that come with the package"] * asked.bundled
    mined = ["groups mined from the data"] * asked.mined
    what = ", ".join((config["model"], *shipped, *asked.settings, *mined))
    seeds = ", ".join(str(each["config"]["seed"]) for each in runs)
    trained = f"{config['steps']:,} steps of {config['batch_size']} pairs, {config['precision']}, seeds {seeds}"
    return [
        f"- **{row}**: {what}; {trained if asked.trained else 'measured as they are'}; "
        f"{run['device']} ({made['cpu']}, {made['cores']} cores), "
        f"torch {made['packages'].get('torch')}, commit {made['commit'] or 'unknown'}; "
        f"`{command(name, row, study, setup)}`"
    ]


def _plain(study: Study, found: Mapping[str, Any]) -> dict[str, Any]:
    keys = ("scores", "curve", "parameters", "pairs", "seconds", "device", "memory_gib")
    about = ("created", "commit", "python", "platform", "cpu", "cores", "packages")
    rows: dict[str, Any] = {}
    for name, each in found.items():
        runs = {
            str(seed): {key: run[key] for key in keys} | {key: run["provenance"].get(key) for key in about}
            for seed, run in each["runs"].items()
        }
        row = study.rows[name]
        rows[name] = {**asdict(row), "runs": runs}
    return rows | {name: {"not_built": why} for name, why in study.not_built.items()}


def _chance(done: Mapping[str, Sequence[Mapping[str, Any]]]) -> float | None:
    scores = next(iter(done.values()))[0]["scores"] if done else {}
    return scores.get(f"{MAIN}/chance")


def _plot(rows: Mapping[str, Estimate], chance: float | None) -> str:
    """A dot and its interval for each row, from 0 to 1; chance is a dashed line."""
    left, width, step, top = 220, 420, 26, 14
    height = top + step * len(rows) + 26

    def across(value: float) -> float:
        return round(left + width * min(max(value, 0.0), 1.0), 1)

    def line(x1: float, y1: float, x2: float, y2: float, **more: str | float) -> Html:
        return tag("line", x1=x1, y1=y1, x2=x2, y2=y2, **{"stroke": "#888", **more})

    bottom = top + step * len(rows)
    parts = [tag("rect", width=left + width + 80, height=height, fill="white")]
    for tick in (0.0, 0.25, 0.5, 0.75, 1.0):
        parts.append(line(across(tick), top, across(tick), bottom, stroke="#ddd"))
        parts.append(tag("text", f"{tick:g}", x=across(tick), y=bottom + 16, text_anchor="middle"))
    if chance is not None:
        parts.append(line(across(chance), top, across(chance), bottom, stroke_dasharray="4 3"))
    for number, (name, found) in enumerate(rows.items()):
        y = top + step * number + step / 2
        parts.append(tag("text", name, x=left - 10, y=y + 4, text_anchor="end"))
        if found.low is not None and found.high is not None:
            parts.append(line(across(found.low), y, across(found.high), y, stroke="#4a7fb5", stroke_width=2))
        parts.append(tag("circle", cx=across(found.value), cy=y, r=4, fill="#4a7fb5"))
        parts.append(tag("text", f"{found.value:.3f}", x=left + width + 12, y=y + 4))
    return tag(
        "svg",
        *parts,
        xmlns="http://www.w3.org/2000/svg",
        viewBox=f"0 0 {left + width + 80} {height}",
        font_family="sans-serif",
        font_size=13,
    )
