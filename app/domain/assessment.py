"""AliExpress grades the vendor each month by users and by what they paid through the service: the rule in one place.

Source: Specification of DS Software Service, articles 3.1 to 3.3 (AliExpress reference, 10.3). How users and amounts
are counted in detail is not confirmed there: what this reckons with is said by `COUNTED`, and shown with each number.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import date, timedelta
from enum import IntEnum

COUNTED = {
    "users": "AliExpress accounts that are connected, each once, however many shops use it",
    "amount": "what they paid for orders made through Waybill, by the day of payment; refunds are not taken off",
    "month": "calendar months of the time zone that the days are counted in",
}
"""What the numbers mean. Not confirmed by AliExpress."""
ALARM_DAYS = (10, 15, 20, 25)
"""Days of the month on which a forecast that fails is told."""
RUNS_FIRST = 3
"""Months that the service must have run before it is assessed."""
LOOKS_BACK = 28
"""Days from which the forecast takes what a day brings: whole weeks, as weekends differ."""
LEAST_DAYS = 7
"""Fewer tell nothing."""
_EIGHTY = 1.2816
"""Standard deviations on either side that hold 80 % of a normal distribution."""


class Grade(IntEnum):
    """The higher, the better."""

    FAIL = 0
    PASS = 1
    PREMIUM = 2


@dataclass(frozen=True, slots=True)
class Thresholds:
    """What a grade needs, both at least. `*_cents`: US cents."""

    premium_users: int = 1_000
    premium_cents: int = 1_000_000
    pass_users: int = 100
    pass_cents: int = 100_000

    def grade(self, users: int, cents: int) -> Grade:
        """Of one calendar month."""
        if users >= self.premium_users and cents >= self.premium_cents:
            return Grade.PREMIUM
        return Grade.PASS if users >= self.pass_users and cents >= self.pass_cents else Grade.FAIL


@dataclass(frozen=True, slots=True)
class Range:
    """A number at the month's end: in four of five months it lies between `low` and `high`."""

    low: int
    likely: int
    high: int


@dataclass(frozen=True, slots=True)
class Forecast:
    """How the month will end if it goes on like the last four weeks."""

    users: Range
    cents: Range
    worst: Grade
    likely: Grade
    best: Grade


def first_of(day: date) -> date:
    """Its month's first day, which names the month."""
    return day.replace(day=1)


def next_month(month: date) -> date:
    """The first day of the month after this one."""
    return first_of(month.replace(day=28) + timedelta(days=4))


def is_assessed(month: date, started: date) -> bool:
    """Whether the service has run for three months when this month is over. `started`: its first day.

    Whether AliExpress reckons so is not confirmed: it may begin a month later.
    """
    then = first_of(started)
    for _ in range(RUNS_FIRST):
        then = next_month(then)
    last_day = (next_month(then) - timedelta(days=1)).day
    return then.replace(day=min(started.day, last_day)) <= next_month(month)


def forecast(
    *,
    today: date,
    gone: float,
    users: int,
    cents: int,
    user_days: Sequence[int],
    cent_days: Sequence[int],
    thresholds: Thresholds,
) -> Forecast | None:
    """The month of `today` at its end. `gone`: the share of today that is over, 0 to 1.

    `users`, `cents`: as they stand now. `user_days`, `cent_days`: what each of the last whole days brought (users who
    came less those who left; US cents), oldest first, of which the last `LOOKS_BACK` count. None: they are too few.
    """
    if min(len(user_days), len(cent_days)) < LEAST_DAYS:
        return None
    left = (next_month(today) - today).days - gone
    many = _ahead(users, user_days[-LOOKS_BACK:], left, at_least=0)
    paid = _ahead(cents, cent_days[-LOOKS_BACK:], left, at_least=cents)
    return Forecast(
        many,
        paid,
        thresholds.grade(many.low, paid.low),
        thresholds.grade(many.likely, paid.likely),
        thresholds.grade(many.high, paid.high),
    )


def _ahead(now: int, days: Sequence[int], left: float, *, at_least: int) -> Range:
    """Each day that is left is drawn like those that were; their mean is not known better than they tell."""
    mean = sum(days) / len(days)
    variance = sum((day - mean) ** 2 for day in days) / (len(days) - 1)
    # The quantile of Student's t, to its first order: few days tell their own spread badly.
    wide = _EIGHTY + (_EIGHTY**3 + _EIGHTY) / (4 * (len(days) - 1))
    band = wide * math.sqrt(variance * left * (1 + left / len(days)))
    likely = now + mean * left
    low, middle, high = (max(round(value), at_least) for value in (likely - band, likely, likely + band))
    return Range(low, middle, high)


def strikes(grades: Sequence[Grade | None]) -> int:
    """Failing months one after another up to the last one that is over. None: a month that was not assessed."""
    count = 0
    for grade in reversed(grades):
        if grade is not Grade.FAIL:
            break
        count += 1
    return count


def alarm_day(today: date) -> date | None:
    """The newest day of this month on which a failing forecast is told, if one has come."""
    reached = [day for day in ALARM_DAYS if day <= today.day]
    return today.replace(day=reached[-1]) if reached else None
