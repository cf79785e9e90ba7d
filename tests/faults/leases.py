"""Lets time pass for what a dead process had taken: nobody waits in a test for a lease that can only run out.

A lease that ends early is one that ended: whoever still works under it, as another process may that started meanwhile,
must notice that, as always.
"""

from __future__ import annotations

from pathlib import Path

import sqlalchemy as sa

from app.db import Database

_LEASES = (
    ("purchase", "lease_until"),
    ("inbox", "lease_until"),
    ("outbox", "lease_until"),
    ("periodic_job", "lease_until"),
    ("credential", "lease_until"),
    ("shop", "poll_lease_until"),
    ("shop", "account_lease_until"),
    ("supplier_order", "track_lease_until"),
)
_PAUSE = """UPDATE purchase SET run_at = now() WHERE state = 'READY' AND run_at > now()"""


class Leases:
    """`folder`: where the processes of a run tell that a shot was fired."""

    def __init__(self, database: Database, folder: Path) -> None:
        self._database = database
        self._folder = folder
        self._seen: set[str] = set()

    def let_pass(self) -> None:
        """Leases of those who died since the last time are over, and so are pauses before another try."""
        fired = {path.name for path in self._folder.glob("fired-*")}
        if fired <= self._seen:
            return
        self._seen |= fired
        for table, column in _LEASES:
            self._end(f"UPDATE {table} SET {column} = now() WHERE {column} > now()")
        self._end(_PAUSE)

    def pauses(self) -> None:
        """Whoever waits before another try tries now."""
        if self._seen:
            self._end(_PAUSE)

    def _end(self, statement: str) -> None:
        with self._database.transaction() as session:
            session.execute(sa.text(statement))
