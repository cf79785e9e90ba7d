"""Held purchases are looked at again by themselves, the rarer the longer they wait."""

from __future__ import annotations

from datetime import timedelta

import pytest
import sqlalchemy as sa

from app.jobs import sweep
from app.models import Purchase
from app.services import shops
from tests.flow.test_order_changes import order, shop
from tests.flow.world import World


@pytest.mark.parametrize(("held_for", "times"), [(1.0, 1.0), (16.0, 2.0), (80.0, 10.0), (100_000.0, 24.0)])
def test_the_longer_it_is_held_the_rarer_it_is_looked_at(world: World, held_for: float, times: float) -> None:
    """In units of the setting: a sixteenfold wait is looked at half as often, and never rarer than a 24th."""
    often = world.container.timers.recheck_held
    made, variant = shop(world)
    shops.set_policy(world.container, made, {"order_cap": 1}, actor="test")
    order(world, variant)
    world.settle(until=lambda: world.reasons() == ["cap_order"])
    with world.container.database.transaction() as session:
        since = sa.func.clock_timestamp() - often * held_for
        session.execute(sa.update(Purchase).values(held_since=since, run_at=sa.func.now() - timedelta(days=1)))
        before = session.scalar(sa.select(sa.func.now()))
    assert before is not None
    sweep.recheck_held(world.container)
    world.settle(until=lambda: world.reasons() == ["cap_order"])
    next_look = (world.purchases()[0].run_at - before) / often
    assert times <= next_look < times + 2.0
