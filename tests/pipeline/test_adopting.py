"""Orders at the supplier become part of a purchase, theirs and no other's; and what is told of them moves it."""

from __future__ import annotations

from dataclasses import replace
from datetime import timedelta
from typing import Any

import pytest
import sqlalchemy as sa

from app import db
from app.models import Audit, Purchase, SupplierOrder, Task
from app.pipeline import adopt, follow, supplier_read
from app.pipeline.record import alert, task
from app.ports.money import Money
from app.ports.supplier import OrderPayment, OrderShipping, PayResult
from tests.pipeline.stage import ONE, TWO, Stage

PAID = OrderPayment.PAID


def told(stage: Stage, purchase: Purchase) -> None:
    """As if people had been told that these two are unclear."""
    for key in (f"unclear:{purchase.id}", f"unclear:{purchase.id}:staff", f"unclear:{purchase.id}0"):
        alert(stage.session, key, "outcome_unknown", "?")
        task(stage.session, key, "resolve_unclear", turn="us", text="?")


def test_a_single_item_is_placed_by_the_numbers_of_its_answer(stage: Stage) -> None:
    mine, other = stage.purchase("SENDING", outcome="OPEN"), stage.purchase("SENDING", outcome="OPEN")
    stage.lock(mine, "S1")
    stage.lock(other, "S2")
    attempt = adopt.open_attempt(stage.session, mine)
    assert attempt is not None
    attempt.outcome = "PLACED"
    adopt.adopt_orders(stage.container, stage.session, mine, attempt, ["81"], source="answer")
    order = stage.session.scalars(sa.select(SupplierOrder)).one()
    assert (order.external_id, order.purchase_id, order.role) == ("81", mine.id, "bought")
    assert (order.source, order.payment, order.shipping, order.closed) == ("answer", "checking", "none", False)
    assert (order.closed_seen, order.reminders, order.tracks, order.pay_failed) == (0, 0, 0, False)
    assert 9 < stage.soon(order.track_run_at) < 60
    assert (mine.state, mine.reason, mine.facts) == ("PLACED_UNPAID", "", {"orders": "81", "quote": "10.00 USD"})
    assert attempt.outcome == "PLACED"
    assert stage.locked() == {other.id}
    assert other.state == "SENDING"


def test_several_items_wait_until_the_orders_were_read(stage: Stage) -> None:
    mine = stage.purchase("SENDING", TWO, outcome="PLACED", quote_minor=None)
    stage.lock(mine, "S1")
    attempt = adopt.open_attempt(stage.session, mine)
    assert attempt is not None
    adopt.adopt_orders(stage.container, stage.session, mine, attempt, ["81", "82"], source="answer")
    assert (mine.state, mine.reason, mine.facts) == ("UNKNOWN", "confirming", {"orders": "81, 82", "quote": ""})
    assert attempt.outcome == "UNKNOWN"
    assert stage.locked() == {mine.id}


@pytest.mark.parametrize("outcome", ["UNKNOWN", "REJECTED"])
def test_numbers_with_any_other_outcome_are_kept_and_nothing_moves(stage: Stage, outcome: str) -> None:
    mine = stage.purchase("HUMAN", outcome=outcome)
    attempt = adopt.open_attempt(stage.session, mine)
    assert attempt is not None
    adopt.adopt_orders(stage.container, stage.session, mine, attempt, ["81"], source="answer")
    assert (mine.state, attempt.outcome) == ("HUMAN", outcome)
    assert stage.session.scalars(sa.select(SupplierOrder.purchase_id)).one() == mine.id


def test_numbers_for_what_is_placed_already_move_nothing(stage: Stage) -> None:
    mine = stage.purchase("PLACED_PAID", TWO, outcome="PLACED")
    attempt = adopt.open_attempt(stage.session, mine)
    assert attempt is not None
    adopt.adopt_orders(stage.container, stage.session, mine, attempt, ["81"], source="answer")
    assert (mine.state, attempt.outcome) == ("PLACED_PAID", "PLACED")


def test_in_a_persons_list_it_stays_there_until_its_orders_were_read(stage: Stage) -> None:
    mine = stage.purchase("HUMAN", TWO, outcome="PLACED")
    attempt = adopt.open_attempt(stage.session, mine)
    assert attempt is not None
    adopt.adopt_orders(stage.container, stage.session, mine, attempt, ["81"], source="answer")
    assert (mine.state, mine.reason) == ("HUMAN", "confirming")


def test_the_order_of_another_purchase_is_not_taken_from_it(stage: Stage) -> None:
    mine, other = stage.purchase("SENDING", outcome="UNKNOWN"), stage.purchase("PLACED_PAID", outcome="PLACED")
    order = stage.supplier_order("81", other, ONE)
    attempt = adopt.open_attempt(stage.session, mine)
    assert attempt is not None
    adopt.adopt_orders(stage.container, stage.session, mine, attempt, ["81", "82"], source="answer")
    assert order.purchase_id == other.id
    assert stage.alerts() == [f"two-purchases:{order.id}:{mine.id}"]
    rest = stage.session.scalars(sa.select(SupplierOrder).where(SupplierOrder.external_id == "82")).one()
    assert rest.purchase_id == mine.id


def test_what_was_read_before_it_was_ours_is_mapped_anew_and_its_own_items_are_not(stage: Stage) -> None:
    mine, other = stage.purchase("SENDING", outcome="UNKNOWN"), stage.purchase("PLACED_PAID", outcome="PLACED")
    attempt = adopt.open_attempt(stage.session, mine)
    assert attempt is not None
    orphan, own, others = (
        stage.supplier_order("81", None, ONE),
        stage.supplier_order("82", mine, ONE),
        stage.supplier_order("83", other, ONE),
    )
    adopt.adopt_orders(stage.container, stage.session, mine, attempt, ["81", "82"], source="answer")
    assert stage.stored(orphan) == []
    assert len(stage.stored(own)) == len(stage.stored(others)) == 1
    attached = sa.select(Audit.entity_id).where(Audit.entity == "supplier_order", Audit.action == "attached")
    assert list(stage.session.scalars(attached)) == [orphan.id]


def test_a_failed_payment_is_not_forgotten(stage: Stage) -> None:
    mine = stage.purchase("SENDING", outcome="UNKNOWN")
    attempt = adopt.open_attempt(stage.session, mine)
    assert attempt is not None
    for pay, failed in ((PayResult.SAID_PAID, False), (PayResult.FAILED, True), (PayResult.NOT_ASKED, True)):
        adopt.adopt_orders(stage.container, stage.session, mine, attempt, ["81"], source="answer", pay=pay)
        assert stage.session.scalars(sa.select(SupplierOrder.pay_failed)).one() is failed


def test_a_number_is_one_row_in_each_account(stage: Stage) -> None:
    first = adopt.row(stage.session, stage.account.id, "81", "push")
    assert adopt.row(stage.session, stage.account.id, "81", "answer") is first
    assert (first.role, first.source, first.purchase_id) == ("orphan", "push", None)
    other = adopt.row(stage.session, stage.new_account().id, "81", "push")
    assert other.id != first.id
    assert adopt.row(stage.session, stage.account.id, "82", "push").external_id == "82"


@pytest.mark.parametrize(("checks", "tries", "ends"), [(0, 1, False), (1, 1, True), (0, 2, True), (1, 2, True)])
def test_whoever_was_told_that_it_is_unclear_is_told_that_it_is_over(
    stage: Stage, checks: int, tries: int, ends: bool
) -> None:
    mine, other = stage.purchase("UNKNOWN", checks=checks, tries=tries), stage.purchase("UNKNOWN")
    stage.lock(mine, "S1")
    stage.lock(other, "S2")
    told(stage, mine)
    adopt.resolved(stage.session, mine, by="Ada")
    left = [f"unclear:{mine.id}0"] if ends else [f"unclear:{mine.id}{more}" for more in ("", ":staff", "0")]
    assert (stage.tasks(), stage.alerts()) == (left, left)
    assert stage.locked() == {other.id}


def test_what_is_read_is_kept(stage: Stage) -> None:
    order = stage.supplier_order("81", payment="checking", read_at=None, total=None)
    paid_at, until = stage.now - timedelta(minutes=3), stage.now + timedelta(hours=2)
    read = stage.read("81", payment=OrderPayment.UNPAID, total=Money(77, "EUR"), paid_at=paid_at, pay_until=until)
    supplier_read.apply_read(stage.container, stage.session, order, read)
    assert (order.status, order.payment, order.total, order.currency) == ("PLACE_ORDER_SUCCESS", "unpaid", 77, "EUR")
    assert (order.created_at_supplier, order.paid_at, order.pay_until) == (read.created_at, paid_at, until)
    assert order.read_at is not None
    assert [(item.product_id, item.sku_id, item.quantity) for item in stage.stored(order)] == [*ONE]
    assert stage.stored(order)[0].purchase_item_id is None


def test_money_and_parcels_do_not_go_back(stage: Stage) -> None:
    order = stage.supplier_order("81")
    for payment, shipping, wanted in (
        (PAID, OrderShipping.PART, ("paid", "part")),
        (OrderPayment.UNPAID, OrderShipping.NONE, ("paid", "part")),
        (OrderPayment.CHECKING, OrderShipping.DELIVERED, ("paid", "delivered")),
        (OrderPayment.CHECKING, OrderShipping.SHIPPED, ("paid", "delivered")),
    ):
        supplier_read.apply_read(
            stage.container, stage.session, order, stage.read("81", payment=payment, shipping=shipping)
        )
        assert (order.payment, order.shipping) == wanted


def test_closed_counts_when_it_was_seen_twice_with_some_time_between(stage: Stage) -> None:
    order = stage.supplier_order("81")
    closed, opened = stage.read("81", closed=True), stage.read("81")

    def look(read: Any, *, seconds: float) -> tuple[int, bool]:
        order.read_at = db.now(stage.session) - timedelta(seconds=seconds)
        supplier_read.apply_read(stage.container, stage.session, order, read)
        return order.closed_seen, order.closed

    assert look(closed, seconds=0) == (1, False)
    assert look(closed, seconds=4) == (1, False)
    assert look(opened, seconds=60) == (0, False)
    assert look(closed, seconds=60) == (1, False)
    assert look(closed, seconds=5) == (2, True)
    assert look(closed, seconds=0) == (2, True)
    assert look(opened, seconds=0) == (0, False)


def test_seen_closed_at_the_first_read_is_one_look(stage: Stage) -> None:
    order = stage.supplier_order("81", read_at=None)
    supplier_read.apply_read(stage.container, stage.session, order, stage.read("81", closed=True))
    assert (order.closed_seen, order.closed) == (1, False)


def test_a_child_is_mapped_to_the_item_that_it_covers_each_once(stage: Stage) -> None:
    mine = stage.purchase("UNKNOWN", (("P1", "S1", 1), ("P1", "S1", 1), ("P2", "S2", 1)), outcome="UNKNOWN")
    first, second, third = stage.items(mine)
    third.product_id, third.order_product_id = "linked", "P2"
    gone = stage.purchase("UNKNOWN")
    stage.items(gone)[0].quantity = 0
    order = stage.supplier_order("81", mine, read_at=None)
    other = stage.supplier_order("80", gone, read_at=None)
    items = (("P1", "S1", 1), ("P1", "", 1), ("linked", "S2", 1), ("P2", "S2", 1), ("P9", "S1", 1))
    supplier_read.apply_read(stage.container, stage.session, order, stage.read("81", items))
    assert [item.purchase_item_id for item in stage.stored(order)] == [first.id, second.id, third.id, None, None]
    supplier_read.apply_read(stage.container, stage.session, other, stage.read("80", ONE))
    assert [item.purchase_item_id for item in stage.stored(other)] == [None], "nothing is wanted of it any more"


def test_a_closed_child_is_noted_at_its_own_item(stage: Stage) -> None:
    mine = stage.purchase("PLACED_PAID", TWO, outcome="PLACED")
    order, other = stage.supplier_order("81", mine, TWO), stage.supplier_order("80", None, TWO)
    read = stage.read("81", TWO)
    closed = replace(read.items[1], closed=True, closed_reason="no stock")
    supplier_read.apply_read(stage.container, stage.session, order, replace(read, items=(read.items[0], closed)))
    assert [(item.closed, item.closed_reason) for item in stage.stored(order)] == [(False, ""), (True, "no stock")]
    assert [item.closed for item in stage.stored(other)] == [False, False]
    assert stage.tasks() == [f"partly-closed:{mine.id}:1"]


@pytest.mark.parametrize(("minutes", "right"), [(-2.1, False), (-1.9, True), (0, True), (59, True), (61, False)])
@pytest.mark.parametrize("alternatives", [False, True])
def test_the_first_clear_order_tells_whether_the_suppliers_clock_is_read_right(
    stage: Stage, minutes: float, right: bool, alternatives: bool
) -> None:
    mine = stage.purchase("UNKNOWN", outcome="UNKNOWN", sent_at=stage.now - timedelta(hours=3))
    stage.purchase("UNKNOWN", outcome="UNKNOWN", sent_at=stage.now - timedelta(days=3))
    made = stage.now - timedelta(hours=3) + timedelta(minutes=minutes)
    times = (stage.now - timedelta(days=9), made) if alternatives else ()
    read = stage.read("81", created_at=None if alternatives else made, created_at_alternatives=times)
    if right:
        alert(stage.session, supplier_read.CLOCK, "supplier_clock", "as it was before")
    supplier_read.apply_read(stage.container, stage.session, stage.supplier_order("81", mine, read_at=None), read)
    assert stage.alerts() == ([] if right else [supplier_read.CLOCK])


@pytest.mark.parametrize("how", ["no time", "never sent", "not by its answer", "read before", "an orphan"])
def test_other_orders_say_nothing_about_the_clock(stage: Stage, how: str) -> None:
    mine = stage.purchase("UNKNOWN", outcome="" if how == "never sent" else "UNKNOWN")
    more: dict[str, Any] = {"source": "push"} if how == "not by its answer" else {}
    order = stage.supplier_order(
        "81",
        None if how == "an orphan" else mine,
        read_at=stage.now if how == "read before" else None,
        **more,
    )
    made = None if how == "no time" else stage.now - timedelta(days=9)
    supplier_read.apply_read(stage.container, stage.session, order, stage.read("81", created_at=made))
    assert stage.alerts() == []


def test_too_many_of_one_make_up_for_none_of_another_and_other_purchases_orders_for_nothing(stage: Stage) -> None:
    mine, other = stage.purchase("UNKNOWN", TWO), stage.purchase("UNKNOWN", TWO)
    assert follow.coverage(stage.session, mine) == (0, 3)
    stage.supplier_order("81", mine, (("P1", "S1", 5),))
    stage.supplier_order("82", other, TWO)
    assert follow.coverage(stage.session, mine) == (2, 3)
    rest = stage.supplier_order("83", mine, (("P2", "S2", 1),))
    assert follow.coverage(stage.session, mine) == (3, 3)
    stage.stored(rest)[0].given_up = True
    assert follow.coverage(stage.session, mine) == (2, 3)


ENDED = {"VOID", "CANCELLED", "REJECTED", "EXPIRED", "SUPPLIER_CANCELLED", "REFUNDED"}


@pytest.mark.parametrize("state", sorted(ENDED))
def test_what_has_ended_is_not_moved_by_its_orders(stage: Stage, state: str) -> None:
    mine = stage.purchase(state, outcome="PLACED")
    stage.supplier_order("81", mine, ONE, payment="paid", shipping="delivered")
    follow.follow(stage.container, stage.session, mine)
    assert mine.state == state
    assert stage.spend(mine) == ("RESERVED", None)


def test_no_order_or_a_duplicate_moves_nothing(stage: Stage) -> None:
    mine, other = stage.purchase("UNKNOWN", outcome="UNKNOWN"), stage.purchase("UNKNOWN", outcome="UNKNOWN")
    stage.supplier_order("81", other, ONE, payment="paid")
    stage.supplier_order("82", mine, ONE, payment="paid", role="duplicate")
    follow.follow(stage.container, stage.session, mine)
    assert (mine.state, stage.tasks(), stage.alerts()) == ("UNKNOWN", [], [])


@pytest.mark.parametrize("state", ["SENDING", "UNKNOWN", "HUMAN"])
@pytest.mark.parametrize("outcome", ["OPEN", "UNKNOWN"])
def test_orders_that_hold_everything_resolve_an_unclear_purchase(stage: Stage, state: str, outcome: str) -> None:
    mine, other = stage.purchase(state, TWO, outcome=outcome, checks=1), stage.purchase("UNKNOWN", outcome="UNKNOWN")
    stage.attempt(mine, "NOT_SENT")
    stage.attempt(mine, "NOT_EXECUTED")
    told(stage, mine)
    stage.supplier_order("81", mine, ONE)
    stage.supplier_order("82", mine, TWO[1:], source="human")
    follow.follow(stage.container, stage.session, mine)
    assert (mine.state, mine.reason) == ("PAY_BLOCKED", "price_over_limit")
    settled = adopt.open_attempt(stage.session, mine)
    assert settled is not None
    assert settled.outcome == "PLACED"
    done = stage.session.scalars(sa.select(Task.done_by).where(Task.dedupe_key == f"unclear:{mine.id}")).one()
    assert done == "a person's word"
    assert other.state == "UNKNOWN"


def test_a_part_that_was_found_is_told_once_all_its_orders_were_read(stage: Stage) -> None:
    mine = stage.purchase("UNKNOWN", TWO, outcome="UNKNOWN", facts={"code": "cut"})
    stage.supplier_order("81", mine, ONE)
    unread = stage.supplier_order("82", mine, read_at=None)
    follow.follow(stage.container, stage.session, mine)
    assert (mine.reason, mine.facts) == ("", {"code": "cut"})
    unread.read_at = stage.now
    stage.session.flush()
    follow.follow(stage.container, stage.session, mine)
    assert (mine.state, mine.reason, mine.facts) == ("UNKNOWN", "partly_found", {"code": "cut", "found": 2, "of": 3})
    mine.reason = "as a person left it"
    follow.follow(stage.container, stage.session, mine)
    assert mine.reason == "as a person left it", "told once"


def test_while_it_is_being_sent_a_part_says_nothing(stage: Stage) -> None:
    mine = stage.purchase("SENDING", TWO, outcome="OPEN")
    stage.supplier_order("81", mine, ONE)
    follow.follow(stage.container, stage.session, mine)
    assert (mine.state, mine.reason, mine.facts) == ("SENDING", "", {})


def test_a_gap_of_a_placed_purchase_is_told_until_it_is_filled(stage: Stage) -> None:
    mine, other = stage.purchase("PLACED_UNPAID", TWO, outcome="PLACED"), stage.purchase("UNKNOWN")
    stage.lock(mine, "S1")
    stage.lock(other, "S2")
    order = stage.supplier_order("81", mine, ONE, read_at=None, total=500)
    follow.follow(stage.container, stage.session, mine)
    assert (stage.tasks(), stage.alerts()) == ([], []), "not before all of them were read"
    order.read_at = stage.now
    stage.session.flush()
    follow.follow(stage.container, stage.session, mine)
    assert (stage.tasks(), stage.alerts()) == ([f"partial:{mine.id}"], [f"partial:{mine.id}"])
    assert stage.locked() == {mine.id, other.id}
    stage.supplier_order("82", mine, TWO[1:], total=500)
    follow.follow(stage.container, stage.session, mine)
    assert (stage.tasks(), stage.alerts()) == ([], [])
    assert stage.locked() == {other.id}


@pytest.mark.parametrize("what", ["alert", "task", "lock"])
def test_whichever_is_left_of_a_gap_ends_when_it_is_filled(stage: Stage, what: str) -> None:
    mine = stage.purchase("PLACED_UNPAID", outcome="PLACED")
    if what == "alert":
        alert(stage.session, f"partial:{mine.id}", "partly_placed", "?")
    if what == "task":
        task(stage.session, f"partial:{mine.id}", "partly_placed", turn="us", text="?")
    if what == "lock":
        stage.lock(mine, "S1")
    stage.supplier_order("81", mine, ONE)
    follow.follow(stage.container, stage.session, mine)
    assert (stage.tasks(), stage.alerts(), stage.locked()) == ([], [], set())


def test_what_living_orders_cost_is_what_was_spent(stage: Stage) -> None:
    mine, other = stage.purchase("PLACED_UNPAID", outcome="PLACED"), stage.purchase("PLACED_UNPAID", outcome="PLACED")
    stage.supplier_order("81", mine, ONE, total=300)
    second = stage.supplier_order("82", mine, ONE, total=400)
    third = stage.supplier_order("83", mine, ONE, total=None)
    follow.follow(stage.container, stage.session, mine)
    assert stage.spend(mine) == ("RESERVED", None), "one of them is not known yet"
    third.total, third.currency = 500, "EUR"
    stage.session.flush()
    follow.follow(stage.container, stage.session, mine)
    assert stage.spend(mine) == ("RESERVED", None), "caps are in the currency of the quote"
    third.currency, second.closed = "USD", True
    stage.session.flush()
    follow.follow(stage.container, stage.session, mine)
    assert stage.spend(mine) == ("SETTLED", 800)
    assert stage.spend(other) == ("RESERVED", None)


def test_a_send_that_bought_nothing_costs_nothing(stage: Stage) -> None:
    mine = stage.purchase("PLACED_UNPAID", outcome="NOT_EXECUTED")
    stage.supplier_order("81", mine, ONE)
    follow.follow(stage.container, stage.session, mine)
    assert stage.spend(mine) == ("RESERVED", None)


@pytest.mark.parametrize("again", [False, True])
def test_closed_unpaid_gives_its_money_back_and_is_bought_once_more_by_itself(stage: Stage, again: bool) -> None:
    mine = stage.purchase("PLACED_UNPAID", outcome="PLACED", generation=2 if again else 1)
    task(stage.session, f"partly-closed:{mine.id}:1", "partly_closed", turn="merchant", text="?")
    stage.supplier_order("81", mine, ONE, closed=True, closed_seen=2)
    follow.follow(stage.container, stage.session, mine)
    heir = stage.session.scalars(sa.select(Purchase).where(Purchase.previous_id == mine.id)).one()
    assert (mine.state, mine.reason, stage.spend(mine)) == ("EXPIRED", "expired_unpaid", ("RELEASED", 0))
    assert (heir.state, heir.reason) == (("HELD", "expired_unpaid") if again else ("HELD", "address_missing"))
    assert stage.tasks() == ([f"expired:{mine.id}"] if again else [])
    assert heir.facts.get("times") == ("2" if again else None)


def test_closed_unpaid_ends_where_the_buyer_wants_nothing_any_more(stage: Stage) -> None:
    mine = stage.purchase("PLACED_UNPAID", outcome="PLACED", cancel_requested_at=stage.now)
    stage.supplier_order("81", mine, ONE, closed=True, closed_seen=2)
    follow.follow(stage.container, stage.session, mine)
    assert (mine.state, mine.reason, stage.tasks()) == ("CANCELLED", "cancelled_by_shop", [])


def test_closed_unpaid_is_not_bought_again_while_a_part_may_stand_elsewhere(stage: Stage) -> None:
    mine = stage.purchase("PLACED_UNPAID", TWO, outcome="PLACED")
    stage.supplier_order("81", mine, ONE, closed=True, closed_seen=2)
    follow.follow(stage.container, stage.session, mine)
    assert mine.state == "EXPIRED"
    assert f"expired:{mine.id}" in stage.tasks()
    assert stage.session.scalar(sa.select(Purchase.id).where(Purchase.previous_id == mine.id)) is None


@pytest.mark.parametrize(("shipping", "state"), [("none", "SUPPLIER_CANCELLED"), ("shipped", "REFUNDED")])
def test_closed_after_it_was_paid_is_the_merchants_to_decide(stage: Stage, shipping: str, state: str) -> None:
    mine, other = stage.purchase("PLACED_PAID", outcome="PLACED"), stage.purchase("PLACED_PAID", outcome="PLACED")
    for one in (mine, other):
        for kind in ("ask_supplier_to_cancel", "other"):
            task(
                stage.session,
                f"{kind}:{one.id}",
                kind,
                turn="merchant",
                text="?",
                order_id=one.order_id,
                purchase_id=one.id,
            )
    stage.supplier_order("81", mine, ONE, payment="paid", shipping=shipping, closed=True, closed_seen=2)
    follow.follow(stage.container, stage.session, mine)
    assert (mine.state, stage.spend(mine)[0]) == (state, "RELEASED")
    wanted = {f"other:{mine.id}", f"ask_supplier_to_cancel:{other.id}", f"other:{other.id}", f"closed:{mine.id}"}
    assert set(stage.tasks()) == wanted


def test_seen_closed_once_is_neither_closed_nor_going_on(stage: Stage) -> None:
    mine = stage.purchase("PLACED_PAID", TWO, outcome="PLACED")
    stage.supplier_order("81", mine, ONE, payment="paid", closed=True, closed_seen=2)
    rest = stage.supplier_order("82", mine, TWO[1:], payment="paid", closed_seen=1)
    follow.follow(stage.container, stage.session, mine)
    assert stage.tasks() == []
    rest.closed_seen = 0
    stage.session.flush()
    follow.follow(stage.container, stage.session, mine)
    assert stage.tasks() == [f"partly-closed:{mine.id}:2"]


def test_each_total_over_the_limit_is_asked_about_once(stage: Stage) -> None:
    mine = stage.purchase("PLACED_UNPAID", outcome="PLACED")
    until = stage.now + timedelta(days=1)
    order = stage.supplier_order("81", mine, ONE, total=1600, pay_until=until)
    stage.supplier_order("80", mine, ONE, total=9, closed=True, pay_until=stage.now - timedelta(days=1))
    stage.supplier_order("79", stage.purchase("PLACED_UNPAID"), ONE, pay_until=stage.now - timedelta(days=2))
    for total in ("16.00 USD", "16.00 USD", "17.00 USD"):
        order.total = int(float(total.split()[0]) * 100)
        stage.session.flush()
        follow.follow(stage.container, stage.session, mine)
        assert (mine.state, mine.reason, mine.facts["total"]) == ("PAY_BLOCKED", "price_over_limit", total)
        assert [key for key in stage.tasks() if key.startswith("price")] == [f"price:{mine.id}:{total}"]
    text = stage.session.scalars(sa.select(Task.text).where(Task.dedupe_key.startswith("price"), ~Task.over)).one()
    assert f"{until:%Y-%m-%d %H:%M} UTC" in text
    assert "17.00 USD" in text
    assert "15.00 USD" in text
    order.total = 1500
    stage.session.flush()
    follow.follow(stage.container, stage.session, mine)
    assert mine.state == "PLACED_UNPAID"
    assert [key for key in stage.tasks() if key.startswith("price")] == []


@pytest.mark.parametrize(
    ("autopay", "total", "payment", "over"),
    [
        (True, 1501, "paid", True),
        (True, 1500, "paid", False),
        (True, 1501, "unpaid", False),
        (False, 1501, "paid", False),
    ],
)
def test_an_automatic_payment_over_the_limit_ends_automatic_payment(
    stage: Stage, autopay: bool, total: int, payment: str, over: bool
) -> None:
    stage.shop.autopay = True
    mine = stage.purchase("PLACED_UNPAID", outcome="PLACED", autopay=autopay)
    stage.supplier_order("81", mine, ONE, total=total, payment=payment)
    follow.follow(stage.container, stage.session, mine)
    assert stage.shop.autopay is not over
    assert (f"autopay-over:{mine.id}" in stage.alerts()) is over
    switched = sa.select(sa.func.count()).select_from(Audit).where(Audit.action == "autopay_off")
    follow.follow(stage.container, stage.session, mine)
    assert stage.session.scalar(switched) == int(over)


def test_the_windows_are_never_shorter_than_what_the_supplier_tells(stage: Stage) -> None:
    assert supplier_read.window(stage.container) == (timedelta(minutes=2), timedelta(minutes=60))
    short = replace(stage.container.timers, match_before=timedelta(0), match_after=timedelta(seconds=1))
    least = timedelta(seconds=2)
    assert supplier_read.window(replace(stage.container, timers=short)) == (least, least)
