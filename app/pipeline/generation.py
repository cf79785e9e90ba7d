"""A new generation is never a copy: it is derived afresh from order, mapping, account and address."""

from __future__ import annotations

from typing import Any

import sqlalchemy as sa
from sqlalchemy.orm import Session

from app.container import Container
from app.db import ROW
from app.models import Purchase, PurchaseItem, Shop, SourceLine, StoreOrder
from app.pipeline import locks, numbers, order_book
from app.pipeline.readiness import Links, account_of, items_of, map_items, settle
from app.pipeline.record import audit, outbox


def next_generation(
    container: Container, session: Session, purchase: Purchase, *, reason: str = "", facts: dict[str, Any] | None = None
) -> Purchase | None:
    """The derived successor of a finished generation; None if nothing is left to buy. Locks order and lines.

    `reason` not empty: it starts HELD with that reason, for repair.
    """
    shop = session.get_one(Shop, purchase.shop_id)
    order = session.get_one(StoreOrder, purchase.order_id, with_for_update=ROW)
    lines = locks.lines(session, order.id)
    old = session.scalars(
        sa.select(PurchaseItem).where(PurchaseItem.purchase_id == purchase.id, PurchaseItem.position == 1)
    ).all()
    by_id = {line.id: line for line in lines}
    book = order_book.read(session, order)
    keep = [
        (by_id[item.source_line_id], min(item.quantity, book.to_order(by_id[item.source_line_id])))
        for item in old
        if item.source_line_id in by_id
    ]
    keep = [(line, pieces) for line, pieces in keep if pieces > 0]
    if order.cancelled or order.gone or not keep or purchase.cancel_requested_at is not None:
        return None
    generation = _next_number(session, purchase, [line for line, _ in keep])
    heir = Purchase(
        merchant_id=purchase.merchant_id,
        shop_id=shop.id,
        order_id=order.id,
        account_id=purchase.account_id,
        supplier=purchase.supplier,
        seller_id="",
        service="",
        part=purchase.part,
        generation=generation,
        previous_id=purchase.id,
        state="HELD" if reason else "DRAFT",
        reason=reason,
        held_for=reason,
        held_since=sa.func.now() if reason else None,
        facts=facts or {},
        version=1,
        fence=0,
        tries=0,
        checks=0,
        out_order_id=numbers.out_order_id(
            container, session, shop.id, order.external_id, [line for line, _ in keep], purchase.part, generation
        ),
    )
    session.add(heir)
    session.flush()  # items and audit need the id
    items = [
        PurchaseItem(
            purchase_id=heir.id,
            source_line_id=line.id,
            part=purchase.part,
            generation=generation,
            position=1,
            quantity=pieces,
        )
        for line, pieces in keep
    ]
    session.add_all(items)
    session.flush()
    audit(
        session,
        "purchase",
        heir.id,
        "derived",
        actor="match",
        after=heir.state,
        detail={"after": purchase.id, "generation": generation, "reason": reason},
    )
    heir_lines = [line for line, _ in keep]
    links = Links(session, shop.id, heir_lines)
    if reason:
        map_items(session, heir, items, heir_lines, links)
    else:
        settle(session, shop, order, heir, items, heir_lines, links, account_of(session, shop))
    return heir


def _next_number(session: Session, purchase: Purchase, lines: list[SourceLine]) -> int:
    """Not simply the next one: later ones gave way when an order of this one turned up after all.

    One that is alive keeps its number, so that a second heir beside it fails by the unique key.
    """
    last = (
        sa.select(sa.func.max(PurchaseItem.generation))
        .join(Purchase, Purchase.id == PurchaseItem.purchase_id)
        .where(
            PurchaseItem.source_line_id.in_([line.id for line in lines]),
            PurchaseItem.part == purchase.part,
            Purchase.gave_way,
        )
    )
    return max(purchase.generation, session.scalar(last) or 0) + 1


def reconsider(session: Session, purchase: Purchase, *, again: bool) -> None:
    """Look at a HELD or DRAFT purchase anew (a link was added, a token renewed, a person pressed retry)."""
    shop = session.get_one(Shop, purchase.shop_id)
    order = session.get_one(StoreOrder, purchase.order_id, with_for_update=ROW)
    items = items_of(session, purchase)
    ids = {item.source_line_id for item in items if item.quantity}
    lines = session.scalars(sa.select(SourceLine).where(SourceLine.id.in_(ids)).order_by(SourceLine.id)).all()
    links = Links(session, shop.id, lines)
    settle(session, shop, order, purchase, items, lines, links, account_of(session, shop), again=again)


def reject_request(session: Session, purchase: Purchase, reason: str) -> None:
    """Let the shop know that what it asks our location for cannot be bought; nothing where it does not ask."""
    asked = session.scalar(
        sa.select(SourceLine.id)
        .join(PurchaseItem, PurchaseItem.source_line_id == SourceLine.id)
        .where(PurchaseItem.purchase_id == purchase.id, SourceLine.at_our_location, SourceLine.request == "submitted")
        .limit(1)
    )
    if asked is not None:
        outbox(
            session,
            f"request:{purchase.id}:reject",
            "reject_request",
            shop_id=purchase.shop_id,
            order_id=purchase.order_id,
            payload={"purchase_id": purchase.id, "reason": reason},
            repeat=True,
        )
