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


def tax_now(order: Record) -> Decimal:
    """The tax of what is left of the order."""
    return sum((Decimal(line["tax"]) * current_share(line) for line in order["lines"]), _shipping_tax_now(order))


def _shipping_tax_now(order: Record) -> Decimal:
    whole = Decimal(order["shipping"]["amount"])
    return Decimal(order["shipping"]["tax"]) * shipping_now(order) / whole if whole else Decimal(0)


def kept(order: Record) -> Decimal:
    """What was received and not refunded."""
    total = Decimal(0)
    for made in order["transactions"]:
        if made["status"] == "SUCCESS":
            total += Decimal(made["amount"]) * {"SALE": 1, "CAPTURE": 1, "REFUND": -1}.get(made["kind"], 0)
    return total


def _refunded(order: Record, what: str) -> Decimal:
    return sum((Decimal(one.get(what, "0")) for one in order["refunds"]), Decimal(0))


def order_total(order: Record, *, current: bool) -> Decimal:
    """What the order costs with tax and shipping, as ordered or as it is now."""
    shipping, on_top = order["shipping"], not order["taxes_included"]
    total = shipping_now(order) if current else Decimal(shipping["amount"])
    if on_top:
        total += _shipping_tax_now(order) if current else Decimal(shipping["tax"])
    for line in order["lines"]:
        whole = line_gross(line) + (Decimal(line["tax"]) if on_top else Decimal(0))
        total += whole * (current_share(line) if current else 1)
    return total
