"""The price guard: may this purchase be made for what the buyer paid, and up to what total?

Cost and payment are compared in ONE currency, the shop's. What the supplier asks is converted with a buffer on top, so
that a rate that moves until payment eats the buffer and not the margin.
"""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime, timedelta
from decimal import ROUND_DOWN, Decimal

from app.domain.rates import Rates, RateUnknown, rounded
from app.ports.money import Money

__all__ = [
    "Allowed",
    "MarginRule",
    "OverMargin",
    "Quote",
    "QuoteLine",
    "RateUnknown",
    "Rates",
    "autopay_refusal",
    "guard",
    "kept_of",
    "part_of",
    "pay_allowed",
    "share_of_shipping",
]

_HUNDRED = Decimal(100)


@dataclass(frozen=True, slots=True)
class QuoteLine:
    """One item: price of one piece as the supplier quotes it now."""

    unit_price: Money
    quantity: int


@dataclass(frozen=True, slots=True)
class Quote:
    """A fresh quote of one purchase in one currency. `freight` is for all of it; `taken_at`: when it was begun."""

    lines: tuple[QuoteLine, ...]
    freight: Money
    taken_at: datetime

    @property
    def total(self) -> Money:
        """Goods and freight. Raises ValueError if the supplier mixed currencies."""
        total = self.freight
        for line in self.lines:
            total = total + line.unit_price.times(line.quantity)
        return total


@dataclass(frozen=True, slots=True)
class MarginRule:
    """What must be left of what the buyer paid: a share of it, and at least a sum in the shop's currency. Both hold.

    A negative `min_percent` allows a loss up to that share.
    """

    min_percent: Decimal = Decimal(0)
    min_absolute: Money | None = None

    def limit(self, paid: Money) -> Money:
        """The highest cost that keeps the margin, never below zero. ValueError if the currencies differ."""
        by_share = rounded(paid.amount * (_HUNDRED - self.min_percent) / _HUNDRED, paid.currency, ROUND_DOWN)
        by_sum = paid - self.min_absolute if self.min_absolute else by_share
        return max(Money.zero(paid.currency), min(by_share, by_sum))


@dataclass(frozen=True, slots=True)
class Allowed:
    """The margin is kept. `limit`, in the quote's currency: the highest total that keeps it (T3, pay list).

    `cost`, `paid` and `margin` are in the shop's currency, `margin_percent` of what was paid.
    """

    limit: Money
    cost: Money
    paid: Money
    margin: Money
    margin_percent: Decimal


@dataclass(frozen=True, slots=True)
class OverMargin:
    """The margin would be broken (reason `margin`), or nobody can tell; then the sums below `paid` are None.

    `price_unknown`: no exchange rate. `money_unknown`: what the shop has for the goods is not known, `paid` is None.
    """

    reason: str
    quote: Money
    paid: Money | None
    limit: Money | None = None
    cost: Money | None = None
    margin_percent: Decimal | None = None

    def facts(self) -> dict[str, str]:
        """Numbers for the sentence that the merchant reads."""
        if self.paid is None:
            return {"quote": str(self.quote)}
        if self.limit is None:
            return {"detail": f"exchange rate {self.quote.currency} to {self.paid.currency}"}
        return {"quote": str(self.quote), "limit": str(self.limit), "paid": str(self.paid)}


def guard(quote: Money, paid: Money | None, rule: MarginRule, rates: Rates) -> Allowed | OverMargin:
    """Compare a purchase's quoted total with what the shop has for its goods (`paid`, in the shop's currency)."""
    if paid is None:
        return OverMargin("money_unknown", quote, None)
    try:
        cost = rates.cost_in(quote, paid.currency)
        limit = rates.limit_in(rule.limit(paid), quote.currency)
    except RateUnknown:
        return OverMargin("price_unknown", quote, paid)
    margin = paid - cost
    percent = (margin.amount / paid.amount * _HUNDRED).quantize(Decimal("0.1")) if paid.minor else Decimal(0)
    if quote <= limit:
        return Allowed(limit, cost, paid, margin, percent)
    return OverMargin("margin", quote, paid, limit, cost, percent)


def share_of_shipping(line_paid: Money, order_paid: Money, shipping_paid: Money) -> Money:
    """The part of the shipping that belongs to a line: in proportion to what was paid for it, rounded down.

    `order_paid` is the sum over all lines of the order, so the shares of all lines never exceed what was paid for
    shipping. Zero if nothing was paid for the lines: a gift's shipping then pays for nothing, which errs on the safe
    side.
    """
    currency = shipping_paid.currency
    if order_paid.minor <= 0 or line_paid.minor <= 0:
        return Money.zero(currency)
    return Money(shipping_paid.minor * min(line_paid.minor, order_paid.minor) // order_paid.minor, currency)


def kept_of(sold: Money, order_sold: Money, kept: Money | None) -> Money | None:
    """What the shop still has for goods that were sold for `sold`: their share of `kept`, and never more than `sold`.

    `order_sold`: all that was sold and not refunded, shipping included. Each part of an order bears a loss in
    proportion, rounded down, so the parts together never spend more than `kept`. None if `kept` is not known.
    """
    if kept is None:
        return None
    if kept >= order_sold:
        return sold
    return Money(sold.minor * max(kept.minor, 0) // order_sold.minor, sold.currency)


def part_of(whole: Money, quantity: int, of: int) -> Money:
    """What was paid for `quantity` of `of` pieces, rounded down; never more than the whole."""
    if of <= 0 or quantity <= 0:
        return Money.zero(whole.currency)
    return Money(whole.minor * min(quantity, of) // of, whole.currency)


def pay_allowed(total: Money, limit: Money, rates: Rates | None = None) -> bool:
    """May the merchant be asked to pay the real total? False means PAY_BLOCKED. An unknown rate is a no."""
    try:
        return (rates or Rates()).cost_in(total, limit.currency) <= limit
    except RateUnknown:
        return False


def autopay_refusal(
    quote: Money, limit: Money, *, taken_at: datetime, now: datetime, max_age: timedelta, thin_percent: Decimal
) -> str | None:
    """Why this must not be paid at once: `quote_old` or `thin_margin`; None if it may.

    The create call takes no price limit, so the room between quote and limit has to be more than what a price may rise
    within `max_age` (60 s): `thin_percent` of the quote. Both sums are in the quote's currency.
    """
    if not timedelta(0) <= now - taken_at <= max_age:
        return "quote_old"
    return "thin_margin" if (limit - quote).amount < quote.amount * thin_percent / _HUNDRED else None
