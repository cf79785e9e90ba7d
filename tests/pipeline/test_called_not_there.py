"""“It is not there”: who may say so, when, and what becomes of what was found."""

from __future__ import annotations

from datetime import datetime, timedelta
from typing import Any

import pytest
import sqlalchemy as sa

from app.errors import WaybillError
from app.models import Attempt, Purchase
from app.pipeline import adopt, not_there, supplier_read, unverified
from app.pipeline.record import alert, task
from tests.pipeline.stage import ONE, TWO, Stage


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


def test_what_is_unclear_without_a_send_can_be_called_not_there(stage: Stage, monkeypatch: pytest.MonkeyPatch) -> None:
    mine = stage.purchase("HUMAN", quarantine_until=stage.now - timedelta(hours=1), sent_at=stage.now)
    stage.shop.alone_cap = 5000
    read, number = stage.read("70", (("P9", "S9", 1),), created_at=stage.now - timedelta(days=1)), mine.id
    monkeypatch.setattr(not_there, "with_account", lambda *_: read)
    with stage.outside():
        not_there.give_up(stage.container, number, newest_seen="70", by="merchant:1")
    assert stage.again(mine).state == "VOID"
    heir = stage.session.scalars(sa.select(Purchase).where(Purchase.previous_id == number)).one()
    assert heir.generation == stage.again(mine).generation + 1
    assert stage.session.scalar(sa.select(Attempt.id)) is None
