"""Supplier orders become part of a purchase (lifecycle, section 4)."""

from __future__ import annotations

from collections.abc import Sequence

import sqlalchemy as sa
from sqlalchemy.dialects.postgresql import insert
from sqlalchemy.orm import Session

from app.container import Container
from app.domain.purchase_flow import UNCLEAR
from app.models import Attempt, Interlock, Purchase, SupplierOrder, SupplierOrderItem
from app.pipeline.record import alert, audit, end_alerts, end_tasks, move
from app.ports.money import Money
from app.ports.supplier import PayResult


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
        .with_for_update(key_share=True)
    ).one()


def resolved(session: Session, purchase: Purchase, *, by: str = "evidence") -> None:
    """The attempt is resolved: others of the same SKU may go, alerts and tasks end."""
    session.execute(sa.delete(Interlock).where(Interlock.purchase_id == purchase.id))
    if purchase.checks or purchase.tries > 1:  # else nobody was told that it is unclear
        end_tasks(session, f"unclear:{purchase.id}", by)
        end_alerts(session, f"unclear:{purchase.id}")


def open_attempt(session: Session, purchase: Purchase) -> Attempt | None:
    """The attempt that may have been executed, locked."""
    return session.scalars(
        sa.select(Attempt)
        .where(Attempt.purchase_id == purchase.id, Attempt.outcome.not_in(("NOT_SENT", "NOT_EXECUTED")))
        .with_for_update(key_share=True)
    ).one_or_none()
