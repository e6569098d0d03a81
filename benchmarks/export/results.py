"""Results in the forms that others read: mteb's results folder, and the sheet of MMEB's leaderboard.

Both say where the numbers come from: mteb's version is null, since mteb did not compute them.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from typing import Any

from benchmarks.results import result_from_json
from benchmarks.types import Result
from fuselip.core.errors import UserError

NOTE = "computed by fuselip, not by mteb; chance, interval and data hash are fuselip's"
K = (1, 5, 10)


def mteb_files(summary: Mapping[str, Any]) -> dict[str, Any]:
    """{path: JSON} as in mteb's results: `<org__model>/<revision>/<Task>.json` beside `model_meta.json`.

    A task "tgit/crop" is called `fuselip.tgit.crop`, and its data hash stands where mteb has a dataset revision.
    """
    model = _mapping(summary, "model")
    folder = f"{_name(str(model.get('name')))}/{_name(str(model.get('revision') or 'no_revision_available'))}"
    files = {f"{folder}/model_meta.json": _model_meta(model)}
    for result in _results(summary):
        scores = {name: row["value"] for name, row in result.metrics.items()}
        told: dict[str, Any] = {"main_score": result.value, "hf_subset": "default", "languages": ["eng-Latn"]}
        told |= {"low": result.low, "high": result.high, "chance": result.chance, "n": result.n, "note": NOTE}
        name = f"fuselip.{result.name.replace('/', '.')}"
        files[f"{folder}/{name}.json"] = {
            "dataset_revision": result.data_hash,
            "task_name": name,
            "mteb_version": None,
            "evaluation_time": result.seconds,
            "kg_co2_emissions": None,
            "scores": {"test": [{**scores, **told}]},
        }
    return files


def _model_meta(model: Mapping[str, Any]) -> dict[str, Any]:
    return {
        "name": model.get("name"),
        "revision": model.get("revision"),
        "n_parameters": model.get("params"),
        "embed_dim": model.get("dim"),
        "license": model.get("licence"),
        "similarity_fn_name": "cosine",
        "experiment_kwargs": {"fusion": model.get("fusion"), "precision": model.get("precision")},
    }


def mmeb_sheet(summary: Mapping[str, Any], url: str = "") -> dict[str, Any]:
    """What MMEB's leaderboard takes: its metadata, and hit@k by its own task names, of tasks `mmeb/*` alone.

    The paper's prompts (`mmeb-paper/*`) are another protocol and are left out. Raises UserError where no `mmeb/*` ran.
    """
    model = _mapping(summary, "model")
    found = {}
    for result in _results(summary):
        if result.name.startswith("mmeb/") and result.name != "mmeb/CIFAR-100":  # which FuseLIP's paper adds
            scores = {f"hit@{k}": result.metrics[f"hit@{k}"]["value"] for k in K if f"hit@{k}" in result.metrics}
            found[result.name.partition("/")[2]] = scores
    if not found:
        raise UserError("the run holds no task of MMEB's own protocol; run --suite mmeb")
    params = model.get("params")
    return {
        "metadata": {
            "model_name": model.get("name"),
            "model_size": round(params / 1e9, 3) if isinstance(params, int | float) else None,
            "embedding_dimension": model.get("dim"),
            "data_source": "Self-Reported",
            "url": url,
        },
        "metrics": {"image": found},
    }


def _results(summary: Mapping[str, Any]) -> list[Result]:
    return [result_from_json(task, f"task {number} of the summary") for number, task in enumerate(summary["tasks"])]


def _mapping(summary: Mapping[str, Any], key: str) -> Mapping[str, Any]:
    found = summary.get(key)
    if not isinstance(found, Mapping):
        raise UserError(f"the summary says nothing of its {key}; it was edited or is damaged")
    return found


def _name(text: str) -> str:
    """As a folder: mteb writes "org/model" as "org__model"; nothing else that could leave the folder is kept."""
    return re.sub(r"[^\w.+-]", "_", text.replace("/", "__")).strip(".") or "unnamed"
