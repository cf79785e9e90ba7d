"""Claiming due rows: who works on what, for how long. Times are the database's (leases are ours, not the queue's)."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta

import sqlalchemy as sa

from app.container import Container

_CLAIM = """
UPDATE {table} SET {lease} = clock_timestamp() + :lease, {count}
WHERE id IN (
    SELECT id FROM {table}
    WHERE {due} AND {run_at} <= clock_timestamp() AND ({lease} IS NULL OR {lease} < clock_timestamp())
    ORDER BY {run_at}, id LIMIT :most FOR UPDATE SKIP LOCKED
)
RETURNING id, clock_timestamp() AS claimed_at
"""


@dataclass(frozen=True, slots=True)
class Claim:
    """A row to be worked on. `claimed_at` is the database's time, before any read of the outside world."""

    id: int
    claimed_at: datetime


def claim(
    container: Container,
    table: str,
    most: int,
    *,
    due: str,
    lease: timedelta,
    run_at: str = "run_at",
    lease_column: str = "lease_until",
    count: str = "attempts = attempts + 1",
) -> Sequence[Claim]:
    """Claim up to `most` due rows of one of our own tables (names are constants of this package, never input)."""
    text = _CLAIM.format(table=table, due=due, run_at=run_at, lease=lease_column, count=count)
    with container.database.transaction() as session:
        rows = session.execute(sa.text(text), {"lease": lease, "most": most}).all()
    return [Claim(row.id, row.claimed_at) for row in rows]
