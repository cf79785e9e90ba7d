"""Whose an order is that turned up: which account is asked, who gets it, and what a person may say about it."""

from __future__ import annotations

from datetime import timedelta
from typing import Any

import pytest
import sqlalchemy as sa

from app.errors import Conflict, NotFound, WaybillError
from app.models import Evidence, Inbox, Purchase, Task
from app.pipeline import adopt, evidence, unverified
from app.pipeline.record import alert, task
from app.ports.errors import MerchantMustAct, TryLater
from app.ports.inbound import Hint, HintKind
from app.ports.supplier import OrderShipping
from tests.pipeline.stage import ONE, TWO, Stage

MINUTE = timedelta(minutes=1)


def test_what_turned_up_since_the_send_and_belongs_to_nobody_is_compared(stage: Stage) -> None:
    sent = stage.now - timedelta(minutes=30)
    stage.supplier_order("81", recorded_at=sent - timedelta(seconds=119))
    stage.supplier_order("82", recorded_at=sent - timedelta(seconds=121))
    stage.supplier_order("83", role="foreign")
    stage.supplier_order("84", account_id=stage.new_account().id)
    stage.supplier_order("85", stage.purchase("UNKNOWN"))
    stage.supplier_order("86", role="orphan")
    assert evidence.unattached(stage.session, stage.account.id, sent) == ["81", "86"]
    assert evidence.unattached(stage.session, stage.account.id, None) == ["81", "82", "86"]


def test_a_push_that_names_a_buyer_is_asked_of_that_account_only(stage: Stage) -> None:
    other = stage.new_account()
    stage.purchase("UNKNOWN", outcome="UNKNOWN")
    assert evidence._accounts(stage.session, "aliexpress", other.user_id, turn=0) == [other.id]
    assert evidence._accounts(stage.session, "other", other.user_id, turn=0) == []
    assert evidence._accounts(stage.session, "aliexpress", "nobody's", turn=0) == [stage.account.id]


@pytest.mark.parametrize(
    ("state", "outcome", "age", "asked"),
    [
        ("SENDING", "OPEN", 9999, True),
        ("HUMAN", "UNKNOWN", 9999, True),
        ("READY", "UNKNOWN", 1, False),
        ("UNKNOWN", "PLACED", 1, False),
        ("VOID", "VOID", 6 * 24, True),
        ("VOID", "VOID", 8 * 24, False),
        ("CANCELLED", "VOID", 6 * 24, True),
        ("VOID", "REJECTED", 1, False),
    ],
)
def test_one_that_names_nobody_is_asked_of_accounts_with_an_unclear_send(
    stage: Stage, state: str, outcome: str, age: int, asked: bool
) -> None:
    stage.purchase(state, outcome=outcome, sent_at=stage.now - timedelta(hours=age))
    assert evidence._accounts(stage.session, "aliexpress", None, turn=0) == ([stage.account.id] if asked else [])
    assert evidence._accounts(stage.session, "other", None, turn=0) == []


def test_the_latest_sends_accounts_first_and_others_at_the_next_turn(stage: Stage) -> None:
    accounts = [stage.new_account().id for _ in range(evidence.ACCOUNTS_MOST + 5)]
    for age, account in enumerate(accounts):
        stage.purchase("UNKNOWN", outcome="UNKNOWN", account_id=account, sent_at=stage.now - age * MINUTE)
        stage.purchase("UNKNOWN", outcome="UNKNOWN", account_id=account, sent_at=stage.now - timedelta(days=9))
    most = evidence.ACCOUNTS_MOST
    assert evidence._accounts(stage.session, "aliexpress", None, turn=0) == accounts[:most]
    assert evidence._accounts(stage.session, "aliexpress", None, turn=1) == [*accounts[most:], *accounts[: most - 5]]


def attach(stage: Stage, order: Any, *purchases: Purchase, items: Any = ONE) -> str:
    candidates = []
    for one in purchases:
        attempt = adopt.open_attempt(stage.session, one)
        assert attempt is not None
        candidates.append((one, attempt))
    read = stage.read(order.external_id, items)
    return evidence.attach(stage.container, stage.session, order, read, candidates, source="push")


def test_one_that_fits_gets_it(stage: Stage) -> None:
    mine, other = stage.purchase("UNKNOWN", outcome="UNKNOWN"), stage.purchase("UNKNOWN", outcome="UNKNOWN")
    order, theirs = stage.supplier_order("81", items=(("P1", "S1", 9),)), stage.supplier_order("82", items=ONE)
    for one in (order, theirs):
        task(stage.session, f"stray:{one.id}:7", "stray_order", turn="us", text="?")
        alert(stage.session, f"stray:{one.id}:7", "duplicate", "?")
    assert attach(stage, order, mine) == f"attached to purchase {mine.id}"
    assert (order.purchase_id, order.role, mine.state, other.state) == (mine.id, "bought", "PLACED_UNPAID", "UNKNOWN")
    assert [(item.quantity, item.purchase_item_id) for item in stage.stored(order)] == [(2, stage.items(mine)[0].id)]
    assert len(stage.stored(theirs)) == 1
    kept = stage.session.scalars(sa.select(Evidence)).one()
    assert (kept.purchase_id, kept.account_id, kept.kind, kept.supplier_order_ref) == (
        mine.id,
        stage.account.id,
        "push",
        "81",
    )
    assert kept.detail == {"attached": True}
    assert (stage.tasks(), stage.alerts()) == ([f"stray:{theirs.id}:7"], [f"stray:{theirs.id}:7"])


def test_while_one_of_them_is_being_sent_it_waits(stage: Stage) -> None:
    ahead = stage.now + 60 * MINUTE
    mine = stage.purchase("SENDING", outcome="OPEN", sent_deadline=ahead)
    stage.purchase("SENDING", outcome="OPEN", sent_deadline=stage.now - MINUTE)
    order = stage.supplier_order("81")
    assert attach(stage, order, mine) == "a send is on its way, looked at again after it"
    assert (order.purchase_id, order.role) == (None, "orphan")
    stage.session.flush()
    stage.session.refresh(order)
    assert 29 < stage.soon(order.track_run_at) < 90
    mine.sent_deadline = stage.now - MINUTE
    stage.session.flush()
    assert attach(stage, order, mine) == f"attached to purchase {mine.id}"


def test_several_that_fit_are_asked_about_and_none_gets_it(stage: Stage) -> None:
    first, second = stage.purchase("UNKNOWN", outcome="UNKNOWN"), stage.purchase("HUMAN", outcome="UNKNOWN")
    order = stage.supplier_order("81")
    assert attach(stage, order, first, second) == f"fits several purchases: {first.id}, {second.id}"
    assert (order.purchase_id, order.role, first.state) == (None, "orphan", "UNKNOWN")
    assert stage.tasks() == [f"orphan:{order.id}"]
    assert 6 * 3500 < stage.soon(order.track_run_at) < 6 * 3700


@pytest.mark.parametrize("why", ["closed", "delivered", "a month old", "open", "closed once"])
def test_an_orphan_is_looked_at_no_more_when_nothing_becomes_of_it(stage: Stage, why: str) -> None:
    """Each look compares it with the purchases of its account, under the account's lock."""
    order = stage.supplier_order("81", None, ONE, closed=why == "closed")
    if why == "a month old":
        order.recorded_at = stage.now - timedelta(days=31)
    if why == "closed once":  # only a second look makes it certain
        order.recorded_at, order.closed_seen = stage.now - timedelta(days=31), 1
    more = {"closed": True} if why == "closed" else {}
    more |= {"shipping": OrderShipping.DELIVERED} if why == "delivered" else {}
    evidence.attach(stage.container, stage.session, order, stage.read("81", ONE, **more), [], source="lookup")
    assert (order.role, order.track_run_at is None) == ("orphan", "open" not in why and why != "closed once")


def test_one_that_fits_nobody_is_an_orphan_and_one_dismissed_is_not_looked_at_again(stage: Stage) -> None:
    order, dismissed = stage.supplier_order("81"), stage.supplier_order("82", role="foreign")
    assert attach(stage, order) == attach(stage, dismissed) == "belongs to no purchase of ours"
    assert (order.role, dismissed.role, dismissed.track_run_at) == ("orphan", "foreign", None)
    assert order.track_run_at is not None
    assert stage.tasks() == []


@pytest.mark.parametrize(
    ("heir_state", "late"),
    [
        (None, False),
        ("DRAFT", False),
        ("HELD", False),
        ("READY", False),
        ("CLAIMED", False),
        ("SENDING", True),
        ("PLACED_PAID", True),
    ],
)
def test_what_turns_up_for_a_send_that_was_given_up_takes_its_place_or_is_a_duplicate(
    stage: Stage, heir_state: str | None, late: bool
) -> None:
    mine, other = stage.purchase("VOID", outcome="VOID"), stage.purchase("READY")
    made = heir_state and stage.purchase(heir_state, previous_id=mine.id)
    order = stage.supplier_order("81")
    attach(stage, order, mine)
    attempt = adopt.open_attempt(stage.session, mine)
    assert attempt is not None
    if late:
        assert (order.role, mine.state, attempt.outcome) == ("duplicate", "VOID", "VOID")
        assert (stage.tasks(), stage.alerts()) == ([f"duplicate:{order.id}"], [f"duplicate:{order.id}"])
        assert isinstance(made, Purchase)
        assert made.state == heir_state
    else:
        assert (order.role, mine.state, attempt.outcome) == ("bought", "PLACED_UNPAID", "PLACED")
        assert (stage.tasks(), stage.alerts()) == ([], [])
        if isinstance(made, Purchase):
            assert (made.state, made.reason) == ("CANCELLED", "late_evidence")
    assert other.state == "READY"


def test_what_turns_up_after_the_shop_had_cancelled_is_not_to_be_paid(stage: Stage) -> None:
    mine = stage.purchase("CANCELLED", outcome="VOID")
    order = stage.supplier_order("81")
    attach(stage, order, mine)
    assert (order.role, mine.state) == ("duplicate", "CANCELLED")
    asked = stage.session.scalars(sa.select(Task)).one()
    assert (asked.turn, asked.kind, asked.purchase_id) == ("merchant", "duplicate", mine.id)
    assert "after the shop had cancelled it" in asked.text


@pytest.mark.parametrize("whole", [False, True])
def test_the_rest_of_a_placed_purchase_is_its_own_or_a_duplicate_if_it_has_everything(
    stage: Stage, whole: bool
) -> None:
    mine = stage.purchase("PLACED_UNPAID", TWO, outcome="PLACED")
    stage.supplier_order("80", mine, TWO if whole else ONE)
    order = stage.supplier_order("81")
    attach(stage, order, mine, items=TWO[1:])
    assert order.role == ("duplicate" if whole else "bought")


@pytest.mark.parametrize(
    ("state", "found", "late", "may"),
    [
        ("SENDING", False, "gap", True),
        ("UNKNOWN", False, "gap", True),
        ("HUMAN", True, "void", True),
        ("PLACED_PAID", True, "gap", True),
        ("PLACED_PAID", True, "void", True),
        ("PLACED_PAID", None, "gap", False),
        ("VOID", False, "void", True),
        ("VOID", False, "gap", False),
        ("READY", False, "void", True),
        ("READY", False, "gap", False),
        ("CANCELLED", False, "void", False),
        ("EXPIRED", True, "void", False),
    ],
)
def test_about_what_a_person_may_say_something(
    stage: Stage, state: str, found: bool | None, late: Any, may: bool
) -> None:
    mine = stage.purchase(state, TWO)
    if found is not False:
        stage.supplier_order("81", mine, TWO if found is None else ONE)
    with stage.outside():
        if may:
            assert evidence.refuse_settled(stage.container, mine.id, late=late) == stage.account.id
        else:
            with pytest.raises(Conflict) as refused:
                evidence.refuse_settled(stage.container, mine.id, late=late)
            assert refused.value.code == "not_unclear"
        with pytest.raises(NotFound):
            evidence.refuse_settled(stage.container, mine.id + 1, late=late)


def test_without_an_account_there_is_nothing_to_look_at(stage: Stage) -> None:
    mine = stage.purchase("UNKNOWN", account_id=None)
    with stage.outside(), pytest.raises(Conflict) as refused:
        evidence.refuse_settled(stage.container, mine.id, late="gap")
    assert refused.value.code == "not_unclear"


def test_why_an_order_could_not_be_read_says_what_to_do(stage: Stage) -> None:
    dead = evidence.unreadable("81", MerchantMustAct("token_dead", "IllegalAccessToken"))
    later = evidence.unreadable("81", TryLater("timeout"))
    assert (type(dead), dead.code) == (Conflict, "token_dead")
    assert (type(later), later.code) == (NotFound, "not_readable")


@pytest.mark.parametrize("number", ["", "8a", "８１", "-1", "8 1"])
def test_an_order_number_has_digits_only(stage: Stage, number: str) -> None:
    mine = stage.purchase("UNKNOWN", outcome="UNKNOWN")
    with stage.outside(), pytest.raises(WaybillError) as refused:
        evidence.confirm(stage.container, mine.id, number, by="Ada")
    assert refused.value.code == "bad_number"
    with pytest.raises(WaybillError) as refused:
        unverified._attach(stage.container, stage.session, mine, number, by="Ada", confirm_by="Bob")
    assert refused.value.code == "bad_number"


@pytest.mark.parametrize(("attempts", "kept"), [(1, 1), (2, 0)])
def test_a_push_is_kept_as_evidence_once(stage: Stage, attempts: int, kept: int) -> None:
    event = Inbox(id=5, source="aliexpress", verified=True, attempts=attempts)
    evidence._keep(stage.session, event, Hint(HintKind.SUPPLIER_ORDER, ref="81", status="x"))
    stage.session.flush()
    rows = stage.session.scalars(sa.select(Evidence)).all()
    assert len(rows) == kept
    if rows:
        assert (rows[0].supplier_order_ref, rows[0].detail) == ("81", {"status": "x", "verified": True, "inbox": 5})
