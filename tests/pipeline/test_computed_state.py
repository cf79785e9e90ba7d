"""A purchase's state from its supplier orders, row by row: payment, closing, shipping, price; never a step backwards."""

from __future__ import annotations

from datetime import UTC, datetime
from typing import Any

import pytest

from app.models import Purchase, SupplierOrder
from app.pipeline import computed
from app.ports.money import Money


def purchase(state: str = "PLACED_UNPAID", **more: Any) -> Purchase:
    return Purchase(state=state, **{"reason": "", "limit_minor": 1000, "quote_currency": "USD", **more})


def order(number: str = "81", **more: Any) -> SupplierOrder:
    usual = {"payment": "unpaid", "shipping": "none", "closed": False, "total": 1000, "currency": "USD"}
    return SupplierOrder(external_id=number, **{**usual, **more})


PAID, CLOSED = {"payment": "paid"}, {"closed": True}


@pytest.mark.parametrize(
    ("orders", "state", "reason"),
    [
        ([order(**CLOSED)], "EXPIRED", "expired_unpaid"),
        ([order(**CLOSED, payment="checking")], "EXPIRED", "expired_unpaid"),
        ([order(**CLOSED, shipping="shipped")], "EXPIRED", "expired_unpaid"),
        ([order(**CLOSED, **PAID)], "SUPPLIER_CANCELLED", "supplier_cancelled"),
        ([order(**CLOSED, **PAID), order("82", **CLOSED)], "SUPPLIER_CANCELLED", "supplier_cancelled"),
        ([order(**CLOSED, **PAID, shipping="part")], "REFUNDED", ""),
        ([order(**CLOSED, **PAID), order("82", **CLOSED, shipping="delivered")], "REFUNDED", ""),
        ([order()], "PLACED_UNPAID", ""),
        ([order(payment="checking")], "PLACED_UNPAID", ""),
        ([order(**PAID), order("82", total=0)], "PLACED_UNPAID", ""),
        ([order(**PAID)], "PLACED_PAID", ""),
        ([order(**PAID), order("82", **CLOSED)], "PLACED_PAID", ""),
        ([order(**PAID, shipping="part")], "PART_SHIPPED", ""),
        ([order(**PAID, shipping="shipped"), order("82", **PAID)], "PART_SHIPPED", ""),
        ([order(**PAID, shipping="shipped"), order("82", **PAID, shipping="part")], "PART_SHIPPED", ""),
        ([order(**PAID, shipping="shipped")], "SHIPPED", ""),
        ([order(**PAID, shipping="shipped"), order("82", **PAID, shipping="delivered")], "SHIPPED", ""),
        ([order(**PAID, shipping="delivered")], "DELIVERED", ""),
        ([order(**PAID, shipping="delivered"), order("82", **CLOSED, shipping="none")], "DELIVERED", ""),
    ],
)
def test_payment_closing_and_shipping_of_its_orders_are_its_state(
    orders: list[SupplierOrder], state: str, reason: str
) -> None:
    assert computed.state(purchase(), orders)[:2] == (state, reason)


PAID_STATES = ["PLACED_PAID", "PART_SHIPPED", "SHIPPED", "DELIVERED"]
REACHED = dict(zip(["none", "part", "shipped", "delivered"], PAID_STATES, strict=True))


@pytest.mark.parametrize("before", PAID_STATES)
@pytest.mark.parametrize("shipping", REACHED)
def test_a_paid_purchase_only_goes_forward(before: str, shipping: str) -> None:
    further = max(before, REACHED[shipping], key=PAID_STATES.index)
    found = computed.state(purchase(before, reason="kept"), [order(**PAID, shipping=shipping)])
    assert found[:2] == (further, "kept" if further == before else "")


@pytest.mark.parametrize("before", PAID_STATES)
def test_an_unpaid_order_that_turns_up_later_does_not_make_it_unpaid(before: str) -> None:
    asked = purchase(before, reason="kept", cancel_requested_at=datetime(2026, 11, 1, tzinfo=UTC), limit_minor=1)
    assert computed.state(asked, [order(**PAID), order("82")])[:2] == (before, "kept")


def test_what_the_shop_cancelled_is_not_to_be_paid() -> None:
    asked = purchase(cancel_requested_at=datetime(2026, 11, 1, tzinfo=UTC))
    assert computed.state(asked, [order()])[:2] == ("PAY_BLOCKED", "cancelled_by_shop")
    assert computed.state(asked, [order(**PAID)])[0] == "PLACED_PAID"


@pytest.mark.parametrize(
    ("orders", "blocked"),
    [
        ([order(total=1000)], False),
        ([order(total=1001)], True),
        ([order(total=600), order("82", total=400)], False),
        ([order(total=600), order("82", total=401)], True),
        ([order(total=600), order("82", total=401, **CLOSED)], False),
        ([order(total=None)], False),
        ([order(total=1001), order("82", total=None)], True),
        ([order(total=1, currency="EUR")], True),
        ([order(total=None, currency="EUR")], False),
    ],
)
def test_what_costs_more_than_the_limit_is_not_to_be_paid(orders: list[SupplierOrder], blocked: bool) -> None:
    wanted = ("PAY_BLOCKED", "price_over_limit") if blocked else ("PLACED_UNPAID", "")
    assert computed.state(purchase(), orders)[:2] == wanted
    assert computed.over(purchase(), orders) is blocked
    assert computed.over(purchase(limit_minor=None), orders) is False


def test_an_approval_holds_for_the_sum_that_was_shown_and_not_for_a_higher_one() -> None:
    approved = purchase(approved_minor=1500, approved_currency="USD")
    assert computed.state(approved, [order(total=1500)])[0] == "PLACED_UNPAID"
    assert computed.state(approved, [order(total=1501)])[0] == "PAY_BLOCKED"
    assert computed.state(approved, [order(total=1500), order("82", total=None)])[0] == "PAY_BLOCKED"
    assert not computed.approved(purchase(approved_minor=1500, approved_currency="EUR"), Money(1500, "USD"))
    assert not computed.approved(purchase(), Money(0, "USD"))


def test_it_tells_orders_total_and_limit() -> None:
    both = [order(total=600), order("82", total=401)]
    assert computed.state(purchase(), both)[2] == {"orders": "81, 82", "total": "10.01 USD", "limit": "10.00 USD"}
    assert computed.state(purchase(), [order(), order("82", total=None)])[2] == {"orders": "81, 82"}
    assert computed.state(purchase(), [order(), order("82", **CLOSED)])[2] == {"orders": "81, 82", "total": "10.00 USD"}
    unlimited = purchase(limit_minor=None)
    assert computed.state(unlimited, [order(total=10**9)])[0] == "PLACED_UNPAID"


def test_a_person_may_approve_a_thin_margin_and_an_unknown_rate_and_nothing_else() -> None:
    assert set(computed.APPROVABLE) == {"margin", "money_unknown"}
