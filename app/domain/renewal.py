"""When only the merchant can renew a connection, and on which days before that they are told.

A refresh gives a new access token, but never moves the end of the refresh window (AliExpress reference, section 4): so
every account needs its merchant again at a moment that is known from the day on which they connected it.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime, time, timedelta
from typing import Literal
from zoneinfo import ZoneInfo

Clock = Literal["window", "access"]
"""What ends: the refresh window, or the access token where nothing refreshes it."""
SHORT = timedelta(days=7)
LONG = timedelta(days=180)
OF_A_MONTH = (10, 5, 3, 2, 1, 0)
OF_A_YEAR = (30, 14, 7, 3, 1, 0)
"""Days before the end; 0 is its day itself."""
LAST_HOURS = timedelta(hours=6)
MORNING = time(9)
"""When a merchant reads a mail that says "in five days", by the shop's own clock."""
LATEST = timedelta(hours=1)
"""The mail of the day itself comes at least so long before the end."""


@dataclass(frozen=True, slots=True)
class Connection:
    """What is known of a token pair. `issued_at`: when its access token began, by consent or by a refresh.

    `window_ends` None: not told. `refreshes`: there is a refresh token, AliExpress takes it, and that works.
    """

    authorised_at: datetime
    issued_at: datetime
    access_ends: datetime | None
    window_ends: datetime | None
    refreshes: bool


@dataclass(frozen=True, slots=True)
class End:
    """The moment after which only the merchant can renew, and since when that was known."""

    clock: Clock
    at: datetime
    since: datetime


@dataclass(frozen=True, slots=True)
class Rung:
    """One mail of the ladder. `name` tells it from the others of the same connection and clock, as in `window:10d`."""

    name: str
    at: datetime
    is_last: bool


def end_of(connection: Connection) -> End | None:
    """None: it does not end as far as its answers told, or a refresh carries it on and nobody knows how long."""
    window = connection.window_ends
    if connection.refreshes and (window is None or window > connection.authorised_at):
        return End("window", window, connection.authorised_at) if window is not None else None
    ends = connection.access_ends
    return End("access", ends, connection.issued_at) if ends is not None else None


def ladder(connection: Connection, zone: ZoneInfo) -> tuple[Rung, ...]:
    """All rungs, in their order; empty if it does not end. Those before its end was known are left out.

    None is about the access token while a refresh carries the account on: the ladder is that of its real end.
    """
    end = end_of(connection)
    if end is None:
        return ()
    span = end.at - end.since
    made = _short(end, span) if span < SHORT else _of_days(end, OF_A_YEAR if span >= LONG else OF_A_MONTH, zone)
    return tuple(rung for rung in made if rung.at > end.since)


def _short(end: End, span: timedelta) -> list[Rung]:
    half = span / 2
    made = [Rung(f"{end.clock}:half", end.at - half, is_last=False)]
    if half > LAST_HOURS:
        made.append(Rung(f"{end.clock}:6h", end.at - LAST_HOURS, is_last=False))
    return [*made, Rung(f"{end.clock}:end", end.at, is_last=True)]


def _of_days(end: End, days: Sequence[int], zone: ZoneInfo) -> list[Rung]:
    """In the morning of the day that is so many days before the end's, where the shop is."""
    last_day = end.at.astimezone(zone).date()
    made = []
    for before in days:
        morning = datetime.combine(last_day - timedelta(days=before), MORNING, zone).astimezone(end.at.tzinfo)
        made.append(Rung(f"{end.clock}:{before}d", min(morning, end.at - LATEST), is_last=before == 0))
    return made


def reached(rungs: Sequence[Rung], now: datetime) -> Rung | None:
    """The newest rung whose time has come: what was slept through is not mailed after it."""
    return next((rung for rung in reversed(rungs) if rung.at <= now), None)


def following(rungs: Sequence[Rung], now: datetime) -> Rung | None:
    """The next rung, to be looked at then."""
    return next((rung for rung in rungs if rung.at > now), None)
