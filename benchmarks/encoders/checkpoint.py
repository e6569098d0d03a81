"""A model folder of another library: a local path or a repository of the hub, complete here, and its hash."""

from __future__ import annotations

from dataclasses import dataclass
from fnmatch import fnmatch
from functools import cached_property
from pathlib import Path
from typing import Any

from fuselip.core import source_index
from fuselip.core.encoder import Weights
from fuselip.core.errors import UserError
from fuselip.core.types import content_hash

DESCRIPTIONS = ("*.json", "*.txt", "*.model", "*.jinja")
SAFE, UNSAFE = "*.safetensors", "pytorch_model*.bin"  # the latter is read by torch with weights_only
# Other formats of the same weights, states of training, and exports that no adapter of ours reads.
IGNORED = ("onnx/*", "openvino/*", "checkpoint-*/*", ".*/*", "*optimizer*", "trainer_state.json")


@dataclass(frozen=True)
class Checkpoint:
    """`name` as it was given, the folder that holds its files, and the commit (of the hub's)."""

    name: str
    folder: Path
    source: str
    revision: str | None = None
    with_code: bool = False

    @property
    def files(self) -> list[Path]:
        """What the vectors depend on: weights, configuration, vocabulary; and code where that was allowed."""
        patterns = [*DESCRIPTIONS, SAFE, UNSAFE, *(["*.py"] if self.with_code else [])]
        found = {path for pattern in patterns for path in self.folder.rglob(pattern) if path.is_file()}
        safe = {path.parent for path in found if path.match(SAFE)}
        names = {path: path.relative_to(self.folder).as_posix() for path in found}
        return sorted(
            path
            for path in found
            if not any(fnmatch(names[path], each) for each in IGNORED)
            and not (path.match(UNSAFE) and path.parent in safe)
        )

    @cached_property
    def sha256(self) -> str:
        """One hash of all `files` and their names. A file that did not change is not read twice."""
        return content_hash(
            [
                [path.relative_to(self.folder).as_posix(), source_index.sha256_of(path, path.stat())]
                for path in self.files
            ]
        )

    @property
    def weights(self) -> Weights:
        """As recorded in every result. A local path stays out of it: it may hold a user's name."""
        return Weights(self.source, self.name if self.source == "hub" else self.folder.name, self.revision, self.sha256)


def find(name: str, revision: str | None = None, *, offline: bool = False, with_code: bool = False) -> Checkpoint:
    """The folder of that path, or the hub's repository of that name, fetched as far as the cache does not hold it.

    Raises UserError where there is neither, or no weights; offline, where the cache does not hold it.
    """
    path = Path(name).expanduser()
    if path.is_dir():
        if revision:
            raise UserError(f"{name} is a folder here, which has no revision; leave --model-arg revision out")
        found = Checkpoint(name, path.resolve(), "local", None, with_code)
    else:
        folder = _fetch(name, revision, offline, with_code)
        found = Checkpoint(name, folder, "hub", folder.name, with_code)
    if not any(file.match(SAFE) or file.match(UNSAFE) for file in found.files):
        raise UserError(f"{name} holds neither {SAFE} nor {UNSAFE}; is it a model folder, complete?")
    return found


def load_whole(factory: Any, checkpoint: Checkpoint, dtype: Any) -> Any:
    """`factory.from_pretrained` of the folder, in eval mode. Raises UserError where a weight is missing or misfits.

    transformers only warns of missing weights and goes on with random ones, which a benchmark must not score.
    """
    from transformers.utils import logging

    logging.disable_progress_bar()
    model, report = factory.from_pretrained(
        checkpoint.folder,
        local_files_only=True,
        trust_remote_code=checkpoint.with_code,
        weights_only=True,
        dtype=dtype,
        output_loading_info=True,
    )
    if lost := sorted(map(str, [*report["missing_keys"], *report["mismatched_keys"]])):
        raise UserError(f"{checkpoint.name} lacks {len(lost)} weights of its architecture, {lost[0]} being the first")
    return model.eval().requires_grad_(False)


def _fetch(name: str, revision: str | None, offline: bool, with_code: bool) -> Path:
    from huggingface_hub import snapshot_download

    # The parts of a sentence-transformers model lie in folders of their own, each in either format.
    wanted = [*DESCRIPTIONS, SAFE, f"*/{UNSAFE}", *(["*.py"] if with_code else [])]

    def fetch(patterns: list[str]) -> Path:
        return Path(
            snapshot_download(
                name,
                revision=revision,
                allow_patterns=patterns,
                ignore_patterns=list(IGNORED),
                local_files_only=offline,
            )
        )

    try:
        folder = fetch(wanted)
        return folder if any(folder.glob(SAFE)) else fetch([*wanted, UNSAFE])
    except Exception as error:  # the hub's client raises many kinds, and those of its HTTP library
        how = "run once without --offline" if offline else "check the name, the network, and HF_TOKEN if it is private"
        said = " ".join(str(error).split())[:300]
        raise UserError(f"there is no folder {name} here, and the hub did not give it: {said}; {how}") from error
