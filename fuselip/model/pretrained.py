"""Models to folders and to the hub and back: `encoder.save_pretrained`, `encoder.push_to_hub`, `from_pretrained`.

A folder holds config.json, model.safetensors and a model card (README.md) that says where the numbers come from.
"""

from __future__ import annotations

import json
import tempfile
from pathlib import Path
from typing import TYPE_CHECKING, Any

from fuselip.core.encoder import EncoderInfo
from fuselip.core.errors import UsageError, UserError
from fuselip.core.files import explain, sha256_file, write_bytes
from fuselip.model import hub
from fuselip.model.checkpoints import CONFIG_FILE, WEIGHT_FILES, Network, read_config, save_model
from fuselip.model.models import MODELS

if TYPE_CHECKING:
    from fuselip.model.encoder_base import ModelEncoder

CARD = "README.md"
HUB = "hf:"


class Pretrained:
    """What makes an encoder of ours one that can be saved and published."""

    model: Network
    precision: str
    info: EncoderInfo

    def save_pretrained(self, folder: str | Path) -> Path:
        """Write the checkpoint and its card into `folder`, which is made, and may hold other files; the folder.

        Raises UsageError for an encoder whose matrices were rounded below fp32 and for a file's name, UserError where
        it cannot be written.
        """
        if self.precision != "fp32":
            raise UsageError(f"this encoder was rounded to {self.precision}; load it with precision fp32 to save it")
        folder = Path(folder).expanduser()
        if folder.exists() and not folder.is_dir():
            raise UsageError(f"{folder} is a file; name a folder to save into")
        try:
            folder.mkdir(parents=True, exist_ok=True)
            save_model(self.model, folder)
            write_bytes(folder / CARD, card(self.info, self.model, folder / WEIGHT_FILES[0]).encode())
        except OSError as error:
            raise explain(error, folder) from error
        return folder

    def push_to_hub(self, repo: str, *, private: bool = False, message: str = "") -> str:
        """Publish the checkpoint and its card as the hub repository OWNER/NAME, which is made; the commit's hash.

        A repository that is there gets a new commit, and stays as private as it is. The token is the hub client's own
        (HF_TOKEN, or of `hf auth login`). Raises UserError that says what the hub answered.
        """
        with tempfile.TemporaryDirectory() as folder:
            self.save_pretrained(folder)
            return hub_upload(repo, Path(folder), private, message or f"Upload {self.info.label}")


def from_pretrained(where: str | Path, **options: Any) -> ModelEncoder:
    """The encoder of a checkpoint folder, or of "hf:OWNER/NAME[@REVISION]", without saying which model it is.

    `options`: those of `fuselip.load`, but for `weights`. Raises UsageError where `where` is neither, UserError for a
    checkpoint of none of the models in MODELS, and what loading raises.
    """
    from fuselip.model.encoder import load

    where = str(where)
    if where.startswith(HUB):
        repo, _, revision = where.removeprefix(HUB).partition("@")
        snapshot = (
            hub.cached(repo, revision or None) if options.get("offline") else hub.download(repo, revision or None)
        )
        if snapshot is None:
            raise UserError(f"{repo} is not in the hub cache, and offline nothing is downloaded")
        folder, where = snapshot.folder, f"{HUB}{repo}@{snapshot.revision}"
    else:
        folder = Path(where).expanduser()
    if not folder.is_dir():
        raise UsageError(f"{where} is neither a checkpoint folder nor {HUB}OWNER/NAME[@REVISION]")
    architecture = read_config(folder).architecture
    names = [name for name, model in MODELS.items() if model.config.architecture == architecture]
    if not names:
        raise UserError(f"{folder} holds a model that has no name here: {architecture}")
    return load(names[0], weights=where, **options)


def card(info: EncoderInfo, model: Network, weights: Path) -> str:
    """The model card as Markdown: what it is, where its numbers come from, their hash, how to load it."""
    origin, config = info.weights, model.config.to_json()
    assert origin is not None, "an encoder of ours says what it runs on"
    rows = {
        "model": info.name,
        "architecture": model.config.architecture,
        "parameters": f"{sum(parameter.numel() for parameter in model.parameters()):,}",
        "embedding": f"{info.dim} numbers, unit length",
        "origin of the weights": origin.note or origin.source,
        "sha256 of the file they were read from": origin.sha256 if not origin.is_random else None,
        f"sha256 of {weights.name}": sha256_file(weights),
    }
    title = f"{info.name} [random init]" if origin.is_random else info.name
    lines = [
        "---",
        "library_name: fuselip",
        "tags: [fuselip, multimodal-embeddings, feature-extraction]",
        "---",
        "",
        f"# {title}",
        "",
        "Embeds texts, pictures and pairs of both into one space; see FuseLIP (arXiv 2506.03096).",
        "",
        "| | |",
        "|---|---|",
        *(f"| {name} | {_cell(value)} |" for name, value in rows.items() if value),
        "",
        "```python",
        "from fuselip.model.pretrained import from_pretrained",
        "",
        'encoder = from_pretrained("FOLDER or hf:OWNER/NAME")',
        'vectors = encoder.encode(["a cat", (image, "rotate 30 degrees clockwise")])',
        "```",
        "",
        f"`{CONFIG_FILE}`:",
        "",
        "```json",
        json.dumps(config, indent=2),
        "```",
    ]
    return "\n".join(lines) + "\n"


def hub_upload(repo: str, folder: Path, private: bool, message: str) -> str:
    """One commit of all files of `folder` to a model repository, made where there is none; the commit's hash."""
    from huggingface_hub import HfApi
    from huggingface_hub.errors import HfHubHTTPError, HFValidationError, OfflineModeIsEnabled

    api = HfApi()
    try:
        api.create_repo(repo, private=private, exist_ok=True)
        return str(api.upload_folder(repo_id=repo, folder_path=folder, commit_message=message).oid)
    except HFValidationError as error:
        raise UsageError(f"{repo!r} is not the name of a hub repository ({error}); write OWNER/NAME") from error
    except OfflineModeIsEnabled as error:
        raise UserError("HF_HUB_OFFLINE is set: nothing is sent to the hub; unset it to publish") from error
    except HfHubHTTPError as error:
        status = error.response.status_code if error.response is not None else None
        advice = "set HF_TOKEN to a token that may write there" if status in (401, 403) else "try again"
        raise UserError(f"the hub refused {repo} (status {status}: {str(error).splitlines()[0]}); {advice}") from error
    except (OSError, ValueError) as error:  # ValueError: the client has no token, or found its files damaged
        raise UserError(f"publishing {repo} failed: {str(error).splitlines()[0] if str(error) else error!r}") from error


def _cell(value: str) -> str:
    return value.replace("|", "\\|").replace("\n", " ")
