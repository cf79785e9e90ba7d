"""An order at the supplier is ours only if it holds pieces that a send still misses, in its window; nothing is guessed."""

from __future__ import annotations

from datetime import timedelta
from typing import Any

import pytest
from sqlalchemy.orm import Session

from app.models import Purchase
from app.pipeline import adopt, fit, locks
from tests.pipeline.stage import ONE, TWO, Items, Stage


def fitting(stage: Stage, items: Items = ONE, **more: Any) -> list[Purchase]:
    read = stage.read("81", items, **more)
    return [purchase for purchase, _ in fit.fitting(stage.container, stage.session, stage.account.id, read)]


@pytest.mark.parametrize(
    ("state", "outcome", "may"),
    [
        ("SENDING", "OPEN", True),
        ("UNKNOWN", "UNKNOWN", True),
        ("HUMAN", "OPEN", True),
        ("UNKNOWN", "PLACED", False),
        ("UNKNOWN", "NOT_EXECUTED", False),
        ("VOID", "VOID", True),
        ("CANCELLED", "VOID", True),
        ("CANCELLED", "REJECTED", False),
        ("READY", "VOID", False),
        ("HELD", "UNKNOWN", False),
        ("PLACED_PAID", "PLACED", True),
        ("PLACED_PAID", "UNKNOWN", False),
        ("EXPIRED", "PLACED", False),
    ],
)
def test_only_a_send_that_may_miss_something_is_asked(stage: Stage, state: str, outcome: str, may: bool) -> None:
    mine = stage.purchase(state, outcome=outcome)
    assert fitting(stage) == ([mine] if may else [])


def test_every_send_that_fits_is_told_and_none_of_another_account(stage: Stage) -> None:
    first, second = stage.purchase("UNKNOWN", outcome="UNKNOWN"), stage.purchase("UNKNOWN", outcome="UNKNOWN")
    stage.purchase("UNKNOWN", outcome="UNKNOWN", account_id=stage.new_account().id)
    stage.purchase("UNKNOWN", TWO[1:], outcome="UNKNOWN")
    assert fitting(stage) == [first, second]


@pytest.mark.parametrize(
    ("items", "fits"),
    [
        (ONE, True),
        (TWO, True),
        (TWO[1:], True),
        ((("P1", "S1", 1),), False),
        ((("P1", "S1", 3),), False),
        ((("P1", "S9", 2),), False),
        ((("P9", "S1", 2),), False),
        ((*ONE, ("P3", "S3", 1)), False),
        ((("P1", "", 2),), True),
        ((("P1", "S1", 1), ("P1", "S1", 1)), True),
        ((), False),
    ],
)
def test_it_holds_exactly_pieces_that_are_missing(stage: Stage, items: Items, fits: bool) -> None:
    mine = stage.purchase("UNKNOWN", TWO, outcome="UNKNOWN")
    assert fitting(stage, items) == ([mine] if fits else [])


@pytest.mark.parametrize(
    ("seconds", "fits"), [(-120, True), (-121, False), (0, True), (3600, True), (3601, False), (None, False)]
)
def test_it_was_made_in_the_window_of_the_send(stage: Stage, seconds: int | None, fits: bool) -> None:
    mine = stage.purchase("UNKNOWN", outcome="UNKNOWN", sent_at=stage.now - timedelta(hours=2))
    made = None if seconds is None else stage.now - timedelta(hours=2) + timedelta(seconds=seconds)
    assert fitting(stage, created_at=made) == ([mine] if fits else [])
    if made is not None:
        far = stage.now - timedelta(days=2)
        assert fitting(stage, created_at=far, created_at_alternatives=(far, made)) == ([mine] if fits else [])
        assert fitting(stage, created_at=far, created_at_alternatives=(made, far)) == ([mine] if fits else [])
        assert fitting(stage, created_at=made, created_at_alternatives=(far,)) == []


def test_what_was_found_already_is_not_found_again(stage: Stage) -> None:
    mine, other = stage.purchase("UNKNOWN", TWO, outcome="UNKNOWN"), stage.purchase("UNKNOWN")
    stage.supplier_order("70", other, TWO)
    stage.supplier_order("71", mine, ONE)
    assert fitting(stage, ONE) == []
    assert fitting(stage, TWO) == []
    assert fitting(stage, TWO[1:]) == [mine]


def test_nothing_fits_while_one_of_its_own_orders_was_not_read(stage: Stage) -> None:
    mine, other = stage.purchase("UNKNOWN", TWO, outcome="UNKNOWN"), stage.purchase("UNKNOWN")
    stage.supplier_order("70", other, read_at=None)
    assert fitting(stage, ONE) == [mine]
    own = stage.supplier_order("71", mine, read_at=None)
    assert fitting(stage, ONE) == []
    attempt = adopt.open_attempt(stage.session, mine)
    assert attempt is not None
    read = stage.read("71", ONE)
    assert fit.fits(stage.container, stage.session, mine, attempt, read, known=own)
    stage.supplier_order("72", mine, read_at=None)
    assert not fit.fits(stage.container, stage.session, mine, attempt, read, known=own)


def test_a_placed_purchase_misses_something_only_if_its_orders_were_read_and_hold_less(stage: Stage) -> None:
    mine = stage.purchase("PLACED_PAID", TWO, outcome="PLACED")
    order = stage.supplier_order("70", mine, ONE)
    other = stage.purchase("UNKNOWN")
    stage.supplier_order("69", other, TWO)
    stage.supplier_order("68", other, read_at=None)
    assert fitting(stage, TWO[1:]) == [mine]
    order.read_at = None
    stage.session.flush()
    assert fitting(stage, TWO[1:]) == []
    order.read_at = stage.now
    stage.supplier_order("71", mine, TWO[1:])
    assert fitting(stage, TWO[1:]) == []


def test_the_supplier_may_name_a_product_by_its_linked_id_and_leave_out_a_lone_sku(stage: Stage) -> None:
    mine = stage.purchase("UNKNOWN", (("P1", "S1", 1), ("P1", "S2", 1), ("P2", "S3", 1)), outcome="UNKNOWN")
    for item in stage.items(mine):
        item.product_id = "linked" + item.product_id
    stage.session.flush()
    assert fitting(stage, (("linkedP1", "S1", 1), ("linkedP1", "S2", 1))) == [mine]
    assert fitting(stage, (("linkedP2", "", 1),)) == [mine]
    assert fitting(stage, (("P2", "", 1),)) == [mine]
    assert fitting(stage, (("P1", "", 1),)) == [], "it might be either"
    assert fitting(stage, (("linkedP1", "", 1),)) == []


def test_a_purchase_that_is_named_is_locked_in_its_order_s_turn_though_it_is_none_of_them(
    stage: Stage, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Two who lock the same ones in different turns would wait for each other."""
    named, mine = stage.purchase("PLACED_PAID", TWO[1:]), stage.purchase("UNKNOWN", outcome="UNKNOWN")
    whole, locked = locks.purchase, list[int]()

    def lock(session: Session, purchase_id: int) -> Purchase:
        locked.append(purchase_id)
        return whole(session, purchase_id)

    monkeypatch.setattr(fit.locks, "purchase", lock)
    found = fit.fitting(stage.container, stage.session, stage.account.id, stage.read("81"), named=named.id)
    assert [purchase for purchase, _ in found] == [mine]
    assert locked == [named.id, mine.id]
