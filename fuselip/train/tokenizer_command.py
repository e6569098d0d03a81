"""`fuselip train-tokenizer`: our own image tokenizer, trained on pictures of any source and measured on others."""

from __future__ import annotations

from pathlib import Path

import click

from fuselip.core.console import debug_option

TRAIN = ("scenes:train?count=10000&seed=0&size=128", "textures?count=8000&seed=0&size=128")
HELD_OUT = ("photos", "scenes:test?count=500")


@click.command(name="train-tokenizer")
@click.option("--out", type=click.Path(path_type=Path, file_okay=False), required=True, help="Folder of the tokenizer.")
@click.option("--variant", default="grid64", show_default=True, help="grid16, grid64, grid128 or grid256: its codes.")
@click.option(
    "--quantizer",
    type=click.Choice(["fsq", "bsq"]),
    default="fsq",
    show_default=True,
    help="Finite scalar quantisation (2000 codes) or binary spherical (2048).",
)
@click.option(
    "--source",
    "sources",
    multiple=True,
    default=TRAIN,
    show_default=True,
    help="Pictures to train on, as `fuselip-datagen list sources` names them, or a .npy file [N, S, S, 3].",
)
@click.option(
    "--held-out", multiple=True, default=HELD_OUT, show_default=True, help="Sources to measure on, each by itself."
)
@click.option("--steps", type=click.IntRange(min=1), default=3000, show_default=True)
@click.option("--batch", type=click.IntRange(min=1), default=32, show_default=True, help="Pictures a step.")
@click.option("--learning-rate", type=float, default=3e-3, show_default=True)
@click.option("--seed", type=int, default=0, show_default=True)
@click.option("--device", default="cpu", show_default=True, help="cpu, cuda or mps.")
@click.option("--threads", type=click.IntRange(min=1), default=1, show_default=True, help="More help on idle machines.")
@click.option(
    "--measure", "measured", help="Measure this tokenizer (a folder, or a name of the package's); no training."
)
@debug_option
def train_tokenizer(
    out: Path,
    variant: str,
    quantizer: str,
    sources: tuple[str, ...],
    held_out: tuple[str, ...],
    steps: int,
    batch: int,
    learning_rate: float,
    seed: int,
    device: str,
    threads: int,
    measured: str | None,
) -> None:
    """Train an image tokenizer (or measure one), and write it with its PSNR and codebook use to --out.

    Stopped and run again with the same options, it goes on where it stood.
    """
    import torch

    from fuselip.core.files import lock, write_json
    from fuselip.model.image_tokenizers import load_tokenizer, save_tokenizer
    from fuselip.train.tokenizer import TokenizerTraining, measured_on, train, trained_as
    from fuselip.train.tokenizer_pictures import pictures

    torch.set_num_threads(threads)
    with lock(out / ".lock", f"another process trains in {out}; wait for it or choose another folder"):
        if measured:
            found = measured_on(load_tokenizer(measured), held_out, out)
            told = {name: quality.to_json() for name, quality in found.items()}
            write_json(out / "measured.json", {"tokenizer": measured, "held_out": told})
        else:
            named = variant if quantizer == "fsq" else f"{variant}-{quantizer}"
            run = TokenizerTraining(named, steps, batch, learning_rate, seed)
            model = train(run, pictures(sources, run.side, out / "pictures"), out, click.echo, device)
            found = measured_on(model, held_out, out)
            told = {name: quality.to_json() for name, quality in found.items()}
            save_tokenizer(model, out, trained_as(run, sources) | {"held_out": told})
    for name, quality in found.items():
        click.echo(f"{name}: {quality}")
