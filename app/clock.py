"""The only place that reads the time."""

from __future__ import annotations

import time
from datetime import UTC, datetime
from typing import Protocol


class Clock(Protocol):
    """Gives the present moment."""

    def now(self) -> datetime:
        """Now, aware, UTC."""

    def boottime(self) -> float:
        """Seconds of a clock that also counts suspended time and never jumps."""

    def monotonic(self) -> float:
        """Seconds of a clock that never jumps."""


class SystemClock:
    """The machine's clocks."""

    def now(self) -> datetime:
        """Now, aware, UTC."""
        return datetime.now(UTC)

    def boottime(self) -> float:
        """CLOCK_BOOTTIME where there is one (Linux), else the monotonic clock."""
        kind = getattr(time, "CLOCK_BOOTTIME", None)
        return time.clock_gettime(kind) if kind is not None else time.monotonic()

    def monotonic(self) -> float:
        """Seconds of the monotonic clock."""
        return time.monotonic()
