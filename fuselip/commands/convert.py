"""`fuselip convert`: a checkpoint between model.safetensors and the official pytorch_model.bin, both ways."""

from __future__ import annotations

import io
from pathlib import Path

import click

from fuselip.core.console import debug_option
from fuselip.core.errors import UsageError

FOLDER = click.Path(path_type=Path, file_okay=False)


@click.command()
@click.argument("source", type=FOLDER)
@click.argument("out", type=FOLDER)
@click.option("--to", type=click.Choice(["safetensors", "pytorch"]), required=True, help="The format of OUT's weights.")
@debug_option
def convert(source: Path, out: Path, to: str) -> None:
    """Write the checkpoint SOURCE into the new folder OUT, after checking every tensor against its config.

    "pytorch" is the layout of the official checkpoints (config.json and pytorch_model.bin, the tied table under both
    of its names), which the paper's code loads.
    """
    import torch

    from fuselip.core.files import write_bytes, write_json
    from fuselip.model.checkpoints import CONFIG_FILE, WEIGHT_FILES, load_model, read_config, save_model, weights_file

    if out.exists() and (not out.is_dir() or any(out.iterdir())):
        raise UsageError(f"{out} exists and is not empty; choose a new folder")
    config = read_config(source)
    model = load_model(config, weights_file(source))
    if to == "safetensors":
        save_model(model, out)
        written = out / WEIGHT_FILES[0]
    else:
        written = out / WEIGHT_FILES[1]
        buffer = io.BytesIO()
        torch.save(dict(model.state_dict()), buffer)
        write_bytes(written, buffer.getvalue())
        write_json(out / CONFIG_FILE, config.to_json())
    click.echo(f"{written}: {written.stat().st_size:,} bytes, {len(model.state_dict())} tensors")
