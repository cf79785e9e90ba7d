"""Looking at what is unclear: when next, and who is told and when."""

from __future__ import annotations

from datetime import timedelta
from typing import Any

import pytest
import sqlalchemy as sa

from app.models import Audit, Purchase, Task
from app.pipeline import reconcile
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


def test_what_was_never_sent_is_looked_for_in_no_list(stage: Stage, monkeypatch: pytest.MonkeyPatch) -> None:
    asked: list[int] = []
    monkeypatch.setattr(reconcile, "with_account", lambda _, account, __: asked.append(account) or [])
    account = stage.account.id
    with stage.outside():
        assert reconcile._paid_list(stage.container, None, stage.now) == []
        assert reconcile._paid_list(stage.container, account, None) == []
        assert asked == []
        assert reconcile._paid_list(stage.container, account, stage.now) == []
    assert asked == [account]
