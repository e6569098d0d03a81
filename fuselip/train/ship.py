"""A trained run's weights as data of the package: what `--weights bundled` then loads, with its card and notice."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from fuselip.core.errors import UsageError, UserError
from fuselip.core.files import sha256_file, write_bytes
from fuselip.model.checkpoints import load_model, read_config
from fuselip.model.image_tokenizers import DATA
from fuselip.model.models import model_of
from fuselip.train.card import card
from fuselip.train.card_sources import WEIGHTS_FILE, read_legs, weights_of

LIMIT = 40_000_000  # bytes of all weights together: a package is to stay light
INSIDE = "fuselip/model/data"


@dataclass(frozen=True)
class Shipped:
    """The two files, and the lines that the project's NOTICE has to hold of them."""

    weights: Path
    card: Path
    bytes: int
    total: int
    limit: int
    notice: str


def ship(runs: Sequence[Path], scores: Sequence[Path], name: str | None, into: Path | None) -> Shipped:
    """Write NAME.safetensors, to the byte what the last run left, and NAME.md into `into` (the package's data).

    Raises UserError where the weights do not fit the model NAME, and where all weights there would be over LIMIT;
    UsageError for an unknown name; what `card` raises. Nothing is written then.
    """
    name = name or read_legs(runs)[-1].config.model
    into = into or DATA
    folder = weights_of(read_legs(runs)[-1])
    source, wanted = folder / WEIGHTS_FILE, model_of(name).config
    if read_config(folder) != wanted:
        raise UserError(
            f"{folder} holds another model than {name}: its config.json is not that of `fuselip info {name}`"
        )
    load_model(wanted, source)
    if not into.is_dir():
        raise UsageError(f"--into {into} is not a folder")
    text, weights, about = card(runs, scores), into / f"{name}.safetensors", into / f"{name}.md"
    others = sum(path.stat().st_size for path in into.glob("*.safetensors") if path != weights)
    size = source.stat().st_size
    if others + size > LIMIT:
        raise UserError(f"{name} has {size:,} bytes; with the other weights in {into} that is over {LIMIT:,}")
    write_bytes(weights, source.read_bytes())
    write_bytes(about, text.encode())
    notice = (
        f"{INSIDE}/{weights.name}\n"
        f"  What     The trained weights of {name}; {INSIDE}/{about.name} says how they were trained.\n"
        f"  sha256   {sha256_file(weights)}\n"
    )
    return Shipped(weights, about, size, others + size, LIMIT, notice)
