"""What orders and lines cost, from their records. Prices are the shop's currency; quantities after refunds count."""

from __future__ import annotations

from decimal import ROUND_HALF_UP, Decimal
from typing import Any

from app.ports.money import exponent

Record = dict[str, Any]


def text(amount: Decimal, currency: str) -> str:
    """An amount with the currency's digits."""
    step = Decimal(1).scaleb(-exponent(currency))
    return str(amount.quantize(step, rounding=ROUND_HALF_UP))


def bag(amount: Decimal, currency: str) -> Record:
    """A MoneyBag; both currencies are the same here."""
    money = {"amount": text(amount, currency), "currencyCode": currency}
    return {"shopMoney": money, "presentmentMoney": money}


def line_net(line: Record, *, taxes_included: bool) -> Decimal:
    """The whole line at its ordered quantity, after discounts, without tax."""
    gross = line_gross(line)
    return gross - Decimal(line["tax"]) if taxes_included else gross


def line_gross(line: Record) -> Decimal:
    """The whole line after discounts, with tax only where prices include it."""
    return Decimal(line["price"]) * Decimal(line["quantity"]) - Decimal(line["discount"])


def current_share(line: Record) -> Decimal:
    """The part of the ordered quantity that is left after refunds and edits."""
    return Decimal(line["current"]) / Decimal(line["quantity"])


def shipping_now(order: Record) -> Decimal:
    """What shipping costs after what was refunded of it."""
    return Decimal(order["shipping"]["amount"]) - _refunded(order, "shipping")


def kept(order: Record) -> Decimal:
    """What was received and not refunded: nothing of an unpaid order."""
    if order["financial"] not in ("PAID", "PARTIALLY_REFUNDED", "REFUNDED"):
        return Decimal(0)
    return order_total(order, current=True) - _refunded(order, "amount")


def _refunded(order: Record, what: str) -> Decimal:
    return sum((Decimal(one.get(what, "0")) for one in order["refunds"]), Decimal(0))


def order_total(order: Record, *, current: bool) -> Decimal:
    """What the order costs with tax and shipping, as ordered or as it is now."""
    shipping = order["shipping"]
    total = shipping_now(order) if current else Decimal(shipping["amount"])
    total += Decimal(0) if order["taxes_included"] else Decimal(shipping["tax"])
    for line in order["lines"]:
        whole = line_gross(line) + (Decimal(0) if order["taxes_included"] else Decimal(line["tax"]))
        total += whole * (current_share(line) if current else 1)
    return total
