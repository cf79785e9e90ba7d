"""T5 alone: what each class of answer does to attempt, purchase, reservation and interlock; and late ones."""

from __future__ import annotations

from typing import Any

import pytest
import sqlalchemy as sa

from app.errors import NotFound
from app.journal import Entry
from app.models import Alert, Attempt, Audit, Breaker, Evidence, Purchase, SourceLine, StoreOrder, SupplierOrder
from app.pipeline import adopt, evidence, match
from app.pipeline.buy import outcome
from app.pipeline.record import alert, task
from app.ports.errors import TryLater
from app.ports.supplier import PayResult, PlaceOutcome, PlaceResult
from tests.pipeline.stage import TWO, Stage

PLACED, UNKNOWN, REJECTED = PlaceOutcome.PLACED, PlaceOutcome.UNKNOWN, PlaceOutcome.REJECTED
NOT_SENT, NOT_EXECUTED = PlaceOutcome.NOT_SENT, PlaceOutcome.NOT_EXECUTED


def sent(stage: Stage, state: str = "SENDING", outcome_: str = "OPEN", items: Any = None, **more: Any) -> Purchase:
    """A purchase with a send, another one beside it, and what is unclear about it told."""
    mine = stage.purchase(state, items or TWO[:1], outcome=outcome_, **more)
    other = stage.purchase("SENDING", outcome="OPEN")
    stage.lock(mine, "S1")
    stage.lock(other, "S2")
    for one in (mine, other):
        alert(stage.session, f"unclear:{one.id}", "outcome_unknown", "?")
        task(stage.session, f"unclear:{one.id}", "resolve_unclear", turn="us", text="?")
    return mine


def record(stage: Stage, purchase: Purchase, result: PlaceResult, source: str = "answer") -> bool:
    attempt = stage.session.scalars(sa.select(Attempt.id).where(Attempt.purchase_id == purchase.id)).one()
    return outcome._record(stage.container, stage.session, attempt, result, source)


def attempt(stage: Stage, purchase: Purchase) -> Attempt:
    return stage.session.scalars(sa.select(Attempt).where(Attempt.purchase_id == purchase.id)).one()


def told(stage: Stage, purchase: Purchase) -> bool:
    """Whether people still have it in their lists."""
    keys = [key == f"unclear:{purchase.id}" for key in (*stage.tasks(), *stage.alerts())]
    assert sum(keys) in {0, 2}
    return any(keys)


def test_placed_is_recorded_with_its_words_and_numbers(stage: Stage) -> None:
    mine = sent(stage)
    result = PlaceResult(PLACED, ("81",), PayResult.FAILED, code="c" * 101, message="m" * 501, answer="a" * 4001)
    assert record(stage, mine, result)
    one = attempt(stage, mine)
    stage.session.refresh(one)
    assert (one.outcome, one.order_ids, mine.state) == ("PLACED", ["81"], "PLACED_UNPAID")
    assert (one.code, one.message, one.answer) == ("c" * 100, "m" * 500, "a" * 4000)
    assert one.finished_at is not None
    assert stage.session.scalars(sa.select(SupplierOrder.pay_failed)).one() is True
    kept = stage.session.scalars(sa.select(Evidence).where(Evidence.kind == "answer")).one()
    assert (kept.purchase_id, kept.account_id, kept.supplier_order_ref) == (mine.id, stage.account.id, "81")
    assert kept.detail == {"outcome": "PLACED", "code": "c" * 101, "pay": "failed"}
    assert mine.id not in stage.locked()
    assert stage.spend(mine)[0] == "RESERVED"


def test_unclear_is_unclear_and_keeps_lock_and_money(stage: Stage) -> None:
    mine = sent(stage)
    assert record(stage, mine, PlaceResult(UNKNOWN, reason="out_of_stock", code="X", message="m" * 300))
    assert (mine.state, mine.reason) == ("UNKNOWN", "outcome_unknown")
    assert mine.facts == {"code": "X", "message": "m" * 200, "hint": "out_of_stock"}
    assert attempt(stage, mine).outcome == "UNKNOWN"
    assert mine.id in stage.locked()
    assert stage.spend(mine)[0] == "RESERVED"
    assert told(stage, mine)
    assert len(stage.session.scalars(sa.select(Breaker).where(Breaker.unclear_in_a_row == 1)).all()) == 2


def test_unclear_without_a_word_tells_no_facts(stage: Stage) -> None:
    mine = sent(stage)
    record(stage, mine, PlaceResult(UNKNOWN))
    assert mine.facts == {}


@pytest.mark.parametrize("state", ["UNKNOWN", "HUMAN"])
def test_an_unclear_answer_to_what_was_taken_for_unclear_moves_nothing_and_counts_once(
    stage: Stage, state: str
) -> None:
    mine = sent(stage, state, reason="as it was", facts={"found": 1})
    assert record(stage, mine, PlaceResult(UNKNOWN, code="X"))
    assert (mine.state, mine.reason, mine.facts) == (state, "as it was", {"found": 1})
    assert stage.session.scalar(sa.select(Breaker.scope)) is None
    assert not record(stage, mine, PlaceResult(UNKNOWN, code="Y"))
    assert attempt(stage, mine).code == "X"


def test_a_clear_answer_after_an_unclear_one_counts(stage: Stage) -> None:
    mine = sent(stage, "UNKNOWN", "UNKNOWN")
    stage.add(Breaker(scope="supplier:aliexpress", unclear_in_a_row=2))
    assert record(stage, mine, PlaceResult(PLACED, ("81",)), "journal")
    assert mine.state == "PLACED_UNPAID"
    assert stage.session.scalars(sa.select(Breaker.unclear_in_a_row)).one() == 0
    assert stage.session.scalars(sa.select(Evidence.kind)).one() == "journal"


@pytest.mark.parametrize("wanted", [True, False])
def test_a_refusal_ends_it_and_a_new_generation_waits_for_repair(stage: Stage, wanted: bool) -> None:
    mine = sent(stage, cancel_requested_at=None if wanted else stage.now)
    result = PlaceResult(REJECTED, reason="address_refused", code="B", message="city", field="city")
    assert record(stage, mine, result)
    facts = {"code": "B", "message": "city", "field": "city"}
    heir = stage.session.scalars(sa.select(Purchase).where(Purchase.previous_id == mine.id)).one_or_none()
    if wanted:
        assert heir is not None
        assert (heir.state, heir.reason, heir.facts) == ("HELD", "address_refused", facts)
        assert (mine.state, mine.reason, mine.facts) == ("REJECTED", "address_refused", facts)
    else:
        assert heir is None
        assert (mine.state, mine.reason) == ("CANCELLED", "cancelled_by_shop")
    assert attempt(stage, mine).outcome == "REJECTED"
    assert mine.id not in stage.locked()
    assert len(stage.locked()) == 1
    assert stage.spend(mine)[0] == "RELEASED"
    assert not told(stage, mine)


def test_a_refusal_without_a_reason_is_for_a_person(stage: Stage) -> None:
    mine = sent(stage)
    record(stage, mine, PlaceResult(REJECTED))
    assert (mine.reason, mine.facts) == ("needs_person", {})


@pytest.mark.parametrize("kind", [NOT_SENT, NOT_EXECUTED])
def test_what_was_not_executed_is_ready_again_after_a_pause(stage: Stage, kind: PlaceOutcome) -> None:
    mine = sent(stage, tries=3)
    other = stage.session.scalars(sa.select(Purchase).where(Purchase.id != mine.id)).one()
    assert record(stage, mine, PlaceResult(kind, code="connect_failed"))
    assert (mine.state, mine.reason, mine.facts) == ("READY", "supplier_down", {"code": "connect_failed"})
    assert 7 < stage.soon(mine.run_at) < 40
    assert attempt(stage, mine).outcome == kind.value
    assert mine.id not in stage.locked()
    assert stage.spend(mine)[0] == "RELEASED"
    assert stage.spend(other)[0] == "RESERVED"
    assert not told(stage, mine)
    assert told(stage, other)
    assert stage.session.scalar(sa.select(Breaker.scope)) is None, "it says nothing about how the supplier executes"


@pytest.mark.parametrize(("tries", "after", "least"), [(1, None, 1), (8, None, 255), (99, None, 255), (1, 500.0, 499)])
def test_the_pause_doubles_up_to_a_limit_or_is_what_the_supplier_says(
    stage: Stage, tries: int, after: float | None, least: float
) -> None:
    mine = sent(stage, tries=tries)
    record(stage, mine, PlaceResult(NOT_EXECUTED, reason="call_limit", retry_after=after))
    assert mine.reason == "call_limit"
    assert least < stage.soon(mine.run_at) < least + 40


@pytest.mark.parametrize("reason", ["token_dead", "config", "account_blocked", "ds_center"])
def test_what_a_person_has_to_mend_first_is_held(stage: Stage, reason: str) -> None:
    mine = sent(stage)
    record(stage, mine, PlaceResult(NOT_EXECUTED, reason=reason, code="C"))
    assert (mine.state, mine.reason, mine.facts) == ("HELD", reason, {"code": "C"})
    assert ("config:aliexpress:C" in stage.alerts()) is (reason == "config")


def test_what_the_shop_cancelled_meanwhile_ends_when_nothing_was_executed(stage: Stage) -> None:
    mine = sent(stage, cancel_requested_at=stage.now)
    record(stage, mine, PlaceResult(NOT_EXECUTED, reason="config"))
    assert (mine.state, mine.reason) == ("CANCELLED", "cancelled_by_shop")
    assert not [key for key in stage.alerts() if key.startswith("config")]


@pytest.mark.parametrize(
    ("state", "outcome_"),
    [
        ("PLACED_PAID", "PLACED"),
        ("READY", "NOT_EXECUTED"),
        ("CANCELLED", "OPEN"),
        ("UNKNOWN", "REJECTED"),
    ],
)
def test_an_answer_to_what_was_settled_otherwise_moves_nothing_but_its_numbers_are_kept(
    stage: Stage, state: str, outcome_: str
) -> None:
    mine = stage.purchase(state, outcome=outcome_)
    assert not record(stage, mine, PlaceResult(PLACED, ("81",), PayResult.FAILED))
    assert (mine.state, attempt(stage, mine).outcome) == (state, outcome_)
    order = stage.session.scalars(sa.select(SupplierOrder)).one()
    assert (order.external_id, order.purchase_id, order.pay_failed) == ("81", mine.id, True)
    assert not record(stage, mine, PlaceResult(NOT_EXECUTED))
    assert attempt(stage, mine).outcome == outcome_


def test_an_answer_to_what_was_said_to_be_not_there_is_late_evidence(stage: Stage) -> None:
    mine = stage.purchase("VOID", outcome="VOID")
    assert not record(stage, mine, PlaceResult(NOT_EXECUTED))
    assert (mine.state, attempt(stage, mine).outcome) == ("VOID", "VOID"), "which agrees with what was said"
    assert not record(stage, mine, PlaceResult(PLACED, ("81",), PayResult.FAILED))
    assert (mine.state, attempt(stage, mine).outcome) == ("PLACED_UNPAID", "PLACED")


@pytest.mark.parametrize("owner", ["another", "mine"])
@pytest.mark.parametrize(("state", "outcome_"), [("VOID", "VOID"), ("PLACED_PAID", "PLACED")])
def test_a_late_number_that_belongs_to_another_purchase_stays_there_and_is_told(
    stage: Stage, state: str, outcome_: str, owner: str
) -> None:
    mine, other = stage.purchase(state, outcome=outcome_), stage.purchase("PLACED_PAID", outcome="PLACED")
    order = stage.supplier_order("81", {"another": other, "mine": mine}[owner])
    for _ in range(2):
        assert not record(stage, mine, PlaceResult(PLACED, ("81",)), "journal")
    assert order.purchase_id == {"another": other.id, "mine": mine.id}[owner]
    assert (mine.state, attempt(stage, mine).outcome) == (state, outcome_)
    assert stage.alerts() == ([f"two-purchases:{order.id}:{mine.id}"] if owner == "another" else [])
    if owner == "another":
        told = stage.session.scalars(sa.select(Alert)).one()
        assert (told.kind, told.purchase_id) == ("attribution", mine.id)
        assert told.text == f"Supplier order 81 is claimed by purchases {other.id} and {mine.id}."


def test_numbers_beside_an_unclear_answer_are_kept_and_looked_at(stage: Stage) -> None:
    mine = sent(stage)
    record(stage, mine, PlaceResult(UNKNOWN, ("81", "82"), PayResult.UNKNOWN))
    assert mine.state == "UNKNOWN"
    orders = stage.session.scalars(sa.select(SupplierOrder).order_by(SupplierOrder.id)).all()
    assert [(order.external_id, order.purchase_id) for order in orders] == [("81", mine.id), ("82", mine.id)]
    kept = stage.session.scalars(sa.select(Evidence.supplier_order_ref)).one()
    assert kept == "81,82"


def test_a_result_survives_being_written_down(stage: Stage) -> None:
    for result in (
        PlaceResult(PLACED, ("1", "2"), PayResult.SAID_PAID, answer="a"),
        PlaceResult(REJECTED, reason="r", code="c", message="m", field="f"),
        PlaceResult(NOT_EXECUTED, retry_after=7.5),
    ):
        plain = outcome.plain(result)
        assert isinstance(plain["order_ids"], list)
        assert outcome.from_plain({**plain, "a field of a later release": 1}) == result
    for wrong in ({}, {"outcome": "PLACED"}, {"outcome": "?", "pay": "failed", "order_ids": []}):
        with pytest.raises((KeyError, ValueError)):
            outcome.from_plain(wrong)


def test_a_person_who_says_that_it_is_not_there_makes_the_attempt_void(stage: Stage) -> None:
    mine = sent(stage, "HUMAN", "UNKNOWN")
    outcome.forget_attempt(stage.session, attempt(stage, mine), by="Ada")
    assert attempt(stage, mine).outcome == "VOID"
    found = adopt.open_attempt(stage.session, mine)
    assert found is not None
    assert found.outcome == "VOID"


@pytest.mark.parametrize("left", [2, 1, 0])
def test_what_was_refunded_while_it_was_on_its_way_is_given_up_when_nothing_was_sent(stage: Stage, left: int) -> None:
    """It kept all its pieces, as they may have been bought; nothing else would ever take them from it again."""
    mine = sent(stage)
    (item,) = stage.items(mine)
    line = stage.session.get_one(SourceLine, item.source_line_id)
    line.refunded, line.to_ship = 2 - left, left
    assert record(stage, mine, PlaceResult(NOT_SENT, code="deadline_passed"))
    stage.session.flush()
    assert stage.again(item).quantity == left
    assert (mine.state == "CANCELLED") is (left == 0)


NOTHING = {
    "ready": PlaceResult(NOT_SENT, code="deadline_passed"),
    "held": PlaceResult(NOT_EXECUTED, reason="token_dead"),
    "refused": PlaceResult(REJECTED, reason="address_refused"),
}


@pytest.mark.parametrize("how", NOTHING)
def test_the_merchant_is_no_longer_asked_to_cancel_what_was_never_ordered(stage: Stage, how: str) -> None:
    mine = sent(stage)
    line = stage.session.get_one(SourceLine, stage.items(mine)[0].source_line_id)
    line.refunded, line.to_ship = 1, 1
    match.derive_again(stage.container, stage.session, mine.order_id)
    stage.session.flush()
    assert f"too-much:{line.id}:1" in stage.tasks()
    record(stage, mine, NOTHING[how])
    stage.session.flush()
    assert f"too-much:{line.id}:1" not in stage.tasks()
    heir = stage.session.scalars(sa.select(Purchase).where(Purchase.previous_id == mine.id)).one_or_none()
    assert (heir is not None) is (how == "refused")
    assert [item.quantity for item in stage.items(heir or mine)] == [1]


def test_nor_to_cancel_what_the_shop_cancelled_before_anything_was_ordered(stage: Stage) -> None:
    mine = sent(stage)
    order = stage.session.get_one(StoreOrder, mine.order_id)
    line = stage.session.get_one(SourceLine, stage.items(mine)[0].source_line_id)
    order.cancelled, line.to_ship = True, 0
    match.derive_again(stage.container, stage.session, mine.order_id)
    stage.session.flush()
    assert mine.cancel_requested_at is not None
    assert f"too-much:{line.id}:2" in stage.tasks()
    record(stage, mine, PlaceResult(NOT_SENT, code="deadline_passed"))
    stage.session.flush()
    assert mine.state == "CANCELLED"
    assert f"too-much:{line.id}:2" not in stage.tasks()


def fails(error: Exception) -> Any:
    def act(*_: Any, **__: Any) -> Any:
        raise error

    return act


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
