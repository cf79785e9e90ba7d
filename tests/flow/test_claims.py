"""Claims: kept during long checks, freed when a worker is gone, and not for ever."""

from __future__ import annotations

from datetime import timedelta

import sqlalchemy as sa

from app.models import Audit, Purchase
from app.pipeline.buy.claim import LOST_MOST, claim, free_expired, renew
from app.services import purchases
from tests.flow.test_unclear import order
from tests.flow.world import World


def lapse(world: World) -> None:
    """As if the worker had died and its lease were over."""
    with world.container.database.transaction() as session:
        session.execute(sa.update(Purchase).values(lease_until=sa.func.clock_timestamp() - timedelta(seconds=1)))


def due(world: World) -> None:
    """Make it due now."""
    with world.container.database.transaction() as session:
        session.execute(sa.update(Purchase).values(run_at=sa.func.clock_timestamp()))


def held_and_ready(world: World) -> None:
    """A purchase that is READY and that no drain works on."""
    order(world)
    with world.container.database.transaction() as session:
        session.execute(
            sa.text(
                "INSERT INTO placement_freeze (reason, frozen_by, released_by, second) VALUES ('x', 'test', '', '')"
            )
        )
    world.settle(until=lambda: world.states() == ["READY"])
    with world.container.database.transaction() as session:
        session.execute(sa.text("DELETE FROM placement_freeze"))


def test_renewed_lease_is_kept_and_a_lost_one_is_not(world: World) -> None:
    held_and_ready(world)
    due(world)
    (mine,) = claim(world.container, 10)
    before = world.purchases()[0].lease_until
    assert renew(world.container, mine)
    after = world.purchases()[0].lease_until
    assert before is not None
    assert after is not None
    assert after > before
    lapse(world)
    assert not renew(world.container, mine), "what is over is not revived: the sweep may have freed it"
    assert free_expired(world.container) == 1
    assert world.states() == ["READY"]
    with world.container.database.transaction() as session:
        last = session.scalars(
            sa.select(Audit).where(Audit.entity == "purchase").order_by(Audit.id.desc()).limit(1)
        ).one()
        assert (last.actor, last.from_state, last.to_state) == ("sweep", "CLAIMED", "READY")


def test_purchase_that_kills_its_worker_again_and_again_goes_to_a_person(world: World) -> None:
    held_and_ready(world)
    for round_ in range(LOST_MOST):
        assert world.states() == ["READY"], round_
        due(world)
        assert len(claim(world.container, 10)) == 1
        lapse(world)
        free_expired(world.container)
    assert (world.states(), world.reasons()) == (["HELD"], ["needs_person"])
    told = purchases.retry(world.container, world.purchases()[0].id, actor="staff:ann")
    assert told["state"] == "READY"
    world.settle(until=lambda: world.states() == ["PLACED_UNPAID"], seconds=20)
    assert world.purchases()[0].lost_claims == 0
