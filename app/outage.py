"""The database does not answer: told once and then seldom, without traces; whoever can wait, waits."""

from __future__ import annotations

import time

from app.db import is_away
from app.logs import logger

log = logger(__name__)
AGAIN = 30.0
"""Seconds between two lines about the same outage."""
RECENT = 1.0


class Outage:
    """What this process knows of it. Races cost a line of log at most."""

    def __init__(self) -> None:
        self._seen: float | None = None
        self._told = 0.0

    def note(self, error: BaseException) -> bool:
        """Whether this is the database being away; then it is told, unless it was a moment ago."""
        if not is_away(error):
            return False
        now = time.monotonic()
        if self._seen is None or now - self._told >= AGAIN:
            self._told = now
            log.warning("database_away", error=type(error).__name__)
        self._seen = now
        return True

    def over(self) -> None:
        """Something worked."""
        if self._seen is not None:
            self._seen = None
            log.info("database_back")

    @property
    def recent(self) -> bool:
        """Whether it was away within the last second."""
        seen = self._seen
        return seen is not None and time.monotonic() - seen < RECENT


outage = Outage()
"""Of this process."""
