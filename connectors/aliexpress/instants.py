"""Times as AliExpress writes them. Source: reference, section 7.3; the zone of `gmt_create` is a setting."""

from __future__ import annotations

import re
from datetime import UTC, datetime
from typing import Any
from zoneinfo import ZoneInfo

from connectors.aliexpress import wire

_LOCAL = re.compile(r"[0-9]{4}-[0-9]{2}-[0-9]{2}[ T][0-9]{2}:[0-9]{2}:[0-9]{2}")
_LATEST_MILLIS = 10**14


def local_instants(value: Any, zone: str) -> tuple[datetime, ...]:
    """The instants (UTC, ascending) that `yyyy-MM-dd HH:mm:ss` can mean in a zone.

    Two in a repeated hour, else one.

    Empty if it is no such text.
    """
    text = wire.text(value)
    if not _LOCAL.fullmatch(text):
        return ()
    try:
        wall = datetime.fromisoformat(text).replace(tzinfo=ZoneInfo(zone))
        found = {wall.replace(fold=fold).astimezone(UTC) for fold in (0, 1)}
    except (ValueError, OverflowError):
        return ()
    return tuple(sorted(found))


def zoned_instant(value: Any, zone: str) -> datetime | None:
    """`2019-06-03T18:05:47-07:00[America/Los_Angeles]` as UTC; a text without offset is read in `zone`."""
    text = wire.text(value).partition("[")[0]
    try:
        instant = datetime.fromisoformat(text)
        if instant.tzinfo is not None:
            return instant.astimezone(UTC)
    except (ValueError, OverflowError):
        return None
    found = local_instants(text, zone)
    return found[0] if found else None


def millis_instant(value: Any) -> datetime | None:
    """Epoch milliseconds as UTC."""
    millis = wire.number(value)
    if millis is None or not 0 < millis < _LATEST_MILLIS:
        return None
    return datetime.fromtimestamp(millis / 1000, UTC)


def write_local(instant: datetime, zone: str) -> str:
    """An instant as `yyyy-MM-dd HH:mm:ss` in a zone."""
    return instant.astimezone(ZoneInfo(zone)).strftime("%Y-%m-%d %H:%M:%S")
