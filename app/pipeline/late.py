"""An order that turns up for a generation that was given up: adopted if nothing was bought since, else a duplicate.

Lifecycle, section 8. What looked like a duplicate is adopted as well when the send after it turns out to have bought
nothing.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence

import sqlalchemy as sa
from sqlalchemy.orm import Session

from app.container import Container
from app.domain.purchase_flow import PLACED, UNCLEAR, UNSENT
from app.models import (
    Attempt,
    Outbox,
    Purchase,
    PurchaseItem,
    SourceLine,
    Spend,
    StoreOrder,
    SupplierOrder,
    SupplierOrderItem,
    Task,
)
from app.pipeline import match
from app.pipeline.adopt import open_attempt
from app.pipeline.record import alert, audit, end_alerts, end_all_tasks, end_tasks, move, task

WHOLE = "of which nothing is missing any more"
"""How a duplicate stands with a purchase that has everything without it."""
BOUGHT_NOTHING = UNSENT | {"VOID", "REJECTED"}
"""States of a later generation beside which an earlier one may still become the one that was bought."""


def turned_up(
    container: Container,
    session: Session,
    order: SupplierOrder,
    purchase: Purchase,
    attempt: Attempt,
    source: str,
    *,
    closed: bool,
) -> None:
    """An order of a VOID purchase is the one that was bought, or a duplicate. The caller locked that and its order.

    `closed`: as it was read just now. One that the supplier closed has bought nothing: no other try is stopped for it.
    """
    later = _later(session, purchase)
    over = closed or order.closed or order.closed_seen > 0
    if over or _bought_since(session, purchase, later):
        duplicate(session, order, purchase)
        return
    _tell_shop(session, purchase, later)
    for heir in later:
        _give_way(session, heir, source)
    attempt.outcome = "PLACED"
    counted = sa.update(Spend).where(Spend.attempt_id == attempt.id, Spend.state == "RELEASED")
    session.execute(counted.values(state="RESERVED"))
    move(session, purchase, "PLACED_UNPAID", actor=source, reason="", facts={"orders": order.external_id})
    end_tasks(session, f"duplicate:{order.id}", "nothing else was bought")
    end_alerts(session, f"duplicate:{order.id}")
    _no_duplicates(session, purchase, source)
    session.flush()
    # The buyer may want more or fewer pieces by now than were sent then.
    match.derive_again(container, session, purchase.order_id)


def reconsider(
    container: Container, session: Session, order: SupplierOrder, purchase: Purchase, *, closed: bool
) -> None:
    """A duplicate is none any more if the generation after it came to nothing: then it is what was bought.

    `closed`: as it was read just now. The caller locked the account, the purchase and its order.
    """
    if order.role != "duplicate" or order.closed or closed or purchase.state != "VOID":
        return
    attempt = open_attempt(session, purchase)
    if attempt is not None:
        turned_up(container, session, order, purchase, attempt, "track", closed=closed)


def _bought_since(session: Session, purchase: Purchase, later: Sequence[Purchase]) -> bool:
    """Whether a later try bought something or may have, or the buyer's pieces were bought as another part meanwhile."""
    ids = [heir.id for heir in later]
    turned_up_too = sa.exists().where(
        SupplierOrder.purchase_id.in_(ids), SupplierOrder.closed.is_(False), SupplierOrder.role == "duplicate"
    )
    if any(heir.state not in BOUGHT_NOTHING for heir in later) or session.scalar(sa.select(turned_up_too)):
        return True
    mine = sa.select(PurchaseItem).where(PurchaseItem.purchase_id == purchase.id, PurchaseItem.position == 1)
    for item in session.scalars(mine):
        elsewhere = session.scalar(
            sa.select(sa.func.sum(PurchaseItem.quantity))
            .join(Purchase, Purchase.id == PurchaseItem.purchase_id)
            .where(
                PurchaseItem.source_line_id == item.source_line_id,
                PurchaseItem.position == 1,
                Purchase.id.not_in([purchase.id, *ids]),
                Purchase.state.in_(UNCLEAR | PLACED),
            )
        )
        line = session.get_one(SourceLine, item.source_line_id)
        if elsewhere and int(elsewhere) + item.quantity > line.quantity - line.refunded:
            return True
    return False


def _tell_shop(session: Session, purchase: Purchase, later: Sequence[Purchase]) -> None:
    """The shop was told, or is being told, that it cannot be bought: the merchant must not send it as well."""
    keys = [f"request:{heir.id}:reject" for heir in later]
    written = sa.or_(Outbox.state == "DONE", Outbox.lease_until > sa.func.clock_timestamp())
    if not session.scalar(sa.select(sa.exists().where(Outbox.dedupe_key.in_(keys), written))):
        return
    number = session.scalar(sa.select(StoreOrder.number).where(StoreOrder.id == purchase.order_id))
    task(
        session,
        f"bought-after-all:{purchase.id}",
        "bought_after_all",
        turn="merchant",
        text=f"Order {number}: we rejected your fulfilment request, but an earlier try was ordered at the supplier "
        "after all. Do not send it yourself: request fulfilment again, so that its tracking can be shown.",
        shop_id=purchase.shop_id,
        order_id=purchase.order_id,
        purchase_id=purchase.id,
    )


def _give_way(session: Session, heir: Purchase, source: str) -> None:
    """It replaces nothing any more (`Purchase.gave_way`), and what a person was asked about it is over."""
    move(session, heir, "CANCELLED", actor=source, reason="late_evidence")
    end_all_tasks(session, (Task.kind == "stray_order") & (Task.purchase_id == heir.id), "an earlier order turned up")


def _no_duplicates(session: Session, purchase: Purchase, source: str) -> None:
    """Of several orders that one send became all were duplicates, and none is now. They were given as they fitted."""
    mine = sa.select(SupplierOrder).where(
        SupplierOrder.purchase_id == purchase.id, SupplierOrder.role == "duplicate", SupplierOrder.closed.is_(False)
    )
    for order in session.scalars(mine.order_by(SupplierOrder.id).with_for_update(key_share=True)).all():
        order.role = "bought"
        audit(session, "supplier_order", order.id, "no_duplicate", actor=source, detail={"purchase": purchase.id})
        end_tasks(session, f"duplicate:{order.id}", "nothing else was bought")
        end_alerts(session, f"duplicate:{order.id}")


def surplus(session: Session, purchase: Purchase) -> bool:
    """Whether orders of a placed purchase were found that the others make needless, and told: unpaid, new ones first.

    As when its own answer comes after another order was taken for it. The caller locked the purchase.
    """
    query = sa.select(SupplierOrder).where(SupplierOrder.purchase_id == purchase.id, SupplierOrder.role == "bought")
    orders = [order for order in session.scalars(query) if not order.closed]
    if purchase.state not in PLACED or len(orders) < 2 or any(order.read_at is None for order in orders):
        return False
    holds = {order.id: _holds(session, order) for order in orders}
    items = session.scalars(sa.select(PurchaseItem).where(PurchaseItem.purchase_id == purchase.id))
    wanted = {item.id: item.pieces for item in items}
    total = sum(holds.values(), Counter[int | None]())
    told = False
    for order in sorted(orders, key=lambda one: (one.payment == "paid", -one.id)):
        mine = holds[order.id]
        if mine and all(item_id and total[item_id] - mine[item_id] >= wanted[item_id] for item_id in mine):
            duplicate(session, order, purchase, WHOLE)
            total -= mine
            told = True
    return told


def _holds(session: Session, order: SupplierOrder) -> Counter[int | None]:
    """Living pieces by the purchase's item; None: of what it did not ask for."""
    query = sa.select(SupplierOrderItem.purchase_item_id, SupplierOrderItem.quantity).where(
        SupplierOrderItem.supplier_order_id == order.id, SupplierOrderItem.closed.is_(False)
    )
    held = Counter[int | None]()
    for item_id, pieces in session.execute(query):
        held[item_id] += pieces
    return held


def duplicate(
    session: Session,
    order: SupplierOrder,
    purchase: Purchase,
    which: str = "which was given up, after it was ordered again",
) -> None:
    """Tell that this one is too many: not to be paid. `which`: how it stands with its purchase."""
    if order.role == "duplicate":
        return
    order.role = "duplicate"
    alert(
        session,
        f"duplicate:{order.id}",
        "duplicate",
        f"Supplier order {order.external_id} turned up for purchase {purchase.id}, {which}. "
        "Do not pay it; if it is paid, ask the seller to cancel.",
        shop_id=purchase.shop_id,
        purchase_id=purchase.id,
    )
    task(
        session,
        f"duplicate:{order.id}",
        "duplicate",
        turn="merchant",
        text=f"Do not pay supplier order {order.external_id}: it turned up for purchase {purchase.id}, {which}. "
        "If it is paid already, ask the seller to cancel it.",
        shop_id=purchase.shop_id,
        order_id=purchase.order_id,
        purchase_id=purchase.id,
    )


def spare(session: Session, order: SupplierOrder, purchase: Purchase, *, by: str) -> None:
    """A person says that a duplicate is what this unsent purchase of the same store order is about to buy.

    Then it is free to be given to that; nothing happens to any other supplier order.
    """
    its = sa.select(Purchase.order_id).where(Purchase.id == order.purchase_id)
    if order.role != "duplicate" or order.purchase_id == purchase.id or session.scalar(its) != purchase.order_id:
        return
    audit(session, "supplier_order", order.id, "detached", actor=by, detail={"purchase": order.purchase_id})
    order.purchase_id, order.role = None, "orphan"
    end_tasks(session, f"duplicate:{order.id}", by)
    end_alerts(session, f"duplicate:{order.id}")


def _later(session: Session, purchase: Purchase) -> list[Purchase]:
    """All generations that came after it, oldest first, locked."""
    found: list[Purchase] = []
    ids = [purchase.id]
    while ids:
        query = (
            sa.select(Purchase)
            .where(Purchase.previous_id.in_(ids))
            .order_by(Purchase.id)
            .with_for_update(key_share=True)
        )
        heirs = session.scalars(query, execution_options={"populate_existing": True}).all()
        found += heirs
        ids = [heir.id for heir in heirs]
    return found
