"""An order that turns up for a generation that was given up: adopted if nothing was bought since, else a duplicate.

Lifecycle, section 8. What looked like a duplicate is adopted as well when the send after it turns out to have bought
nothing.
"""

from __future__ import annotations

import sqlalchemy as sa
from sqlalchemy.orm import Session

from app.domain.purchase_flow import PLACED, UNCLEAR
from app.models import Attempt, Purchase, SupplierOrder
from app.pipeline.record import alert, audit, end_alerts, end_tasks, move, task

UNSENT = frozenset(("DRAFT", "HELD", "READY", "CLAIMED"))
BOUGHT_NOTHING = UNSENT | {"VOID", "REJECTED"}
"""States of a later generation beside which an earlier one may still become the one that was bought."""


def turned_up(session: Session, order: SupplierOrder, purchase: Purchase, attempt: Attempt, source: str) -> None:
    """An order of a VOID purchase is the one that was bought, or a duplicate. The caller locked that and its order."""
    later = _later(session, purchase)
    if _earlier_bought(session, purchase) or any(heir.state not in BOUGHT_NOTHING for heir in later):
        duplicate(session, order, purchase)
        return
    for heir in later:
        if heir.state in UNSENT:
            move(session, heir, "CANCELLED", actor=source, reason="late_evidence")
    attempt.outcome = "PLACED"
    move(session, purchase, "PLACED_UNPAID", actor=source, reason="", facts={"orders": order.external_id})


def reconsider(session: Session, order: SupplierOrder, purchase: Purchase) -> None:
    """A duplicate is none any more if the generation after it came to nothing: then it is what was bought.

    The caller locked the account, the purchase and its order.
    """
    if order.role != "duplicate" or order.closed or purchase.state != "VOID":
        return
    attempt = session.scalars(
        sa.select(Attempt).where(Attempt.purchase_id == purchase.id, Attempt.outcome == "VOID").with_for_update()
    ).one_or_none()
    if attempt is None:
        return
    turned_up(session, order, purchase, attempt, "track")
    if purchase.state == "VOID":
        return
    order.role = "bought"
    audit(session, "supplier_order", order.id, "no_duplicate", actor="track", detail={"purchase": purchase.id})
    end_tasks(session, f"duplicate:{order.id}", "nothing else was bought")
    end_alerts(session, f"duplicate:{order.id}")


def duplicate(
    session: Session, order: SupplierOrder, purchase: Purchase, when: str = "after it was ordered again"
) -> None:
    """Tell that this one is too many: not to be paid."""
    if order.role == "duplicate":
        return
    order.role = "duplicate"
    alert(
        session,
        f"duplicate:{order.id}",
        "duplicate",
        f"Supplier order {order.external_id} turned up for purchase {purchase.id}, which was given up, {when}. "
        "Do not pay it; if it is paid, ask the seller to cancel.",
        shop_id=purchase.shop_id,
        purchase_id=purchase.id,
    )
    task(
        session,
        f"duplicate:{order.id}",
        "duplicate",
        turn="merchant",
        text=f"Do not pay supplier order {order.external_id}: it turned up after “not there”, {when}. "
        "If it is paid already, ask the seller to cancel it.",
        shop_id=purchase.shop_id,
        order_id=purchase.order_id,
        purchase_id=purchase.id,
    )


def _later(session: Session, purchase: Purchase) -> list[Purchase]:
    """All generations that came after it, oldest first, locked."""
    found: list[Purchase] = []
    ids = [purchase.id]
    while ids:
        query = sa.select(Purchase).where(Purchase.previous_id.in_(ids)).order_by(Purchase.id).with_for_update()
        heirs = session.scalars(query, execution_options={"populate_existing": True}).all()
        found += heirs
        ids = [heir.id for heir in heirs]
    return found


def _earlier_bought(session: Session, purchase: Purchase) -> bool:
    """Whether one that came before it turned out to be bought, or may yet."""
    previous_id = purchase.previous_id
    while previous_id is not None:
        before = session.get_one(Purchase, previous_id)
        if before.state in PLACED | UNCLEAR:
            return True
        previous_id = before.previous_id
    return False
