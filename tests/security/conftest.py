"""Fixtures: a small world, and the real web server in front of it."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.flow.world import World, running
from tests.security.real_server import Granian


@pytest.fixture
def world(database_url: str, redis_url: str, tmp_path: Path) -> Iterator[World]:
    """Simulators, app and a clean database; time runs sixty times faster."""
    with running(database_url, redis_url, tmp_path) as made:
        yield made


@pytest.fixture
def granian(world: World, tmp_path: Path) -> Iterator[Granian]:
    """The web server of production in a process of its own, on the same database."""
    server = Granian({**world.environment, "LOG_LEVEL": "DEBUG"}, tmp_path)
    try:
        yield server
    finally:
        server.stop()
