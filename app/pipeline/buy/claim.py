"""T1: take a READY purchase by compare-and-set. Nothing is sent here."""

from __future__ import annotations

import os
import socket
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime

import sqlalchemy as sa

from app.container import Container
from app.db import table
from app.models import Audit
from app.pipeline.due import claim_fairly, fair

WORKER = f"{socket.gethostname()}:{os.getpid()}"

_CLAIM = fair(
    "purchase",
    shop="r.shop_id",
    gives="""t.id, t.fence, t.tries, t.supplier, t.order_id, t.shop_id,
    (SELECT o.external_id FROM store_order o WHERE o.id = t.order_id) AS order_ref""",
    free="""r.state = 'READY' AND r.run_at <= now()
      AND NOT EXISTS (
        SELECT 1 FROM purchase_item i JOIN interlock l
          ON l.account_id = r.account_id AND l.product_id = i.product_id AND l.sku_id = i.sku_id
        WHERE i.purchase_id = r.id AND l.release_at > clock_timestamp())
      AND NOT EXISTS (
        SELECT 1 FROM breaker b
        WHERE b.state = 'OPEN' AND b.scope IN ('supplier:' || r.supplier, 'account:' || r.account_id))
      AND NOT EXISTS (
        SELECT 1 FROM placement_freeze f
        WHERE f.released_at IS NULL AND (f.account_id IS NULL OR f.account_id = r.account_id))""",
    values="""state = 'CLAIMED', state_since = clock_timestamp(), version = t.version + 1, fence = t.fence + 1,
    tries = t.tries + 1, lease_owner = :owner, lease_until = clock_timestamp() + :lease,
    waiting_for = NULL, waiting_since = NULL""",
)

_FREE = sa.text("""
UPDATE purchase SET version = version + 1, lease_owner = NULL, lease_until = NULL, lost_claims = lost_claims + 1,
    state_since = clock_timestamp(), run_at = clock_timestamp() + least(lost_claims, 5) * interval '2 seconds',
    state = CASE WHEN lost_claims + 1 >= :most THEN 'HELD' ELSE 'READY' END,
    reason = CASE WHEN lost_claims + 1 >= :most THEN 'needs_person' ELSE reason END,
    facts = CASE WHEN lost_claims + 1 >= :most THEN jsonb_build_object('code', 'worker_lost',
        'message', 'checking it did not come to an end ' || lost_claims + 1 || ' times') ELSE facts END,
    held_for = CASE WHEN lost_claims + 1 >= :most THEN 'needs_person' ELSE held_for END,
    held_since = CASE WHEN lost_claims + 1 >= :most THEN clock_timestamp() ELSE held_since END,
    held_told_at = CASE WHEN lost_claims + 1 >= :most THEN NULL ELSE held_told_at END
WHERE id IN (SELECT id FROM purchase WHERE state = 'CLAIMED' AND lease_until < clock_timestamp()
             FOR UPDATE SKIP LOCKED)
RETURNING id, state
""")

_RENEW = sa.text("""
UPDATE purchase SET lease_until = clock_timestamp() + :lease
WHERE id = :id AND fence = :fence AND state = 'CLAIMED' AND lease_until > clock_timestamp()
""")
LOST_MOST = 5
"""Claims in a row that may end with a dead worker; then a person has to look."""


@dataclass(frozen=True, slots=True)
class Claimed:
    """A claim: only this fence number may go on. `tries` counts claims; `order_ref` is the shop's id of the order."""

    id: int
    fence: int
    claimed_at: datetime
    tries: int
    supplier: str
    order_id: int
    shop_id: int
    order_ref: str


def claim(container: Container, most: int) -> Sequence[Claimed]:
    """Take up to `most` purchases that are due and not interlocked, in turn over the shops."""
    given = {"owner": WORKER, "lease": container.timers.claim_lease}
    with container.database.transaction() as session:
        rows = claim_fairly(container, session, "purchase", _CLAIM, most, given)
        _audit(session, rows, "READY", "CLAIMED", WORKER)
    return [
        Claimed(row.id, row.fence, row.claimed_at, row.tries, row.supplier, row.order_id, row.shop_id, row.order_ref)
        for row in rows
    ]


def free_expired(container: Container) -> int:
    """Claims whose worker is gone become READY again: nothing was sent under them."""
    with container.database.transaction() as session:
        rows = session.execute(_FREE, {"most": LOST_MOST}).all()
        for state in ("READY", "HELD"):
            _audit(session, [row for row in rows if row.state == state], "CLAIMED", state, "sweep")
    return len(rows)


def renew(container: Container, claimed: Claimed) -> bool:
    """Keep the claim while its checks go on. False: it is lost, somebody else decides about the purchase."""
    with container.database.transaction() as session:
        result = session.execute(
            _RENEW, {"lease": container.timers.claim_lease, "id": claimed.id, "fence": claimed.fence}
        )
        return bool(result.rowcount)  # type: ignore[attr-defined]


def _audit(
    session: sa.orm.Session, rows: Sequence[sa.Row[tuple[object, ...]]], before: str, after: str, actor: str
) -> None:
    if rows:
        session.execute(
            sa.insert(table(Audit)),
            [
                {
                    "actor": actor,
                    "entity": "purchase",
                    "entity_id": row.id,
                    "action": "move",
                    "from_state": before,
                    "to_state": after,
                    "detail": {},
                }
                for row in rows
            ],
        )
