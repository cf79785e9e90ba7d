"""Parcels are shown in the shop, each once; a new number updates, never adds. Asked for through the outbox."""

from __future__ import annotations

from collections import Counter

import sqlalchemy as sa
from sqlalchemy.orm import Session

from app.container import Container
from app.db import ROW
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
from app.pipeline import locks
from app.pipeline.record import audit, end_tasks, task
from app.ports.errors import MerchantMustAct
from app.ports.storefront import Fulfilment, Parcel, ParcelLine
from app.shop_access import with_shop


def show(container: Container, parcel_id: int) -> str:
    """Show one parcel in its shop, or bring its number up to date there."""
    with container.database.transaction() as session:
        parcel = session.get(ShippedParcel, parcel_id)
        if parcel is None:
            return "its number is another parcel's by now"
        order = session.get_one(SupplierOrder, parcel.supplier_order_id)
        purchase = session.get_one(Purchase, order.purchase_id)
        shop = session.get_one(Shop, purchase.shop_id)
        store_order = session.get_one(StoreOrder, purchase.order_id)
        lines = _lines(session, parcel)
        others = _others(session, parcel, purchase.order_id)
    if parcel.shown_number == parcel.tracking_number:
        return "shown already"
    if shop.state == "UNINSTALLED":
        raise MerchantMustAct("shop_gone", "UNINSTALLED")  # kept, without a call: shown after a reinstall
    if not lines:
        return _ask_merchant(container, purchase.id, parcel_id)
    given = Parcel(
        key=f"p{parcel.id}",
        tracking_number=parcel.tracking_number,
        carrier=parcel.carrier,
        tracking_url=parcel.tracking_url,
        lines=lines,
        notify=shop.notify_customer,
        others=others,
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


def _ask_merchant(container: Container, purchase_id: int, parcel_id: int) -> str:
    """No line is left in the shop to show it with. The buyer may need its number all the same: the merchant is told."""
    with container.database.transaction() as session:
        purchase = locks.purchase(session, purchase_id)
        parcel = session.get(ShippedParcel, parcel_id, with_for_update=ROW)
        if parcel is None or parcel.delivered or _lines(session, parcel):
            return "nothing to show any more"
        of_bundle = session.scalar(sa.select(sa.exists().where(ParcelItem.parcel_id == parcel_id)))
        why = (
            "it holds a further part of a bundle, and the shop shows a bundle with the parcel of its first part"
            if of_bundle
            else "every piece that could be in it is in another parcel there already"
        )
        _tell(session, purchase, parcel, why)
    return "nothing left to show it with: the merchant is told"


NOTHING_OPEN = "nothing_to_fulfil"
"""Code of a shop's refusal: it has no open piece for this parcel, and shows none with its number."""


def tell_nothing_open(session: Session, parcel_id: int) -> None:
    """The shop refused a parcel as `NOTHING_OPEN`: only the merchant can tell the buyer of it."""
    parcel = session.get(ShippedParcel, parcel_id)
    if parcel is None or parcel.delivered:
        return
    order = session.get_one(SupplierOrder, parcel.supplier_order_id)
    if not order.closed:
        why = "none of its pieces is open there any more (cancelled, refunded, or marked as fulfilled in the shop)"
        _tell(session, session.get_one(Purchase, order.purchase_id), parcel, why)


def _tell(session: Session, purchase: Purchase, parcel: ShippedParcel, why: str) -> None:
    order = session.get_one(SupplierOrder, parcel.supplier_order_id)
    number = session.scalar(sa.select(StoreOrder.number).where(StoreOrder.id == purchase.order_id))
    task(
        session,
        f"parcel:{parcel.id}:{parcel.tracking_number}",
        "parcel_not_shown",
        turn="merchant",
        text=f"Order {number}: parcel {parcel.tracking_number} ({parcel.carrier or 'carrier not told'}) of "
        f"supplier order {order.external_id} is not shown in your shop: {why}. Look at the parcel, and tell your "
        "buyer its number or add it to the order in the shop by hand.",
        shop_id=purchase.shop_id,
        order_id=purchase.order_id,
        purchase_id=purchase.id,
    )


def _first(container: Container, shop_id: int, order_ref: str, parcel_id: int, given: Parcel) -> Fulfilment:
    """Show it for the first time. From now until it is recorded, a read of the order may hold it or not (`match`)."""
    with container.database.transaction() as session:
        unmarked = sa.update(ShippedParcel).where(ShippedParcel.id == parcel_id, ShippedParcel.show_began_at.is_(None))
        session.execute(unmarked.values(show_began_at=sa.func.clock_timestamp()))
    return with_shop(container, shop_id, lambda session: session.fulfil(order_ref, given))


def _others(session: Session, parcel: ShippedParcel, order_id: int) -> tuple[Fulfilment, ...]:
    """The order's other parcels that the shop shows, with the pieces that are in them."""
    query = (
        sa.select(ShippedParcel)
        .join(SupplierOrder, SupplierOrder.id == ShippedParcel.supplier_order_id)
        .join(Purchase, Purchase.id == SupplierOrder.purchase_id)
        .where(Purchase.order_id == order_id, ShippedParcel.id != parcel.id, ShippedParcel.fulfilment_ref.is_not(None))
        .order_by(ShippedParcel.id)
    )
    return tuple(
        Fulfilment(one.fulfilment_ref or "", (one.shown_number,), _lines(session, one))
        for one in session.scalars(query)
    )


def _lines(session: Session, parcel: ShippedParcel) -> tuple[ParcelLine, ...]:
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
        parcel = session.get_one(ShippedParcel, parcel_id, with_for_update=ROW)
        parcel.fulfilment_ref, parcel.shown_number = made.id, given.tracking_number
        parcel.shown_at = parcel.shown_at or sa.func.clock_timestamp()
        its = sa.select(SupplierOrder.purchase_id).where(SupplierOrder.id == parcel.supplier_order_id)
        end_tasks(session, f"parcel:{parcel_id}", "shown in the shop")
        end_tasks(session, f"bought-after-all:{session.scalar(its)}", "shown in the shop")
        audit(
            session,
            "parcel",
            parcel.id,
            "shown",
            actor="fulfil",
            detail={"fulfilment": made.id, "number": given.tracking_number},
        )
