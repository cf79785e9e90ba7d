"""One world for all races of a file; each race has an order of its own in it."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace
from datetime import timedelta
from pathlib import Path

import pytest
import redis

from tests.flow.world import World, running
from tests.fresh_databases import FreshDatabases
from tests.races.scene import Shop, bottles

SEND_DEADLINE = timedelta(seconds=10)
"""Not over while an actor stands between the point of no return and its call: else that call would not be made."""


@pytest.fixture(scope="module")
def shared_world(
    fresh_databases: FreshDatabases, valkey_url: str, tmp_path_factory: pytest.TempPathFactory
) -> Iterator[World]:
    """Simulators, app and a database."""
    with redis.Redis.from_url(valkey_url) as client:
        client.flushdb()
    folder: Path = tmp_path_factory.mktemp("races")
    with fresh_databases.migrated() as url, running(url, valkey_url, folder) as made:
        timers = replace(made.container.timers, send_deadline=SEND_DEADLINE)
        made.container = replace(made.container, timers=timers)
        yield made


@pytest.fixture(scope="module")
def shop(shared_world: World) -> Iterator[Shop]:
    """A Shopify shop that sells bottles."""
    made = bottles(shared_world)
    yield made
    made.close()
