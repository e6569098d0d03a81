"""Checkpoints on the Hugging Face hub: what is cached, whether the hub can be reached, downloads with errors in words.

All through huggingface_hub, which honours HF_ENDPOINT, HF_TOKEN, HF_HOME, HF_HUB_OFFLINE and the proxy settings.
"""

from __future__ import annotations

import ssl
import threading
from dataclasses import dataclass
from pathlib import Path

from huggingface_hub import constants, get_session, hf_hub_download, try_to_load_from_cache
from huggingface_hub.errors import (
    EntryNotFoundError,
    GatedRepoError,
    HfHubHTTPError,
    HFValidationError,
    LocalEntryNotFoundError,
    RepositoryNotFoundError,
    RevisionNotFoundError,
)

from fuselip.core.errors import UserError
from fuselip.core.files import explain
from fuselip.model.checkpoints import CONFIG_FILE, WEIGHT_FILES

PROBE_SECONDS = 3.0


@dataclass(frozen=True)
class Snapshot:
    """A checkpoint folder of the hub cache and the commit it holds."""

    folder: Path
    revision: str


def cached(repo: str, revision: str | None = None) -> Snapshot | None:
    """The checkpoint in the local hub cache, whole; None where it is not. Never touches the network.

    (hf_hub_download does, even when told to stay local: it identifies the calling program.)
    """
    try:
        config = try_to_load_from_cache(repo, CONFIG_FILE, revision=revision)
    except HFValidationError as error:
        raise _bad_name(repo, error) from error
    if not isinstance(config, str):
        return None
    folder = Path(config).parent
    whole = any((folder / name).is_file() for name in WEIGHT_FILES)
    return Snapshot(folder, folder.name) if whole else None


def download(repo: str, revision: str | None = None) -> Snapshot:
    """Fetch config and weights of one commit, as far as the cache does not hold them.

    Raises UserError that says what the hub answered. A refusal is never taken for a missing network.
    """
    try:
        folder = Path(hf_hub_download(repo, CONFIG_FILE, revision=revision)).parent
        snapshot = Snapshot(folder, folder.name)
        for name in WEIGHT_FILES:
            try:
                hf_hub_download(repo, name, revision=snapshot.revision)
                return snapshot
            except LocalEntryNotFoundError:
                raise
            except EntryNotFoundError:
                continue
    except Exception as error:
        raise _in_words(repo, revision, error) from error
    raise UserError(
        f"the hub repository {repo} holds neither {' nor '.join(WEIGHT_FILES)}; is it a FuseLIP checkpoint?"
    )


def cached_file(repo: str, name: str) -> Path | None:
    """One file of a repository in the local hub cache; None where it is not. Never touches the network."""
    found = try_to_load_from_cache(repo, name)
    return Path(found) if isinstance(found, str) else None


def download_file(repo: str, name: str) -> Path:
    """One file of a repository, as far as the cache does not hold it. Raises UserError that says what the hub said."""
    try:
        return Path(hf_hub_download(repo, name))
    except Exception as error:
        raise _in_words(repo, None, error) from error


def unreachable() -> str | None:
    """Why the hub cannot be reached, or None if it answers at all. Takes a few seconds at most.

    A wrong certificate is a UserError: there is a network, and something is in the way.
    """
    outcome: list[Exception | None] = []

    def probe() -> None:
        try:
            get_session().head(constants.ENDPOINT, timeout=PROBE_SECONDS)
            outcome.append(None)
        except Exception as error:  # the HTTP library's own errors differ between versions of huggingface_hub
            outcome.append(error)

    thread = threading.Thread(target=probe, name="hub-probe", daemon=True)  # a name server that hangs has no timeout
    thread.start()
    thread.join(PROBE_SECONDS + 0.5)
    if not outcome:
        return f"no answer from {constants.ENDPOINT} within {PROBE_SECONDS:.0f} seconds"
    error = outcome[0]
    if error is not None and (_caused_by(error, ssl.SSLError) or "CERTIFICATE" in str(error)):
        raise UserError(
            f"the certificate of {constants.ENDPOINT} is not accepted ({error}); check proxy and certificates"
        )
    return None if error is None else f"{constants.ENDPOINT} cannot be reached: {error}"


def _in_words(repo: str, revision: str | None, error: Exception) -> UserError:
    at = f" at revision {revision}" if revision else ""
    if isinstance(error, HFValidationError):
        return _bad_name(repo, error)
    if isinstance(error, GatedRepoError):
        return UserError(f"the hub repository {repo} is gated; accept its terms on its page and set HF_TOKEN")
    if isinstance(error, RepositoryNotFoundError):
        return UserError(
            f"the hub has no repository {repo}, or does not show it to you (status {_status(error)}); "
            "check the name, and set HF_TOKEN if it is private"
        )
    if isinstance(error, RevisionNotFoundError):
        return UserError(f"the hub repository {repo} has no revision {revision}; name a branch, a tag or a commit")
    if isinstance(error, EntryNotFoundError) and not isinstance(error, LocalEntryNotFoundError):
        return UserError(f"the hub repository {repo}{at} has no {CONFIG_FILE}; is it a FuseLIP checkpoint?")
    if isinstance(error, OSError) and not isinstance(error, HfHubHTTPError | LocalEntryNotFoundError):
        told = explain(error, Path(constants.HF_HUB_CACHE))
        if isinstance(told, UserError):
            return told
    cause = error.__cause__ or error
    status = f"the hub answered with status {_status(cause)}: " if _status(cause) else ""
    return UserError(
        f"downloading {repo}{at} failed ({status}{str(cause).splitlines()[0] if str(cause) else cause!r}); try again"
    )


def _bad_name(repo: str, error: Exception) -> UserError:
    return UserError(
        f"{repo!r} is not the name of a hub repository ({error}); write hf:OWNER/NAME or hf:OWNER/NAME@REVISION"
    )


def _status(error: BaseException) -> int | None:
    status = getattr(getattr(error, "response", None), "status_code", None)
    return status if isinstance(status, int) else None


def _caused_by(error: BaseException | None, kind: type[BaseException]) -> bool:
    seen = 0
    while error is not None and seen < 20:
        if isinstance(error, kind):
            return True
        error, seen = error.__cause__ or error.__context__, seen + 1
    return False
