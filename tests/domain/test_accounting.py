"""The columns of a day's account, as a table: each order stands in one of them, or is a gap."""

from __future__ import annotations

import pytest

from app.domain.accounting import Gap, Line, OrderFacts, Share, judge, why_not_ours
from app.domain.purchase_flow import STATES


def order(
    *states: str, lines: tuple[tuple[int, int], ...] = ((1, 1),), listed: bool = True, gone: bool = False
) -> OrderFacts:
    return OrderFacts(listed, gone, cancelled=False, lines=[Line(*line) for line in lines], states=states)


@pytest.mark.parametrize(
    ("facts", "share", "gap"),
    [
        (order("PLACED_UNPAID"), Share.PLACED, None),
        (order("DELIVERED", "CANCELLED"), Share.PLACED, None),
        (order("DRAFT"), Share.HELD, None),
        (order("HUMAN", "PLACED_PAID"), Share.HELD, None),
        (order("HELD", "REJECTED", "PLACED_PAID"), Share.HELD, None),
        (order("REJECTED", "PLACED_PAID"), Share.REFUSED, None),
        (order("SUPPLIER_CANCELLED"), Share.REFUSED, None),
        (order("CANCELLED", lines=((0, 0),)), Share.NOT_OURS, None),
        (order(lines=()), Share.NOT_OURS, None),
        (order("CANCELLED"), Share.NOT_OURS, None),
        (order("PLACED_PAID", lines=((2, 1),)), Share.GAP, Gap.UNCOVERED),
        (order("PLACED_PAID", lines=((1, 2), (1, 0))), Share.GAP, Gap.UNCOVERED),
        (order("PLACED_PAID", lines=((1, 2),)), Share.PLACED, None),
        (order("PLACED_PAID", listed=False), Share.GAP, Gap.UNKNOWN_TO_SHOP),
        (order("CANCELLED", lines=((0, 0),), listed=False, gone=True), Share.NOT_OURS, None),
        (order("PLACED_PAID", lines=((0, 1),), gone=True), Share.PLACED, None),
    ],
)
def test_each_order_stands_in_one_column(facts: OrderFacts, share: Share, gap: Gap | None) -> None:
    assert judge(facts) == (share, gap)


@pytest.mark.parametrize("state", STATES)
def test_every_state_has_a_column(state: str) -> None:
    """A state that is added one day and forgotten here would be told as "not ours"."""
    share, _ = judge(order(state))
    assert (share == Share.NOT_OURS) == (state == "CANCELLED")


def test_why_nothing_is_bought_is_told() -> None:
    assert why_not_ours(order(gone=True)) == "deleted in the shop"
    assert why_not_ours(OrderFacts(True, False, True, (), ())) == "cancelled in the shop"
    assert why_not_ours(order(lines=())) == "nothing of it is to be shipped by us"
