"""What all tests share: a cache of their own, no network for the hub's client, one thread for each worker."""

from __future__ import annotations

import os
import signal
from collections.abc import Iterator
from pathlib import Path

import pytest
from hypothesis import settings

SHARED = Path(__file__).resolve().parents[2] / "shared"

if "PYTEST_XDIST_WORKER" in os.environ:  # workers share the cores; set before numpy and torch count them
    for variable in ("OMP_NUM_THREADS", "OPENBLAS_NUM_THREADS", "MKL_NUM_THREADS"):
        os.environ.setdefault(variable, "1")

if signal.getsignal(signal.SIGINT) is signal.SIG_IGN:  # a shell starts background jobs so; children inherit it
    signal.signal(signal.SIGINT, signal.default_int_handler)


settings.register_profile("untimed", deadline=None)  # how fast a busy machine is is no property of ours
settings.load_profile("untimed")


@pytest.fixture(autouse=True, scope="session")
def _own_cache(tmp_path_factory: pytest.TempPathFactory) -> Iterator[None]:
    """No test reads or writes the user's caches; a test's own subprocesses inherit this."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("FUSELIP_CACHE", str(tmp_path_factory.mktemp("cache")))
        yield


@pytest.fixture(autouse=True)
def _hub_offline(request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch) -> None:
    """The hub's client stays at home, but in tests marked `network`."""
    if request.node.get_closest_marker("network") is None:
        monkeypatch.setenv("HF_HUB_OFFLINE", "1")


@pytest.fixture(scope="session")
def shared() -> Path:
    """The background folder beside the checkout (reference vectors, published files); else the test is skipped."""
    if not SHARED.is_dir():
        pytest.skip("there is no shared/ beside the checkout")
    return SHARED
