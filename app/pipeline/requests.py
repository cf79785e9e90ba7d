"""The merchant's requests at our own location: cancellations. A fulfilment request is accepted by the pre-flight.

A cancellation request takes its pieces out of what the line has to ship, so what was not sent follows by itself. Here
it is answered: accepted if nothing of a line was sent, else rejected, with a flag and a task (lifecycle, section 4).
"""

from __future__ import annotations

from collections.abc import Callable, Sequence

import sqlalchemy as sa
from sqlalchemy.orm import Session

from app.domain.purchase_flow import UNSENT
from app.models import Purchase, PurchaseItem, SourceLine, StoreOrder
from app.pipeline.record import audit, outbox, task

ASKED = "cancel_requested"
WANTED = frozenset(("submitted", "accepted"))
"""States of a request in which the merchant wants the pieces from us."""
Covering = Callable[[SourceLine], Sequence[tuple[Purchase, PurchaseItem]]]


def withdrawn(line: SourceLine, purchases: Sequence[Purchase]) -> bool:
    """Whether the merchant took this line back and did not ask for it anew. `purchases`: all that ever held it."""
    return line.request not in WANTED and any(
        purchase.state == "CANCELLED" and purchase.reason == "request_cancelled" for purchase in purchases
    )


def answer_cancellation(session: Session, order: StoreOrder, lines: Sequence[SourceLine], covering: Covering) -> None:
    """Have the open cancellation requests of this order answered. Order, lines and purchases are locked."""
    asked = [line for line in lines if line.at_our_location and line.request == ASKED]
    if not asked:
        return
    sent = {line.id: [purchase for purchase, _ in covering(line) if purchase.state not in UNSENT] for line in asked}
    for purchase in {purchase.id: purchase for found in sent.values() for purchase in found}.values():
        _too_late(session, order, purchase, lines, covering)
    outbox(
        session,
        f"cancellation:{order.id}",
        "answer_cancellation",
        shop_id=order.shop_id,
        order_id=order.id,
        payload={
            "reject": [line.external_id for line in asked if sent[line.id]],
            "accept": [line.external_id for line in asked if not sent[line.id]],
        },
        repeat=True,
    )


def _too_late(
    session: Session, order: StoreOrder, purchase: Purchase, lines: Sequence[SourceLine], covering: Covering
) -> None:
    """What was sent is never taken back by us: a flag and a task say what the merchant can do."""
    mine = [line for line in lines if any(found.id == purchase.id for found, _ in covering(line))]
    nothing_wanted = all(line.request == ASKED and not line.to_ship for line in mine)
    if nothing_wanted and purchase.cancel_requested_at is None:
        purchase.cancel_requested_at = sa.func.now()
        purchase.version += 1
        audit(session, "purchase", purchase.id, "cancel_requested", actor="match", detail={"request": True})
    task(
        session,
        f"cancel-asked:{purchase.id}",
        "ask_supplier_to_cancel",
        turn="merchant",
        text=f"Order {order.number}: you asked to cancel the fulfilment, but it was ordered at the supplier already, "
        "so the request is rejected. If it is not paid yet, do not pay it. If it is paid, ask the seller to cancel it.",
        shop_id=order.shop_id,
        order_id=order.id,
        purchase_id=purchase.id,
    )
