"""What a WooCommerce shop still has of an order's money."""

from __future__ import annotations

from typing import Any

import pytest

from app.ports.money import Money
from connectors.woocommerce import money
from connectors.woocommerce.payload import Unreadable
from tests.connectors.woocommerce.harness import Shop, body_of

USD = "USD"
ORDER = {"total": "30.00", "total_tax": "5.00"}
"""Goods for 20.00 and shipping for 5.00, each with a fifth of tax on top."""


def kept(*refunds: Any, **order: str) -> Money | None:
    return money.kept({**ORDER, **order}, refunds, USD)


def refund(amount: str, **taxes: str) -> dict[str, Any]:
    """`taxes`: by the kind of row that names it; the rows of a refund are negative."""
    return {"amount": amount, **{kind: [{"total_tax": f"-{tax}"}] for kind, tax in taxes.items()}}


def test_an_order_as_it_was_paid() -> None:
    assert kept() == Money(2500, USD)
    assert kept(total="0.00", total_tax="0.00") == Money.zero(USD)


def test_what_only_lowers_the_total_was_not_paid() -> None:
    assert kept(total="20.00") == Money(1500, USD)
    assert kept(total="3.00") == Money.zero(USD)


@pytest.mark.parametrize(
    ("back", "left"),
    [
        (refund("10.00"), 1500),
        (refund("12.00", line_items="2.00"), 1500),
        (refund("30.00", line_items="4.00", shipping_lines="1.00"), 0),
        (refund("6.00", shipping_lines="1.00"), 2000),
        (refund("1.20", fee_lines="0.20"), 2400),
        (refund("99.00"), 0),
    ],
)
def test_a_refund_takes_off_its_money_and_the_tax_that_it_names(back: dict[str, Any], left: int) -> None:
    assert kept(back) == Money(left, USD)


def test_a_refund_without_an_amount_is_not_known() -> None:
    assert kept(refund("1.00"), {"line_items": []}) is None


@pytest.mark.parametrize(("name", "value"), [("total", "lots"), ("total", ""), ("total_tax", "NaN")])
def test_what_is_no_amount_is_unreadable(name: str, value: str) -> None:
    with pytest.raises(Unreadable):
        kept(**{name: value})


def test_recorded_orders_with_tax_coupons_fees_and_refunds() -> None:
    order = body_of("webhook-order.created-tax-coupon-fee")
    assert money.kept(order, [], USD) == Money(7690 - 671, USD)
    refunds = body_of("rest-order-refunds-list")
    order = body_of("webhook-order.updated-second-refund")
    assert money.kept(order, refunds, USD) == Money(10133 - 885 - 4000 - (1535 - 135), USD)


def test_the_shops_digits_are_not_the_currencys() -> None:
    assert money.kept({"total": "589.17", "total_tax": "0.00"}, [], "JPY") == Money(589, "JPY")


def test_a_gift_card_lowers_the_total_alone(shop: Shop) -> None:
    lines = [{"name": "Mug", "quantity": 2, "total": "25.00", "total_tax": "5.00"}]
    made = shop.order(lines=lines, gift_card="20.00", shipping_total="0")
    assert (made["total"], made["total_tax"], made["line_items"][0]["total"]) == ("10.00", "5.00", "25.00")
    order = shop.session().order(str(made["id"]))
    assert order is not None
    assert (order.kept, order.lines[0].paid) == (Money(500, USD), Money(2500, USD))


def test_a_refund_of_pieces_with_their_tax(shop: Shop) -> None:
    lines = [{"name": "Mug", "quantity": 2, "total": "25.00", "total_tax": "5.00"}]
    made = shop.order(lines=lines, shipping_total="0")
    line = made["line_items"][0]["id"]
    shop.act(made["id"], "refund", lines=[{"id": line, "quantity": 1, "total": "12.50", "tax": "2.50"}])
    order = shop.session().order(str(made["id"]))
    assert order is not None
    assert (order.kept, order.lines[0].refunded) == (Money(1250, USD), 1)
