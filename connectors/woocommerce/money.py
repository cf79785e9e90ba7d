"""Money of WooCommerce's orders: amounts are texts, with the shop's digits and not the currency's. Pure."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from app.ports.money import Money
from connectors.woocommerce import payload
from connectors.woocommerce.payload import Unreadable

Row = Mapping[str, Any]


def amount(row: Row, name: str, currency: str) -> Money:
    """The amount in that field. Raises `Unreadable` where there is none."""
    value = row.get(name)
    try:
        return Money.parse(value if isinstance(value, str) else "", currency)
    except ValueError:
        raise Unreadable(f"{name} is not an amount") from None


def kept(order: Row, refunds: Sequence[Row], currency: str) -> Money | None:
    """What the shop still has of the order's money, without tax, as `StoreOrder.kept` says.

    The order's total is what the buyer was to pay: negative fees are in it, and plugins of gift cards and store credit
    lower it. What the refunds name as tax is not owed any more. None if a refund tells no amount.
    """
    if not all("amount" in refund for refund in refunds):
        return None
    left = amount(order, "total", currency) - amount(order, "total_tax", currency)
    for refund in refunds:
        back = abs(amount(refund, "amount", currency).minor) - _tax(refund, currency)
        left -= Money(back, currency)
    return max(left, Money.zero(currency))


def _tax(refund: Row, currency: str) -> int:
    """The tax that a refund names, in minor units; its rows are negative."""
    rows = (row for kind in ("line_items", "shipping_lines", "fee_lines") for row in payload.rows(refund.get(kind)))
    return sum(abs(amount(row, "total_tax", currency).minor) for row in rows if "total_tax" in row)
