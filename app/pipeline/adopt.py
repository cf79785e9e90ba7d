"""Supplier orders become part of a purchase; the purchase's state is computed from them (lifecycle, section 4)."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from datetime import timedelta

import sqlalchemy as sa
from sqlalchemy.dialects.postgresql import insert
from sqlalchemy.orm import Session

from app import db
from app.container import Container
from app.domain.purchase_flow import UNCLEAR
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
from app.pipeline.record import alert, audit, end_alerts, end_all_tasks, end_tasks, move, task
from app.ports.money import Money
from app.ports.supplier import PayResult
from app.ports.supplier import SupplierOrder as OrderRead
from app.ports.supplier import SupplierOrderItem as ItemRead


def adopt_orders(
    container: Container,
    session: Session,
    purchase: Purchase,
    attempt: Attempt,
    external_ids: Sequence[str],
    *,
    source: str,
    pay: PayResult = PayResult.NOT_ASKED,
) -> None:
    """Attach these ids to the purchase. They are read a few seconds later, which tells coverage, total and payment.

    One that another purchase has stays there and is told; then this one is as unclear as before.
    """
    mine = 0
    for external_id in external_ids:
        order = row(session, attempt.account_id, external_id, source)
        if order.purchase_id not in {None, purchase.id}:
            tell_rival(session, order, purchase.id)
            continue
        mine += 1
        if order.purchase_id is None:
            order.read_at = None  # what was read then says nothing about this purchase
        belongs(session, order, purchase, source=source)
        order.pay_failed = order.pay_failed or pay == PayResult.FAILED
        order.track_run_at = sa.func.clock_timestamp() + container.timers.first_read
    session.flush()
    if attempt.outcome != "PLACED" or purchase.state not in UNCLEAR:
        return
    facts = {"orders": ", ".join(external_ids), "quote": _quote(purchase)}
    if len(attempt.items) == 1 and mine == len(external_ids):
        move(session, purchase, "PLACED_UNPAID", actor=source, reason="", facts=facts)
        resolved(session, purchase)
        return
    # Resolved only when order.get shows that these orders hold every item; the interlock stays until then.
    attempt.outcome = "UNKNOWN"
    state = "UNKNOWN" if purchase.state == "SENDING" else purchase.state
    reason = "confirming" if mine else "outcome_unknown"
    move(session, purchase, state, actor=source, reason=reason, facts=facts)


def belongs(session: Session, order: SupplierOrder, purchase: Purchase, *, source: str) -> None:
    """It is this purchase's from now on. The next read maps its items; nobody is asked any more whose it is."""
    if order.purchase_id is None:
        # What was read before knew no purchase to map its items to.
        session.execute(sa.delete(SupplierOrderItem).where(SupplierOrderItem.supplier_order_id == order.id))
        audit(session, "supplier_order", order.id, "attached", actor=source, detail={"purchase": purchase.id})
    order.purchase_id, order.role = purchase.id, "bought"
    for key in (f"stray:{order.id}", f"orphan:{order.id}"):
        end_tasks(session, key, source.removeprefix("human:"))
        end_alerts(session, key)


def tell_rival(session: Session, order: SupplierOrder, purchase_id: int) -> None:
    """Tell that an answer to this purchase's send names an order that another one has; nothing if none has it."""
    if order.purchase_id in {None, purchase_id}:
        return
    alert(
        session,
        f"two-purchases:{order.id}:{purchase_id}",
        "attribution",
        f"Supplier order {order.external_id} is claimed by purchases {order.purchase_id} and {purchase_id}.",
        purchase_id=purchase_id,
    )


def _quote(purchase: Purchase) -> str:
    if purchase.quote_minor is None:
        return ""
    return str(Money(purchase.quote_minor, purchase.quote_currency))


def row(session: Session, account_id: int, external_id: str, source: str) -> SupplierOrder:
    """The row of a supplier order, made if need be, locked."""
    session.execute(
        insert(SupplierOrder)
        .values(
            account_id=account_id,
            external_id=external_id,
            role="orphan",
            source=source,
            status="",
            payment="checking",
            pay_failed=False,
            shipping="none",
            closed=False,
            closed_seen=0,
            currency="",
            reminders=0,
            tracks=0,
        )
        .on_conflict_do_nothing(index_elements=["account_id", "external_id"])
    )
    return session.scalars(
        sa.select(SupplierOrder)
        .where(SupplierOrder.account_id == account_id, SupplierOrder.external_id == external_id)
        .with_for_update()
    ).one()


def resolved(session: Session, purchase: Purchase, *, by: str = "evidence") -> None:
    """The attempt is resolved: others of the same SKU may go, alerts and tasks end."""
    session.execute(sa.delete(Interlock).where(Interlock.purchase_id == purchase.id))
    if purchase.checks or purchase.tries > 1:  # else nobody was told that it is unclear
        end_tasks(session, f"unclear:{purchase.id}", by)
        end_alerts(session, f"unclear:{purchase.id}")


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
        purchase = purchase or session.get_one(Purchase, order.purchase_id, with_for_update=True)
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
        "right no unclear order can be matched, and “not there” is not accepted."
    )
    alert(session, CLOCK, "supplier_clock", text)


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


def follow(container: Container, session: Session, purchase: Purchase) -> None:
    """Compute the purchase's state from its supplier orders. Caller locked the purchase."""
    orders = session.scalars(
        sa.select(SupplierOrder)
        .where(SupplierOrder.purchase_id == purchase.id, SupplierOrder.role == "bought")
        .order_by(SupplierOrder.id)
    ).all()
    if not orders or purchase.state in {"VOID", "CANCELLED", "REJECTED", "EXPIRED", "SUPPLIER_CANCELLED", "REFUNDED"}:
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
    if state in {"EXPIRED", "SUPPLIER_CANCELLED", "REFUNDED"}:
        end_tasks(session, f"bought-after-all:{purchase.id}", "closed at the supplier")
        asked = (Task.order_id == purchase.order_id) & (Task.purchase_id == purchase.id)
        end_all_tasks(session, asked & (Task.kind == "ask_supplier_to_cancel"), "closed at the supplier")


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


def open_attempt(session: Session, purchase: Purchase) -> Attempt | None:
    """The attempt that may have been executed, locked."""
    return session.scalars(
        sa.select(Attempt)
        .where(Attempt.purchase_id == purchase.id, Attempt.outcome.not_in(("NOT_SENT", "NOT_EXECUTED")))
        .with_for_update()
    ).one_or_none()


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
    return session.get_one(Shop, shop_id, with_for_update=True)


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


def window(container: Container) -> tuple[timedelta, timedelta]:
    """How far before and after the send an order may have been created to be this attempt's."""
    # The supplier tells whole seconds, so no window is shorter than two.
    least = timedelta(seconds=2)
    return max(container.timers.match_before, least), max(container.timers.match_after, least)
