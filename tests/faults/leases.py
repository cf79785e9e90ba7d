"""Lets time pass for what a dead process had taken: nobody waits in a test for a lease that can only run out.

A lease that ends early is one that ended: whoever still works under it, as another process may that started meanwhile,
must notice that, as always.
"""

from __future__ import annotations

from pathlib import Path

import sqlalchemy as sa

from app.db import Database

_LEASES = (
    ("purchase", "id", "lease_until"),
    ("inbox", "id", "lease_until"),
    ("outbox", "id", "lease_until"),
    ("periodic_job", "name", "lease_until"),
    ("credential", "id", "lease_until"),
    ("shop", "id", "poll_lease_until"),
    ("shop", "id", "account_lease_until"),
    ("supplier_order", "id", "track_lease_until"),
)


class Leases:
    """`folder`: where the processes of a run tell that a shot was fired."""

    def __init__(self, database: Database, folder: Path) -> None:
        self._database = database
        self._folder = folder
        self._seen: set[str] = set()

    def let_pass(self) -> None:
        """Leases of those who died since the last time are over."""
        fired = {path.name for path in self._folder.glob("fired-*")}
        if fired <= self._seen:
            return
        self._seen |= fired
        for table, key, column in _LEASES:
            self._over(table, key, column)

    def pauses(self) -> None:
        """Whoever waits before another try tries now."""
        self._over("purchase", "id", "run_at", "state = 'READY'")
        self._over("inbox", "id", "run_at", "state = 'DUE'")

    def _over(self, table: str, key: str, column: str, which: str = "true") -> None:
        """Row by row, each in a transaction of its own: who holds one row only stands in nobody's way for ever."""
        later = f"{which} AND {column} > now()"
        with self._database.reading() as session:
            keys = session.scalars(sa.text(f"SELECT {key} FROM {table} WHERE {later}")).all()
        for one in keys:
            with self._database.transaction() as session:
                ended = sa.text(f"UPDATE {table} SET {column} = now() WHERE {key} = :one AND {later}")
                session.execute(ended, {"one": one})
