"""Pushes that come too early or out of order, and reads that tell of an earlier state."""

from __future__ import annotations

from datetime import timedelta
from typing import Any

import pytest
import sqlalchemy as sa

from app.models import Attempt, Inbox, Interlock, Purchase, SupplierAccount, SupplierOrder, SupplierOrderItem
from app.pipeline import evidence
from app.pipeline.buy import outcome, step
from app.ports.errors import Refused
from app.services import todo
from tests.flow.test_unclear import fault, order
from tests.flow.world import World


def test_a_push_that_is_read_before_the_answer_is_recorded_costs_nothing(
    world: World, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The read knew no purchase to map the items to; the answer does, and the next read maps them."""
    world.aliexpress.control("push", {"lost": 1000})
    whole, early = outcome.record, list[str | None]()

    def record(container: Any, attempt_id: int, purchase_id: int, result: Any, **more: Any) -> bool:
        early.append(evidence.look_up(container, 1, result.order_ids[0], source="push"))
        return whole(container, attempt_id, purchase_id, result, **more)

    monkeypatch.setattr(step, "record", record)
    order(world)
    world.settle(until=lambda: world.states() == ["PLACED_UNPAID"], seconds=20)
    assert early == ["a send is on its way, looked at again after it"]

    def mapped() -> list[int | None]:
        with world.container.database.transaction() as session:
            return list(session.scalars(sa.select(SupplierOrderItem.purchase_item_id)))

    world.read_again()
    world.settle(until=lambda: bool(mapped()) and None not in mapped(), seconds=10)
    with world.container.database.transaction() as session:
        rows = session.execute(sa.select(SupplierOrder.role, SupplierOrder.purchase_id)).all()
    assert [tuple(row) for row in rows] == [("bought", world.purchases()[0].id)]
    assert (world.tasks(), todo.alerts(world.container)) == ([], [])


def test_what_was_paid_and_delivered_never_goes_back(world: World) -> None:
    order(world)
    world.settle(until=lambda: world.states() == ["PLACED_UNPAID"])
    made = world.created()[0]["order_id"]
    world.aliexpress.control("pay", {"order_ids": [made]})
    world.settle(until=lambda: world.states() == ["PLACED_PAID"], seconds=20)
    world.aliexpress.control("ship", {"order_id": made})
    world.settle(until=lambda: world.states() == ["SHIPPED"], seconds=20)

    def told_of_before(order_status: str, logistics_status: str) -> list[str]:
        earlier = {"order_status": order_status, "logistics_status": logistics_status}
        now = next(line for line in world.aliexpress.control("state")["orders"] if line["order_id"] == made)
        world.aliexpress.control("status", {"order_id": made, **earlier})
        with world.container.database.transaction() as session:
            before = session.scalars(sa.select(SupplierOrder.read_at)).one()
        world.read_again()
        world.settle(until=lambda: _read_at(world) > before, seconds=10)
        put_back = {"order_status": now["status"], "logistics_status": now["logistics_status"]}
        world.aliexpress.control("status", {"order_id": made, **put_back})
        return world.states()

    assert told_of_before("PLACE_ORDER_SUCCESS", "NO_LOGISTICS") == ["SHIPPED"]
    assert told_of_before("SELLER_PART_SEND_GOODS", "SELLER_SEND_PART_GOODS") == ["SHIPPED"]
    world.aliexpress.control("deliver", {"order_id": made})
    world.read_again()
    world.settle(until=lambda: world.states() == ["DELIVERED"], seconds=20)
    assert told_of_before("WAIT_BUYER_ACCEPT_GOODS", "SELLER_SEND_GOODS") == ["DELIVERED"]


def _read_at(world: World) -> Any:
    with world.container.database.transaction() as session:
        return session.scalars(sa.select(SupplierOrder.read_at)).one()


def test_pushes_that_arrive_twice_and_out_of_order_end_where_the_order_stands(world: World) -> None:
    """A push says only that something changed: what is read then is true, whichever push was first."""
    world.aliexpress.control("push", {"reorder": True, "gap": 0.4, "copies": 2})
    order(world)
    world.settle(until=lambda: world.states() == ["PLACED_UNPAID"], seconds=20)
    made = world.created()[0]["order_id"]
    world.aliexpress.control("pay", {"order_ids": [made]})
    world.aliexpress.control("ship", {"order_id": made})
    world.aliexpress.control("deliver", {"order_id": made})
    sent = world.aliexpress.control("state")["pushes"]["sent"]
    world.settle(until=lambda: world.states() == ["DELIVERED"], seconds=20)
    world.settle(until=lambda: world.aliexpress.control("state")["pushes"]["sent"] >= sent, seconds=10)
    assert world.states() == ["DELIVERED"]
    assert (world.tasks(), todo.alerts(world.container)) == ([], [])
    assert len(world.created()) == 1
    assert len(set(world.parcel_numbers())) == len(world.parcel_numbers()) == 1


def test_a_push_that_names_no_buyer_is_tried_under_every_unclear_account_in_turn(
    world: World, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Each try asks a bounded number of them; those with the latest sends come first."""
    monkeypatch.setattr(evidence, "ACCOUNTS_MOST", 1)
    world.aliexpress.control("push", {"lost": 1000})
    fault(world, "drop_after", times=-1)
    order(world)
    world.settle(until=lambda: world.states() == ["UNKNOWN"], seconds=20)
    with world.container.database.transaction() as session:
        mine = session.scalars(sa.select(SupplierAccount)).one()
        other = SupplierAccount(merchant_id=mine.merchant_id, supplier=mine.supplier, user_id="other")
        session.add(other)
        session.flush()
        older = sa.func.now() - timedelta(hours=1)
        session.execute(sa.update(Purchase).values(account_id=other.id))
        session.execute(sa.update(Attempt).values(account_id=other.id, sent_at=older))
        session.execute(sa.delete(Interlock))
    order(world)
    world.settle(until=lambda: world.states() == ["UNKNOWN"] * 2, seconds=20)
    with world.container.database.transaction() as session:
        asked = [evidence._accounts(session, "aliexpress", None, turn=turn) for turn in range(3)]
        assert evidence._accounts(session, "aliexpress", "other", turn=0) == [other.id]
    assert asked == [[mine.id], [other.id], [mine.id]]


def test_a_push_whose_order_is_refused_for_a_while_is_kept(world: World, monkeypatch: pytest.MonkeyPatch) -> None:
    """The key may be wrong, or a permission missing: the number that was pushed is the best evidence there is."""
    whole = evidence.with_account

    def refuse(*_: object) -> None:
        raise Refused("isv.odd", vendor="aliexpress")

    monkeypatch.setattr(evidence, "with_account", refuse)
    fault(world, "drop_after")
    order(world)
    world.settle(until=lambda: world.states() == ["UNKNOWN"], seconds=20)

    def pushes() -> list[Inbox]:
        with world.container.database.transaction() as session:
            return list(session.scalars(sa.select(Inbox).where(Inbox.source == "aliexpress")))

    for _ in range(8):
        with world.container.database.transaction() as session:
            session.execute(sa.update(Inbox).where(Inbox.state == "DUE").values(run_at=sa.func.now()))
        world.settle()
    assert [(row.state, row.attempts > 6) for row in pushes()] == [("DUE", True)]
    assert world.tasks() == []
    monkeypatch.setattr(evidence, "with_account", whole)
    with world.container.database.transaction() as session:
        session.execute(sa.update(Inbox).values(run_at=sa.func.now()))
    world.settle(until=lambda: world.states() == ["PLACED_UNPAID"], seconds=20)
