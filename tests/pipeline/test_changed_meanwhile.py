"""What was read before a lock was taken, and is otherwise by the time it is held."""

from __future__ import annotations

from typing import Any

import pytest

from app.errors import Conflict
from app.jobs import sweep
from app.models import Breaker, SourceLine
from app.pipeline import breaker, evidence, order_book
from tests.pipeline.stage import ONE, Stage


def answers(monkeypatch: pytest.MonkeyPatch, read: Any, meanwhile: Any) -> None:
    """The supplier is asked, and while it answers something happens."""

    def answer(*_: Any) -> Any:
        meanwhile()
        return read

    monkeypatch.setattr(evidence, "with_account", answer)


def test_a_breaker_that_closed_while_its_lock_was_waited_for_stops_nobody(
    stage: Stage, monkeypatch: pytest.MonkeyPatch
) -> None:
    mine = stage.purchase("CLAIMED")
    for scope in breaker.scopes(mine):
        stage.add(Breaker(scope=scope, state="CLOSED", unclear_at=[]))
    monkeypatch.setattr(breaker, "_disturbed", lambda *_: sorted(breaker.scopes(mine)))
    breaker.check(stage.session, stage.container, mine, stop=ValueError)
    assert [one.trial_purchase_id for one in stage.session.query(Breaker)] == [None, None]


def test_an_order_that_was_attached_while_it_was_read_stays_where_it_is(
    stage: Stage, monkeypatch: pytest.MonkeyPatch
) -> None:
    mine, other = (stage.purchase("UNKNOWN", outcome="UNKNOWN") for _ in range(2))
    read, account, owner = stage.read("81"), stage.account.id, mine.id
    order = stage.supplier_order("81", None, ONE)

    def attach() -> None:
        with stage.container.database.transaction() as session:
            session.get_one(type(order), number).purchase_id = owner

    number = order.id
    answers(monkeypatch, read, attach)
    with stage.outside():
        said = evidence.look_up(stage.container, account, "81", source="lookup")
    assert said == "attached already"
    assert stage.again(order).purchase_id == owner
    assert [stage.again(one).state for one in (mine, other)] == ["UNKNOWN", "UNKNOWN"]


def test_a_number_is_not_given_to_a_purchase_that_moved_to_another_account(
    stage: Stage, monkeypatch: pytest.MonkeyPatch
) -> None:
    mine, other = stage.purchase("UNKNOWN", outcome="UNKNOWN"), stage.new_account().id
    number = mine.id

    def move() -> None:
        with stage.container.database.transaction() as session:
            session.get_one(type(mine), number).account_id = other

    answers(monkeypatch, stage.read("81"), move)
    with stage.outside(), pytest.raises(Conflict, match="Look once more") as refused:
        evidence.confirm(stage.container, number, "81", by="merchant:1")
    assert refused.value.code == "changed"
    assert stage.again(mine).state == "UNKNOWN"


def test_a_number_is_not_given_to_a_purchase_that_was_settled_meanwhile(
    stage: Stage, monkeypatch: pytest.MonkeyPatch
) -> None:
    mine = stage.purchase("UNKNOWN", outcome="UNKNOWN")
    number = mine.id

    def settle() -> None:
        with stage.container.database.transaction() as session:
            session.get_one(type(mine), number).state = "REJECTED"

    answers(monkeypatch, stage.read("81"), settle)
    with stage.outside(), pytest.raises(Conflict, match="is REJECTED: there is nothing to resolve") as refused:
        evidence.confirm(stage.container, number, "81", by="merchant:1")
    assert refused.value.code == "not_unclear"


def test_an_order_without_purchases_has_an_empty_book(stage: Stage) -> None:
    order, lines = stage.new_order(1)
    stage.purchase("PLACED_PAID")
    book = order_book.read(stage.session, order)
    assert (list(book.purchases), list(book.items)) == ([], [])
    assert book.to_order(lines[0]) == 1


@pytest.mark.parametrize("reason", ["changed", "quantity_over"])
@pytest.mark.parametrize("left", [1, 0])
def test_what_is_held_as_changed_takes_the_order_as_it_is_when_it_is_looked_at(
    stage: Stage, reason: str, left: int
) -> None:
    """However it came to hold more than the buyer wants: the shop's next read says “as known”, and derives nothing."""
    mine = stage.purchase("HELD", reason=reason)
    (item,) = stage.items(mine)
    line = stage.session.get_one(SourceLine, item.source_line_id)
    line.refunded, line.to_ship, number = 2 - left, left, mine.id
    with stage.outside():
        sweep._recheck(stage.container, number)
    assert stage.again(item).quantity == left
    assert (stage.again(mine).state == "CANCELLED") is (left == 0)
