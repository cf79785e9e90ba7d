"""A purchase follows its supplier orders: its state is computed from them, and what comes of that (section 4)."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence

import sqlalchemy as sa
from sqlalchemy.dialects.postgresql import insert
from sqlalchemy.orm import Session

from app.container import Container
from app.db import ROW
from app.domain.purchase_flow import CLOSED, UNCLEAR
from app.models import (
    Alert,
    Attempt,
    Interlock,
    Purchase,
    PurchaseItem,
    Shop,
    Spend,
    StoreOrder,
    SupplierOrder,
    SupplierOrderItem,
    Task,
)
from app.pipeline import closing, computed, generation
from app.pipeline.adopt import open_attempt, resolved
from app.pipeline.record import alert, audit, end_alerts, end_all_tasks, end_tasks, move, task


def follow(container: Container, session: Session, purchase: Purchase) -> None:
    """Compute the purchase's state from its supplier orders. Caller locked the purchase."""
    orders = session.scalars(
        sa.select(SupplierOrder)
        .where(SupplierOrder.purchase_id == purchase.id, SupplierOrder.role == "bought")
        .order_by(SupplierOrder.id)
    ).all()
    if not orders or purchase.state in CLOSED | {"VOID", "CANCELLED", "REJECTED"}:
        return
    if purchase.state in UNCLEAR:
        if not _resolve(session, purchase, orders):
            return
    elif all(order.read_at is not None for order in orders):
        _covered(session, purchase)
    _settle_spend(session, purchase, orders)
    state, reason, facts = computed.state(purchase, orders)
    if purchase.autopay and computed.over(purchase, orders) and any(order.payment == "paid" for order in orders):
        _autopay_overshoot(session, purchase)
    # Seen closed once is not yet closed, but nothing that "goes on" either.
    if any(not order.closed and not order.closed_seen for order in orders):
        closing.note(session, purchase)
    # Of a blocked one the total counts too: it is what a person is asked about, and approves.
    if (purchase.state, purchase.reason) == (state, reason) and (state != "PAY_BLOCKED" or purchase.facts == facts):
        return
    move(session, purchase, state, actor="track", reason=reason, facts=facts)
    _price_blocked(session, purchase, facts)
    _ended(container, session, purchase, state)


def _ended(container: Container, session: Session, purchase: Purchase, state: str) -> None:
    """What follows when all its orders are closed."""
    if state == "EXPIRED":
        end_tasks(session, f"partly-closed:{purchase.id}", "closed as a whole")
        _expired(container, session, purchase)
    if state in {"SUPPLIER_CANCELLED", "REFUNDED"}:
        closing.whole(session, purchase)
    if state in CLOSED:
        end_tasks(session, f"bought-after-all:{purchase.id}", "closed at the supplier")
        asked = (Task.order_id == purchase.order_id) & (Task.purchase_id == purchase.id)
        end_all_tasks(session, asked & (Task.kind == "ask_supplier_to_cancel"), "closed at the supplier")


def _resolve(session: Session, purchase: Purchase, orders: Sequence[SupplierOrder]) -> bool:
    """Whether these orders cover every item of an unclear purchase; then its attempt is resolved."""
    found, wanted = coverage(session, purchase)
    if found < wanted:
        # While one of its orders is still to be read the gap says nothing.
        unread = any(order.read_at is None for order in orders)
        facts = {**purchase.facts, "found": found, "of": wanted}
        if not unread and purchase.state != "SENDING" and purchase.facts != facts:
            move(session, purchase, purchase.state, actor="evidence", reason="partly_found", facts=facts)
        return False
    attempt = open_attempt(session, purchase)
    if attempt is not None and attempt.outcome in {"OPEN", "UNKNOWN"}:
        attempt.outcome = "PLACED"
    told = any(order.source == "human" for order in orders)
    resolved(session, purchase, by="a person's word" if told else "evidence")
    return True


def coverage(session: Session, purchase: Purchase) -> tuple[int, int]:
    """(pieces found at the supplier in live or paid orders, pieces asked for)."""
    wanted = Counter[int]()
    for item in session.scalars(sa.select(PurchaseItem).where(PurchaseItem.purchase_id == purchase.id)):
        wanted[item.id] += item.pieces
    found = session.execute(
        sa.select(SupplierOrderItem.purchase_item_id, sa.func.sum(SupplierOrderItem.quantity))
        .join(SupplierOrder, SupplierOrder.id == SupplierOrderItem.supplier_order_id)
        .where(SupplierOrder.purchase_id == purchase.id, SupplierOrderItem.given_up.is_(False))
        .group_by(SupplierOrderItem.purchase_item_id)
    ).all()
    pieces = {item_id: int(total) for item_id, total in found}
    # Each item for itself: too many of one make up for none of another.
    return sum(min(pieces.get(item_id, 0), asked) for item_id, asked in wanted.items()), sum(wanted.values())


def _covered(session: Session, purchase: Purchase) -> None:
    """All orders of a placed purchase were read: they cover everything, or a person must know what is missing."""
    found, wanted = coverage(session, purchase)
    if found >= wanted:
        key = f"partial:{purchase.id}"
        alerted = sa.exists().where(Alert.dedupe_key == key, Alert.ended_at.is_(None))
        asked = sa.exists().where(Task.dedupe_key == key, ~Task.over)
        locked = sa.exists().where(Interlock.purchase_id == purchase.id)
        if session.scalar(sa.select(sa.or_(alerted, asked, locked))):
            session.execute(sa.delete(Interlock).where(Interlock.purchase_id == purchase.id))
            end_tasks(session, key, "evidence")
            end_alerts(session, key)
        return
    text = f"The supplier's orders cover {found} of {wanted} pieces of purchase {purchase.id}. Look for the rest there."
    alert(session, f"partial:{purchase.id}", "partly_placed", text, shop_id=purchase.shop_id, purchase_id=purchase.id)
    task(
        session,
        f"partial:{purchase.id}",
        "partly_placed",
        turn="us",
        text=text,
        shop_id=purchase.shop_id,
        order_id=purchase.order_id,
        purchase_id=purchase.id,
    )


def _price_blocked(session: Session, purchase: Purchase, facts: dict[str, str]) -> None:
    """A total over the limit is the merchant's to approve or to leave unpaid; told once for each total."""
    end_tasks(session, f"price:{purchase.id}", "evidence")
    if (purchase.state, purchase.reason) != ("PAY_BLOCKED", "price_over_limit"):
        return
    number = session.get_one(StoreOrder, purchase.order_id).number
    until = session.scalar(
        sa.select(sa.func.min(SupplierOrder.pay_until)).where(
            SupplierOrder.purchase_id == purchase.id,
            SupplierOrder.closed.is_(False),
            SupplierOrder.role == "bought",
        )
    )
    closing_at = f" Unpaid, it is closed there at {until:%Y-%m-%d %H:%M} UTC." if until else ""
    task(
        session,
        f"price:{purchase.id}:{facts.get('total', '')}",
        "price_over_limit",
        turn="merchant",
        text=f"Order {number}: supplier order {facts['orders']} costs {facts.get('total', 'more')}, above your limit "
        f"of {facts.get('limit', '')}. Do not pay it unless you approve this price.{closing_at}",
        shop_id=purchase.shop_id,
        order_id=purchase.order_id,
        purchase_id=purchase.id,
    )


def _settle_spend(session: Session, purchase: Purchase, orders: Sequence[SupplierOrder]) -> None:
    if any(order.total is None or order.currency != purchase.quote_currency for order in orders):
        return  # the quote stands for it: caps are in its currency
    alive = [order for order in orders if not order.closed]
    settled = {"settled": sum(order.total or 0 for order in alive), "state": "SETTLED" if alive else "RELEASED"}
    attempts = sa.select(Attempt).where(
        Attempt.purchase_id == purchase.id, Attempt.outcome.not_in(("NOT_SENT", "NOT_EXECUTED", "REJECTED"))
    )
    for attempt in session.scalars(attempts):
        # One that the database had forgotten has none yet: it counts in the caps of the day on which it was sent.
        row = insert(Spend).values(
            attempt_id=attempt.id,
            shop_id=purchase.shop_id,
            day=attempt.sent_at.date(),
            currency=purchase.quote_currency,
            quoted=sum(order.total or 0 for order in orders),
            autopay=attempt.autopay,
            **settled,
        )
        session.execute(row.on_conflict_do_update(index_elements=["attempt_id"], set_=settled))


def _autopay_overshoot(session: Session, purchase: Purchase) -> None:
    """An automatically paid order came out above its limit: alarm, and no more autopay for this shop (P4)."""
    shop = match_shop(session, purchase.shop_id)
    if shop.autopay:
        shop.autopay = False
        audit(session, "shop", shop.id, "autopay_off", actor="track", detail={"purchase": purchase.id})
    alert(
        session,
        f"autopay-over:{purchase.id}",
        "autopay_over_limit",
        f"Purchase {purchase.id} was paid above its limit; automatic payment is off for shop {shop.id}.",
        shop_id=shop.id,
        purchase_id=purchase.id,
    )


def match_shop(session: Session, shop_id: int) -> Shop:
    """The shop, locked."""
    return session.get_one(Shop, shop_id, with_for_update=ROW)


def _expired(container: Container, session: Session, purchase: Purchase) -> None:
    """Closed unpaid: order again by itself at most once, then it is the merchant's decision."""
    order = session.get_one(StoreOrder, purchase.order_id)
    found, wanted = coverage(session, purchase)
    if found < wanted:
        task(
            session,
            f"expired:{purchase.id}",
            "expired_unpaid",
            turn="merchant",
            text=f"Order {order.number}: the supplier closed an unpaid order that held {found} of {wanted} pieces. The "
            "rest may stand in another order there: look first, and do not pay twice. If nothing is there, "
            f"`flask purchase again {purchase.id}`.",
            shop_id=purchase.shop_id,
            order_id=order.id,
            purchase_id=purchase.id,
        )
        return
    again = purchase.generation > 1
    heir = generation.next_generation(
        container,
        session,
        purchase,
        reason="expired_unpaid" if again else "",
        facts={"times": str(purchase.generation)} if again else None,
    )
    if heir is None:
        move(session, purchase, "CANCELLED", actor="track", reason="cancelled_by_shop")
        return
    if again:
        task(
            session,
            f"expired:{purchase.id}",
            "expired_unpaid",
            turn="merchant",
            text=f"Order {order.number} was closed at the supplier because nobody paid it. "
            "Press “order again” to buy it.",
            shop_id=purchase.shop_id,
            order_id=order.id,
            purchase_id=heir.id,
        )
