"""Money of Shopify's orders, in the shop's currency. Pure functions over the data of `graphql/order.graphql`."""

from __future__ import annotations

from collections.abc import Mapping
from decimal import Decimal
from typing import Any

from app.ports.money import Money

Node = Mapping[str, Any]

_MOST_TRANSACTIONS = 25
"""As many as the document asks for: when all are there, more may be."""


def shop_money(bag: Node) -> Money:
    """A MoneyBag in the shop's own currency."""
    money = bag["shopMoney"]
    return Money.parse(str(money["amount"]), money["currencyCode"])


def line_paid(line: Node) -> Money:
    """What was paid for the line at its ordered quantity, after all discounts, without tax.

    Shopify gives the figure without tax for the pieces that are left; it is scaled up to all ordered ones. When none is
    left, the approximate unit price is all there is, and nothing will be bought.
    """
    quantity, current = int(line["quantity"]), int(line["currentQuantity"])
    if current <= 0:
        return shop_money(line["discountedUnitPriceAfterAllDiscountsSet"]).times(quantity)
    left = shop_money(line["priceAfterAllDiscountsBeforeTaxesSet"])
    return left if current == quantity else left.times(Decimal(quantity) / Decimal(current))


def shipping_paid(order: Node) -> Money:
    """What the buyer paid for shipping, after discounts, without tax."""
    total = Money.zero(order["currencyCode"])
    for line in order["shippingLines"]["nodes"]:
        total += shop_money(line["discountedPriceSet"])
        if order.get("taxesIncluded"):
            for tax in line.get("taxLines") or []:
                total -= shop_money(tax["priceSet"])
    return max(total, Money.zero(order["currencyCode"]))


def kept(order: Node) -> Money | None:
    """What the shop still has of the order's money, without tax, as `StoreOrder.kept` says.

    Received by transactions, less refunded by them. Gift cards are payments; store credit may never have been money and
    is none. None if the order costs something and no payment is shown (imported as paid), or too many are.
    """
    zero = Money.zero(order["currencyCode"])
    transactions = order["transactions"]
    paid = [one for one in transactions if one["kind"] in ("SALE", "CAPTURE") and one["status"] == "SUCCESS"]
    costs = shop_money(order["currentTotalPriceSet"])
    if len(transactions) >= _MOST_TRANSACTIONS or (not paid and costs > zero):
        return None
    left = zero
    for one in paid:
        if "store_credit" not in str(one["gateway"]):
            left += shop_money(one["amountSet"])
    for one in transactions:
        # A refund that is under way is gone.
        if one["kind"] in ("REFUND", "CHANGE") and one["status"] not in ("FAILURE", "ERROR"):
            left -= shop_money(one["amountSet"])
    return max(left - _not_for_goods(order, costs), zero)


def _not_for_goods(order: Node, costs: Money) -> Money:
    """Tax, duties and fees: what the order costs beyond goods and shipping, and never less than its tax."""
    goods = shipping_paid(order)
    for line in order["lineItems"]["nodes"]:
        goods += shop_money(line["priceAfterAllDiscountsBeforeTaxesSet"])
    return max(costs - goods, shop_money(order["currentTotalTaxSet"]))
