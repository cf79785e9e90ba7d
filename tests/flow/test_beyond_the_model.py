"""What the model of the lifecycle does not hold, shown on the code. Where each case is:

several AliExpress orders of a purchase   test_several_orders, test_parcels; pieces that were found are never bought again
partial closing                           test_several_orders (bought again by the merchant only), test_mended_orders
the interlock                             test_interlock; that it ends after an hour and not before: here
two customers and one SKU                 test_unclear (one at a time); whose order is whose: here
account changes                           test_unreadable_account; late evidence of the account that was left: here
late evidence after "not there"           test_unclear (heir not sent), test_several_orders (cancelled meanwhile); heir
                                          bought already: here
"""

from __future__ import annotations

import hashlib
from datetime import timedelta

import sqlalchemy as sa

from app.jobs import sweep
from app.models import Interlock, Purchase, StoreOrder, SupplierOrder
from app.pipeline import evidence, not_there
from app.services import paylist, shops
from tests.flow.test_interlock import lose_the_answer, sell
from tests.flow.test_order_changes import order as order_of
from tests.flow.test_order_changes import shop
from tests.flow.test_unclear import fault, order
from tests.flow.test_unreadable_account import other_account
from tests.flow.world import SOCKS, World

BUYERS = ("Ada", "Grace")


def buy_as(world: World, variant: str, first: str) -> str:
    """One piece for this buyer; gives the shop's id of the order."""
    address = {
        "first_name": first,
        "last_name": "Example",
        "address_1": "1 Sample Street",
        "city": "Springfield",
        "state": "IL",
        "postcode": "62701",
        "country": "US",
        "phone": "+1 217 555 0100",
    }
    made = world.woocommerce_order("one", [{"product_id": int(variant), "quantity": 1}], billing=address)
    return str(made["id"])


def owners(world: World) -> dict[str, str]:
    """Supplier order → the shop's order that it is attached to."""
    with world.container.database.transaction() as session:
        rows = session.execute(
            sa.select(SupplierOrder.external_id, StoreOrder.external_id)
            .join(Purchase, Purchase.id == SupplierOrder.purchase_id)
            .join(StoreOrder, StoreOrder.id == Purchase.order_id)
        )
        return {number: order_id for number, order_id in rows}


def test_two_buyers_of_one_thing_each_get_their_own_though_no_answer_came(world: World) -> None:
    """Nothing that the supplier tells says for whom an order is, so the second is sent when the first is found."""
    variant = sell(world, "one", SOCKS[0])
    world.aliexpress.control("faults", [{"op": "order.create", "times": 2, "kind": "drop_after"}])
    numbers = [buy_as(world, variant, first) for first in BUYERS]
    world.settle(until=lambda: world.states() == ["PLACED_UNPAID"] * 2, seconds=40)
    hashes = {
        hashlib.sha256(f"{first} Example".encode()).hexdigest()[:16]: number
        for first, number in zip(BUYERS, numbers, strict=True)
    }
    truth = {str(line["order_id"]): hashes[line["name_hash"]] for line in world.created()}
    assert owners(world) == truth
    assert sorted(truth.values()) == sorted(numbers)


def test_the_interlock_opens_after_its_hour_and_the_times_tell_the_two_apart(world: World) -> None:
    """From then on the windows of the two sends do not overlap: an order of the second hour is not the first's."""
    variant = sell(world, "one", SOCKS[0])
    lose_the_answer(world)
    numbers = [buy_as(world, variant, BUYERS[0])]
    world.settle(until=lambda: world.states() == ["UNKNOWN"], seconds=20)
    numbers.append(buy_as(world, variant, BUYERS[1]))
    world.settle(until=lambda: len(world.states()) == 2, seconds=20)
    sweep.free_leases(world.container)
    world.settle()
    assert world.states() == ["UNKNOWN", "READY"], "the hour is not over"
    hour = world.container.timers.interlock_release
    with world.container.database.transaction() as session:
        for table, column in (("attempt", "sent_at"), ("purchase", "sent_at"), ("interlock", "release_at")):
            moved = sa.text(f"UPDATE {table} SET {column} = {column} - :hour WHERE {column} IS NOT NULL")
            session.execute(moved, {"hour": hour + timedelta(minutes=1)})
        session.execute(sa.update(Purchase).values(run_at=sa.func.now()))
    sweep.free_leases(world.container)
    world.settle(until=lambda: world.states()[1] == "PLACED_UNPAID", seconds=20)
    second = str(world.created()[1]["order_id"])
    assert owners(world) == {second: numbers[1]}
    with world.container.database.transaction() as session:
        assert session.scalars(sa.select(Interlock.purchase_id)).all() == []


def test_late_evidence_of_an_account_that_was_left_stops_what_would_be_bought_with_the_new_one(world: World) -> None:
    world.aliexpress.control("push", {"lost": 1000})
    fault(world, "drop_after")
    order(world)
    world.settle(until=lambda: world.states() == ["UNKNOWN"], seconds=20)
    lost = str(world.created()[0]["order_id"])
    world.pass_time("quarantine")
    world.pause_shop()
    not_there.give_up(world.container, 1, newest_seen="none", by="staff:ann", confirm_by="staff:bob")
    other_account(world)
    world.retry(2)
    assert [(one.state, one.account_id) for one in world.purchases()] == [("VOID", 1), ("HELD", 2)]
    assert evidence.look_up(world.container, 1, lost, source="push") is not None
    assert world.states() == ["PLACED_UNPAID", "CANCELLED"]
    shops.resume(world.container, 1, actor="test")
    world.settle()
    assert [line["order_id"] for line in world.created()] == [lost]


def test_late_evidence_after_the_heir_was_bought_is_an_incident_and_not_paid(world: World) -> None:
    _, variant = shop(world)
    world.aliexpress.control("push", {"lost": 1000})
    fault(world, "drop_after")
    order_of(world, variant)
    world.settle(until=lambda: world.states() == ["UNKNOWN"], seconds=20)
    lost = str(world.created()[0]["order_id"])
    world.pass_time("quarantine")
    not_there.give_up(world.container, 1, newest_seen="none", by="staff:ann", confirm_by="staff:bob")
    world.settle(until=lambda: world.states() == ["VOID", "PLACED_UNPAID"], seconds=20)
    world.read_again()
    world.settle()
    evidence.look_up(world.container, 1, lost, source="push")
    assert world.states() == ["VOID", "PLACED_UNPAID"]
    listed = paylist.listed(world.container)
    second = str(world.created()[1]["order_id"])
    assert [one["supplier_order"] for one in listed["do_not_pay"]] == [lost]
    assert [one["supplier_order"] for one in listed["pay"]] == [second]
    assert "duplicate" in world.tasks()
