"""A shop has not granted what Waybill needs: its merchant is told once, and what waited goes on when it is granted."""

from __future__ import annotations

import sqlalchemy as sa
from sqlalchemy.orm import Session

from app.domain.reasons import explain
from app.models import Inbox, Outbox, Purchase, Shop, Task
from app.pipeline.record import end_tasks, task
from app.ports.errors import MerchantMustAct

LACKING = "shop_permission"
TOO_OLD = "order_too_old"


def told(session: Session, shop_id: int, error: MerchantMustAct, *, order_id: int | None = None) -> None:
    """A task for the merchant if it is a permission that is lacking. `order_id`: whose act lacks it."""
    if error.reason == LACKING:
        name = session.get_one(Shop, shop_id).name
        text = f"{name}: {explain(LACKING, detail=error.detail).text}"
        key = f"permission:{shop_id}"
        task(session, key, LACKING, turn="merchant", text=text, shop_id=shop_id, order_id=order_id)


def worked(session: Session, shop_id: int, *, lacked: bool) -> None:
    """An act was done in the shop, after it `lacked` a permission or not.

    If an act is what was told to lack one, it was granted. What only reading lacks an act does not show, nor another
    act what one lacks that still waits: that one is tried at once.
    """
    is_told = sa.exists().where(Task.dedupe_key == f"permission:{shop_id}", ~Task.over)
    if not session.scalar(sa.select(is_told if lacked else is_told.where(Task.order_id.is_not(None)))):
        return
    waits = sa.select(Outbox.id).where(
        Outbox.shop_id == shop_id, Outbox.state == "DUE", Outbox.result.endswith(LACKING, autoescape=True)
    )
    first = None if lacked else session.scalar(waits.order_by(Outbox.id).limit(1))
    if first is None:
        granted(session, shop_id, "outbox")
    else:
        now = sa.func.clock_timestamp()
        later = Outbox.id == first, Outbox.state == "DUE", Outbox.run_at > now
        session.execute(sa.update(Outbox).where(*later).values(run_at=now))


def granted(session: Session, shop_id: int, by: str) -> None:
    """Permissions have changed: whatever waits for one is tried at once, and says so again if it still lacks one."""
    now = sa.func.clock_timestamp()
    end_tasks(session, f"permission:{shop_id}", by)
    # Purchases first, in the order in which all take them: whoever holds one may go on to its acts.
    held = sa.select(Purchase.id).where(
        Purchase.shop_id == shop_id, Purchase.state == "HELD", Purchase.reason.in_((LACKING, TOO_OLD))
    )
    ids = session.scalars(held.order_by(Purchase.id).with_for_update(key_share=True)).all()
    session.execute(sa.update(Purchase).where(Purchase.id.in_(ids)).values(run_at=now))
    for row in (Inbox, Outbox):
        session.execute(
            sa.update(row).where(row.shop_id == shop_id, row.state == "DUE", row.run_at > now).values(run_at=now)
        )
    session.execute(sa.update(Shop).where(Shop.id == shop_id).values(poll_run_at=now))
