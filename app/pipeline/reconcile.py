"""Unclear outcomes: looked at on a schedule, resolved by evidence or a person, never by silence (lifecycle 8)."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import datetime

import sqlalchemy as sa
from sqlalchemy.orm import Session

from app.container import Container
from app.domain.purchase_flow import CLOSED, PLACED, UNCLEAR
from app.domain.timing import pick
from app.errors import Conflict, NotFound
from app.logs import logger
from app.models import (
    Attempt,
    Purchase,
    StoreOrder,
)
from app.pipeline import breaker, closing, evidence, generation, locks
from app.pipeline.follow import coverage
from app.pipeline.record import alert, audit, end_tasks, move, task
from app.ports.errors import OutsideError
from app.shop_access import with_account

log = logger(__name__)

_CLAIM = sa.text("""
UPDATE purchase SET check_at = clock_timestamp() + interval '20 seconds'
WHERE id IN (SELECT id FROM purchase
             WHERE state IN ('SENDING', 'UNKNOWN', 'HUMAN') AND check_at <= clock_timestamp()
               AND (state <> 'SENDING' OR sent_deadline < clock_timestamp())
             ORDER BY check_at LIMIT :most FOR UPDATE SKIP LOCKED)
RETURNING id
""")


def claim(container: Container, most: int) -> Sequence[int]:
    """Unclear purchases whose next check is due."""
    with container.database.transaction() as session:
        return [row.id for row in session.execute(_CLAIM, {"most": most})]


def run(container: Container, purchase_id: int) -> None:
    """One check of one unclear purchase: gather evidence, attach what fits, escalate by the clock."""
    with container.database.transaction() as session:
        purchase = locks.purchase(session, purchase_id)
        if purchase.state not in UNCLEAR:
            return
        if purchase.state == "SENDING":
            move(session, purchase, "UNKNOWN", actor="reconcile", reason="outcome_unknown", facts=purchase.facts)
            breaker.note_outcome(session, container, purchase, clear=False)
        account_id, sent_at = purchase.account_id, purchase.sent_at
        refs = evidence.unattached(session, account_id or 0, sent_at)
        _escalate(container, session, purchase, seen=len(refs))
        order_id = purchase.order_id
    with container.calls.story(order_id, purchase_id) as story:
        for ref in {*refs, *_paid_list(container, account_id, sent_at)}:
            try:
                evidence.look_up(container, account_id or 0, ref, source="lookup")
            except OutsideError as error:
                log.info("lookup_failed", purchase=purchase_id, code=error.code)
        if story.calls:
            with container.database.transaction() as session:
                story.write(session)


def _paid_list(container: Container, account_id: int | None, sent_at: datetime | None) -> list[str]:
    if account_id is None or sent_at is None:
        return []
    try:
        rows = with_account(
            container, account_id, lambda supplier: supplier.paid_orders(sent_at, container.clock.now())
        )
    except (OutsideError, NotFound):
        return []
    return [row.order_id for row in rows]


def _escalate(container: Container, session: Session, purchase: Purchase, *, seen: int) -> None:
    """Alerts and the person's list by the clock, before anyone is asked: looking around may take long.

    `seen`: orders that turned up in the account since the send and belong to nobody, to be compared now.
    """
    if purchase.state not in UNCLEAR or purchase.sent_at is None:
        return
    now: datetime = session.scalar(sa.select(sa.func.clock_timestamp()))  # type: ignore[assignment]
    timers, age = container.timers, now - purchase.sent_at
    purchase.checks += 1
    wait = pick(timers.unknown_checks, purchase.checks)
    purchase.check_at = (purchase.sent_at if purchase.checks < len(timers.unknown_checks) else now) + wait
    order = session.get_one(StoreOrder, purchase.order_id)
    if purchase.state == "UNKNOWN":
        looked = {"look": purchase.checks, "seen": seen, "next": f"{purchase.check_at:%H:%M:%S}"}
        audit(session, "purchase", purchase.id, "looked", actor="reconcile", detail=looked)
    if age >= timers.alert_after and purchase.alerted_at is None:
        purchase.alerted_at = now
        alert(
            session,
            f"unclear:{purchase.id}",
            "outcome_unknown",
            f"Order {order.number}: it is not known whether the supplier executed purchase {purchase.id}.",
            shop_id=purchase.shop_id,
            purchase_id=purchase.id,
        )
    stock_hint = purchase.facts.get("hint") == "out_of_stock"
    if purchase.state == "UNKNOWN" and age >= (timers.stock_human_after if stock_hint else timers.human_after):
        to_human(session, purchase, order)
    if age >= timers.escalate_after and purchase.escalated_at is None:
        purchase.escalated_at = now
        alert(
            session,
            f"unclear:{purchase.id}:staff",
            "outcome_unknown_old",
            f"Purchase {purchase.id} has been unclear for long. Staff should look.",
            shop_id=purchase.shop_id,
            purchase_id=purchase.id,
        )


def to_human(session: Session, purchase: Purchase, order: StoreOrder) -> None:
    """Put it in a person's list."""
    found, wanted = coverage(session, purchase)
    facts = {**purchase.facts, "found": found, "of": wanted} if found else purchase.facts
    move(
        session,
        purchase,
        "HUMAN",
        actor="reconcile",
        reason="partly_found" if found else "outcome_unknown",
        facts=facts,
    )
    seen = f"only {found} of {wanted} pieces were found at the supplier" if found else "the supplier did not answer"
    task(
        session,
        f"unclear:{purchase.id}",
        "resolve_unclear",
        turn="merchant",
        text=f"Order {order.number}: {seen} when we ordered. Look at your orders there: "
        f"if {'the rest' if found else 'it'} is there, tell us its number; if not, say so "
        "and give the number of your newest order.",
        shop_id=purchase.shop_id,
        order_id=order.id,
        purchase_id=purchase.id,
    )


def buy_again(container: Container, purchase_id: int, *, by: str) -> Purchase:
    """The merchant's act after EXPIRED, SUPPLIER_CANCELLED or REFUNDED: a newly derived generation.

    After a partial closing: a new part with what was lost (`closing.buy_rest`).
    """
    with container.database.transaction() as session:
        partly = locks.purchase(session, purchase_id).state in PLACED
    if partly:
        return closing.buy_rest(container, purchase_id, by=by)
    with container.database.transaction() as session:
        purchase = locks.purchase(session, purchase_id)
        heir = session.scalar(sa.select(Purchase.id).where(Purchase.previous_id == purchase_id, ~Purchase.gave_way))
        if purchase.state not in CLOSED or heir is not None:
            raise Conflict("not_finished", f"Purchase {purchase_id} is {purchase.state}: it cannot be ordered again.")
        made = generation.next_generation(container, session, purchase)
        if made is None:
            raise Conflict("nothing_left", "The shop no longer expects these pieces: there is nothing to order.")
        audit(session, "purchase", purchase_id, "buy_again", actor=by, detail={"heir": made.id})
        end_tasks(session, f"closed:{purchase_id}", by)
        end_tasks(session, f"expired:{purchase_id}", by)
        container.database.after_commit(container.bell.ring)
        return made


def attempt_of(session: Session, purchase_id: int) -> Attempt | None:
    """The newest attempt of a purchase."""
    return session.scalars(
        sa.select(Attempt).where(Attempt.purchase_id == purchase_id).order_by(Attempt.id.desc()).limit(1)
    ).one_or_none()
