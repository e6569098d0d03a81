"""What the model's tests share: the tiny models."""

from __future__ import annotations

from collections.abc import Iterator

import pytest
import tiny

from fuselip.model.configs import FuseLIPConfig


@pytest.fixture
def tiny_config() -> Iterator[FuseLIPConfig]:
    """The configuration of "fuselip-tiny", which `load` knows for the length of the test."""
    yield tiny.register()
    tiny.unregister()


@pytest.fixture
def tiny_late() -> Iterator[None]:
    """The models of `tiny.LATE_TINY`, which `load` knows for the length of the test."""
    tiny.register_late()
    yield
    tiny.unregister_late()
