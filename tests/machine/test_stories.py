"""A few stories in every run; `python -m tests.machine` plays them for hours."""

from __future__ import annotations

from collections.abc import Iterator

import pytest

from tests.fresh_databases import FreshDatabases
from tests.machine.clock import migrate
from tests.machine.playing import play
from tests.machine.story import Servers


@pytest.fixture
def servers(postgres_url: str, valkey_url: str) -> Iterator[None]:
    """What the stories play on: databases whose time is the story's."""
    Servers.databases, Servers.redis_url = FreshDatabases(postgres_url, migrate), valkey_url
    yield
    Servers.databases.close()


@pytest.mark.usefixtures("servers")
@pytest.mark.timeout(600)
def test_whatever_happens_nothing_is_bought_twice_and_nothing_lost() -> None:
    play(seed=1, examples=5, steps=20)
    assert Servers.played >= 5
