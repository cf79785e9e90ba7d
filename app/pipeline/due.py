"""Claiming due rows: who works on what, for how long. Times are the database's (leases are ours, not the queue's).

`claim` takes the oldest rows. `claim_fairly` goes round the shops, so that a shop with ten thousand rows delays nobody
else by more than a turn (S15). Both cost the same however long the backlog or the history is (P8).
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Any

import sqlalchemy as sa

from app.container import Container

_CLAIM = """
UPDATE {table} SET {lease} = clock_timestamp() + :lease, {count}
WHERE id IN (
    SELECT id FROM {table}
    WHERE {due} AND {run_at} <= now() AND ({lease} IS NULL OR {lease} < clock_timestamp())
    ORDER BY {run_at}, id LIMIT :most FOR UPDATE SKIP LOCKED
)
RETURNING id, clock_timestamp() AS claimed_at
"""

_FAIR = """
WITH RECURSIVE turn AS (
    (SELECT {shop} AS shop, 1 AS place FROM {table} r WHERE {free} AND {shop} > :after ORDER BY {shop} LIMIT 1)
  UNION ALL
    SELECT following.shop, turn.place + 1
    FROM turn CROSS JOIN LATERAL (
        SELECT {shop} AS shop FROM {table} r WHERE {free} AND {shop} > turn.shop ORDER BY {shop} LIMIT 1) following
    WHERE turn.place < :most
), picked AS MATERIALIZED (
    SELECT mine.id, turn.shop
    FROM turn CROSS JOIN LATERAL (
        SELECT r.id FROM {table} r WHERE {free} AND {shop} = turn.shop ORDER BY r.run_at, r.id
        LIMIT (SELECT ceil(:most ::numeric / count(*)) FROM turn) FOR UPDATE OF r SKIP LOCKED) mine
    LIMIT :most
)
UPDATE {table} t SET {values} FROM picked WHERE t.id = picked.id
RETURNING {gives}, picked.shop, clock_timestamp() AS claimed_at,
    (SELECT count(*) FROM turn) AS shops, (SELECT max(shop) FROM turn) AS last
"""
"""One turn: the next shops with rows that are free, and an equal share of the places for each, oldest rows first."""
_TURNS_MOST = 8
_START = -1
"""Below every shop; rows of no shop count as shop 0."""


@dataclass(frozen=True, slots=True)
class Claim:
    """A row to be worked on. `claimed_at` is the database's time, before any read of the outside world."""

    id: int
    claimed_at: datetime
    lease_until: datetime | None = None
    """Until when it is ours, where that is asked."""


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


def fair(
    table: str, *, free: str, values: str, shop: str = "coalesce(r.shop_id, 0)", gives: str = "t.id"
) -> sa.TextClause:
    """The statement of a fair claim, put together of constants only, once, when its module is loaded.

    In its SQL a row is `r` where it is chosen (`free`), `t` where it is taken.
    """
    statement = _FAIR.format(table=table, free=free, values=values, shop=shop, gives=gives)
    return sa.text(statement)


_DUE = "r.state = 'DUE' AND r.run_at <= now() AND (r.lease_until IS NULL OR r.lease_until < clock_timestamp())"
_TAKE = "lease_until = clock_timestamp() + :lease, attempts = t.attempts + 1"
INBOX = fair("inbox", free=_DUE, values=_TAKE)
_FIRST_OF_ORDER = """SELECT min(other.id) FROM outbox other WHERE other.state = 'DUE' AND other.order_id = r.order_id
    AND (other.run_at <= now() OR NOT other.waits)"""
_UNDER_WAY = """SELECT 1 FROM outbox busy
    WHERE busy.state = 'DUE' AND busy.order_id = r.order_id AND busy.lease_until > clock_timestamp()"""
"""Acts on one order go one after another: some shops keep parcels in one field that parallel writes would overwrite.
One that waits for the merchant steps aside until it is due again. Two claims of one instant see each other too late for
this, so `acts.run` looks once more."""
OUTBOX = fair(
    "outbox",
    free=f"{_DUE} AND (r.order_id IS NULL OR (r.id = ({_FIRST_OF_ORDER}) AND NOT EXISTS ({_UNDER_WAY})))",
    values=f"{_TAKE}, waits = false",
    gives="t.id, t.lease_until",
)


def claim_fairly(
    container: Container,
    session: sa.orm.Session,
    queue: str,
    statement: sa.TextClause,
    most: int,
    given: Mapping[str, Any],
) -> list[sa.Row[Any]]:
    """Claim up to `most` rows in the caller's transaction, going on round the shops where this process stopped last.

    Fewer than `most` means that nothing else was free just now.
    """
    taken: list[sa.Row[Any]] = []
    after = container.turns.get(queue, _START)
    for _ in range(_TURNS_MOST):
        wanted = most - len(taken)
        rows = session.execute(statement, {**given, "after": after, "most": wanted}).all()
        taken += rows
        full = bool(rows) and rows[0].shops >= wanted
        wrapped, after = after == _START, rows[0].last if full else _START
        if len(taken) >= most or (wrapped and not full and not _more(rows, wanted)):
            break
    container.turns[queue] = after
    return taken


def _more(rows: Sequence[sa.Row[Any]], wanted: int) -> bool:
    """Whether a shop got its whole share, so that it may have more than that."""
    if not rows:
        return False
    share = -(-wanted // rows[0].shops)
    counts: dict[int, int] = {}
    for row in rows:
        counts[row.shop] = counts.get(row.shop, 0) + 1
    return any(count >= share for count in counts.values())


def claim_due(container: Container, queue: str, statement: sa.TextClause, most: int) -> Sequence[Claim]:
    """Claim up to `most` rows of the inbox or the outbox, fairly."""
    with container.database.transaction() as session:
        rows = claim_fairly(container, session, queue, statement, most, {"lease": container.timers.inbox_lease})
    return [Claim(row.id, row.claimed_at, getattr(row, "lease_until", None)) for row in rows]
