"""The ladder of renewal mails: counted from the moment after which only the merchant can renew."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from zoneinfo import ZoneInfo

import pytest
from hypothesis import given
from hypothesis import strategies as st

from app.domain.renewal import LATEST, Connection, End, end_of, following, ladder, reached

NOW = datetime(2026, 3, 2, 15, 20, tzinfo=UTC)
UTC_ZONE = ZoneInfo("UTC")


def connected(access: timedelta | None, window: timedelta | None = None, *, refreshes: bool = True) -> Connection:
    ends = (NOW + part if part is not None else None for part in (access, window))
    return Connection(NOW, NOW, *ends, refreshes=refreshes)


def days(count: float) -> timedelta:
    return timedelta(days=count)


def names(connection: Connection) -> list[str]:
    return [rung.name.partition(":")[2] for rung in ladder(connection, UTC_ZONE)]


def test_a_window_is_what_counts_as_long_as_somebody_refreshes() -> None:
    assert end_of(connected(days(30), days(60))) == End("window", NOW + days(60), NOW)


@pytest.mark.parametrize(
    "connection",
    [
        connected(days(30), refreshes=False),
        connected(days(30), days(60), refreshes=False),
        connected(days(30), timedelta(0)),
    ],
)
def test_without_a_refresh_the_access_token_is_what_counts(connection: Connection) -> None:
    """A window that ended with the consent itself says that there is none."""
    assert end_of(connection) == End("access", NOW + days(30), NOW)


def test_while_a_refresh_works_and_nobody_knows_how_long_nobody_is_told() -> None:
    assert end_of(connected(days(30))) is None


def test_since_a_refresh_fails_the_ladder_is_that_of_the_last_token() -> None:
    """It was refreshed on the fortieth day, and is not any more: its own life counts, not that of the connection."""
    fortieth = NOW + days(40)
    failing = Connection(NOW, fortieth, fortieth + days(1), NOW + days(60), refreshes=False)
    rungs = ladder(failing, UTC_ZONE)
    assert [rung.name for rung in rungs] == ["access:half", "access:6h", "access:end"]
    assert rungs[0].at == fortieth + days(0.5)


@pytest.mark.parametrize(
    ("ends", "morning"), [(datetime(2026, 3, 31, 12, tzinfo=UTC), 7), (datetime(2026, 10, 28, 12, tzinfo=UTC), 8)]
)
def test_a_morning_is_one_on_either_side_of_a_change_of_the_clocks(ends: datetime, morning: int) -> None:
    """Nine in Berlin, whatever nine is elsewhere: before the change it is an hour earlier or later than after it."""
    rungs = ladder(Connection(ends - days(60), ends, None, ends, refreshes=True), ZoneInfo("Europe/Berlin"))
    by_name = {rung.name: rung.at.astimezone(UTC).hour for rung in rungs}
    assert (by_name["window:10d"], by_name["window:1d"]) == (8 if morning == 7 else 7, morning)


def test_what_does_not_end_has_no_ladder() -> None:
    assert end_of(connected(None, refreshes=False)) is None
    assert names(connected(None, refreshes=False)) == []


@pytest.mark.parametrize(
    ("span", "wanted"),
    [
        (days(60), ["10d", "5d", "3d", "2d", "1d", "0d"]),
        (days(30), ["10d", "5d", "3d", "2d", "1d", "0d"]),
        (days(365), ["30d", "14d", "7d", "3d", "1d", "0d"]),
        (days(8), ["5d", "3d", "2d", "1d", "0d"]),
        (days(2), ["half", "6h", "end"]),
        (timedelta(hours=10), ["half", "end"]),
    ],
)
def test_the_ladder_fits_the_span(span: timedelta, wanted: list[str]) -> None:
    assert names(connected(days(1), span)) == wanted


def test_none_is_about_an_access_token_that_is_refreshed() -> None:
    """It ends in a day, sixty times over: nobody is told."""
    assert {rung.at.date() for rung in ladder(connected(days(1), days(60)), UTC_ZONE)} == {
        (NOW + days(60 - before)).date() for before in (10, 5, 3, 2, 1, 0)
    }


def test_days_are_the_shop_s_and_mails_come_in_its_morning() -> None:
    tokyo = ZoneInfo("Asia/Tokyo")
    rungs = ladder(connected(days(30), days(60)), tokyo)  # ends on 2 May at 00:20 in Tokyo
    assert [f"{rung.at.astimezone(tokyo):%d.%m. %H:%M}" for rung in rungs] == [
        "22.04. 09:00", "27.04. 09:00", "29.04. 09:00", "30.04. 09:00", "01.05. 09:00", "01.05. 23:20",
    ]  # fmt: skip


def test_only_the_newest_of_those_that_were_slept_through_is_mailed() -> None:
    rungs = ladder(connected(days(30), days(60)), UTC_ZONE)
    assert reached(rungs, NOW) is None
    newest, then = reached(rungs, NOW + days(56)), following(rungs, NOW + days(56))
    assert newest is not None
    assert then is not None
    assert (newest.name, then.name) == ("window:5d", "window:3d")
    last = reached(rungs, NOW + days(70))
    assert last is not None
    assert last.is_last
    assert following(rungs, NOW + days(70)) is None


@given(
    st.timedeltas(min_value=timedelta(minutes=1), max_value=days(800)),
    st.sampled_from(["UTC", "Asia/Kolkata", "America/St_Johns", "Pacific/Apia", "Europe/Lisbon"]),
)
def test_rungs_rise_none_is_late_and_the_last_one_is_the_last(span: timedelta, zone: str) -> None:
    rungs = ladder(connected(None, span), ZoneInfo(zone))
    times = [rung.at for rung in rungs]
    assert times == sorted(set(times))
    assert all(NOW < at <= NOW + span for at in times)
    assert [rung.is_last for rung in rungs] == [False] * (len(rungs) - 1) + [True] * bool(rungs)
    assert rungs or span <= LATEST
