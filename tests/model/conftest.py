"""What the model's tests share: the tiny model."""

from __future__ import annotations

from collections.abc import Iterator

import pytest
import tiny

from fuselip.model.sizes import FuseLIPConfig


@pytest.fixture
def tiny_config() -> Iterator[FuseLIPConfig]:
    """The configuration of "fuselip-tiny", which `load` knows for the length of the test."""
    yield tiny.register()
    tiny.unregister()
