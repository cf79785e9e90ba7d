"""Exchange rates with a buffer: costs round up, limits round down, and an unknown rate is never guessed."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import date
from decimal import ROUND_DOWN, ROUND_UP, Decimal

from app.ports.money import Money, exponent

_HUNDRED = Decimal(100)


class RateUnknown(LookupError):
    """No usable exchange rate."""


@dataclass(frozen=True, slots=True)
class Rates:
    """`pairs[("USD", "EUR")]` is units of EUR for one USD. `as_of`: the rates' day, if known.

    A pair is also read backwards, and over one common currency. `buffer_percent` is put on every converted cost.
    """

    pairs: Mapping[tuple[str, str], Decimal] = field(default_factory=dict)
    buffer_percent: Decimal = Decimal(2)
    as_of: date | None = None

    def rate(self, source: str, target: str) -> Decimal:
        """Units of `target` for one `source`, without buffer. Raises RateUnknown."""
        if source == target:
            return Decimal(1)
        if (direct := self._direct(source, target)) is not None:
            return direct
        for over in sorted({code for pair in self.pairs for code in pair}):
            first, second = self._direct(source, over), self._direct(over, target)
            if first is not None and second is not None:
                return first * second
        raise RateUnknown(f"{source} to {target}")

    def _direct(self, source: str, target: str) -> Decimal | None:
        for pair, turned in (((source, target), False), ((target, source), True)):
            value = self.pairs.get(pair)
            if value is not None and value.is_finite() and value > 0:
                return 1 / value if turned else value
        return None

    def cost_in(self, cost: Money, currency: str) -> Money:
        """A cost in another currency, with the buffer, rounded up; the same currency needs neither. RateUnknown."""
        if cost.currency == currency:
            return cost
        return rounded(cost.amount * self.rate(cost.currency, currency) * self._buffer, currency, ROUND_UP)

    def limit_in(self, limit: Money, currency: str) -> Money:
        """The highest amount in `currency` whose `cost_in` stays within `limit`, rounded down. Raises RateUnknown."""
        if limit.currency == currency:
            return limit
        return rounded(limit.amount / self.rate(currency, limit.currency) / self._buffer, currency, ROUND_DOWN)

    @property
    def _buffer(self) -> Decimal:
        return 1 + self.buffer_percent / _HUNDRED

    def stale(self, today: date, max_days: int) -> bool:
        """True if nobody knows the rates' day or it is more than `max_days` ago."""
        return self.as_of is None or (today - self.as_of).days > max_days


def rounded(amount: Decimal, currency: str, rounding: str) -> Money:
    """An amount in whole minor units, rounded as told (a constant of `decimal`)."""
    return Money(int(amount.scaleb(exponent(currency)).quantize(Decimal(1), rounding=rounding)), currency)
