"""What a Shopify shop still has of an order's money."""

from __future__ import annotations

from decimal import Decimal
from typing import Any

import pytest

from app.ports.money import Money
from connectors.shopify import money
from tests.connectors.shopify.harness import Simulated, read

USD = "USD"
LINE = {"price": "12.00", "quantity": 2, "tax": "4.00"}
SHIPPING = {"amount": "6.00", "tax": "1.00"}


def bag(amount: str, shop: str = USD) -> dict[str, Any]:
    """A shop in one currency and a buyer in another, whose figure must not be looked at."""
    return {
        "shopMoney": {"amount": amount, "currencyCode": shop},
        "presentmentMoney": {"amount": "7777", "currencyCode": "JPY"},
    }


def transaction(
    amount: str, kind: str = "SALE", status: str = "SUCCESS", gateway: str | None = "shopify_payments"
) -> Any:
    return {"kind": kind, "status": status, "gateway": gateway, "amountSet": bag(amount)}


def order(*transactions: Any, total: str = "29.00", tax: str = "4.00", **more: Any) -> dict[str, Any]:
    """Goods for 20.00 and shipping for 5.00, both without tax."""
    return {
        "currencyCode": USD,
        "taxesIncluded": False,
        "currentTotalPriceSet": bag(total),
        "currentTotalTaxSet": bag(tax),
        "transactions": list(transactions),
        "shippingLines": {"nodes": [{"discountedPriceSet": bag("5.00"), "taxLines": []}]},
        "lineItems": {"nodes": [{"priceAfterAllDiscountsBeforeTaxesSet": bag("20.00")}]},
        **more,
    }


@pytest.mark.parametrize(
    ("transactions", "kept"),
    [
        ([transaction("29.00")], "25.00"),
        ([transaction("29.00", gateway="manual")], "25.00"),
        ([transaction("29.00", gateway=None)], "25.00"),
        ([transaction("29.00", "AUTHORIZATION"), transaction("20.00", "CAPTURE"), transaction("9.00", "CAPTURE")], "25.00"),
        ([transaction("9.00", gateway="gift_card"), transaction("20.00")], "25.00"),
        ([transaction("9.00", gateway="shopify_store_credit"), transaction("20.00")], "16.00"),
        ([transaction("29.00", gateway="shopify_store_credit")], "0.00"),
        ([transaction("29.00", status="FAILURE"), transaction("29.00")], "25.00"),
        ([transaction("29.00"), transaction("10.00", "REFUND")], "15.00"),
        ([transaction("29.00"), transaction("10.00", "REFUND", "PENDING")], "15.00"),
        ([transaction("29.00"), transaction("10.00", "REFUND", "FAILURE")], "25.00"),
        ([transaction("29.00"), transaction("10.00", "REFUND", gateway="shopify_store_credit")], "15.00"),
        ([transaction("29.00"), transaction("29.00", "REFUND")], "0.00"),
        ([transaction("30.00"), transaction("1.00", "CHANGE")], "25.00"),
    ],
)  # fmt: skip
def test_received_less_refunded_without_tax(transactions: list[Any], kept: str) -> None:
    assert money.kept(order(*transactions)) == Money.parse(kept, USD)


@pytest.mark.parametrize(
    "transactions",
    [[], [transaction("29.00", status="PENDING")], [transaction("29.00", "AUTHORIZATION")], [transaction("1.00")] * 25],
)
def test_no_payment_or_too_many_to_read_is_not_known(transactions: list[Any]) -> None:
    assert money.kept(order(*transactions)) is None


def test_an_order_that_costs_nothing_needs_no_payment() -> None:
    assert money.kept(order(total="0.00", tax="0.00")) == Money.zero(USD)


def test_duties_and_fees_are_not_for_goods() -> None:
    assert money.kept(order(transaction("32.00"), total="32.00")) == Money(2500, USD)


def test_a_total_that_fell_with_the_refund_hides_nothing() -> None:
    refunded = order(transaction("29.00"), transaction("10.00", "REFUND"), total="19.00")
    assert money.kept(refunded) == Money(1500, USD)


def test_two_currencies_are_never_added() -> None:
    foreign = {**transaction("29.00"), "amountSet": bag("29.00", "EUR")}
    with pytest.raises(ValueError, match="EUR"):
        money.kept(order(foreign))


@pytest.mark.parametrize("included", [True, False])
def test_taxes_in_the_prices_or_on_top(simulated: Simulated, included: bool) -> None:
    made = simulated.order(lines=[LINE], shipping=SHIPPING, taxes_included=included)
    found = read(simulated.session(), made["id"])
    assert found.kept == found.lines[0].paid + found.shipping_paid == Money(2500 if included else 3000, USD)


@pytest.mark.parametrize("included", [True, False])
def test_refunded_pieces_and_shipping_take_their_own_money_along(simulated: Simulated, included: bool) -> None:
    made = simulated.order(lines=[LINE], shipping=SHIPPING, taxes_included=included)
    simulated.act(made, "refund", lines=[{"line": 0, "quantity": 1}], shipping="6.00")
    found = read(simulated.session(), made["id"])
    assert found.kept == found.lines[0].paid.times(Decimal("0.5"))


def test_a_discount_to_nothing_is_paid_with_nothing(simulated: Simulated) -> None:
    made = simulated.order(lines=[{"price": "12.00", "discount": "12.00"}])
    found = read(simulated.session(), made["id"])
    assert (found.paid, found.kept, found.lines[0].paid) == (True, Money.zero(USD), Money.zero(USD))


def test_marked_as_paid_is_money_and_imported_as_paid_is_not_known(simulated: Simulated) -> None:
    marked = simulated.order(financial_status="pending")
    simulated.act(marked, "pay", gateway="manual")
    imported = simulated.order(payments=[])
    assert read(simulated.session(), marked["id"]).kept == Money(4500, USD)
    found = read(simulated.session(), imported["id"])
    assert (found.paid, found.kept) == (True, None)


def test_the_simulator_pays_by_several_gateways_and_refunds_to_one(simulated: Simulated) -> None:
    made = simulated.order(payments=[{"gateway": "shopify_store_credit", "amount": "40.00"}, {"gateway": "gift_card"}])
    assert read(simulated.session(), made["id"]).kept == Money(500, USD)
    simulated.act(made, "refund", amount="2.00", gateway="gift_card", refund_status="PENDING")
    assert read(simulated.session(), made["id"]).kept == Money(300, USD)
