"""The durations keep their relations, at any speed, and bad ones are refused by name."""

from __future__ import annotations

from dataclasses import replace
from datetime import timedelta

import pytest
from hypothesis import given
from hypothesis import strategies as st

from app.domain.timing import PHYSICAL, PHYSICAL_MOST, Timers, next_delay, pick


def seconds(value: float) -> timedelta:
    return timedelta(seconds=value)


def test_the_lifecycles_numbers() -> None:
    timers = Timers().validate()
    assert [part.total_seconds() for part in timers.unknown_checks] == [30, 120, 300, 900, 3600]
    assert [part.total_seconds() for part in timers.push_retries] == [10, 30, 120, 300, 900, 3600]
    assert timers.send_deadline == seconds(2)
    assert timers.interlock_release == timedelta(minutes=62)
    assert timers.quarantine >= 10 * timers.kill_after


@given(st.floats(0.1, 10_000))
def test_scaled_timers_still_hold(time_scale: float) -> None:
    timers = Timers().scaled(time_scale).validate()
    assert timers.time_scale == time_scale
    for name in PHYSICAL:
        assert getattr(timers, name) >= getattr(Timers(), name) / max(PHYSICAL_MOST, 1) - seconds(0.001)


def test_scaling_divides() -> None:
    timers = Timers().scaled(10)
    assert timers.poll == seconds(30)
    assert timers.kill_after == seconds(6)
    assert timers.quarantine == timedelta(minutes=3)
    assert timers.unknown_checks[0] == seconds(3)
    fast = Timers().scaled(600)
    assert fast.poll == seconds(0.5)
    assert fast.kill_after == seconds(6)
    assert fast.quarantine == seconds(60)
    assert fast.unknown_checks[-1] == seconds(3) + (timedelta(hours=1) - seconds(30)) / 600


@pytest.mark.parametrize("time_scale", [0, -1, float("nan"), float("inf")])
def test_bad_scale_is_refused(time_scale: float) -> None:
    with pytest.raises(ValueError, match="TIME_SCALE"):
        Timers().scaled(time_scale)


@pytest.mark.parametrize(
    ("changes", "text"),
    [
        ({"quarantine": timedelta(minutes=29)}, "30 minutes"),
        ({"kill_after": seconds(181)}, "10 x KILL_LIMIT_SECONDS"),
        ({"send_total": seconds(58)}, "before its worker is killed"),
        ({"connect": seconds(30)}, "connect"),
        ({"last_send_margin": seconds(32)}, "last_send_margin"),
        ({"claim_lease": seconds(60)}, "claim_lease"),
        ({"token_life_least": seconds(60)}, "token_life_least"),
        ({"interlock_release": timedelta(minutes=61)}, "match windows"),
        ({"human_after": timedelta(minutes=63)}, "before the interlock opens"),
        ({"unknown_after": seconds(29)}, "after its call"),
        ({"unknown_checks": (seconds(29),)}, "first check"),
        ({"alert_after": timedelta(minutes=6)}, "5 minutes"),
        ({"poll": timedelta(minutes=16)}, "poll_most"),
        ({"push_retries": (seconds(2), seconds(2))}, "rise"),
        ({"sweep": seconds(0)}, "above zero"),
    ],
)
def test_broken_promise_is_named(changes: dict[str, object], text: str) -> None:
    with pytest.raises(ValueError, match=text):
        replace(Timers(), **changes).validate()  # type: ignore[arg-type]


def test_all_faults_in_one_message() -> None:
    with pytest.raises(ValueError, match=r"30 minutes.*5 minutes|5 minutes.*30 minutes"):
        replace(Timers(), quarantine=seconds(1), alert_after=timedelta(hours=1)).validate()


def test_pick_and_next_delay() -> None:
    delays = (seconds(1), seconds(5))
    assert [pick(delays, index) for index in (-1, 0, 1, 9)] == [seconds(1), seconds(1), seconds(5), seconds(5)]
    assert next_delay(delays, seconds(0)) == seconds(1)
    assert next_delay(delays, seconds(1)) == seconds(4)
    assert next_delay(delays, seconds(5)) is None
