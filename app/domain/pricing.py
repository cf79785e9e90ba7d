"""The price guard: may this purchase be made for what the buyer paid, and up to what total?

All sums are compared in ONE currency, the shop's. What the supplier asks is converted with a buffer on top, so that a
rate that moves until payment eats the buffer and not the margin.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from datetime import date, datetime, timedelta
from decimal import ROUND_DOWN, ROUND_UP, Decimal
from types import MappingProxyType

from app.ports.money import Money, exponent
from app.ports.storefront import StoreLine

_HUNDRED = Decimal(100)
_EMPTY: Mapping[str, Decimal] = MappingProxyType({})


class RateUnknown(LookupError):  # noqa: N818 - named after what is the matter, like the reason `price_unknown`
    """No usable exchange rate."""


@dataclass(frozen=True, slots=True)
class Rates:
    """Exchange rates of one day. `per_base[X]`: units of X for one `base`. `buffer_percent` is put on every cost."""

    base: str
    per_base: Mapping[str, Decimal] = field(default=_EMPTY)
    as_of: date | None = None
    buffer_percent: Decimal = Decimal(2)

    def rate(self, source: str, target: str) -> Decimal:
        """Units of `target` for one `source`, without buffer. Raises RateUnknown."""
        if source == target:
            return Decimal(1)
        return self._from_base(target) / self._from_base(source)

    def _from_base(self, currency: str) -> Decimal:
        value = Decimal(1) if currency == self.base else self.per_base.get(currency, Decimal(0))
        if not value.is_finite() or value <= 0:
            raise RateUnknown(currency)
        return value

    def cost_in(self, cost: Money, currency: str) -> Money:
        """A cost in another currency, with the buffer, rounded up; the same currency needs neither. RateUnknown."""
        if cost.currency == currency:
            return cost
        return _rounded(cost.amount * self.rate(cost.currency, currency) * self._buffer, currency, ROUND_UP)

    def limit_in(self, limit: Money, currency: str) -> Money:
        """The highest amount in `currency` whose `cost_in` stays within `limit`, rounded down. Raises RateUnknown."""
        if limit.currency == currency:
            return limit
        return _rounded(limit.amount / self.rate(currency, limit.currency) / self._buffer, currency, ROUND_DOWN)

    @property
    def _buffer(self) -> Decimal:
        return 1 + self.buffer_percent / _HUNDRED

    def stale(self, today: date, max_days: int) -> bool:
        """True if nobody knows the rates' day or it is more than `max_days` ago."""
        return self.as_of is None or (today - self.as_of).days > max_days


def _rounded(amount: Decimal, currency: str, rounding: str) -> Money:
    return Money(int(amount.scaleb(exponent(currency)).quantize(Decimal(1), rounding=rounding)), currency)


@dataclass(frozen=True, slots=True)
class QuoteLine:
    """One item: price of one piece as the supplier quotes it now."""

    unit_price: Money
    quantity: int


@dataclass(frozen=True, slots=True)
class Quote:
    """A fresh quote of one purchase. `freight` is for all of it; `taken_at`: when the first part was asked for."""

    lines: tuple[QuoteLine, ...]
    freight: Money
    taken_at: datetime

    def total_in(self, currency: str, rates: Rates) -> Money:
        """Goods and freight in one currency; each currency is summed before it is converted. Raises RateUnknown."""
        sums: dict[str, Money] = {self.freight.currency: self.freight}
        for line in self.lines:
            part = line.unit_price.times(line.quantity)
            sums[part.currency] = sums.get(part.currency, Money.zero(part.currency)) + part
        total = Money.zero(currency)
        for part in sums.values():
            total = total + rates.cost_in(part, currency)
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
        by_share = _rounded(paid.amount * (_HUNDRED - self.min_percent) / _HUNDRED, paid.currency, ROUND_DOWN)
        by_sum = paid - self.min_absolute if self.min_absolute else by_share
        return max(Money.zero(paid.currency), min(by_share, by_sum))


@dataclass(frozen=True, slots=True)
class Allowed:
    """The margin is kept. `limit`: the highest total that keeps it (T3, pay list). All in the shop's currency."""

    cost: Money
    paid: Money
    limit: Money
    margin: Money
    margin_percent: Decimal


@dataclass(frozen=True, slots=True)
class OverMargin:
    """The purchase would break the margin rule. `facts()` fill the sentence of the reason `margin`."""

    cost: Money
    paid: Money
    limit: Money
    margin: Money
    margin_percent: Decimal

    def facts(self) -> dict[str, str]:
        """Numbers for the sentence that the merchant reads."""
        return {
            "quote": str(self.cost),
            "paid": str(self.paid),
            "limit": str(self.limit),
            "margin": f"{self.margin} ({self.margin_percent} %)",
        }


def guard(quote: Quote, paid: Money, rule: MarginRule, rates: Rates) -> Allowed | OverMargin:
    """Compare a quote with what the buyer paid, in the shop's currency (`paid.currency`). Raises RateUnknown."""
    cost = quote.total_in(paid.currency, rates)
    limit = rule.limit(paid)
    margin = paid - cost
    percent = (margin.amount / paid.amount * _HUNDRED).quantize(Decimal("0.1")) if paid.minor else Decimal(0)
    kind = Allowed if cost <= limit else OverMargin
    return kind(cost, paid, limit, margin, percent)


def paid_for(
    lines: Sequence[StoreLine], quantities: Mapping[str, int], shipping_paid: Money, *, order: Sequence[StoreLine]
) -> Money:
    """What the buyer paid for `quantities` (line id → pieces) of `lines`, with their share of the shipping.

    Goods: the line's `paid` at its ordered quantity, by pieces, rounded down. Shipping: shared over `order` (all lines;
    those that need no shipping get none) in proportion to what was paid for each line; by pieces if nothing was paid.
    The shares of disjoint parts never add up to more than what was paid.
    """
    shipped = [line for line in order if line.requires_shipping]
    weights = {line.id: line.paid.minor for line in shipped}
    if sum(weights.values()) <= 0:
        weights = {line.id: line.quantity for line in shipped}
    whole = sum(weights.values())
    total = 0
    for line in lines:
        pieces = max(0, min(quantities.get(line.id, 0), line.quantity))
        if not pieces:
            continue
        total += line.paid.minor * pieces // line.quantity
        if whole > 0:
            total += shipping_paid.minor * weights.get(line.id, 0) * pieces // (whole * line.quantity)
    return Money(total, shipping_paid.currency)


def pay_allowed(total: Money, limit: Money, rates: Rates | None = None) -> bool:
    """May the merchant be asked to pay the real total? False means PAY_BLOCKED. An unknown rate is a no."""
    try:
        return (rates or Rates(limit.currency)).cost_in(total, limit.currency) <= limit
    except RateUnknown:
        return False


def autopay_refusal(
    quote: Quote, verdict: Allowed, *, now: datetime, max_age: timedelta, thin_percent: Decimal
) -> str | None:
    """Why this must not be paid at once: `quote_old` or `thin_margin`; None if it may.

    The create call takes no price limit, so the room between cost and limit has to be more than what a price may rise
    within `max_age` (60 s): `thin_percent` of the cost.
    """
    if not timedelta(0) <= now - quote.taken_at <= max_age:
        return "quote_old"
    room = (verdict.limit - verdict.cost).amount
    return "thin_margin" if room < verdict.cost.amount * thin_percent / _HUNDRED else None
