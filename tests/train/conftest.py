"""The models of tests, registered for a module."""

from __future__ import annotations

from collections.abc import Iterator

import pytest
import small
import tiny

from fuselip.model.configs import FuseLIPConfig


@pytest.fixture(scope="module")
def config() -> Iterator[FuseLIPConfig]:
    """fuselip-tiny, with a TiTok; tiny-sf and tiny-mlf are registered as well."""
    found = tiny.register()
    tiny.register_late()
    yield found
    tiny.unregister_late()
    tiny.unregister()


@pytest.fixture(scope="module")
def small_config() -> Iterator[FuseLIPConfig]:
    """fuselip-small, for whole runs; small-sf and small-mlf are registered as well."""
    yield small.register()
    small.unregister()
