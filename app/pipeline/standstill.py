"""Supplier orders that do not go on: what lasts longer than it may is the merchant's task until it is over."""

from __future__ import annotations

from datetime import timedelta

import sqlalchemy as sa
from sqlalchemy.orm import Session

from app import db
from app.container import Container
from app.models import Purchase, ShippedParcel, StoreOrder, SupplierOrder, Task
from app.pipeline import parcels
from app.pipeline.record import end_all_tasks, task

CHECKED_AFTER = timedelta(days=1)
"""A payment that is checked for longer waits for the account's holder."""
NUMBER_AFTER = timedelta(days=3)
"""Carriers take a day or two until they know a number."""
GIVEN_UP_AFTER = timedelta(days=30)
"""Parcels that are told so long after everything has arrived help nobody."""


def note(container: Container, session: Session, order: SupplierOrder, purchase: Purchase) -> None:
    """After a read: since when the order waits for the same, and whether somebody has to hear of it."""
    now = db.now(session)
    waits_for = _waits_for(order)
    if order.standing != waits_for or order.standing_since is None:
        order.standing, order.standing_since = waits_for, now
    lasted = (now - order.standing_since) * container.settings.time_scale
    kind, what, text = _told(session, order, lasted) if order.role == "bought" else ("", "", "")
    mine = f"stands:{order.id}:"
    key = f"{mine}{kind}:{what}"
    others = (Task.order_id == purchase.order_id) & Task.dedupe_key.startswith(mine) & (Task.dedupe_key != key)
    end_all_tasks(session, others, "track")
    if not kind:
        return
    number = session.scalar(sa.select(StoreOrder.number).where(StoreOrder.id == purchase.order_id))
    task(
        session,
        key,
        kind,
        turn="merchant",
        text=f"Order {number}: {text}",
        shop_id=purchase.shop_id,
        order_id=purchase.order_id,
        purchase_id=purchase.id,
    )


def is_over(container: Container, session: Session, order: SupplierOrder) -> bool:
    """Whether nothing more is to be read of it: all pieces arrived in parcels, or long since without them."""
    if order.closed:
        return True
    if order.shipping != "delivered":
        return False
    under_way = sa.exists().where(ShippedParcel.supplier_order_id == order.id, ShippedParcel.delivered.is_(False))
    if not session.scalar(sa.select(under_way)) and not parcels.missing(session, order)[0]:
        return True
    if order.standing != "delivered" or order.standing_since is None:
        return False
    return (db.now(session) - order.standing_since) * container.settings.time_scale >= GIVEN_UP_AFTER


def _waits_for(order: SupplierOrder) -> str:
    if order.closed:
        return ""
    if order.payment == "checking":
        return "checking"
    return {"part": "shipped", "none": ""}.get(order.shipping, order.shipping)


def _told(session: Session, order: SupplierOrder, lasted: timedelta) -> tuple[str, str, str]:
    """(kind of the task, what tells it from the one before, text); empty if all goes its way."""
    it = f"supplier order {order.external_id}"
    if order.standing == "checking" and lasted >= CHECKED_AFTER:
        text = (
            f"{it} has been {order.status} for more than a day: it is neither paid nor waiting for payment. Look at it "
            "in the account there: it may need something that only the account's holder can do."
        )
        return "payment_checked", order.status, text
    if order.standing == "shipped" and lasted >= NUMBER_AFTER and not _has_parcels(session, order):
        text = (
            f"{it} was marked as shipped more than {NUMBER_AFTER.days} days ago, but it has no tracking number, so "
            "your shop shows none. Look at the order in the account there, or ask the seller."
        )
        return "no_tracking", "", text
    if order.standing == "delivered":
        left, all_pieces = parcels.missing(session, order)
        text = (
            f"{it} is marked as delivered, but {left} of {all_pieces} pieces were in no parcel that we were told of, "
            "so your shop shows them as not sent. Ask your buyer or the seller, and mark them as sent by hand."
        )
        return ("arrived_unseen", str(left), text) if left else ("", "", "")
    return "", "", ""


def _has_parcels(session: Session, order: SupplierOrder) -> bool:
    return bool(session.scalar(sa.select(sa.exists().where(ShippedParcel.supplier_order_id == order.id))))
