"""`fuselip info`: what a checkpoint or a known model is: shapes, parameters, files, sha256."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import click

from fuselip.core.console import debug_option


@click.command()
@click.argument("what", required=False)
@click.option("--json", "as_json", is_flag=True, help="Print JSON.")
@debug_option
def info(what: str | None, as_json: bool) -> None:
    """Tell about WHAT: a checkpoint folder or a model's name. Without it, list the models."""
    if what is None:
        from fuselip.model.models import MODELS

        for name, model in MODELS.items():
            click.echo(f"{name:14} {model.config.architecture}")
        return
    found = describe(what)
    if as_json:
        click.echo(json.dumps(found, indent=2))
        return
    for key, value in found.items():
        parts = value if isinstance(value, dict) else {"": value}
        for part, each in parts.items():
            click.echo(f"{f'{key} {part}'.strip() + ':':18} {f'{each:,}' if isinstance(each, int) else each}")


def _published(model: Any) -> str:
    known = [f"{name} ({repo})" for name, repo in model.published.items()]
    if model.official is not None:
        known.append(f"official ({model.official.repo}/{model.official.file}; {model.official.licence})")
    return ", ".join(known) or "none"


def describe(what: str) -> dict[str, Any]:
    """Raises UsageError for an unknown name, UserError for a folder that holds no checkpoint."""
    from fuselip.core.files import sha256_file
    from fuselip.model.checkpoints import blank, load_model, read_config, weights_file
    from fuselip.model.image_tokenizers import bundled_file
    from fuselip.model.models import MODELS, model_of
    from fuselip.model.toklip import counted
    from fuselip.model.toklip_config import TokLIPConfig

    folder = Path(what).expanduser()
    stored: dict[str, Any] = {}
    if what not in MODELS and folder.is_dir():
        config, path = read_config(folder), weights_file(folder)
        model: Any = load_model(config, path)
        stored = {"file": str(path), "bytes": path.stat().st_size, "sha256": sha256_file(path)}
        fitting = [name for name, known in MODELS.items() if known.config.architecture == config.architecture]
        stored["model"] = ", ".join(fitting) or "none of the named ones"
    else:
        config = model_of(what).config
        if (bundled := bundled_file(what)) is not None:
            stored = {"bundled": bundled.name, "bytes": bundled.stat().st_size, "sha256": sha256_file(bundled)}
        model = blank(config)
        stored["published"] = _published(model_of(what))
    parameters = list(model.parameters())
    numbers: dict[str, Any] = {"parameters": sum(parameter.numel() for parameter in parameters)}
    if isinstance(config, TokLIPConfig):
        numbers = counted(config)
    return {
        "architecture": config.architecture,
        "embedding width": config.dim,
        "context": config.context_length,
        "image side": config.image_side,
        "padding": config.padding,
        **numbers,
        "trained": sum(parameter.numel() for parameter in parameters if parameter.requires_grad),
        **stored,
    }
