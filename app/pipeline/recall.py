"""A send that the database forgot, as after the restore of an older backup, is put back: then it is never sent again.

Only on positive evidence: an answer in our own journal under the purchase's number, or a supplier order that a person
names and that is read and fits (lifecycle, section 8). What the purchase is about to order is what was sent: its number
is derived from order, line, part and generation, so a row that is derived again has the same one.
"""

from __future__ import annotations

from datetime import datetime

import sqlalchemy as sa
from sqlalchemy.orm import Session

from app.container import Container
from app.models import Attempt, Purchase, PurchaseItem, Spend
from app.pipeline import interlock, margin
from app.pipeline.record import audit, move
from app.ports.money import Money

UNSENT_STATES = frozenset(("READY", "HELD", "CLAIMED"))
_ON_THE_WAY = ("READY", "CLAIMED", "SENDING", "UNKNOWN")


def may_recall(session: Session, purchase: Purchase) -> bool:
    """Whether nothing of this purchase row was sent, as far as the database knows, and it says what it would order."""
    if purchase.state not in UNSENT_STATES or purchase.account_id is None:
        return False
    sent = sa.select(Attempt.id).where(
        Attempt.purchase_id == purchase.id, Attempt.outcome.not_in(("NOT_SENT", "NOT_EXECUTED"))
    )
    items = _items(session, purchase)
    return session.scalar(sent.limit(1)) is None and bool(items) and all(item.sku_id for item in items)


def recall(
    container: Container, session: Session, purchase: Purchase, *, sent_at: datetime, by: str, cost: Money | None = None
) -> Attempt:
    """The attempt of the forgotten send, its outcome not known yet. Account, order and purchase are locked.

    The purchase goes the way that it went before, to UNKNOWN, and takes the interlock of its items where that is free.
    `cost` counts in the day's cap where it is known, else from the first read on. What may be paid for it is reckoned
    anew, from what the shop has for it now.
    """
    items = _items(session, purchase)
    attempt = Attempt(
        purchase_id=purchase.id,
        account_id=purchase.account_id,
        fence=purchase.fence,
        outcome="UNKNOWN",
        out_order_id=purchase.out_order_id,
        request_hash="",
        items=[[item.order_product_id or item.product_id, item.sku_id, item.pieces, item.id] for item in items],
        autopay=False,
        worker="recalled",
        sent_at=sent_at,
        code="",
        message="",
        answer="",
        order_ids=[],
    )
    session.add(attempt)
    session.flush()  # its number goes into the history
    # Where another holds it, both may be unclear: what was sent cannot wait.
    interlock.take(container, session, purchase, [(item.product_id, item.sku_id) for item in items])
    audit(session, "attempt", attempt.id, "recalled", actor=by, detail={"purchase": purchase.id})
    if cost is not None:
        session.add(
            Spend(
                attempt_id=attempt.id,
                shop_id=purchase.shop_id,
                day=sent_at.date(),
                currency=cost.currency,
                quoted=cost.minor,
                autopay=False,
                state="RESERVED",
            )
        )
    limit = margin.limit_of(session, purchase, container.connectors.supplier.quote_currency)
    purchase.limit_minor, purchase.quote_currency = limit.minor, limit.currency
    purchase.sent_at = purchase.sent_deadline = sent_at
    purchase.check_at = sa.func.clock_timestamp()
    purchase.quarantine_until = sa.func.clock_timestamp() + container.timers.quarantine
    purchase.checks, purchase.autopay = 0, False
    purchase.alerted_at = purchase.escalated_at = None
    start = _ON_THE_WAY.index(purchase.state) + 1 if purchase.state in _ON_THE_WAY else 0
    for state in _ON_THE_WAY[start:]:
        move(session, purchase, state, actor=by, reason="recalled", facts={"attempt": attempt.id})
    session.flush()
    return attempt


def _items(session: Session, purchase: Purchase) -> list[PurchaseItem]:
    mine = sa.select(PurchaseItem).where(PurchaseItem.purchase_id == purchase.id, PurchaseItem.quantity > 0)
    return list(session.scalars(mine.order_by(PurchaseItem.id)))
