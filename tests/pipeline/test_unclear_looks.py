"""Looking at what is unclear: when next, who is told and when, what turned up meanwhile, and what a person may say."""

from __future__ import annotations

from datetime import datetime, timedelta
from typing import Any

import pytest
import sqlalchemy as sa

from app.errors import Conflict, NotFound, WaybillError
from app.models import Audit, Evidence, Inbox, Purchase, Task
from app.pipeline import adopt, evidence, generation, not_there, reconcile, supplier_read, unverified
from app.pipeline.record import alert, task
from app.ports.errors import MerchantMustAct, TryLater
from app.ports.inbound import Hint, HintKind
from app.ports.supplier import OrderShipping
from tests.pipeline.stage import ONE, TWO, Stage

MINUTE = timedelta(minutes=1)


def escalated(stage: Stage, state: str, age: timedelta, **more: Any) -> Purchase:
    mine = stage.purchase(state, outcome="UNKNOWN", sent_at=stage.now - age, **more)
    reconcile._escalate(stage.container, stage.session, mine, seen=3)
    stage.session.flush()
    return mine


@pytest.mark.parametrize(
    ("age", "keys"),
    [
        (timedelta(minutes=4), []),
        (timedelta(minutes=6), [""]),
        (timedelta(hours=3, minutes=50), [""]),
        (timedelta(hours=4, minutes=1), ["", ":staff"]),
    ],
)
def test_staff_hear_of_it_after_five_minutes_and_again_after_four_hours_once_each(
    stage: Stage, age: timedelta, keys: list[str]
) -> None:
    mine = escalated(stage, "HUMAN", age)
    wanted = [f"unclear:{mine.id}{key}" for key in keys]
    assert stage.alerts() == wanted
    assert (mine.alerted_at is not None, mine.escalated_at is not None) == ("" in keys, ":staff" in keys)
    before = mine.alerted_at, mine.escalated_at
    stage.session.execute(sa.text("DELETE FROM alert"))
    reconcile._escalate(stage.container, stage.session, mine, seen=0)
    assert stage.alerts() == []
    assert (mine.alerted_at, mine.escalated_at) == before


@pytest.mark.parametrize(
    ("age", "hint", "human"),
    [
        (timedelta(minutes=59), "", False),
        (timedelta(minutes=61), "", True),
        (timedelta(minutes=14), "out_of_stock", False),
        (timedelta(minutes=16), "out_of_stock", True),
        (timedelta(minutes=16), "other", False),
    ],
)
def test_a_person_is_asked_after_an_hour_or_sooner_where_it_may_be_sold_out(
    stage: Stage, age: timedelta, hint: str, human: bool
) -> None:
    mine = escalated(stage, "UNKNOWN", age, facts={"hint": hint} if hint else {})
    assert mine.state == ("HUMAN" if human else "UNKNOWN")
    assert stage.tasks() == ([f"unclear:{mine.id}"] if human else [])


def test_looks_are_counted_from_the_send_until_they_are_seldom(stage: Stage) -> None:
    timers = stage.container.timers
    mine = stage.purchase("UNKNOWN", outcome="UNKNOWN", sent_at=stage.now - timedelta(minutes=1))
    for checks in range(1, 8):
        reconcile._escalate(stage.container, stage.session, mine, seen=0)
        assert mine.checks == checks
        sent = mine.sent_at
        assert sent is not None
        assert mine.check_at is not None
        if checks < len(timers.unknown_checks):
            assert mine.check_at - sent == timers.unknown_checks[checks]
        else:
            assert 3500 < stage.soon(mine.check_at) < 3800
    looked = stage.session.scalars(sa.select(Audit.detail).where(Audit.action == "looked").order_by(Audit.id)).all()
    assert [(one["look"], one["seen"]) for one in looked] == [(number, 0) for number in range(1, 8)]


@pytest.mark.parametrize(("state", "sent"), [("PLACED_PAID", True), ("VOID", True), ("UNKNOWN", False)])
def test_what_is_not_unclear_is_not_looked_at(stage: Stage, state: str, sent: bool) -> None:
    mine = stage.purchase(state, sent_at=stage.now - timedelta(hours=9) if sent else None)
    reconcile._escalate(stage.container, stage.session, mine, seen=0)
    assert (mine.checks, mine.check_at, stage.alerts()) == (0, None, [])


@pytest.mark.parametrize("part", [False, True])
def test_a_person_is_told_what_was_found(stage: Stage, part: bool) -> None:
    mine = stage.purchase("UNKNOWN", TWO, outcome="UNKNOWN", facts={"code": "cut"})
    if part:
        stage.supplier_order("81", mine, ONE)
    order = stage.new_order(1)[0]
    reconcile.to_human(stage.session, mine, order)
    assert (mine.state, mine.reason) == ("HUMAN", "partly_found" if part else "outcome_unknown")
    assert mine.facts == ({"code": "cut", "found": 2, "of": 3} if part else {"code": "cut"})
    asked = stage.session.scalars(sa.select(Task)).one()
    assert (asked.dedupe_key, asked.kind, asked.turn) == (f"unclear:{mine.id}", "resolve_unclear", "merchant")
    assert ("only 2 of 3 pieces" in asked.text, "if the rest is there" in asked.text) == (part, part)


def test_due_looks_are_claimed_once_and_no_send_that_is_still_on_its_way(stage: Stage) -> None:
    due, ahead = stage.now - MINUTE, stage.now + 60 * MINUTE
    wanted = [stage.purchase(state, check_at=due).id for state in ("UNKNOWN", "HUMAN")]
    wanted.append(stage.purchase("SENDING", check_at=due, sent_deadline=due).id)
    stage.purchase("SENDING", check_at=due, sent_deadline=ahead)
    stage.purchase("UNKNOWN", check_at=ahead)
    stage.purchase("PLACED_PAID", check_at=due)
    with stage.outside():
        first, second = reconcile.claim(stage.container, 9), reconcile.claim(stage.container, 9)
    assert (sorted(first), list(second)) == (sorted(wanted), [])


def test_the_newest_attempt_of_a_purchase_is_its_attempt(stage: Stage) -> None:
    mine = stage.purchase("UNKNOWN")
    assert reconcile.attempt_of(stage.session, mine.id) is None
    stage.attempt(mine, "NOT_SENT")
    last = stage.attempt(mine, "UNKNOWN")
    stage.purchase("UNKNOWN", outcome="UNKNOWN")
    assert reconcile.attempt_of(stage.session, mine.id) is last


@pytest.mark.parametrize("state", ["EXPIRED", "SUPPLIER_CANCELLED", "REFUNDED"])
def test_what_ended_is_ordered_again_once(stage: Stage, state: str) -> None:
    mine, other = stage.purchase(state, outcome="PLACED"), stage.purchase(state, outcome="PLACED")
    for one in (mine, other):
        for key in ("closed", "expired"):
            task(stage.session, f"{key}:{one.id}", "x", turn="merchant", text="?")
    with stage.outside():
        made = reconcile.buy_again(stage.container, mine.id, by="Ada")
        with pytest.raises(Conflict) as refused:
            reconcile.buy_again(stage.container, mine.id, by="Ada")
    assert refused.value.code == "not_finished"
    assert (made.previous_id, made.generation, made.order_id) == (mine.id, 2, mine.order_id)
    assert stage.tasks() == [f"closed:{other.id}", f"expired:{other.id}"]


@pytest.mark.parametrize("state", ["UNKNOWN", "READY", "CANCELLED", "VOID", "REJECTED"])
def test_nothing_else_is_ordered_again(stage: Stage, state: str) -> None:
    mine = stage.purchase(state)
    with stage.outside(), pytest.raises(Conflict) as refused:
        reconcile.buy_again(stage.container, mine.id, by="Ada")
    assert refused.value.code == "not_finished"


def test_what_the_shop_no_longer_wants_is_not(stage: Stage) -> None:
    mine = stage.purchase("EXPIRED", cancel_requested_at=stage.now)
    with stage.outside(), pytest.raises(Conflict) as refused:
        reconcile.buy_again(stage.container, mine.id, by="Ada")
    assert refused.value.code == "nothing_left"


def heir(stage: Stage, mine: Purchase, **more: Any) -> Purchase | None:
    return generation.next_generation(stage.container, stage.session, mine, **more)


def test_a_generation_is_derived_from_the_order_as_it_is_now(stage: Stage) -> None:
    mine = stage.purchase("VOID", (("P1", "S1", 3), ("P2", "S2", 1), ("P3", "S3", 2)), part=2)
    first, second, third = stage.items(mine)
    stage.session.execute(sa.text("UPDATE source_line SET to_ship = 2 WHERE id = :id"), {"id": first.source_line_id})
    stage.session.execute(sa.text("UPDATE source_line SET to_ship = 0 WHERE id = :id"), {"id": second.source_line_id})
    third.position = 2
    stage.session.flush()
    stage.session.expire_all()
    made = heir(stage, mine)
    assert made is not None
    assert (made.previous_id, made.generation, made.part, made.state, made.reason) == (
        mine.id,
        2,
        2,
        "HELD",
        "address_missing",
    )
    assert (made.merchant_id, made.shop_id, made.order_id) == (mine.merchant_id, mine.shop_id, mine.order_id)
    assert (made.account_id, made.supplier, made.tries, made.checks, made.fence) == (
        stage.account.id,
        "aliexpress",
        0,
        0,
        0,
    )
    items = [
        (item.source_line_id, item.quantity, item.part, item.generation, item.position) for item in stage.items(made)
    ]
    assert items == [(first.source_line_id, 2, 2, 2, 1)]
    assert made.out_order_id != mine.out_order_id
    assert len(made.out_order_id) == 18


def test_one_for_repair_is_held_with_its_reason_since_now(stage: Stage) -> None:
    mine = stage.purchase("REJECTED")
    made = heir(stage, mine, reason="address_refused", facts={"field": "city"})
    assert made is not None
    stage.session.refresh(made)
    assert (made.state, made.reason, made.held_for, made.facts) == (
        "HELD",
        "address_refused",
        "address_refused",
        {"field": "city"},
    )
    assert -60 < stage.soon(made.held_since) <= 0


@pytest.mark.parametrize("how", ["cancelled", "gone", "asked", "shipped", "lines away"])
def test_there_is_none_where_nothing_is_left_to_buy(stage: Stage, how: str) -> None:
    mine = stage.purchase("VOID", cancel_requested_at=stage.now if how == "asked" else None)
    if how in {"cancelled", "gone"}:
        stage.session.execute(sa.text(f"UPDATE store_order SET {how} = true"))
    if how == "shipped":
        stage.session.execute(sa.text("UPDATE source_line SET to_ship = 0"))
    if how == "lines away":
        (item,), (theirs,) = stage.items(mine), stage.items(stage.purchase("READY"))
        item.source_line_id, item.generation = theirs.source_line_id, 9
        stage.session.flush()
    stage.session.expire_all()
    assert heir(stage, mine) is None
    assert stage.session.scalar(sa.select(Purchase.id).where(Purchase.previous_id == mine.id)) is None


def test_a_request_is_turned_down_where_one_was_made_and_every_time_anew(stage: Stage) -> None:
    mine, other = stage.purchase("HELD"), stage.purchase("HELD")
    count = sa.text("SELECT dedupe_key, state, payload FROM outbox")
    for at_ours, request in ((False, "submitted"), (True, "none"), (True, "accepted")):
        stage.session.execute(
            sa.text("UPDATE source_line SET at_our_location = :a, request = :r WHERE id = :id"),
            {"a": at_ours, "r": request, "id": stage.items(mine)[0].source_line_id},
        )
        generation.reject_request(stage.session, mine, "out_of_stock")
        assert stage.session.execute(count).all() == []
    stage.session.execute(
        sa.text("UPDATE source_line SET request = 'submitted' WHERE id = :id"),
        {"id": stage.items(mine)[0].source_line_id},
    )
    generation.reject_request(stage.session, other, "out_of_stock")
    assert stage.session.execute(count).all() == []
    for reason in ("out_of_stock", "undeliverable"):
        generation.reject_request(stage.session, mine, reason)
        row = stage.session.execute(count).one()
        assert (row.dedupe_key, row.state) == (f"request:{mine.id}:reject", "DUE")
        assert row.payload == {"purchase_id": mine.id, "reason": reason}
        stage.session.execute(sa.text("UPDATE outbox SET state = 'DONE'"))


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


def code(act: Any, *given: Any, **more: Any) -> str:
    """The code of what is refused, "" if it is not."""
    try:
        act(*given, **more)
    except WaybillError as refused:
        return refused.code
    return ""


@pytest.mark.parametrize(
    ("by", "confirm", "confirmed"),
    [("Ada", "Bob", True), ("Ada", "", False), ("Ada", " ", False), ("Ada", "ada ", False), (" Ada", "ADA", False)],
)
def test_a_second_person_is_another_one(by: str, confirm: str, confirmed: bool) -> None:
    assert not_there._confirmed(by, confirm) is confirmed


@pytest.mark.parametrize(
    ("number", "good"), [("81", True), ("none", True), ("", False), ("8a", False), ("None", False)]
)
def test_the_newest_number_is_one_or_says_that_there_is_none(number: str, good: bool) -> None:
    assert (code(not_there._check_number, number) == "") is good


@pytest.mark.parametrize(
    ("state", "found", "refused"),
    [
        ("UNKNOWN", 0, ""),
        ("HUMAN", 3, ""),
        ("SENDING", 0, "not_unclear"),
        ("VOID", 0, "not_unclear"),
        ("PLACED_PAID", 3, "not_unclear"),
        ("PLACED_PAID", 2, ""),
        ("PLACED_PAID", 0, "other_items"),
    ],
)
def test_only_what_is_unclear_or_holds_a_part_is_called_not_there(
    stage: Stage, state: str, found: int, refused: str
) -> None:
    assert code(not_there._refuse_clear, stage.purchase(state), found, 3) == refused


@pytest.mark.parametrize(
    ("quote", "confirm", "refused"),
    [(500, "", False), (501, "", True), (501, "Bob", False), (None, "", True), (None, "Bob", False)],
)
def test_a_dear_one_needs_two(stage: Stage, quote: int | None, confirm: str, refused: bool) -> None:
    stage.shop.alone_cap = 500
    mine = stage.purchase("HUMAN", quote_minor=quote)
    found = code(not_there._alone, stage.session, mine, by="Ada", confirm_by=confirm)
    assert found == ("second_person" if refused else "")


def test_a_wrong_clock_stops_giving_up(stage: Stage) -> None:
    alert(stage.session, "another", "x", "?")
    assert code(not_there._refuse_wrong_clock, stage.session) == ""
    alert(stage.session, supplier_read.CLOCK, "supplier_clock", "?")
    assert code(not_there._refuse_wrong_clock, stage.session) == "supplier_clock"
    stage.session.execute(sa.text("UPDATE alert SET ended_at = now()"))
    assert code(not_there._refuse_wrong_clock, stage.session) == ""


@pytest.mark.parametrize(
    ("more", "refused"),
    [
        ({}, True),
        ({"read_at": "now"}, False),
        ({"role": "duplicate"}, False),
        ({"recorded_at": timedelta(days=-8)}, False),
        ({"recorded_at": timedelta(days=-6)}, True),
    ],
)
def test_a_number_that_was_not_read_yet_is_proof_that_something_is_there(
    stage: Stage, more: dict[str, Any], refused: bool
) -> None:
    mine = stage.purchase("HUMAN", outcome="UNKNOWN")
    stage.supplier_order("80", stage.purchase("HUMAN"), read_at=None)
    given = {
        key: stage.now + value if isinstance(value, timedelta) else stage.now
        for key, value in more.items()
        if key != "role"
    }
    stage.supplier_order("81", mine, **{"read_at": None, **more, **given})
    found = code(not_there._refuse_unread, stage.container, stage.session, mine, stage.now)
    assert found == ("it_is_there" if refused else "")


@pytest.mark.parametrize(
    ("owner", "items", "refused"),
    [
        ("mine, nothing counted", (), True),
        ("mine, a part", ONE, False),
        ("nobody, fits", ONE, True),
        ("nobody, other items", (("P9", "S9", 1),), False),
        ("another's", ONE, False),
        ("unknown here, fits", ONE, True),
        ("of another account, fits", ONE, True),
        ("nobody, foreign before the send", ONE, False),
        ("nobody, foreign and seen after the send", ONE, True),
        ("nobody, seen before the send", ONE, True),
    ],
)
def test_the_newest_order_may_be_the_very_one_that_is_missing(
    stage: Stage, owner: str, items: Any, refused: bool
) -> None:
    mine = stage.purchase("HUMAN", outcome="UNKNOWN")
    if owner.startswith("mine"):
        stage.supplier_order("81", mine, items)
    elif owner.startswith("nobody"):
        since = timedelta(seconds=1 if "after" in owner else -1)
        seen = {"recorded_at": adopt.open_attempt(stage.session, mine).sent_at + since} if "send" in owner else {}
        stage.supplier_order("81", role="foreign" if "foreign" in owner else "orphan", **seen)
    elif owner == "another's":
        stage.supplier_order("81", stage.purchase("HUMAN"))
    elif owner.startswith("of another account"):
        stage.supplier_order("81", stage.purchase("HUMAN"), account_id=stage.new_account().id)
    read = stage.read("81", items)
    attempt = adopt.open_attempt(stage.session, mine)
    given = (stage.container, stage.session, mine, attempt, "81")
    assert code(not_there._refuse_own, *given, read) == ("it_is_there" if refused else "")
    if not owner.startswith("mine"):
        assert code(not_there._refuse_own, *given, None) == ""
        assert code(not_there._refuse_own, stage.container, stage.session, mine, None, "81", read) == ""


def test_numbers_that_nobody_could_read_are_let_go(stage: Stage) -> None:
    mine, other = stage.purchase("HUMAN"), stage.purchase("HUMAN")
    unread, read, theirs = (
        stage.supplier_order("81", mine, read_at=None),
        stage.supplier_order("82", mine),
        stage.supplier_order("83", other, read_at=None),
    )
    for one in (unread, theirs):
        task(stage.session, f"unread:{one.id}", "x", turn="us", text="?")
        alert(stage.session, f"unread:{one.id}", "x", "?")
    not_there._let_go(stage.session, mine, by="Ada")
    assert [(one.purchase_id, one.role) for one in (unread, read, theirs)] == [
        (None, "orphan"), (mine.id, "bought"), (other.id, "bought"),
    ]  # fmt: skip
    assert (stage.tasks(), stage.alerts()) == ([f"unread:{theirs.id}"], [f"unread:{theirs.id}"])


def test_what_was_found_stays_and_the_rest_is_a_new_part(stage: Stage) -> None:
    mine, other = stage.purchase("HUMAN", TWO, outcome="UNKNOWN"), stage.purchase("HUMAN", TWO, outcome="UNKNOWN")
    stage.supplier_order("80", other, TWO)
    stage.supplier_order("81", mine, ONE)
    attempt = adopt.open_attempt(stage.session, mine)
    assert attempt is not None
    kept = not_there._keep_found(stage.container, stage.session, mine, attempt, by="Ada")
    assert kept is mine
    assert (mine.state, attempt.outcome) == ("PLACED_UNPAID", "PLACED")
    assert [item.quantity for item in stage.items(mine)] == [2, 0]
    assert [item.quantity for item in stage.items(other)] == [2, 1]
    rest = stage.session.scalars(
        sa.select(Purchase).where(Purchase.order_id == mine.order_id, Purchase.id != mine.id)
    ).one()
    assert [item.quantity for item in stage.items(rest)] == [1]


@pytest.mark.parametrize(
    ("made", "newer"),
    [(timedelta(minutes=-20), True), (timedelta(minutes=-14), False), (timedelta(minutes=-40), False)],
)
@pytest.mark.parametrize("same", [True, False])
def test_an_order_made_after_the_named_one_but_not_just_now_shows_an_old_list(
    stage: Stage, made: timedelta, newer: bool, same: bool
) -> None:
    account = stage.account if same else stage.new_account()
    stage.supplier_order("82", account_id=account.id, created_at_supplier=stage.now + made)
    than: datetime = stage.now - timedelta(minutes=30)
    with stage.outside():
        assert not_there._newer(stage.container, stage.account.id, than) is (newer and same)


@pytest.mark.parametrize(
    ("confirm", "orders", "refused"),
    [("", False, "second_person"), ("Ada", False, "second_person"), ("Bob", False, ""), ("Bob", True, "not_newest")],
)
def test_that_there_is_no_order_at_all_is_said_by_two_and_only_of_an_account_without_any(
    stage: Stage, confirm: str, orders: bool, refused: str
) -> None:
    stage.supplier_order("80", account_id=stage.new_account().id)
    stage.supplier_order("81", read_at=stage.now if orders else None)
    with stage.outside():
        found = code(not_there._verify_newest, stage.container, stage.account.id, "none", by="Ada", confirm_by=confirm)
    assert found == refused


@pytest.mark.parametrize(
    ("state", "days", "confirm", "refused"),
    [
        ("DEAD", 8, "Bob", ""),
        ("DEAD", 6, "Bob", "not_yet"),
        ("DEAD", None, "Bob", "not_yet"),
        ("LIVE", 8, "Bob", "readable"),
        (None, None, "Bob", ""),
        ("DEAD", 8, "", "second_person"),
        ("DEAD", 8, " ada", "second_person"),
    ],
)
def test_what_nobody_can_check_needs_two_persons_and_an_account_dead_for_a_week(
    stage: Stage, state: str | None, days: int | None, confirm: str, refused: str
) -> None:
    mine = stage.purchase("HUMAN")
    since = None if days is None else stage.now - timedelta(days=days)
    change = sa.text("UPDATE credential SET state = :s, dead_since = :d WHERE account_id = :a")
    if state is None:
        stage.session.execute(sa.text("DELETE FROM credential WHERE account_id = :a"), {"a": stage.account.id})
    else:
        stage.session.execute(change, {"s": state, "d": since, "a": stage.account.id})
    stage.session.expire_all()
    assert (
        code(unverified.demand, stage.container, stage.session, mine.account_id, by="Ada", confirm_by=confirm)
        == refused
    )
