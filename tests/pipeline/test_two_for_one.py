"""Two orders at the supplier for the same pieces: which of them counts, which is one too many, and who is told."""

from __future__ import annotations

from datetime import timedelta
from typing import Any

import pytest
import sqlalchemy as sa

from app.models import Outbox, Purchase, SourceLine, SupplierOrder, Task
from app.pipeline import adopt, follow, late, supplier_read, track
from app.pipeline.buy import outcome
from app.pipeline.record import alert, task
from app.ports.supplier import PayResult, PlaceOutcome, PlaceResult
from tests.pipeline.stage import ONE, TWO, Stage
from tests.pipeline.test_late import chain, replaced, states, turns_up
from tests.pipeline.test_recorded_answers import attempt, record


def answered(stage: Stage, purchase: Purchase, *numbers: str, pay: PayResult = PayResult.NOT_ASKED) -> None:
    """The answer to its send comes after it was settled otherwise."""
    assert not record(stage, purchase, PlaceResult(PlaceOutcome.PLACED, numbers, pay))


def order(stage: Stage, number: str) -> SupplierOrder:
    return stage.session.scalars(sa.select(SupplierOrder).where(SupplierOrder.external_id == number)).one()


def test_the_own_answer_after_another_order_was_found_is_one_too_many(stage: Stage) -> None:
    mine = stage.purchase("PLACED_UNPAID", outcome="PLACED")
    found = stage.supplier_order("80", mine, ONE)
    answered(stage, mine, "81")
    assert (found.role, order(stage, "81").role, order(stage, "81").purchase_id) == ("bought", "duplicate", mine.id)
    assert stage.tasks() == [f"duplicate:{order(stage, '81').id}"]
    assert "of which nothing is missing any more" in stage.session.scalars(sa.select(Task.text)).one()
    answered(stage, mine, "81")
    assert order(stage, "81").role == "duplicate", "told twice it is no less a duplicate"


def test_the_rest_that_the_own_answer_names_is_bought(stage: Stage) -> None:
    mine = stage.purchase("PLACED_UNPAID", TWO, outcome="PLACED")
    stage.supplier_order("80", mine, ONE)
    answered(stage, mine, "80", "81", pay=PayResult.FAILED)
    assert (order(stage, "81").role, order(stage, "81").pay_failed) == ("bought", True)


def test_it_is_no_failed_payment_of_another_purchases_order(stage: Stage) -> None:
    mine, other = stage.purchase("VOID", outcome="VOID"), stage.purchase("PLACED_PAID", outcome="PLACED")
    theirs = stage.supplier_order("81", other, ONE)
    answered(stage, mine, "81", pay=PayResult.FAILED)
    assert (theirs.pay_failed, theirs.purchase_id) == (False, other.id)


def test_an_answer_of_which_another_purchase_has_the_only_order_leaves_it_unclear(stage: Stage) -> None:
    mine, other = stage.purchase("SENDING", outcome="OPEN"), stage.purchase("PLACED_PAID", outcome="PLACED")
    stage.lock(mine, "S1")
    theirs = stage.supplier_order("81", other, ONE)
    assert record(stage, mine, PlaceResult(PlaceOutcome.PLACED, ("81",)))
    assert (mine.state, mine.reason, attempt(stage, mine).outcome) == ("UNKNOWN", "outcome_unknown", "UNKNOWN")
    assert mine.id in stage.locked()
    assert f"two-purchases:{theirs.id}:{mine.id}" in stage.alerts()


@pytest.mark.parametrize("closed", [False, True])
def test_beside_a_duplicate_of_a_later_try_an_earlier_one_is_a_duplicate_too(stage: Stage, closed: bool) -> None:
    first, second, third = made = chain(stage, "VOID", "VOID", "UNKNOWN")
    paid = turns_up(stage, second, "82")
    assert paid.role == "duplicate"
    paid.closed = closed
    third.state = "REJECTED"
    stage.session.flush()
    found = turns_up(stage, first)
    if closed:
        assert (states(made), found.role) == (["PLACED_UNPAID", "CANCELLED", "CANCELLED"], "bought")
        return
    assert (states(made), found.role) == (["VOID", "VOID", "REJECTED"], "duplicate")
    late.reconsider(stage.container, stage.session, paid, second, closed=False)
    assert (states(made), paid.role, found.role) == (["VOID", "PLACED_UNPAID", "CANCELLED"], "bought", "duplicate")


def part(stage: Stage, of: Purchase, pieces: int, state: str, quantity: int) -> None:
    """Another part of the same line, of which the buyer wants so many in all."""
    other = stage.purchase(state, (("P1", "S1", pieces),), outcome="PLACED", order_id=of.order_id, part=2)
    line = stage.session.get_one(SourceLine, stage.items(of)[0].source_line_id)
    line.quantity = line.to_ship = quantity
    stage.items(other)[0].source_line_id = line.id
    stage.session.flush()


@pytest.mark.parametrize(
    ("pieces", "state", "quantity", "role"),
    [
        (1, "PLACED_UNPAID", 2, "duplicate"),
        (1, "UNKNOWN", 2, "duplicate"),
        (1, "PLACED_PAID", 3, "bought"),
        (1, "READY", 2, "bought"),
        (1, "EXPIRED", 2, "bought"),
    ],
)
def test_pieces_that_another_part_has_by_now_are_not_bought_once_more(
    stage: Stage, pieces: int, state: str, quantity: int, role: str
) -> None:
    given_up, heir = replaced(stage)
    part(stage, given_up, pieces, state, quantity)
    assert turns_up(stage, given_up).role == role
    assert (given_up.state, heir.gave_way) == (("VOID", False) if role == "duplicate" else ("PLACED_UNPAID", True))


def test_one_that_is_closed_when_it_turns_up_stops_nothing(stage: Stage) -> None:
    given_up, heir = replaced(stage)
    found = turns_up(stage, given_up, closed=True)
    assert (given_up.state, heir.state, found.role) == ("VOID", "HELD", "duplicate")


@pytest.mark.parametrize(
    ("row", "told"),
    [({"state": "DONE"}, True), ({"state": "DUE", "leased": True}, True), ({"state": "DUE"}, False), (None, False)],
)
def test_after_a_rejection_was_written_the_merchant_is_told(
    stage: Stage, row: dict[str, Any] | None, told: bool
) -> None:
    given_up, heir = replaced(stage)
    if row is not None:
        until = sa.func.now() + sa.text("interval '1 hour'") if row.get("leased") else None
        key = f"request:{heir.id}:reject"
        act = Outbox(dedupe_key=key, kind="reject_request", shop_id=heir.shop_id, state=row["state"], lease_until=until)
        stage.add(act)
    turns_up(stage, given_up)
    assert stage.tasks() == ([f"bought-after-all:{given_up.id}"] if told else [])


@pytest.mark.parametrize("how", ["answer", "given"])
def test_nobody_is_asked_any_more_whose_it_is(stage: Stage, how: str) -> None:
    mine = stage.purchase("UNKNOWN", outcome="UNKNOWN")
    orphan = stage.supplier_order("81", None, ONE)
    for key in (f"stray:{orphan.id}", f"orphan:{orphan.id}", f"stray:{orphan.id}0"):
        alert(stage.session, key, "stray_order", "?")
        task(stage.session, key, "stray_order", turn="us", text="?")
    if how == "answer":
        adopt.adopt_orders(stage.container, stage.session, mine, attempt(stage, mine), ["81"], source="answer")
    else:
        outcome.evidence.give(stage.container, stage.session, orphan, mine, attempt(stage, mine), source="push")
    assert stage.tasks() == stage.alerts() == [f"stray:{orphan.id}0"]


@pytest.mark.parametrize("state", ["EXPIRED", "SUPPLIER_CANCELLED", "REFUNDED"])
def test_an_answer_after_all_was_over_names_one_too_many(stage: Stage, state: str) -> None:
    mine = stage.purchase(state, outcome="PLACED")
    stage.supplier_order("80", mine, ONE, closed=True)
    answered(stage, mine, "81")
    assert (order(stage, "81").role, mine.state) == ("duplicate", state)


def test_a_gap_is_not_filled_by_what_holds_more_than_it(stage: Stage) -> None:
    """Its answer names an order with both items; one of them had been found elsewhere."""
    mine = stage.purchase("PLACED_UNPAID", TWO, outcome="PLACED")
    part = stage.supplier_order("80", mine, ONE)
    answered(stage, mine, "81")
    whole = order(stage, "81")
    assert whole.role == "bought"
    supplier_read.apply_read(stage.container, stage.session, whole, stage.read("81", TWO), mine)
    assert late.surplus(stage.session, mine)
    assert (part.role, whole.role) == ("duplicate", "bought")
    assert not late.surplus(stage.session, mine)


@pytest.mark.parametrize(("paid", "left"), [("80", "80"), ("81", "81"), ("", "80")])
def test_of_two_of_which_one_is_needless_the_paid_or_the_older_one_stays(stage: Stage, paid: str, left: str) -> None:
    mine = stage.purchase("PLACED_UNPAID", outcome="PLACED")
    orders = [stage.supplier_order(number, mine, ONE) for number in ("80", "81")]
    for one in orders:
        one.payment = "paid" if one.external_id == paid else "unpaid"
    stage.session.flush()
    assert late.surplus(stage.session, mine)
    assert [one.external_id for one in orders if one.role == "bought"] == [left]


@pytest.mark.parametrize("how", ["needed", "closed", "unread", "unmapped", "unclear"])
def test_nothing_else_is_needless(stage: Stage, how: str) -> None:
    mine = stage.purchase("UNKNOWN" if how == "unclear" else "PLACED_UNPAID", TWO, outcome="PLACED")
    first = stage.supplier_order("80", mine, TWO)
    second = stage.supplier_order("81", mine, () if how == "unread" else ONE)
    if how == "needed":
        stage.stored(first)[0].closed = True
    if how == "closed":
        first.closed = True
    if how == "unread":
        second.read_at = None
    if how == "unmapped":
        stage.stored(second)[0].purchase_item_id = None
    stage.session.flush()
    assert not late.surplus(stage.session, mine)
    assert (first.role, second.role) == ("bought", "bought")


def test_nobody_is_reminded_to_pay_a_duplicate(stage: Stage) -> None:
    mine = stage.purchase("PLACED_UNPAID", outcome="PLACED")
    late_one = stage.supplier_order("81", mine, ONE, role="duplicate", pay_until=stage.now)
    late_one.created_at_supplier = stage.now - timedelta(days=1)
    track._remind(stage.session, late_one, mine, stage.now)
    assert stage.tasks() == []
    late_one.role = "bought"
    track._remind(stage.session, late_one, mine, stage.now)
    assert stage.tasks() == [f"pay:{late_one.id}:4"]


def test_what_the_merchant_must_not_send_is_over_when_it_is_closed(stage: Stage) -> None:
    given_up, heir = replaced(stage)
    stage.add(Outbox(dedupe_key=f"request:{heir.id}:reject", kind="reject_request", shop_id=heir.shop_id, state="DONE"))
    found = turns_up(stage, given_up)
    found.closed, found.payment = True, "unpaid"
    stage.session.flush()
    follow.follow(stage.container, stage.session, given_up)
    assert given_up.state == "EXPIRED"
    assert f"bought-after-all:{given_up.id}" not in stage.tasks()
