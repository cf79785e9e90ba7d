"""A database that forgot a send, as after the restore of an older backup, must not buy again."""

from __future__ import annotations

from datetime import timedelta

import sqlalchemy as sa

from app.journal import Entry
from app.models import (
    Attempt,
    Evidence,
    Interlock,
    PlacementFreeze,
    Purchase,
    Spend,
    SupplierOrder,
    SupplierOrderItem,
)
from app.pipeline import evidence
from app.pipeline.buy import outcome
from app.services import orphans, placement
from tests.flow.test_unclear import order
from tests.flow.world import World


def forget(world: World, state: str) -> None:
    """Take the database back to before the send."""
    with world.container.database.transaction() as session:
        for model in (Interlock, Spend, Evidence, SupplierOrderItem, SupplierOrder):
            session.execute(sa.delete(model))
        session.execute(sa.text("DELETE FROM call WHERE purchase_id IS NOT NULL"))
        session.execute(sa.delete(Attempt))
        later = sa.func.now() + timedelta(hours=1)
        reason = "margin" if state == "HELD" else ""
        session.execute(sa.update(Purchase).values(state=state, reason=reason, sent_at=None, run_at=later))


def due(world: World) -> None:
    """Make every waiting purchase due."""
    with world.container.database.transaction() as session:
        session.execute(sa.update(Purchase).values(run_at=sa.func.now()))


def freezes(world: World) -> list[int | None]:
    """Accounts of the open freezes."""
    with world.container.database.transaction() as session:
        query = sa.select(PlacementFreeze.account_id).where(PlacementFreeze.released_at.is_(None))
        return list(session.scalars(query))


def test_an_order_like_one_about_to_be_bought_freezes_the_account(world: World) -> None:
    world.aliexpress.control("push", {"lost": 1000})
    order(world)
    world.settle(until=lambda: world.states() == ["PLACED_UNPAID"])
    made, account = world.created()[0]["order_id"], world.purchases()[0].account_id or 0
    forget(world, "READY")
    evidence.look_up(world.container, account, made, source="push")
    assert freezes(world) == [account]
    due(world)
    world.settle()
    assert world.states() == ["READY"]
    placement.release(world.container, by="ann", second="bob")
    due(world)
    world.settle(until=lambda: world.states() == ["HELD"], seconds=20)
    assert world.reasons() == ["late_evidence"], "released, but that very order still waits for a word"
    assert len(world.created()) == 1
    orphans.dismiss(world.container, made, by="staff:ann")
    world.retry(world.purchases()[0].id)
    world.settle(until=lambda: world.states() == ["PLACED_UNPAID"], seconds=20)
    assert len(world.created()) == 2


def test_an_order_like_a_held_purchase_is_asked_about_and_stops_nobody_else(world: World) -> None:
    world.aliexpress.control("push", {"lost": 1000})
    order(world)
    world.settle(until=lambda: world.states() == ["PLACED_UNPAID"])
    made, account = world.created()[0]["order_id"], world.purchases()[0].account_id or 0
    forget(world, "HELD")
    evidence.look_up(world.container, account, made, source="push")
    assert freezes(world) == []
    assert "stray_order" in world.tasks()
    assert [one["supplier_order"] for one in orphans.listed(world.container)] == [made]
    world.retry(world.purchases()[0].id)
    world.settle(until=lambda: world.reasons() == ["late_evidence"], seconds=20)
    assert len(world.created()) == 1


def test_answers_in_the_journal_that_the_database_lacks_freeze_once(world: World) -> None:
    order(world)
    world.settle(until=lambda: world.states() == ["PLACED_UNPAID"])
    world.container.journal.append(Entry(987654, 987654, "123456789012345678", {"outcome": "PLACED"}))
    outcome.replay(world.container)
    assert freezes(world) == [None]
    order(world)
    world.settle(until=lambda: len(world.states()) == 2, seconds=20)
    assert world.states() == ["PLACED_UNPAID", "READY"]
    placement.release(world.container, by="ann", second="bob")
    outcome.replay(world.container)
    assert freezes(world) == []
    world.settle(until=lambda: world.states() == ["PLACED_UNPAID", "PLACED_UNPAID"], seconds=20)
