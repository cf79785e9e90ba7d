"""Whether an order at the supplier is one that we sent: same items, in time, and belonging to nobody yet.

Source: lifecycle, section 8, match rule. Anything else is for a person, never a guess.
"""

from __future__ import annotations

from collections import Counter
from datetime import UTC, datetime

import sqlalchemy as sa
from sqlalchemy.orm import Session

from app.container import Container
from app.domain.purchase_flow import PLACED, UNCLEAR
from app.models import Attempt, Purchase, PurchaseItem, SupplierOrder, SupplierOrderItem
from app.pipeline import locks
from app.pipeline.supplier_read import window
from app.ports.supplier import SupplierOrder as OrderRead

EARLY = datetime(2000, 1, 1, tzinfo=UTC)
"""Stands for "no time could be read": fits nothing."""


def fitting(
    container: Container, session: Session, account_id: int, read: OrderRead, *, named: int | None = None
) -> list[tuple[Purchase, Attempt]]:
    """Attempts whose missing items hold this order's exactly, in the time window; their orders and purchases locked.

    Unresolved ones, VOID ones (late evidence; cancelled ones if nobody wanted them any more), and placed ones whose
    orders do not cover everything. Only those that hold one of its SKUs: a busy account has a thousand in the window.
    `named`: a purchase that is locked among them, in their order, though it is none of them perhaps.
    """
    before, after = window(container)
    ids = session.execute(
        sa.select(Purchase.order_id, Purchase.id, Attempt.id)
        .join(Attempt, Attempt.purchase_id == Purchase.id)
        .where(
            Attempt.account_id == account_id,
            Attempt.sent_at >= min(_instants(read), default=EARLY) - after,
            Attempt.sent_at <= max(_instants(read), default=EARLY) + before,
            sa.or_(
                sa.and_(Purchase.state.in_(UNCLEAR), Attempt.outcome.in_(("OPEN", "UNKNOWN"))),
                sa.and_(Purchase.state.in_(("VOID", "CANCELLED")), Attempt.outcome == "VOID"),
                sa.and_(Purchase.state.in_(PLACED), Attempt.outcome == "PLACED", _has_gap()),
            ),
            _holds_one_of({item.sku_id for item in read.items}),
        )
    ).all()
    sends = [(order_id, purchase_id, attempt_id) for order_id, purchase_id, attempt_id in ids]
    if named is not None:
        sends.append((session.scalar(sa.select(Purchase.order_id).where(Purchase.id == named)) or 0, named, 0))
    rows = []
    for _, purchase_id, attempt_id in sorted(sends):
        purchase = locks.purchase(session, purchase_id)
        if attempt_id:
            rows.append((purchase, session.get_one(Attempt, attempt_id)))
    return [(purchase, attempt) for purchase, attempt in rows if fits(container, session, purchase, attempt, read)]


def _sent_items() -> sa.TableValuedAlias:
    return sa.func.jsonb_array_elements(Attempt.items).table_valued("value", joins_implicitly=True)


def _holds_one_of(skus: set[str]) -> sa.ColumnElement[bool]:
    """Whether an attempt was to order one of these SKUs. An order whose SKUs are not all told may be any."""
    if not all(skus):
        return sa.true()
    sent = _sent_items()
    named = sa.select(sa.literal(1)).select_from(sent).where(sent.c.value.op("->>")(1).in_(skus)).correlate(Attempt)
    return named.exists()


def _has_gap() -> sa.ColumnElement[bool]:
    """Whether a purchase's orders, all of them read, hold fewer pieces than its attempt asked for."""
    sent = _sent_items()
    asked = sa.select(sa.func.sum(sa.cast(sent.c.value.op("->>")(2), sa.BigInteger))).select_from(sent)
    mine = SupplierOrder.purchase_id == Purchase.id
    found = (
        sa.select(sa.func.coalesce(sa.func.sum(SupplierOrderItem.quantity), 0))
        .join(SupplierOrder, SupplierOrder.id == SupplierOrderItem.supplier_order_id)
        .where(mine)
        .correlate(Purchase)
    )
    unread = sa.select(SupplierOrder.id).where(mine, SupplierOrder.read_at.is_(None)).correlate(Purchase).exists()
    return sa.and_(~unread, asked.correlate(Attempt).scalar_subquery() > found.scalar_subquery())


def _instants(read: OrderRead) -> tuple[datetime, ...]:
    return read.created_at_alternatives or ((read.created_at,) if read.created_at else ())


def fits(
    container: Container,
    session: Session,
    purchase: Purchase,
    attempt: Attempt,
    read: OrderRead,
    *,
    known: SupplierOrder | None = None,
) -> bool:
    """Whether an order holds nothing but pieces that this attempt still misses, and was made in its time window.

    `known`: the order's own row, if it is attached but was never read.
    """
    before, after = window(container)
    if not any(attempt.sent_at - before <= at <= attempt.sent_at + after for at in _instants(read)):
        return False
    if _unread(session, purchase, but=known.id if known else None):
        return False  # what its own orders cover is not known yet
    names = _names(session, attempt)
    left: Counter[tuple[str, str]] = Counter()
    for product, sku, pieces, _ in attempt.items:
        left[product, sku] += pieces
    for stored in session.scalars(
        sa.select(SupplierOrderItem)
        .join(SupplierOrder, SupplierOrder.id == SupplierOrderItem.supplier_order_id)
        .where(SupplierOrder.purchase_id == purchase.id)
    ):
        have = (stored.product_id, stored.sku_id)
        left[names.get(have, have)] -= stored.quantity
    named: Counter[tuple[str, str]] = Counter()
    for item in read.items:
        key = (item.product_id, item.sku_id)
        named[names.get(key, key)] += item.quantity
    return bool(named) and all(left[key] == pieces for key, pieces in named.items())


def _names(session: Session, attempt: Attempt) -> dict[tuple[str, str], tuple[str, str]]:
    """How the supplier may name what was sent, and how it was named there.

    By the product's id as it was linked, which may be another one than the country's, and without the SKU where the
    product was sent with one only.
    """
    ids = [item_id for _, _, _, item_id in attempt.items]
    linked = sa.select(PurchaseItem.id, PurchaseItem.product_id).where(PurchaseItem.id.in_(ids))
    products = {row.id: row.product_id for row in session.execute(linked)}
    names: dict[tuple[str, str], tuple[str, str]] = {}
    for product, sku, _, item_id in attempt.items:
        for one in {product, products.get(item_id, product)}:
            names[one, sku] = (product, sku)
            names[one, ""] = (product, sku if (one, "") not in names else "")
    return names


def _unread(session: Session, purchase: Purchase, *, but: int | None) -> bool:
    unread = sa.select(SupplierOrder.id).where(
        SupplierOrder.purchase_id == purchase.id,
        SupplierOrder.read_at.is_(None),
        SupplierOrder.id.is_distinct_from(but),
    )
    return session.scalar(unread.limit(1)) is not None
