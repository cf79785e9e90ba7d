"""Supplier orders that belong to no purchase that we know: list them, and say whose they are not."""

from __future__ import annotations

from typing import Any

import sqlalchemy as sa
from sqlalchemy.orm import Session

from app import db
from app.container import Container
from app.db import ROW
from app.errors import Conflict, NotFound
from app.models import SupplierOrder, SupplierOrderItem
from app.pipeline import locks, unverified
from app.pipeline.record import audit, end_alerts, end_tasks
from app.pipeline.track import ASSUMED_WINDOW, reads_again
from app.ports.money import Money


def listed(container: Container, *, limit: int = 100) -> list[dict[str, Any]]:
    """Orders seen in an account that belong to nobody, newest first, with what they hold."""
    with container.database.transaction() as session:
        orders = session.scalars(
            sa.select(SupplierOrder)
            .where(SupplierOrder.purchase_id.is_(None), SupplierOrder.role == "orphan")
            .order_by(SupplierOrder.id.desc())
            .limit(limit)
        ).all()
        items = session.scalars(
            sa.select(SupplierOrderItem).where(SupplierOrderItem.supplier_order_id.in_([order.id for order in orders]))
        ).all()
    holds: dict[int, list[str]] = {}
    for item in items:
        holds.setdefault(item.supplier_order_id, []).append(f"{item.quantity} × {item.product_id} ({item.sku_id})")
    return [
        {
            "supplier_order": order.external_id,
            "account_id": order.account_id,
            "seen_at": order.recorded_at,
            "made_at": order.created_at_supplier,
            "payment": order.payment,
            "closed": order.closed,
            "total": str(Money(order.total, order.currency)) if order.total is not None and order.currency else "",
            "holds": holds.get(order.id, []),
        }
        for order in orders
    ]


def dismiss(container: Container, ref: str, *, by: str, confirm_by: str = "") -> dict[str, Any]:
    """A person says that it was made by hand, for something else: it holds nothing up any more.

    Or that a duplicate which was paid is kept: what is ordered later for the same order does not wait for it. Of one
    that was unpaid when its account could be read last, two persons may say so. Raises `NotFound`, or `Conflict` if it
    belongs to a purchase.
    """
    with container.database.transaction() as session:
        known = session.scalars(
            sa.select(SupplierOrder).where(SupplierOrder.external_id == ref.strip()).order_by(SupplierOrder.id)
        ).first()
        if known is None:
            raise NotFound(
                "no_orphan", f"No supplier order {ref.strip()[:40]} was seen. `flask orphan list` shows them."
            )
        locks.account(session, known.account_id)
        order = session.get_one(SupplierOrder, known.id, with_for_update=ROW, populate_existing=True)
        if order.role == "duplicate" and order.payment != "paid" and not _pay_time_is_over(container, session, order):
            if not confirm_by:
                raise Conflict(
                    "duplicate_unpaid",
                    f"Supplier order {order.external_id} is a duplicate that is not paid. Do not pay it: the supplier "
                    "closes it by itself, and then it holds nothing up. If its account cannot be read any more, a "
                    "second person may confirm that it holds nothing up (--confirm-by).",
                )
            unverified.demand(container, session, order.account_id, by=by, confirm_by=confirm_by)
        if order.purchase_id is not None and order.role != "duplicate":
            raise Conflict("attached", f"Supplier order {order.external_id} belongs to purchase {order.purchase_id}.")
        order.role = "foreign"
        if order.track_error:
            reads_again(session, order)
        if order.purchase_id is None:
            order.track_run_at = None  # nobody needs to know any more what becomes of it
        end_tasks(session, f"stray:{order.id}", by)
        end_tasks(session, f"orphan:{order.id}", by)
        end_tasks(session, f"duplicate:{order.id}", by)
        end_alerts(session, f"duplicate:{order.id}")
        end_alerts(session, f"stray:{order.id}")
        audit(session, "supplier_order", order.id, "dismissed", actor=by, detail={"second": confirm_by})
        container.database.after_commit(container.bell.ring)
        return {"supplier_order": order.external_id, "role": order.role, "by": by}


def _pay_time_is_over(container: Container, session: Session, order: SupplierOrder) -> bool:
    """By then the supplier has closed it, though nobody could read so, or somebody has paid it."""
    begun = order.created_at_supplier or order.recorded_at
    return db.now(session) > (order.pay_until or begun + ASSUMED_WINDOW / container.settings.time_scale)
