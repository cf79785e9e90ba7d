"""T3, the point of no return: one transaction in which everything is checked a last time and the send is committed."""

from __future__ import annotations

import hashlib
import json
from dataclasses import dataclass
from datetime import datetime, timedelta

import sqlalchemy as sa
from sqlalchemy.orm import Session

from app.calls import Story
from app.container import Container
from app.db import ROW
from app.models import (
    Attempt,
    Purchase,
    PurchaseItem,
    Shop,
    SourceLine,
    Spend,
    StoreOrder,
    SupplierOrder,
    SupplierOrderItem,
)
from app.pipeline import breaker, interlock, locks
from app.pipeline.buy import caps
from app.pipeline.buy.claim import WORKER, Claimed
from app.pipeline.buy.preflight import Plan
from app.pipeline.readiness import Links
from app.pipeline.record import move, next_look


@dataclass(frozen=True, slots=True)
class Committed:
    """The send is committed; `sent_at` by the database's clock, as its attempt has it."""

    attempt_id: int
    purchase_id: int
    sent_at: datetime


class _Stop(Exception):
    """T3 does not pass; `state` and `reason` say where the purchase goes instead."""

    def __init__(self, state: str, reason: str, facts: dict[str, object] | None = None, wait: float = 0.0) -> None:
        super().__init__(reason)
        self.state, self.reason, self.facts, self.wait = state, reason, facts or {}, wait


def commit(container: Container, claimed: Claimed, plan: Plan, story: Story) -> Committed | None:
    """Commit the send, or put the purchase where it belongs and give None."""
    try:
        with container.database.transaction() as session:
            purchase, order = locks.with_order(session, claimed.id)
            story.add_to(session)
            if purchase.state != "CLAIMED" or purchase.fence != claimed.fence:
                return None
            attempt = _pass(container, session, purchase, order, plan)
            committed = Committed(attempt.id, claimed.id, attempt.sent_at)
    except _Stop as stop:
        _put_back(container, claimed, story, stop)
        return None
    story.calls.clear()
    return committed


def _pass(container: Container, session: Session, purchase: Purchase, order: StoreOrder, plan: Plan) -> Attempt:
    lease_live = session.scalar(
        sa.select(
            sa.func.clock_timestamp()
            < sa.select(Purchase.lease_until).where(Purchase.id == purchase.id).scalar_subquery()
        )
    )
    if not lease_live:
        raise _Stop("READY", "")
    now = container.clock.boottime()
    quote_age, shop_age = (timedelta(seconds=now - at) for at in (plan.quoted_boottime, plan.shop_boottime))
    if plan.order.autopay and quote_age > container.timers.quote_age_most:
        raise _Stop("READY", "")
    if shop_age > container.timers.shop_age_most:
        raise _Stop("READY", "storefront_down", {"code": "shop_slow"}, wait=min(2.0 ** min(purchase.tries, 9), 300.0))
    breaker.check(session, container, purchase, stop=lambda reason: _Stop("READY", reason, wait=5.0))
    items = _check_lines(session, purchase, order, plan)
    _no_stray_order(session, purchase, items)
    attempt = Attempt(
        purchase_id=purchase.id,
        account_id=plan.account_id,
        fence=purchase.fence,
        outcome="OPEN",
        out_order_id=purchase.out_order_id,
        request_hash=request_hash(plan),
        items=[[item.order_product_id, item.sku_id, item.pieces, item.id] for item in items],
        autopay=plan.order.autopay,
        worker=WORKER,
        code="",
        message="",
        answer="",
        order_ids=[],
    )
    session.add(attempt)
    session.flush()  # the reservation refers to the attempt
    _interlock(container, session, purchase, items)
    _reserve(session, purchase, attempt, plan)
    purchase.quote_minor, purchase.quote_currency = plan.quote.minor, plan.quote.currency
    purchase.limit_minor, purchase.quoted_at = plan.limit.minor, plan.quoted_at
    purchase.autopay, purchase.account_id = plan.order.autopay, plan.account_id
    purchase.sent_at = sa.func.clock_timestamp()
    purchase.sent_deadline = sa.func.clock_timestamp() + container.timers.send_total
    purchase.check_at = sa.func.clock_timestamp() + container.timers.unknown_checks[0]
    purchase.quarantine_until = sa.func.clock_timestamp() + container.timers.quarantine
    purchase.checks = 0
    purchase.alerted_at = purchase.escalated_at = None
    move(
        session,
        purchase,
        "SENDING",
        actor=WORKER,
        facts={"quote": str(plan.quote), "limit": str(plan.limit), "attempt": attempt.id},
    )
    session.flush()  # the count below must not see us as still claimed
    if not breaker.reserve_place(session, container, purchase):
        raise _Stop("READY", "", wait=0.3)
    return attempt


def request_hash(plan: Plan) -> str:
    """Names exactly what is sent, without the address: product, SKU, pieces, service, number, payment."""
    order = plan.order
    return hashlib.sha256(
        json.dumps(
            [
                order.out_order_id,
                order.autopay,
                [[i.product_id, i.sku_id, i.sku_attributes, i.quantity, i.service] for i in order.items],
            ]
        ).encode()
    ).hexdigest()


def _check_lines(session: Session, purchase: Purchase, order: StoreOrder, plan: Plan) -> list[PurchaseItem]:
    """Lock the source lines; cancellation, payment, quantities and version must be as the pre-flight saw them."""
    items = list(
        session.scalars(
            sa.select(PurchaseItem)
            .where(PurchaseItem.purchase_id == purchase.id, PurchaseItem.quantity > 0)
            .order_by(PurchaseItem.id)
        )
    )
    lines = {
        line.id: line
        for line in session.scalars(
            sa.select(SourceLine)
            .where(SourceLine.id.in_([item.source_line_id for item in items]))
            .order_by(SourceLine.id)
            .with_for_update(key_share=True)
        )
    }
    if order.cancelled or order.gone or purchase.cancel_requested_at is not None:
        raise _Stop("CANCELLED", "cancelled_by_shop")
    if not order.paid or order.hold:
        raise _Stop("HELD", "changed")
    seen = {item.id: item.quantity for item in items}
    if purchase.version != plan.version or seen != plan.quantities:
        raise _Stop("HELD", "changed")
    # The shop's version counts whole seconds, so the address is compared too (it is sealed anew only if it changed).
    now = (order.source_version, order.address_sealed, order.address_override_sealed)
    if now != (plan.source_version, plan.address_sealed, plan.address_override):
        raise _Stop("HELD", "changed")
    for item in items:
        if item.position == 1 and item.quantity > lines[item.source_line_id].to_ship:
            raise _Stop("HELD", "changed")
    _within_line(session, lines, items, purchase)
    if _linked_otherwise(session, purchase, list(lines.values()), items):
        raise _Stop("HELD", "changed")
    for item in items:
        item.order_product_id = plan.product_ids[item.id]
        item.sku_attributes = plan.attributes[item.id]
    return items


def _linked_otherwise(session: Session, purchase: Purchase, lines: list[SourceLine], items: list[PurchaseItem]) -> bool:
    """Whether the variants are linked to something else by now, or to nothing: whoever is claimed followed no link."""
    links = Links(session, purchase.shop_id, lines)
    for line in lines:
        ours = sorted((i.position, i.product_id, i.sku_id, i.units) for i in items if i.source_line_id == line.id)
        theirs = [(link.position, link.product_id, link.sku_id, link.units) for link in links.of(line)]
        if ours != theirs:
            return True
    return purchase.service not in {links.of(line)[0].service for line in lines}


def _within_line(session: Session, lines: dict[int, SourceLine], items: list[PurchaseItem], purchase: Purchase) -> None:
    """Quantities of live parts together never exceed what the buyer bought and still wants of the line (I1)."""
    rows = session.execute(
        sa.select(PurchaseItem.source_line_id, sa.func.sum(PurchaseItem.quantity))
        .join(Purchase, Purchase.id == PurchaseItem.purchase_id)
        .where(
            PurchaseItem.source_line_id.in_(lines),
            PurchaseItem.position == 1,
            Purchase.id != purchase.id,
            Purchase.state.in_(
                (
                    "SENDING",
                    "UNKNOWN",
                    "HUMAN",
                    "PLACED_UNPAID",
                    "PAY_BLOCKED",
                    "PLACED_PAID",
                    "PART_SHIPPED",
                    "SHIPPED",
                    "DELIVERED",
                )
            ),
        )
        .group_by(PurchaseItem.source_line_id)
    ).all()
    live = {line_id: int(pieces) for line_id, pieces in rows}
    for item in items:
        line = lines[item.source_line_id]
        if item.position == 1 and live.get(line.id, 0) + item.quantity > line.for_us:
            facts: dict[str, object] = {
                "wanted": live.get(line.id, 0) + item.quantity,
                "limit": line.for_us,
            }
            raise _Stop("HELD", "quantity_over", facts)


def _no_stray_order(session: Session, purchase: Purchase, items: list[PurchaseItem]) -> None:
    """An order at the supplier that belongs to nobody and holds one of these items may be ours from before.

    From before: since a generation that was given up was sent, or, where none was, since the buyer ordered. Likewise
    one that turned up too late for such a generation, while it may still be paid: for the lines it holds, whatever
    they are linked to by now, and until it is read nobody knows which those are.
    """
    given_up = (
        sa.select(Attempt.account_id, Attempt.sent_at)
        .join(Purchase, Purchase.id == Attempt.purchase_id)
        .where(Purchase.order_id == purchase.order_id, Attempt.outcome == "VOID")
        .subquery()
    )
    sent = sa.select(sa.func.min(given_up.c.sent_at)).scalar_subquery()
    placed = sa.select(StoreOrder.placed_at).where(StoreOrder.id == purchase.order_id).scalar_subquery()
    made = sa.func.coalesce(SupplierOrder.created_at_supplier, SupplierOrder.recorded_at)
    # After a send that was given up, what turned up since is suspicious whatever its own time says.
    lately = sa.case(
        (sent.is_(None), made >= placed),
        else_=sa.func.greatest(made, SupplierOrder.recorded_at) >= sent - timedelta(minutes=2),
    )
    siblings = sa.select(Purchase.id).where(Purchase.order_id == purchase.order_id)
    here = (SupplierOrder.account_id == purchase.account_id) | SupplierOrder.account_id.in_(
        sa.select(given_up.c.account_id)
    )
    same = sa.select(PurchaseItem.id).where(PurchaseItem.source_line_id.in_([item.source_line_id for item in items]))
    # The supplier may name a product by either of its ids, and leave out the SKU.
    products = {product for item in items for product in (item.order_product_id, item.product_id)}
    stray = session.scalar(
        sa.select(SupplierOrder.external_id)
        .outerjoin(SupplierOrderItem, SupplierOrderItem.supplier_order_id == SupplierOrder.id)
        .where(
            sa.or_(
                sa.and_(SupplierOrder.purchase_id.is_(None), SupplierOrder.role == "orphan", lately, here),
                sa.and_(SupplierOrder.role == "duplicate", SupplierOrder.purchase_id.in_(siblings)),
            ),
            # In the words of its partial index: this is asked before each send, with the order locked.
            sa.text("supplier_order.closed IS false AND supplier_order.role IN ('orphan', 'duplicate')"),
            sa.or_(
                sa.and_(
                    SupplierOrderItem.product_id.in_(products),
                    SupplierOrderItem.sku_id.in_({"", *(item.sku_id for item in items)}),
                ),
                sa.and_(
                    SupplierOrder.role == "duplicate",
                    sa.or_(SupplierOrderItem.purchase_item_id.is_(None), SupplierOrderItem.purchase_item_id.in_(same)),
                ),
            ),
        )
        .limit(1)
    )
    if stray is not None:
        raise _Stop("HELD", "late_evidence", {"supplier_order": stray, "purchase": purchase.id})


def _read_now(session: Session, ref: str) -> None:
    """It may be closed by now, or be what is to be adopted instead."""
    later = SupplierOrder.track_run_at.is_(None) | (SupplierOrder.track_run_at > sa.func.now())
    order = sa.update(SupplierOrder).where(SupplierOrder.external_id == ref, SupplierOrder.closed.is_(False), later)
    session.execute(order.values(track_run_at=sa.func.now()))


def _interlock(container: Container, session: Session, purchase: Purchase, items: list[PurchaseItem]) -> None:
    # The frozen id is what a claim compares; what is really ordered may have another one for the country.
    ids = {(item.product_id, item.sku_id) for item in items} | {(item.order_product_id, item.sku_id) for item in items}
    holder = interlock.take(container, session, purchase, ids)
    if holder is not None:
        raise _Stop("READY", "interlocked", {"purchase": holder or None}, wait=5.0)


def _reserve(session: Session, purchase: Purchase, attempt: Attempt, plan: Plan) -> None:
    """Reserve the quote under the shop's lock, so that parallel lines never pass a cap together (S66)."""
    shop = session.get_one(Shop, purchase.shop_id, with_for_update=ROW)
    today = attempt.sent_at.date()
    if shop.state != "ACTIVE":
        raise _Stop("HELD", "uninstalled" if shop.state == "UNINSTALLED" else "shop_paused")
    if plan.order.autopay and not shop.autopay:
        raise _Stop("READY", "changed")  # the next pre-flight plans it without
    over = caps.over(session, shop, purchase.order_id, plan.quote, today, autopay=plan.order.autopay)
    if over is not None:
        raise _Stop("HELD", over.code, {"limit": over.limit, "spent": over.spent, "cost": over.cost})
    session.add(
        Spend(
            attempt_id=attempt.id,
            shop_id=shop.id,
            day=today,
            currency=plan.quote.currency,
            quoted=plan.quote.minor,
            autopay=plan.order.autopay,
            state="RESERVED",
        )
    )


def _put_back(container: Container, claimed: Claimed, story: Story, stop: _Stop) -> None:
    """What T3 did was rolled back as a whole; where the purchase goes instead is a transaction of its own."""
    wait = timedelta(seconds=stop.wait / container.settings.time_scale)
    with container.database.transaction() as session:
        purchase = locks.purchase(session, claimed.id)
        story.write(session)
        if purchase.state != "CLAIMED" or purchase.fence != claimed.fence:
            return
        if stop.state == "HELD":
            wait = next_look(container, purchase, stop.reason)
        if stop.reason == "late_evidence":
            _read_now(session, str(stop.facts["supplier_order"]))
        move(
            session,
            purchase,
            stop.state,
            actor=WORKER,
            reason=stop.reason,
            facts=stop.facts,
            run_at=sa.func.clock_timestamp() + wait,  # type: ignore[arg-type]
        )
        if stop.reason == "interlocked":
            purchase.waiting_for = stop.facts.get("purchase")  # type: ignore[assignment]
            purchase.waiting_since = sa.func.clock_timestamp()
