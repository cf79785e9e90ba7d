"""A shop has not granted what Waybill needs: its merchant is told once, and what waited goes on when it is granted."""

from __future__ import annotations

import sqlalchemy as sa
from sqlalchemy.orm import Session

from app.container import Container
from app.domain.reasons import explain
from app.models import Inbox, Outbox, Purchase, Shop, Task
from app.pipeline.record import task
from app.ports.errors import MerchantMustAct

LACKING = "shop_permission"
TOO_OLD = "order_too_old"


def told(container: Container, session: Session, shop_id: int, error: MerchantMustAct) -> None:
    """A task for the merchant if a permission is lacking and none is open yet."""
    if error.reason != LACKING:
        return
    shop = session.get_one(Shop, shop_id, with_for_update=True)  # two workers tell it once
    open_one = sa.select(Task.id).where(Task.shop_id == shop_id, Task.kind == LACKING, Task.done_at.is_(None))
    if session.scalar(open_one.limit(1)) is not None:
        return
    text = f"{shop.name}: {explain(LACKING, detail=error.detail).text}"
    # With the time in it, so that what is lacking again later is told again.
    key = f"permission:{shop_id}:{container.clock.now():%Y-%m-%dT%H:%M:%S.%f}"
    task(session, key, LACKING, turn="merchant", text=text, shop_id=shop_id)


def granted(session: Session, shop_id: int, by: str) -> None:
    """Permissions have changed: whatever waits for one is tried at once, and says so again if it still lacks one."""
    now = sa.func.clock_timestamp()
    session.execute(
        sa.update(Task)
        .where(Task.shop_id == shop_id, Task.kind == LACKING, Task.done_at.is_(None))
        .values(done_at=now, done_by=by)
    )
    for row in (Inbox, Outbox):
        session.execute(
            sa.update(row).where(row.shop_id == shop_id, row.state == "DUE", row.run_at > now).values(run_at=now)
        )
    session.execute(
        sa.update(Purchase)
        .where(Purchase.shop_id == shop_id, Purchase.state == "HELD", Purchase.reason.in_((LACKING, TOO_OLD)))
        .values(run_at=now)
    )
    session.execute(sa.update(Shop).where(Shop.id == shop_id).values(poll_run_at=now))
