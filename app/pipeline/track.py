"""Supplier orders are read until they are at their end: payment, price, closing, parcels."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import datetime, timedelta

import sqlalchemy as sa
from sqlalchemy.orm import Session

from app import db
from app.container import Container
from app.domain.timing import pick
from app.errors import NotFound
from app.models import (
    ParcelItem,
    Purchase,
    PurchaseItem,
    ShippedParcel,
    StoreOrder,
    SupplierOrder,
    SupplierOrderItem,
)
from app.pipeline import breaker, evidence, fit, late, locks, unverified
from app.pipeline.adopt import apply_read, follow
from app.pipeline.due import Claim, claim
from app.pipeline.record import alert, end_alerts, end_tasks, outbox, task
from app.ports.errors import MerchantMustAct, OutsideError
from app.ports.supplier import SupplierOrder as OrderRead
from app.ports.supplier import SupplierParcel
from app.shop_access import with_account

REMINDERS = (0.25, 0.5, 0.75, 0.9)
"""Shares of the payment window at which the merchant is reminded."""


def due(container: Container, most: int) -> Sequence[Claim]:
    """Supplier orders whose next read is due."""
    return claim(
        container,
        "supplier_order",
        most,
        due="track_run_at IS NOT NULL",
        run_at="track_run_at",
        lease=container.timers.inbox_lease,
        lease_column="track_lease_until",
        count="tracks = tracks + 1",
    )


def run(container: Container, claimed: Claim) -> None:
    """Read one supplier order and its parcels, and store what is new."""
    with container.database.reading() as session:
        found = session.execute(
            sa.select(SupplierOrder, Purchase.order_id, Purchase.supplier)
            .outerjoin(Purchase, Purchase.id == SupplierOrder.purchase_id)
            .where(SupplierOrder.id == claimed.id)
        ).one()
    order: SupplierOrder = found.SupplierOrder
    order_id: int | None = found.order_id
    supplier: str | None = found.supplier
    with container.calls.story(order_id, order.purchase_id) as story:
        try:
            read = with_account(container, order.account_id, lambda supplier: supplier.order(order.external_id))
            parcels: tuple[SupplierParcel, ...] = ()
            if read is not None and read.shipping.value != "none":
                parcels = with_account(
                    container, order.account_id, lambda supplier: supplier.parcels(order.external_id)
                )
        except (MerchantMustAct, NotFound):
            _again(container, order.id, timedelta(minutes=15) / container.settings.time_scale)
            return
        except OutsideError as error:
            if supplier is not None and breaker.is_outage(error):
                breaker.note_read(container, supplier, ok=False)
            wait = getattr(error, "retry_after", None) or min(2.0 ** min(order.tracks, 8), 300.0)
            _again(container, order.id, timedelta(seconds=wait) / container.settings.time_scale)
            return
        if supplier is not None:
            breaker.note_read(container, supplier, ok=True)
        with container.database.transaction() as session:
            news = _news(session, order, read, parcels)
            _store(container, session, order, read, parcels)
            if news:
                story.write(session)  # after the locks: its rows refer to the order, which locks that too


def _news(session: Session, before: SupplierOrder, read: OrderRead | None, parcels: Sequence[SupplierParcel]) -> bool:
    """Only reads that changed something go into the order's story: it would drown in the others."""
    if read is None or before.read_at is None or read.status != before.status:
        return True
    known = sa.select(sa.func.count()).select_from(ShippedParcel).where(ShippedParcel.supplier_order_id == before.id)
    return bool(parcels) and len(parcels) != session.scalar(known)


def _again(container: Container, order_id: int, wait: timedelta) -> None:
    with container.database.transaction() as session:
        order = session.get_one(SupplierOrder, order_id, with_for_update=True)
        order.track_run_at, order.track_lease_until = sa.func.clock_timestamp() + wait, None
        _unreadable(container, session, order)


def _store(
    container: Container,
    session: Session,
    before: SupplierOrder,
    read: OrderRead | None,
    parcels: Sequence[SupplierParcel],
) -> None:
    locks.account(session, before.account_id)
    # Under the lock: nobody attaches it meanwhile.
    purchase_id = session.scalar(sa.select(SupplierOrder.purchase_id).where(SupplierOrder.id == before.id))
    candidates = fit.fitting(container, session, before.account_id, read) if read and not purchase_id else []
    purchase = locks.purchase(session, purchase_id) if purchase_id is not None else None
    order = session.get_one(SupplierOrder, before.id, with_for_update=True)
    order.track_lease_until = None
    timers = container.timers
    if order.source == unverified.SOURCE:
        unverified.check_order(container, session, order, read)
    if read is None:
        order.track_run_at = sa.func.clock_timestamp() + pick(timers.push_retries, order.tracks - 1)
        _unreadable(container, session, order)
        return
    if order.read_at is None and order.tracks > 1:
        end_alerts(session, f"unread:{order.id}")
        end_tasks(session, f"unread:{order.id}", "track")
    if purchase is None:
        apply_read(container, session, order, read)
        evidence.attach(container, session, order, read, candidates, source="lookup")
        return
    late.reconsider(container, session, order, purchase, closed=read.closed)
    apply_read(container, session, order, read, purchase)
    if late.surplus(session, purchase):
        follow(container, session, purchase)
    _end_outdated(session, order, purchase)
    for parcel in parcels:
        _parcel(session, order, parcel)
    _remind(session, order, purchase, db.now(session))
    order.track_run_at = _next(container, session, order)
    container.database.after_commit(container.bell.ring)


def _end_outdated(session: Session, order: SupplierOrder, purchase: Purchase) -> None:
    """What a person was asked to do with this order and need not do any more."""
    if order.reminders and not _payable(order, purchase):
        end_tasks(session, f"pay:{order.id}", "track")
    if order.role == "duplicate" and order.closed:
        end_tasks(session, f"duplicate:{order.id}", "closed at the supplier")
        end_alerts(session, f"duplicate:{order.id}")


def _payable(order: SupplierOrder, purchase: Purchase) -> bool:
    unpaid = order.role == "bought" and order.payment == "unpaid"
    return unpaid and not order.closed and purchase.state == "PLACED_UNPAID"


def _unreadable(container: Container, session: Session, order: SupplierOrder) -> None:
    """A number that the supplier gave and nobody can read for an hour: it may wait to be paid unseen, and be closed."""
    age = db.now(session) - order.recorded_at
    if order.read_at is not None or order.role != "bought" or age < container.timers.human_after:
        return
    text = f"Supplier order {order.external_id} was given to us but cannot be read. Look for it in the account there."
    alert(session, f"unread:{order.id}", "order_unread", text, purchase_id=order.purchase_id)
    task(
        session,
        f"unread:{order.id}",
        "order_unread",
        turn="merchant",
        text=f"{text} If it is there and unpaid, pay it there.",
        shop_id=session.scalar(sa.select(Purchase.shop_id).where(Purchase.id == order.purchase_id)),
        order_id=session.scalar(sa.select(Purchase.order_id).where(Purchase.id == order.purchase_id)),
        purchase_id=order.purchase_id,
    )


def _next(container: Container, session: Session, order: SupplierOrder) -> sa.ColumnElement[datetime] | None:
    timers = container.timers
    under_way = sa.exists().where(ShippedParcel.supplier_order_id == order.id, ShippedParcel.delivered.is_(False))
    if order.closed or (order.shipping == "delivered" and not session.scalar(sa.select(under_way))):
        return None
    if order.closed_seen == 1:  # seen closed once: the second look makes it certain
        return sa.func.clock_timestamp() + timers.first_read
    return sa.func.clock_timestamp() + (timers.track_poll if order.payment == "paid" else timers.payment_poll)


def _remind(session: Session, order: SupplierOrder, purchase: Purchase, now: datetime) -> None:
    """At 25, 50, 75 and 90 % of the payment window the merchant is told, each once."""
    if order.pay_until is None or not _payable(order, purchase):
        return
    begun = order.created_at_supplier or order.recorded_at
    whole = (order.pay_until - begun).total_seconds()
    gone = (now - begun).total_seconds() / whole if whole > 0 else 1.0
    reached = sum(gone >= share for share in REMINDERS)
    if reached <= order.reminders:
        return
    order.reminders = reached
    shop_order = session.get_one(StoreOrder, purchase.order_id)
    task(
        session,
        f"pay:{order.id}:{reached}",
        "pay_reminder",
        turn="merchant",
        text=f"Order {shop_order.number}: supplier order {order.external_id} is not paid yet and is closed by the "
        f"supplier at {order.pay_until:%Y-%m-%d %H:%M} UTC. Pay it from the pay list.",
        shop_id=purchase.shop_id,
        order_id=shop_order.id,
        purchase_id=purchase.id,
    )


def _parcel(session: Session, order: SupplierOrder, read: SupplierParcel) -> None:
    parcels = session.scalars(
        sa.select(ShippedParcel).where(ShippedParcel.supplier_order_id == order.id).with_for_update()
    ).all()
    contents = sorted([item.product_id, item.sku_id, item.quantity] for item in read.items)
    stored = next((one for one in parcels if one.tracking_number == read.tracking_number), None)
    if stored is None:
        stored = _renumbered(parcels, read, contents)
    if stored is None:
        stored = ShippedParcel(
            supplier_order_id=order.id,
            tracking_number=read.tracking_number,
            items=contents,
            shown_number="",
            carrier="",
        )
        session.add(stored)
        session.flush()
        _share_out(session, order, stored, read)
    changed = stored.tracking_number != read.tracking_number or stored.shown_number != read.tracking_number
    stored.tracking_number, stored.carrier = read.tracking_number, read.carrier
    stored.tracking_url, stored.delivered = read.tracking_url, stored.delivered or read.delivered
    if stored.last_event_at is None or (read.last_event_at is not None and read.last_event_at >= stored.last_event_at):
        stored.last_event, stored.last_event_at = read.last_event[:200], read.last_event_at
    if changed:
        purchase = session.get_one(Purchase, order.purchase_id)
        outbox(
            session,
            f"fulfil:{stored.id}:{read.tracking_number}",
            "fulfil",
            shop_id=purchase.shop_id,
            order_id=purchase.order_id,
            payload={"parcel_id": stored.id},
        )


def _renumbered(
    parcels: Sequence[ShippedParcel], read: SupplierParcel, contents: list[list[object]]
) -> ShippedParcel | None:
    """The parcel that only got another number: the same contents, and the old number is provisional or gone."""
    same = [
        parcel
        for parcel in parcels
        if sorted(parcel.items) == contents and parcel.tracking_number[:2].upper() in {"LP", "AP"}
    ]
    return same[0] if len(same) == 1 and not read.provisional else None


def _share_out(session: Session, order: SupplierOrder, parcel: ShippedParcel, read: SupplierParcel) -> None:
    """Map the parcel's contents to purchase items; without contents it holds everything not in another parcel."""
    items = session.execute(
        sa.select(PurchaseItem, SupplierOrderItem)
        .join(SupplierOrderItem, SupplierOrderItem.purchase_item_id == PurchaseItem.id)
        .where(SupplierOrderItem.supplier_order_id == order.id)
        .order_by(PurchaseItem.id)
    ).all()
    for item, child in items:
        packed = session.scalar(
            sa.select(sa.func.coalesce(sa.func.sum(ParcelItem.quantity), 0)).where(
                ParcelItem.purchase_item_id == item.id
            )
        )
        left = item.quantity - int(packed or 0)
        inside = sum(
            one.quantity
            for one in read.items
            if one.product_id in {child.product_id, item.product_id} and one.sku_id in {"", child.sku_id}
        )
        inside = inside if read.items else child.quantity
        pieces = min(left, -(-inside // item.units))
        if pieces > 0:
            session.add(ParcelItem(parcel_id=parcel.id, purchase_item_id=item.id, quantity=pieces))
    session.flush()
