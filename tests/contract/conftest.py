"""The world that the batteries run in, and the nasties that no parser may stumble over."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.flow.world import World, running


@pytest.fixture
def world(database_url: str, redis_url: str, tmp_path: Path) -> Iterator[World]:
    with running(database_url, redis_url, tmp_path) as made:
        yield made
