"""What a person was asked for once and is over, may have to be asked for again; and is not asked for any longer."""

from __future__ import annotations

from dataclasses import replace
from functools import partial

import pytest
import sqlalchemy as sa

from app.errors import Conflict
from app.models import Attempt, Purchase, Shop, Spend, StoreOrder, SupplierOrder
from app.pipeline import locks, match, supplier_read, track
from app.pipeline.buy import outcome
from app.pipeline.record import alert
from app.ports.money import Money
from app.ports.supplier import PlaceOutcome, PlaceResult
from app.services import purchases, todo
from app.shop_access import with_account
from tests.flow.test_order_changes import order, shop
from tests.flow.test_unclear import fault
from tests.flow.world import BOTTLE, World


def cancel(world: World, *, yes: bool) -> None:
    """The shop cancels the order, or restores it."""
    with world.container.database.transaction() as session:
        session.get_one(StoreOrder, 1).cancelled = yes
        match.derive_again(world.container, session, 1)


def test_a_second_cancellation_of_what_is_paid_is_told_as_the_first_was(world: World) -> None:
    _, variant = shop(world)
    order(world, variant)
    world.settle(until=lambda: world.states() == ["PLACED_UNPAID"], seconds=10)
    world.aliexpress.control("pay", {"order_ids": [world.created()[0]["order_id"]]})
    world.settle(until=lambda: world.states() == ["PLACED_PAID"], seconds=20)
    told = []
    for yes in (True, False, True):
        cancel(world, yes=yes)
        told.append(world.tasks())
    assert told == [["ask_supplier_to_cancel"], [], ["ask_supplier_to_cancel"]]


def test_pieces_too_many_are_asked_about_by_the_number_that_they_are_now(world: World) -> None:
    _, variant = shop(world)
    number = order(world, variant, 3)
    world.settle(until=lambda: world.states() == ["PLACED_UNPAID"], seconds=10)

    def asked() -> list[str]:
        return [text.split(": ")[1][:3] for text in world.task_texts()]

    for quantity, pieces in ((2, ["1 ×"]), (1, ["2 ×"]), (3, [])):
        world.edit(number, quantity)
        world.settle(until=lambda pieces=pieces: asked() == pieces, seconds=10)  # type: ignore[misc]


def test_what_is_unclear_a_second_time_is_asked_about_a_second_time(world: World) -> None:
    """Its first send turned out not to be executed, by the journal, after a person had been asked."""
    world.aliexpress.control("push", {"lost": 1000})
    _, variant = shop(world)

    def unclear() -> list[str]:
        world.settle(until=lambda: world.states() == ["UNKNOWN"], seconds=20)
        world.pass_time("human")
        world.settle(until=lambda: world.states() == ["HUMAN"], seconds=20)
        return world.tasks()

    fault(world, "drop_before")
    order(world, variant)
    assert unclear() == ["resolve_unclear"]
    fault(world, "drop_before")
    with world.container.database.transaction() as session:
        attempt = session.scalars(sa.select(Attempt).where(Attempt.outcome != "NOT_SENT")).one()
    result = PlaceResult(PlaceOutcome.NOT_EXECUTED, code="x", reason="call_limit", retry_after=0.1)
    with world.container.calls.story() as story:
        assert outcome.record(
            world.container,
            attempt.id,
            attempt.purchase_id,
            result,
            sent_at=attempt.sent_at,
            story=story,
            source="journal",
        )
    assert unclear() == ["resolve_unclear"]


def test_a_reminder_to_pay_ends_with_the_payment(world: World) -> None:
    _, variant = shop(world)
    order(world, variant)
    world.settle(until=lambda: world.states() == ["PLACED_UNPAID"], seconds=10)
    world.read_again()
    world.settle()
    with world.container.database.transaction() as session:
        bought = session.scalars(sa.select(SupplierOrder)).one()
        assert bought.pay_until is not None
        track._remind(session, bought, session.scalars(sa.select(Purchase)).one(), bought.pay_until)
    assert world.tasks() == ["pay_reminder"]
    world.aliexpress.control("pay", {"order_ids": [world.created()[0]["order_id"]]})
    world.settle(until=lambda: world.states() == ["PLACED_PAID"], seconds=20)
    assert world.tasks() == []


def test_order_again_is_asked_for_until_it_was(world: World) -> None:
    _, variant = shop(world)
    order(world, variant)
    for many in (1, 2):
        world.settle(
            until=lambda many=many: len(world.created()) == many and world.states()[-1] == "PLACED_UNPAID",  # type: ignore[misc]
            seconds=20,
        )
        world.aliexpress.control("close", {"order_id": world.created()[-1]["order_id"]})
        world.settle(until=lambda many=many: world.states()[many - 1] == "EXPIRED", seconds=30)  # type: ignore[misc]
    assert world.tasks() == ["expired_unpaid"]
    purchases.retry(world.container, world.purchases()[-1].id, actor="merchant:1")
    world.settle(until=lambda: world.states()[-1] == "PLACED_UNPAID", seconds=20)
    assert world.tasks() == []


def test_a_total_that_changes_while_it_is_blocked_is_told_and_not_approved_unseen(world: World) -> None:
    _, variant = shop(world)
    order(world, variant)
    world.settle(until=lambda: world.states() == ["PLACED_UNPAID"], seconds=10)
    limit = world.purchases()[0].limit_minor or 0
    totals = [Money(limit + more, "USD") for more in (100, 9900)]
    for total in totals:
        read_as(world, total=total)
        assert (world.states(), [str(total) in text for text in world.task_texts()]) == (["PAY_BLOCKED"], [True])
    with pytest.raises(Conflict, match="by now"):
        purchases.approve(world.container, 1, amount=totals[0], actor="merchant:1")
    purchases.approve(world.container, 1, amount=totals[1], actor="merchant:1")
    assert (world.states(), world.tasks()) == (["PLACED_UNPAID"], [])


def test_a_total_in_another_currency_counts_by_its_quote(world: World) -> None:
    _, variant = shop(world)
    order(world, variant)
    world.settle(until=lambda: world.states() == ["PLACED_UNPAID"], seconds=10)
    read_as(world, total=Money(1_400_000, "KRW"))
    with world.container.database.transaction() as session:
        spent = session.scalars(sa.select(Spend).where(Spend.state != "RELEASED")).one()
    assert world.states() == ["PAY_BLOCKED"]
    assert spent.settled in {None, spent.quoted}


def read_as(world: World, **changes: object) -> None:
    """The supplier tells something else of the only order than it did."""
    with world.container.database.transaction() as session:
        session.execute(sa.update(SupplierOrder).values(track_run_at=None))
        bought = session.scalars(sa.select(SupplierOrder)).one()
    read = with_account(world.container, bought.account_id, lambda supplier: supplier.order(bought.external_id))
    assert read is not None
    with world.container.database.transaction() as session:
        locks.account(session, bought.account_id)
        purchase = locks.purchase(session, bought.purchase_id or 0)
        row = session.get_one(SupplierOrder, bought.id, with_for_update=True)
        supplier_read.apply_read(world.container, session, row, replace(read, **changes), purchase)  # type: ignore[arg-type]


def test_refunding_what_waits_for_a_decision_keeps_the_part_that_is_wanted(world: World) -> None:
    """The supplier cancelled one piece, the other is held; the merchant refunds the first, as the task proposes."""
    _, variant = shop(world)
    number = order(world, variant)
    world.settle(until=lambda: world.states() == ["PLACED_UNPAID"], seconds=10)
    first = world.created()[0]["order_id"]
    world.aliexpress.control("pay", {"order_ids": [first]})
    world.settle(until=lambda: world.states() == ["PLACED_PAID"], seconds=20)
    with world.container.database.transaction() as session:
        session.execute(sa.update(Shop).values(day_cap=1))
    world.edit(number, 2)
    world.settle(until=lambda: world.reasons()[1:] == ["cap_day"], seconds=20)
    world.aliexpress.control("cancel", {"order_id": first})
    world.settle(until=lambda: world.states()[0] == "SUPPLIER_CANCELLED", seconds=30)
    assert (world.quantities(), world.tasks()) == ([1, 1], ["supplier_cancelled"])
    world.refund(number, 1)
    world.settle(until=lambda: world.tasks() == [], seconds=10)
    assert (world.states(), world.quantities()) == (["SUPPLIER_CANCELLED", "HELD"], [1, 1])


def test_an_alert_that_a_person_ended_is_raised_again(world: World) -> None:
    raise_it = partial(alert, key="config:x", kind="config", text="The key is wrong.")
    with world.container.database.transaction() as session:
        raise_it(session)
    (open_one,) = todo.alerts(world.container)
    todo.end_alert(world.container, open_one["id"], actor="staff:ann")
    assert todo.alerts(world.container) == []
    with pytest.raises(Conflict, match="already"):
        todo.end_alert(world.container, open_one["id"], actor="staff:ann")
    with world.container.database.transaction() as session:
        raise_it(session)
    assert [one["kind"] for one in todo.alerts(world.container)] == ["config"]


def test_what_is_unclear_is_not_ended_by_a_word(world: World) -> None:
    """Its clocks ring once: whoever ends the alert would be the last to hear of it."""
    shop = world.woocommerce_shop("socks")
    bottle = world.woocommerce_product("socks", "BOTTLE")
    world.link(shop, bottle, BOTTLE)
    world.aliexpress.control("faults", [{"op": "order.create", "kind": "drop_before"}])
    world.woocommerce_order("socks", [{"product_id": int(bottle), "quantity": 1}])
    world.settle(until=lambda: world.states() in (["UNKNOWN"], ["HUMAN"]), seconds=20)
    world.settle(until=lambda: bool(todo.alerts(world.container)), seconds=30)
    (open_one,) = [one for one in todo.alerts(world.container) if one["purchase_id"]]
    with pytest.raises(Conflict, match="flask purchase resolve 1"):
        todo.end_alert(world.container, open_one["id"], actor="staff:ann")
    world.settle(until=lambda: bool(todo.tasks(world.container)), seconds=60)
    (asked,) = todo.tasks(world.container)
    with pytest.raises(Conflict, match="flask purchase resolve 1"):
        todo.finish(world.container, asked["id"], actor="staff:ann")
    with world.container.database.transaction() as session:
        session.execute(sa.update(Purchase).values(state="PLACED_PAID"))
    todo.end_alert(world.container, open_one["id"], actor="staff:ann")
