"""Publishing a complete set on the Hugging Face hub, as a data set repository."""

from __future__ import annotations

import os
from pathlib import Path

from datagen import output
from fuselip.core.errors import UserError


def files_to_push(out: Path) -> dict[str, int]:
    """Name and bytes of every file that is published: what the manifest lists, and the manifest.

    `sessions.jsonl` stays here: it names folders of this machine. Raises UserError where the set is not complete, or a
    file is missing or has another size (`verify` checks the contents too).
    """
    manifest = output.read_manifest(out)
    found = {"manifest.json": (out / "manifest.json").stat().st_size}
    for name, entry in manifest["files"].items():
        path = out / name
        if not path.is_file() or path.stat().st_size != entry["bytes"]:
            raise UserError(
                f"{path} is missing or was changed since the set was made; run `fuselip-datagen verify {out}`"
            )
        found[name] = entry["bytes"]
    return found


def push(out: Path, repository: str, private: bool = True, revision: str | None = None) -> str:
    """Upload the files to `repository` (OWNER/NAME), made if it is not there; its address.

    Files that are there already are not sent again. The token is huggingface_hub's own (`hf auth login`, HF_TOKEN).
    Raises UserError where the hub refuses or cannot be reached.
    """
    from huggingface_hub import HfApi

    files = files_to_push(out)
    api = HfApi()
    try:
        address = api.create_repo(repository, repo_type="dataset", private=private, exist_ok=True)
        if revision is not None:
            api.create_branch(repository, repo_type="dataset", branch=revision, exist_ok=True)
        api.upload_folder(
            repo_id=repository,
            repo_type="dataset",
            folder_path=out,
            revision=revision,
            allow_patterns=[_literal(name) for name in files],
            commit_message="Upload by fuselip-datagen",
        )
    except Exception as error:  # the HTTP library's own errors differ between versions of huggingface_hub
        raise _in_words(repository, error) from error
    return str(address)


def _in_words(repository: str, error: Exception) -> Exception:
    from huggingface_hub.errors import (
        HfHubHTTPError,
        HFValidationError,
        LocalTokenNotFoundError,
        OfflineModeIsEnabled,
    )

    if isinstance(error, HFValidationError):
        return UserError(f"{repository!r} is no name of a repository; write OWNER/NAME")
    if isinstance(error, LocalTokenNotFoundError):
        return UserError("the hub wants to know who you are; run `hf auth login`, or set HF_TOKEN")
    if isinstance(error, OfflineModeIsEnabled):
        return UserError("HF_HUB_OFFLINE is set, and pushing needs the network; unset it")
    where = os.environ.get("HF_ENDPOINT", "https://huggingface.co")
    if isinstance(error, HfHubHTTPError):
        code = error.response.status_code
        hint = "run `hf auth login` with a token that may write there" if code in (401, 403) else "try again later"
        return UserError(f"{where} refused {repository!r} (status {code}); {hint}")
    if isinstance(error, OSError) or type(error).__module__.startswith("http"):
        return UserError(f"{where} cannot be reached ({error}); check the connection and give the command again")
    return error


def _literal(name: str) -> str:
    """A pattern that means this name only."""
    return "".join(f"[{each}]" if each in "*?[" else each for each in name)
