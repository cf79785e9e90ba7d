"""Purchases that are left out of claims because another, unclear one may be of the same items: said and watched.

A claim skips them (the interlock, lifecycle section 3); here each one is told which purchase it waits for.
"""

from __future__ import annotations

import sqlalchemy as sa

from app.container import Container

_NOTE = sa.text("""
WITH found AS (
    SELECT r.id, held.by_purchase
    FROM purchase r CROSS JOIN LATERAL (
        SELECT min(l.purchase_id) AS by_purchase
        FROM purchase_item i JOIN interlock l
          ON l.account_id = r.account_id AND l.product_id = i.product_id AND l.sku_id = i.sku_id
        WHERE i.purchase_id = r.id AND l.purchase_id <> r.id AND l.release_at > clock_timestamp()) held
    WHERE r.state = 'READY' AND r.run_at <= clock_timestamp()
      AND (r.waiting_for IS NOT NULL OR held.by_purchase IS NOT NULL)
    ORDER BY r.id FOR UPDATE OF r SKIP LOCKED
)
UPDATE purchase p SET waiting_for = found.by_purchase,
    waiting_since = CASE WHEN found.by_purchase IS NOT NULL THEN coalesce(p.waiting_since, clock_timestamp()) END
FROM found WHERE p.id = found.id AND p.waiting_for IS DISTINCT FROM found.by_purchase
""")


def note(container: Container) -> int:
    """Write down which purchases wait for which, and which wait no more. Gives how many that changed."""
    with container.database.transaction() as session:
        return session.execute(_NOTE).rowcount  # type: ignore[attr-defined, no-any-return]
