"""An order's whole story, for someone who has never seen it: where it stands, what there is, what happened.

Holds ids, times, states and product names; never a buyer's name or address, never a token.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any

import sqlalchemy as sa
from sqlalchemy.orm import Session

from app.container import Container
from app.models import (
    ParcelItem,
    ProductLink,
    Purchase,
    PurchaseItem,
    ShippedParcel,
    Shop,
    SourceLine,
    StoreOrder,
    SupplierOrder,
    SupplierOrderItem,
    Task,
)
from app.ports.money import Money
from app.services import orders, standing, timeline


@dataclass(frozen=True, slots=True)
class _Facts:
    """What the database knows of one order."""

    order: StoreOrder
    shop: Shop
    lines: Sequence[SourceLine]
    links: dict[str, list[ProductLink]]
    purchases: list[Purchase]
    items: Sequence[PurchaseItem]
    bought: Sequence[SupplierOrder]
    children: Sequence[SupplierOrderItem]
    parcels: Sequence[ShippedParcel]
    packed: Sequence[ParcelItem]
    tasks: Sequence[Task]
    heirs: dict[int, int]
    gates: standing.Gates
    now: datetime


def tell(container: Container, ref: str) -> dict[str, Any]:
    """The story of the order that `ref` names (see `orders.find`), as data."""
    with container.database.transaction() as session:
        found = orders.find(session, ref)
        facts = _gather(session, found.id)
        happened = timeline.entries(
            session,
            found.id,
            [purchase.id for purchase in facts.purchases],
            [(one.id, one.external_id) for one in facts.bought],
            [parcel.id for parcel in facts.parcels],
        )
    return {
        "order": _order(container, facts),
        "also": list(found.others),
        "stands": _headline(facts),
        "lines": [_line(facts, line) for line in facts.lines],
        "purchases": [_purchase(facts, purchase) for purchase in facts.purchases],
        "supplier_orders": [_supplier_order(container, facts, one) for one in facts.bought],
        "parcels": [_parcel(facts, parcel) for parcel in facts.parcels],
        "tasks": [
            {name: getattr(task, name) for name in ("id", "kind", "turn", "text", "created_at", "done_at", "done_by")}
            for task in facts.tasks
        ],
        "timeline": happened,
    }


def _gather(session: Session, order_id: int) -> _Facts:
    order = session.get_one(StoreOrder, order_id)
    lines = session.scalars(sa.select(SourceLine).where(SourceLine.order_id == order_id).order_by(SourceLine.id)).all()
    links: dict[str, list[ProductLink]] = {}
    variants = [line.variant_id for line in lines if line.variant_id]
    for link in session.scalars(
        sa.select(ProductLink)
        .where(ProductLink.shop_id == order.shop_id, ProductLink.variant_id.in_(variants))
        .order_by(ProductLink.position)
    ):
        links.setdefault(link.variant_id, []).append(link)
    purchases = session.scalars(sa.select(Purchase).where(Purchase.order_id == order_id).order_by(Purchase.id)).all()
    ids = [purchase.id for purchase in purchases]
    bought = session.scalars(
        sa.select(SupplierOrder).where(SupplierOrder.purchase_id.in_(ids)).order_by(SupplierOrder.id)
    ).all()
    numbers = [one.id for one in bought]
    parcels = session.scalars(
        sa.select(ShippedParcel).where(ShippedParcel.supplier_order_id.in_(numbers)).order_by(ShippedParcel.id)
    ).all()
    return _Facts(
        order,
        session.get_one(Shop, order.shop_id),
        lines,
        links,
        list(purchases),
        session.scalars(
            sa.select(PurchaseItem).where(PurchaseItem.purchase_id.in_(ids)).order_by(PurchaseItem.id)
        ).all(),
        bought,
        session.scalars(
            sa.select(SupplierOrderItem)
            .where(SupplierOrderItem.supplier_order_id.in_(numbers))
            .order_by(SupplierOrderItem.id)
        ).all(),
        parcels,
        session.scalars(sa.select(ParcelItem).where(ParcelItem.parcel_id.in_([parcel.id for parcel in parcels]))).all(),
        session.scalars(sa.select(Task).where(Task.order_id == order_id).order_by(Task.id)).all(),
        standing.heirs(session, ids),
        standing.gates(session),
        session.scalar(sa.select(sa.func.clock_timestamp())) or order.read_at,
    )


def _order(container: Container, facts: _Facts) -> dict[str, Any]:
    order, shop = facts.order, facts.shop
    front = container.connectors.storefronts.get(shop.connector)
    return {
        "id": order.id,
        "number": order.number,
        "external_id": order.external_id,
        "shop": {
            "id": shop.id,
            "name": shop.name,
            "connector": shop.connector,
            "address": shop.address,
            "state": shop.state,
            "merchant_id": shop.merchant_id,
        },
        "url": front.order_url(shop.address, order.external_id) if front else "",
        "placed_at": order.placed_at,
        "first_seen_at": order.first_seen_at,
        "read_at": order.read_at,
        "total": str(Money(order.total, order.currency)),
        "shipping_paid": str(Money(order.shipping_paid, order.currency)),
        "kept": str(Money(order.kept, order.currency)) if order.kept is not None else None,
        "paid": order.paid,
        "unpaid_reason": order.unpaid_reason,
        "cancelled": order.cancelled,
        "gone": order.gone,
        "hold": order.hold,
        "test": order.test,
        "country": order.country,
        "address_known": order.address_sealed is not None,
        "address_corrected": order.address_override_sealed is not None,
    }


def _bought(facts: _Facts, purchase: Purchase) -> list[SupplierOrder]:
    return [one for one in facts.bought if one.purchase_id == purchase.id]


def _headline(facts: _Facts) -> dict[str, Any]:
    """The most urgent purchase speaks for the order; the others are counted."""
    ahead = orders.living(facts.purchases, facts.heirs)
    if not ahead:
        return {**orders.idle(facts.order).as_dict(), "state": "", "since": facts.order.read_at, "counts": {}}
    first = ahead[0]
    told = standing.of(first, facts.gates, _bought(facts, first), variant=_unlinked(facts, first))
    counts: dict[str, int] = {}
    for purchase in ahead:
        counts[purchase.state] = counts.get(purchase.state, 0) + 1
    return {
        **told.as_dict(),
        "state": first.state,
        "purchase_id": first.id,
        "since": first.stands_since,
        "next_try_at": _ahead(first, facts.now),
        "counts": counts,
        "now": facts.now,
    }


def _ahead(purchase: Purchase, now: datetime) -> datetime | None:
    at = purchase.check_at if purchase.state == "UNKNOWN" else purchase.run_at if purchase.state == "READY" else None
    return at if at is not None and at > now else None


def _unlinked(facts: _Facts, purchase: Purchase) -> str:
    """The variant that a person has to link (again), as far as it is certain."""
    mine = {item.source_line_id: item.product_id for item in facts.items if item.purchase_id == purchase.id}
    open_ones = [line_id for line_id, product in mine.items() if not product] or list(mine)
    variants = {line.variant_id or "…" for line in facts.lines if line.id in open_ones}
    return variants.pop() if len(variants) == 1 else "…"


def _line(facts: _Facts, line: SourceLine) -> dict[str, Any]:
    return {
        "id": line.id,
        "external_id": line.external_id,
        "title": line.title,
        "sku": line.sku,
        "variant_id": line.variant_id,
        "quantity": line.quantity,
        "to_ship": line.to_ship,
        "refunded": line.refunded,
        "paid": str(Money(line.paid, facts.order.currency)),
        "requires_shipping": line.requires_shipping,
        "request": line.request if line.at_our_location else "",
        "links": [
            {
                "id": link.id,
                "product_id": link.product_id,
                "sku_id": link.sku_id,
                "sku_attributes": link.sku_attributes,
                "units": link.units,
                "state": link.state,
            }
            for link in facts.links.get(line.variant_id or "", [])
        ],
    }


def _purchase(facts: _Facts, purchase: Purchase) -> dict[str, Any]:
    bought = _bought(facts, purchase)
    titles = {line.id: line.title for line in facts.lines}
    heir = facts.heirs.get(purchase.id)
    return {
        "id": purchase.id,
        "state": purchase.state,
        "reason": purchase.reason,
        "since": purchase.stands_since,
        **standing.of(purchase, facts.gates, bought, variant=_unlinked(facts, purchase), heir=heir).as_dict(),
        "generation": purchase.generation,
        "part": purchase.part,
        "follows": purchase.previous_id,
        "followed_by": heir,
        "supplier": purchase.supplier,
        "account_id": purchase.account_id,
        "out_order_id": purchase.out_order_id,
        "items": [
            {
                "title": titles.get(item.source_line_id, ""),
                "quantity": item.quantity,
                "pieces": item.pieces,
                "product_id": item.order_product_id or item.product_id,
                "sku_id": item.sku_id,
            }
            for item in facts.items
            if item.purchase_id == purchase.id
        ],
        "quote": _money(purchase.quote_minor, purchase.quote_currency),
        "limit": _money(purchase.limit_minor, purchase.quote_currency),
        "quoted_at": purchase.quoted_at,
        "approved": _money(purchase.approved_minor, purchase.approved_currency or ""),
        "approved_at": purchase.approved_at,
        "autopay": purchase.autopay,
        "sent_at": purchase.sent_at,
        "cancel_requested_at": purchase.cancel_requested_at,
        "waiting_for": purchase.waiting_for,
        "quarantine_until": purchase.quarantine_until if purchase.state in {"UNKNOWN", "HUMAN"} else None,
        "next_look_at": _next_look(purchase),
        "supplier_orders": [one.external_id for one in bought],
    }


def _next_look(purchase: Purchase) -> datetime | None:
    if purchase.state in {"READY", "HELD"}:
        return purchase.run_at
    return purchase.check_at if purchase.state in {"SENDING", "UNKNOWN", "HUMAN"} else None


def _supplier_order(container: Container, facts: _Facts, order: SupplierOrder) -> dict[str, Any]:
    supplier = next(one.supplier for one in facts.purchases if one.id == order.purchase_id)
    port = container.connectors.suppliers.get(supplier)
    return {
        "external_id": order.external_id,
        "purchase_id": order.purchase_id,
        "supplier": supplier,
        "account_id": order.account_id,
        "role": order.role,
        "source": order.source,
        "status": order.status,
        "payment": order.payment,
        "pay_failed": order.pay_failed,
        "shipping": order.shipping,
        "closed": order.closed,
        "total": _money(order.total, order.currency),
        "created_at": order.created_at_supplier,
        "paid_at": order.paid_at,
        "pay_until": order.pay_until,
        "read_at": order.read_at,
        "url": port.order_url(order.external_id) if port else "",
        "items": [
            {
                "product_id": child.product_id,
                "sku_id": child.sku_id,
                "quantity": child.quantity,
                "closed": child.closed,
                "closed_reason": child.closed_reason,
            }
            for child in facts.children
            if child.supplier_order_id == order.id
        ],
    }


def _parcel(facts: _Facts, parcel: ShippedParcel) -> dict[str, Any]:
    items = {item.id: item for item in facts.items}
    titles = {line.id: line.title for line in facts.lines}
    inside = [
        {"title": titles.get(items[one.purchase_item_id].source_line_id, ""), "quantity": one.quantity}
        for one in facts.packed
        if one.parcel_id == parcel.id and one.purchase_item_id in items
    ]
    return {
        "id": parcel.id,
        "supplier_order": next(one.external_id for one in facts.bought if one.id == parcel.supplier_order_id),
        "tracking_number": parcel.tracking_number,
        "carrier": parcel.carrier,
        "tracking_url": parcel.tracking_url,
        "items": inside,
        "delivered": parcel.delivered,
        "last_event": parcel.last_event,
        "last_event_at": parcel.last_event_at,
        "shown_in_shop": parcel.shown_number == parcel.tracking_number,
        "fulfilment_ref": parcel.fulfilment_ref,
        "seen_at": parcel.seen_at,
    }


def _money(minor: int | None, currency: str) -> str:
    return str(Money(minor, currency)) if minor is not None and currency else ""
