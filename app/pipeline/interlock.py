"""One unclear buy per account, product and SKU: what turns up meanwhile has one possible owner (lifecycle, P5)."""

from __future__ import annotations

from collections.abc import Iterable

import sqlalchemy as sa
from sqlalchemy.dialects.postgresql import insert
from sqlalchemy.orm import Session

from app.container import Container
from app.models import Interlock, Purchase


def take(container: Container, session: Session, purchase: Purchase, goods: Iterable[tuple[str, str]]) -> int | None:
    """Take these (product, SKU) for the purchase, from now on. None: all were free.

    Else the purchase that holds one of them, 0 if it let go this moment; the free ones are taken all the same.
    """
    holder: int | None = None
    for product_id, sku_id in sorted(set(goods)):
        row = insert(Interlock).values(
            account_id=purchase.account_id,
            product_id=product_id,
            sku_id=sku_id,
            purchase_id=purchase.id,
            release_at=sa.func.clock_timestamp() + container.timers.interlock_release,
        )
        taken = session.execute(
            row.on_conflict_do_update(
                index_elements=["account_id", "product_id", "sku_id"],
                set_={"purchase_id": row.excluded.purchase_id, "release_at": row.excluded.release_at},
                where=(Interlock.release_at <= sa.func.clock_timestamp()) | (Interlock.purchase_id == purchase.id),
            ).returning(Interlock.purchase_id)
        ).scalar()
        if taken is None:
            its = sa.select(Interlock.purchase_id).where(
                Interlock.account_id == purchase.account_id,
                Interlock.product_id == product_id,
                Interlock.sku_id == sku_id,
            )
            holder = session.scalar(its) or 0
    return holder
