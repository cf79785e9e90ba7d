"""Parcels are shown in the shop, each once; a new number updates, never adds. Asked for through the outbox."""

from __future__ import annotations

from collections import Counter

import sqlalchemy as sa

from app.container import Container
from app.models import (
    ParcelItem,
    Purchase,
    PurchaseItem,
    ShippedParcel,
    Shop,
    SourceLine,
    StoreOrder,
    SupplierOrder,
)
from app.pipeline.record import audit, end_tasks
from app.ports.errors import MerchantMustAct
from app.ports.storefront import Fulfilment, Parcel, ParcelLine
from app.shop_access import with_shop


def show(container: Container, parcel_id: int) -> str:
    """Show one parcel in its shop, or bring its number up to date there."""
    with container.database.transaction() as session:
        parcel = session.get_one(ShippedParcel, parcel_id)
        order = session.get_one(SupplierOrder, parcel.supplier_order_id)
        purchase = session.get_one(Purchase, order.purchase_id)
        shop = session.get_one(Shop, purchase.shop_id)
        store_order = session.get_one(StoreOrder, purchase.order_id)
        lines = _lines(session, parcel)
    if parcel.shown_number == parcel.tracking_number:
        return "shown already"
    if shop.state == "UNINSTALLED":
        raise MerchantMustAct("shop_gone", "UNINSTALLED")  # kept, without a call: shown after a reinstall
    if not lines:
        return "holds nothing of this order"
    given = Parcel(
        key=f"p{parcel.id}",
        tracking_number=parcel.tracking_number,
        carrier=parcel.carrier,
        tracking_url=parcel.tracking_url,
        lines=lines,
        notify=shop.notify_customer,
    )
    if parcel.fulfilment_ref:
        ref = parcel.fulfilment_ref
        made = with_shop(
            container, shop.id, lambda session: session.update_tracking(store_order.external_id, ref, given)
        )
    else:
        made = _first(container, shop.id, store_order.external_id, parcel_id, given)
    _shown(container, parcel_id, given, made)
    return f"shown as {made.id}"


def _first(container: Container, shop_id: int, order_ref: str, parcel_id: int, given: Parcel) -> Fulfilment:
    """Show it for the first time. From now until it is recorded, a read of the order may hold it or not (`match`)."""
    with container.database.transaction() as session:
        unmarked = sa.update(ShippedParcel).where(ShippedParcel.id == parcel_id, ShippedParcel.show_began_at.is_(None))
        session.execute(unmarked.values(show_began_at=sa.func.clock_timestamp()))
    return with_shop(container, shop_id, lambda session: session.fulfil(order_ref, given))


def _lines(session: sa.orm.Session, parcel: ShippedParcel) -> tuple[ParcelLine, ...]:
    rows = session.execute(
        sa.select(SourceLine.external_id, ParcelItem.quantity)
        .join(PurchaseItem, PurchaseItem.id == ParcelItem.purchase_item_id)
        .join(SourceLine, SourceLine.id == PurchaseItem.source_line_id)
        .where(ParcelItem.parcel_id == parcel.id, PurchaseItem.position == 1)
        .order_by(SourceLine.id)
    ).all()
    pieces: Counter[str] = Counter()
    for line_id, quantity in rows:
        pieces[line_id] += int(quantity)
    return tuple(ParcelLine(line_id, quantity) for line_id, quantity in pieces.items())


def _shown(container: Container, parcel_id: int, given: Parcel, made: Fulfilment) -> None:
    with container.database.transaction() as session:
        parcel = session.get_one(ShippedParcel, parcel_id, with_for_update=True)
        parcel.fulfilment_ref, parcel.shown_number = made.id, given.tracking_number
        parcel.shown_at = parcel.shown_at or sa.func.clock_timestamp()
        its = sa.select(SupplierOrder.purchase_id).where(SupplierOrder.id == parcel.supplier_order_id)
        end_tasks(session, f"bought-after-all:{session.scalar(its)}", "shown in the shop")
        audit(
            session,
            "parcel",
            parcel.id,
            "shown",
            actor="fulfil",
            detail={"fulfilment": made.id, "number": given.tracking_number},
        )
