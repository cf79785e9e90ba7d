"""A shop has not granted what Waybill needs: its merchant is told once, and what waited goes on when it is granted."""

from __future__ import annotations

import sqlalchemy as sa
from sqlalchemy.orm import Session

from app.container import Container
from app.domain.reasons import explain
from app.models import Inbox, Outbox, Purchase, Shop
from app.pipeline.record import end_shop_tasks, shop_task
from app.ports.errors import MerchantMustAct

LACKING = "shop_permission"
TOO_OLD = "order_too_old"


def told(container: Container, session: Session, shop_id: int, error: MerchantMustAct) -> None:
    """A task for the merchant if a permission is lacking and none is open yet."""
    if error.reason != LACKING:
        return
    shop = session.get_one(Shop, shop_id, with_for_update=True)  # two workers tell it once
    text = f"{shop.name}: {explain(LACKING, detail=error.detail).text}"
    shop_task(session, container.clock.now(), LACKING, text, shop_id=shop_id)


def granted(session: Session, shop_id: int, by: str) -> None:
    """Permissions have changed: whatever waits for one is tried at once, and says so again if it still lacks one."""
    now = sa.func.clock_timestamp()
    end_shop_tasks(session, shop_id, LACKING, by)
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
