"""The vendor's monthly grade: the rule, its edges, what is forecast, and when somebody is told."""

from __future__ import annotations

import random
from datetime import date

import pytest

from app.domain.assessment import (
    Grade,
    Range,
    Thresholds,
    alarm_day,
    forecast,
    is_assessed,
    next_month,
    strikes,
)

RULE = Thresholds()


@pytest.mark.parametrize(
    ("users", "cents", "grade"),
    [
        (1_000, 1_000_000, Grade.PREMIUM),
        (999, 1_000_000, Grade.PASS),
        (1_000, 999_999, Grade.PASS),
        (100, 100_000, Grade.PASS),
        (99, 5_000_000, Grade.FAIL),
        (5_000, 99_999, Grade.FAIL),
        (0, 0, Grade.FAIL),
    ],
)
def test_a_grade_needs_both(users: int, cents: int, grade: Grade) -> None:
    assert RULE.grade(users, cents) is grade


@pytest.mark.parametrize(
    ("month", "after"), [(date(2026, 1, 1), date(2026, 2, 1)), (date(2026, 12, 1), date(2027, 1, 1))]
)
def test_months_follow_each_other(month: date, after: date) -> None:
    assert next_month(month) == after


@pytest.mark.parametrize(
    ("started", "first"),
    [
        (date(2026, 1, 1), date(2026, 3, 1)),
        (date(2026, 1, 2), date(2026, 4, 1)),
        (date(2026, 1, 15), date(2026, 4, 1)),
        (date(2026, 1, 31), date(2026, 4, 1)),
        (date(2025, 11, 30), date(2026, 2, 1)),
    ],
)
def test_a_service_is_assessed_when_it_has_run_three_months(started: date, first: date) -> None:
    """When a month is over, that is. Three months after 30 November is the last day of February."""
    before = date(first.year, first.month - 1, 1)
    assert (is_assessed(before, started), is_assessed(first, started)) == (False, True)


def ahead(
    today: date, users: int, cents: int, user_days: list[int], cent_days: list[int], gone: float = 1.0
) -> tuple[Range, Range]:
    made = forecast(
        today=today, gone=gone, users=users, cents=cents, user_days=user_days, cent_days=cent_days, thresholds=RULE
    )
    assert made is not None
    return made.users, made.cents


def test_days_that_are_all_alike_leave_nothing_open() -> None:
    users, cents = ahead(date(2026, 4, 10), 90, 30_000, [1] * 28, [5_000] * 28)
    assert users == Range(110, 110, 110)
    assert cents == Range(130_000, 130_000, 130_000)


@pytest.mark.parametrize(("gone", "likely"), [(0.0, 5_000), (0.5, 2_500), (1.0, 0)])
def test_what_is_left_of_the_last_day_counts_too(gone: float, likely: int) -> None:
    assert ahead(date(2026, 4, 30), 0, 0, [0] * 28, [5_000] * 28, gone)[1].likely == likely


def test_what_was_paid_is_paid_though_users_may_leave() -> None:
    users, cents = ahead(date(2026, 4, 10), 10, 30_000, [0, -8] * 14, [0] * 27 + [900_000])
    assert users.low == 0
    assert cents.low == 30_000


@pytest.mark.parametrize("days", [0, 1, 6])
def test_too_few_days_tell_nothing(days: int) -> None:
    """Neither that it will fail nor that it will not."""
    given = {"user_days": [0] * days, "cent_days": [0] * 28, "users": 0, "cents": 0}
    assert forecast(today=date(2026, 4, 10), gone=0, thresholds=RULE, **given) is None  # type: ignore[arg-type]


def test_four_weeks_are_looked_at_and_no_more() -> None:
    assert ahead(date(2026, 4, 10), 0, 0, [0] * 28, [7] * 100 + [1] * 28)[1].likely == 20


@pytest.mark.parametrize(("known", "least"), [(7, 0.70), (28, 0.74)])
def test_the_range_holds_four_of_five_months(known: int, least: float) -> None:
    """Somewhat fewer where days are few and uneven."""
    draw = random.Random(1)
    inside = 0
    for _ in range(600):
        days = [round(draw.lognormvariate(8, 0.6)) for _ in range(known + 20)]
        found = ahead(date(2026, 4, 10), 0, 0, [0] * 28, days[:known])[1]
        inside += found.low <= sum(days[known:]) <= found.high
    assert least < inside / 600 < 0.86


def test_grades_of_the_range() -> None:
    made = forecast(
        today=date(2026, 4, 15), gone=1, users=100, cents=60_000, user_days=[0] * 28, cent_days=[1_000, 5_000] * 14,
        thresholds=RULE,
    )  # fmt: skip
    assert made is not None
    assert (made.worst, made.likely, made.best) == (Grade.FAIL, Grade.PASS, Grade.PASS)


@pytest.mark.parametrize(
    ("grades", "count"),
    [
        ([], 0),
        ([Grade.FAIL], 1),
        ([Grade.FAIL, Grade.PASS], 0),
        ([Grade.PASS, Grade.FAIL, Grade.FAIL], 2),
        ([None, Grade.FAIL], 1),
        ([Grade.FAIL, None], 0),
    ],
)
def test_strikes_are_those_that_nothing_came_between(grades: list[Grade | None], count: int) -> None:
    assert strikes(grades) == count


@pytest.mark.parametrize(("day", "told"), [(9, None), (10, 10), (14, 10), (15, 15), (26, 25), (30, 25)])
def test_the_newest_day_for_an_alarm(day: int, told: int | None) -> None:
    """Who was down on the tenth tells it on the eleventh."""
    found = alarm_day(date(2026, 4, day))
    assert (found and found.day) == told
