"""Ways that are gone seldom: what is missing, too late, or answered for nobody any more."""

from __future__ import annotations

from datetime import UTC, date, datetime, timedelta
from types import SimpleNamespace
from typing import Any

import psycopg
import pytest
import sqlalchemy as sa

from app.errors import NotFound
from app.journal import Entry
from app.models import Attempt, Audit, Evidence, Outbox, Purchase, StoreOrder
from app.pipeline import accounting, day_book, evidence, not_there, order_book, reconcile, requests, unverified
from app.pipeline.buy import outcome, preflight
from app.pipeline.due import Claim
from app.ports.errors import TryLater
from app.ports.storefront import PlacedPage
from tests.pipeline.stage import ONE, Stage

DAY = date(2026, 3, 1)


def away(*_: Any, **__: Any) -> Any:
    raise sa.exc.OperationalError("SELECT 1", {}, psycopg.OperationalError("the server closed the connection"))


def fails(error: Exception) -> Any:
    def act(*_: Any, **__: Any) -> Any:
        raise error

    return act


def test_a_database_that_is_away_is_no_fault_of_the_shop(stage: Stage, monkeypatch: pytest.MonkeyPatch) -> None:
    shop = stage.shop
    number, before = shop.id, shop.account_run_at
    monkeypatch.setattr(day_book, "read", away)
    with stage.outside(), pytest.raises(sa.exc.OperationalError):
        accounting.run(stage.container, Claim(number, stage.now))
    shop = stage.again(shop)
    assert (shop.account_error, shop.account_failing_since, shop.account_run_at) == ("", None, before)


@pytest.mark.parametrize("zone", ["Atlantis/Poseidonia", "../../etc/passwd", ""])
def test_days_of_a_shop_whose_zone_nobody_knows_are_those_of_utc(stage: Stage, zone: str) -> None:
    stage.shop.timezone = zone
    assert day_book.bounds(stage.shop, DAY) == (datetime(2026, 3, 1, tzinfo=UTC), datetime(2026, 3, 2, tzinfo=UTC))


def test_a_list_of_orders_that_never_ends_is_given_up(stage: Stage, monkeypatch: pytest.MonkeyPatch) -> None:
    turns: list[str] = []

    def page(*_: Any) -> PlacedPage:
        turns.append("page")
        return PlacedPage(("1",), next_cursor="again")

    monkeypatch.setattr(day_book, "with_shop", page)
    monkeypatch.setattr(day_book, "PAGES", 3)
    shop = stage.shop
    with stage.outside(), pytest.raises(TryLater) as given_up:
        day_book.read(stage.container, shop, DAY)
    assert (given_up.value.code, len(turns)) == ("endless_list", 3)


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


@pytest.mark.parametrize("listed", [True, False])
def test_an_account_that_cannot_be_read_yet_leaves_the_word_as_it_was_said(
    stage: Stage, monkeypatch: pytest.MonkeyPatch, listed: bool
) -> None:
    mine = stage.purchase("VOID", outcome="VOID")
    said = stage.add(
        Evidence(
            kind="human",
            account_id=stage.account.id,
            purchase_id=mine.id,
            supplier_order_ref="70",
            detail={"verified": False},
        )
    )
    looked: list[str] = []
    answers: list[Any] = [stage.read("70"), [SimpleNamespace(order_id="71")] if listed else TryLater("timeout")]

    def answer(*_: Any) -> Any:
        found = answers.pop(0)
        if isinstance(found, Exception):
            raise found
        return found

    monkeypatch.setattr(unverified, "with_account", answer)
    monkeypatch.setattr(evidence, "look_up", lambda *given, **_: looked.append(given[2]))
    number = said.id
    with stage.outside():
        unverified.check(stage.container, number)
    said = stage.again(said)
    assert (said.detail["verified"], looked) == ((True, ["71"]) if listed else (False, []))
    assert said.looked_at is not None


@pytest.mark.parametrize("account", [True, False])
def test_an_answer_puts_back_no_send_where_something_else_was_sent_or_nobody_knows_for_whom(
    stage: Stage, account: bool
) -> None:
    mine = stage.purchase("READY" if not account else "CLAIMED", outcome="OPEN" if account else "")
    if not account:
        mine.account_id = None
    sends = stage.session.scalars(sa.select(sa.func.count()).select_from(Attempt)).one()
    entry = Entry(99, mine.id, mine.out_order_id, {"outcome": "PLACED", "order_ids": ["81"]})
    with stage.outside():
        found = outcome._recalled(stage.container, entry)
    assert (found is not None) is account
    assert stage.session.scalars(sa.select(sa.func.count()).select_from(Attempt)).one() == sends
    assert stage.session.scalar(sa.select(Audit.id).where(Audit.action == "recalled")) is None


@pytest.mark.parametrize("error", [TryLater("timeout"), NotFound("account", "It is gone."), None])
def test_a_late_answer_is_kept_while_its_account_cannot_be_read(
    stage: Stage, monkeypatch: pytest.MonkeyPatch, error: Exception | None
) -> None:
    mine = stage.purchase("VOID", outcome="VOID")
    attempt = stage.session.scalars(sa.select(Attempt.id)).one()
    monkeypatch.setattr(evidence, "look_up", fails(error) if error else lambda *_, **__: None)
    result, account = outcome.PlaceResult(outcome.PlaceOutcome.PLACED, ("81",)), stage.account.id
    with stage.outside():
        assert outcome._late_ids(stage.container, attempt, account, result) is False
    assert stage.again(mine).state == "VOID"


def test_an_address_that_a_person_gave_is_enough(stage: Stage) -> None:
    order, _ = stage.new_order(1)
    facts: Any = SimpleNamespace(order=order)
    with pytest.raises(preflight.Held) as held:
        preflight._address(stage.container, facts)
    assert held.value.reason == "address_missing"
    given = {
        "full_name": "Ada Example",
        "address": "1 Sample Street",
        "city": "Springfield",
        "province": "Illinois",
        "zip": "62701",
        "country": "US",
        "mobile_no": "217 555 0100",
    }
    order.address_override_sealed = stage.container.vault.seal_json(given, order.address_place)
    _, prepared = preflight._address(stage.container, facts)
    assert {name: dict(prepared.fields)[name] for name in ("full_name", "city", "country")} == {
        "full_name": "Ada Example", "city": "Springfield", "country": "US",
    }  # fmt: skip


@pytest.mark.parametrize(("code", "told"), [("timeout", [True, False]), ("ApiCallLimit", [True])])
def test_what_is_no_outage_is_not_told_to_the_breaker(
    stage: Stage, monkeypatch: pytest.MonkeyPatch, code: str, told: list[bool]
) -> None:
    seen: list[bool] = []
    monkeypatch.setattr(preflight.breaker, "note_read", lambda *_, ok: seen.append(ok))
    account = SimpleNamespace(opened=SimpleNamespace(connector="aliexpress"))
    answers: list[Any] = ["product", TryLater(code)]

    class Account:
        opened = account.opened

        def __call__(self, _: Any) -> Any:
            found = answers.pop(0)
            if isinstance(found, Exception):
                raise found
            return found

    monkeypatch.setattr(preflight, "AccountReads", lambda *_: Account())
    with preflight._Reads(stage.container, account.opened) as reads:  # type: ignore[arg-type]
        assert reads(lambda supplier: supplier) == "product"
        with pytest.raises(TryLater):
            reads(lambda supplier: supplier)
    assert seen == told


def test_of_a_rejected_cancellation_nothing_is_left_out_that_is_under_way(stage: Stage) -> None:
    mine = stage.purchase("PLACED_UNPAID", ONE, outcome="PLACED")
    order = stage.session.get_one(StoreOrder, mine.order_id)
    (line,) = stage.session.scalars(sa.select(requests.SourceLine))
    line.at_our_location, line.request, line.kept_back, line.withdrawn = True, "cancel_rejected", 2, 1
    book = order_book.read(stage.session, order)
    assert requests.tell_left_out(stage.session, order, [line], book) == set()
    mine.state = "CANCELLED"
    stage.session.flush()
    book = order_book.read(stage.session, order)
    assert requests.tell_left_out(stage.session, order, [line], book) == {f"left-out:{line.id}:1"}


@pytest.mark.parametrize("gave_way", [True, False])
def test_goods_that_turned_up_are_not_turned_down(
    stage: Stage, monkeypatch: pytest.MonkeyPatch, gave_way: bool
) -> None:
    mine = stage.purchase("CANCELLED", reason="late_evidence" if gave_way else "out_of_stock")
    row = Outbox(order_id=mine.order_id, payload={"purchase_id": mine.id, "reason": "out_of_stock"})
    asked: list[Any] = []
    monkeypatch.setattr(requests, "_answer", lambda *given, **_: asked.append(given))
    with stage.outside():
        said = requests.reject(stage.container, row)
    assert (said, len(asked)) == (("an earlier order turned up", 0) if gave_way else ("rejected", 1))
