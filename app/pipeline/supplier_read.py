"""What `order.get` told is stored: status, total, payment, shipping, and which item is which of the purchase's."""

from __future__ import annotations

from datetime import timedelta

import sqlalchemy as sa
from sqlalchemy.orm import Session

from app import db
from app.container import Container
from app.db import ROW
from app.models import Alert, Attempt, Purchase, PurchaseItem, SupplierOrder, SupplierOrderItem
from app.pipeline.follow import follow
from app.pipeline.record import alert, end_alerts
from app.ports.supplier import SupplierOrder as OrderRead
from app.ports.supplier import SupplierOrderItem as ItemRead


def apply_read(
    container: Container,
    session: Session,
    order: SupplierOrder,
    read: OrderRead,
    purchase: Purchase | None = None,
) -> None:
    """Store what order.get told, map its items, and let the purchase follow.

    The caller locked the order's row, and its `purchase` if given.
    """
    order.status, order.total, order.currency = read.status, read.total.minor, read.total.currency
    order.shipping = _forward(order.shipping, read.shipping.value)
    if order.payment != "paid":
        order.payment = read.payment.value
    order.created_at_supplier, order.paid_at = read.created_at, read.paid_at
    now = db.now(session)
    first = order.read_at is None
    another_look = order.read_at is None or now - order.read_at >= container.timers.first_read / 2
    order.pay_until, order.read_at = read.pay_until, now
    if not read.closed:
        order.closed_seen = 0
    elif another_look or not order.closed_seen:
        order.closed_seen += 1
    order.closed = read.closed and (order.closed_seen >= 2 or order.closed)
    _items(session, order, read)
    if first and order.source == "answer" and order.purchase_id is not None:
        _check_clock(container, session, order, read)
    if order.purchase_id is not None:
        purchase = purchase or session.get_one(Purchase, order.purchase_id, with_for_update=ROW)
        follow(container, session, purchase)


CLOCK = "supplier-clock"


def _check_clock(container: Container, session: Session, order: SupplierOrder, read: OrderRead) -> None:
    """A clear order tells whether we read the supplier's times in the right zone: matching depends on it."""
    sent = session.scalar(sa.select(sa.func.max(Attempt.sent_at)).where(Attempt.purchase_id == order.purchase_id))
    instants = read.created_at_alternatives or ((read.created_at,) if read.created_at else ())
    if sent is None or not instants:
        return
    before, after = window(container)
    if any(sent - before <= at <= sent + after for at in instants):
        end_alerts(session, CLOCK)
        return
    text = (
        f"Supplier order {order.external_id} was made at {instants[0]:%Y-%m-%d %H:%M} UTC as we read it, but sent at "
        f"{sent:%H:%M}: the time zone of the supplier's times is set wrong (ALIEXPRESS_GMT_CREATE_ZONE). Until it is "
        "right no order is given to an unclear purchase by itself, and “not there” is not accepted. It ends at the "
        "next order whose time fits; if the zone is right, end it yourself (`flask alerts --end`)."
    )
    alert(session, CLOCK, "supplier_clock", text)


def wrong_clock(session: Session) -> bool:
    """Whether the supplier's times are known to be read in a wrong zone: by them no order's owner can be told."""
    return session.scalar(sa.select(Alert.id).where(Alert.dedupe_key == CLOCK, Alert.ended_at.is_(None))) is not None


_SHIPPING = ("none", "part", "shipped", "delivered")


def _forward(before: str, now: str) -> str:
    return max(before, now, key=_SHIPPING.index)


def _items(session: Session, order: SupplierOrder, read: OrderRead) -> None:
    known = session.scalars(sa.select(SupplierOrderItem).where(SupplierOrderItem.supplier_order_id == order.id)).all()
    if not known:
        mine = _purchase_items(session, order)
        for item in read.items:
            match_id = _match(mine, item)
            session.add(
                SupplierOrderItem(
                    supplier_order_id=order.id,
                    purchase_item_id=match_id,
                    product_id=item.product_id,
                    sku_id=item.sku_id,
                    quantity=item.quantity,
                    closed=item.closed,
                    closed_reason=item.closed_reason,
                )
            )
        session.flush()
        return
    for stored in known:
        for item in read.items:
            if (item.product_id, item.sku_id) == (stored.product_id, stored.sku_id):
                stored.closed, stored.closed_reason = item.closed, item.closed_reason


def _purchase_items(session: Session, order: SupplierOrder) -> list[PurchaseItem]:
    if order.purchase_id is None:
        return []
    return list(
        session.scalars(
            sa.select(PurchaseItem)
            .where(PurchaseItem.purchase_id == order.purchase_id, PurchaseItem.quantity > 0)
            .order_by(PurchaseItem.id)
        )
    )


def _match(mine: list[PurchaseItem], item: ItemRead) -> int | None:
    for place, candidate in enumerate(mine):
        same_sku = not item.sku_id or candidate.sku_id == item.sku_id
        if item.product_id in {candidate.order_product_id, candidate.product_id} and same_sku:
            return mine.pop(place).id
    return None


def window(container: Container) -> tuple[timedelta, timedelta]:
    """How far before and after the send an order may have been created to be this attempt's."""
    # The supplier tells whole seconds, so no window is shorter than two.
    least = timedelta(seconds=2)
    return max(container.timers.match_before, least), max(container.timers.match_after, least)
