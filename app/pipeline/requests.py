"""The merchant's requests at our own location: cancellations. A fulfilment request is accepted by the pre-flight.

A cancellation request takes its pieces out of what the line has to ship, so what was not sent follows by itself. Here
it is answered: accepted if nothing of a line was sent, else rejected, with a flag and a task (lifecycle, section 4).
"""

from __future__ import annotations

from collections.abc import Sequence

import sqlalchemy as sa
from sqlalchemy.orm import Session

from app.container import Container
from app.domain.purchase_flow import UNSENT
from app.models import Outbox, Purchase, PurchaseItem, SourceLine, StoreOrder, Task
from app.pipeline.order_book import Book
from app.pipeline.record import audit, outbox, task
from app.ports.storefront import Request
from app.shop_access import with_shop

ASKED = "cancel_requested"
LEFT_OUT = "left-out"
WANTED = frozenset(("submitted", "accepted"))
"""States of a request in which the merchant wants the pieces from us."""


def withdrawn(line: SourceLine, purchases: Sequence[Purchase]) -> bool:
    """Whether the merchant took this line back and did not ask for it anew. `purchases`: all that ever held it."""
    return line.request not in WANTED and any(
        purchase.state == "CANCELLED"
        and (purchase.reason == "request_cancelled" or purchase.cancel_requested_at is not None)
        for purchase in purchases
    )


def asked_for(line: SourceLine, pieces: int) -> None:
    """So many open pieces are asked of our location now. What is asked anew is not taken back any more.

    `line` has the new state of the request. What we turned down and is asked once more had not been taken back.
    """
    before = line.requested or 0
    line.withdrawn = max((line.withdrawn or 0) - max(pieces - before, 0), 0)
    line.requested = max(pieces, before) if line.request == "rejected" else pieces


def tell_left_out(session: Session, order: StoreOrder, lines: Sequence[SourceLine], book: Book) -> set[str]:
    """Pieces of a cancellation that was rejected for the sake of others: the shop expects them, and nobody orders them.

    Gives the keys of these tasks.
    """
    keys = set()
    for line in lines:
        # Either they never were ordered, or what was ordered came to nothing.
        taken = line.withdrawn or (line.to_ship if withdrawn(line, book.of(line)) else 0)
        if not line.kept_back or not taken or order.cancelled or order.gone:
            continue
        asked = line.kept_back + (0 if line.request == "rejected" else line.requested)
        left = min(asked - sum(pieces for _, pieces in book.under_way(line)), line.kept_back, taken)
        if left <= 0:
            continue
        key = f"{LEFT_OUT}:{line.id}:{left}"
        keys.add(key)
        task(
            session,
            key,
            "left_out",
            turn="merchant",
            text=f"Order {order.number}: you asked to cancel the fulfilment, and that was rejected because something "
            f"of it had been ordered; but {left} × “{line.title[:60]}” is not on order and will not be. Refund it; or "
            "cancel its fulfilment again when the rest is shipped, and request it anew if the buyer still wants it.",
            shop_id=order.shop_id,
            order_id=order.id,
        )
    return keys


def left_out(session: Session, lines: Sequence[SourceLine]) -> frozenset[int]:
    """Ids of lines of which `tell_left_out` has told the merchant, in the orders of these."""
    if not lines:
        return frozenset()
    mine = Task.order_id.in_({line.order_id for line in lines}), Task.kind == "left_out", ~Task.over
    return frozenset(int(key.split(":")[1]) for key in session.scalars(sa.select(Task.dedupe_key).where(*mine)))


def answer_cancellation(session: Session, order: StoreOrder, lines: Sequence[SourceLine], book: Book) -> None:
    """Have the open cancellation requests of this order answered. Order, lines and purchases are locked."""
    asked = [line for line in lines if line.at_our_location and line.request == ASKED]
    if not asked:
        return
    late: dict[int, list[Purchase]] = {}
    for line in asked:
        sent = [(purchase, pieces) for purchase, pieces in book.under_way(line) if purchase.state not in UNSENT]
        on_its_way = sum(pieces for _, pieces in sent)
        # The shop leaves out what is asked back. What it leaves in may be asked of us, or of another location.
        if on_its_way > line.to_ship:
            late[line.id] = [purchase for purchase, pieces in sent if pieces]
            # What was not sent is not ordered either, though the request is rejected as a whole (`tell_left_out`).
            back = line.quantity - line.refunded - line.to_ship - on_its_way - book.shown(line).least
            line.withdrawn = max(line.withdrawn, back)
        else:
            line.withdrawn = max(line.quantity - line.refunded - line.to_ship - book.shown(line).most, 0)
    for purchase in {purchase.id: purchase for found in late.values() for purchase in found}.values():
        _too_late(session, order, purchase, lines, book)
    outbox(
        session,
        f"cancellation:{order.id}",
        "answer_cancellation",
        shop_id=order.shop_id,
        order_id=order.id,
        payload={
            "reject": [line.external_id for line in asked if line.id in late],
            "accept": [line.external_id for line in asked if line.id not in late],
        },
        repeat=True,
    )


def _too_late(session: Session, order: StoreOrder, purchase: Purchase, lines: Sequence[SourceLine], book: Book) -> None:
    """What was sent is never taken back by us: a flag and a task say what the merchant can do."""
    mine = [line for line in lines if any(found.id == purchase.id for found, _ in book.covering(line))]
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


def reject(container: Container, row: Outbox) -> str:
    """An act of the outbox: turn down a fulfilment request for goods that cannot be bought."""
    with container.database.transaction() as session:
        if session.get_one(Purchase, int(row.payload["purchase_id"])).gave_way:
            return "an earlier order turned up"
        order = session.get_one(StoreOrder, row.order_id)
        lines = session.scalars(
            sa.select(SourceLine.external_id)
            .join(PurchaseItem, PurchaseItem.source_line_id == SourceLine.id)
            .where(PurchaseItem.purchase_id == int(row.payload["purchase_id"]), SourceLine.at_our_location)
        ).all()
    message, reason = "This cannot be ordered at the supplier.", str(row.payload["reason"])
    _answer(container, order, lines, "fulfilment", accept=False, reason=reason, message=message)
    return "rejected"


def answer(container: Container, row: Outbox) -> str:
    """An act of the outbox. Rejections first: a request is answered as a whole, and what was sent decides for all."""
    with container.database.transaction() as session:
        order = session.get_one(StoreOrder, row.order_id)
    said = []
    for accept, message in ((False, "It was ordered at the supplier already."), (True, "Nothing was ordered yet.")):
        lines = [str(line) for line in row.payload["accept" if accept else "reject"]]
        if lines:
            said.append(f"{'accepted' if accept else 'rejected'} for {len(lines)} lines")
            _answer(container, order, lines, "cancellation", accept=accept, message=message)
    return f"cancellation {', '.join(said)}"


def _answer(
    container: Container,
    order: StoreOrder,
    lines: Sequence[str],
    about: Request,
    *,
    accept: bool,
    message: str,
    reason: str = "other",
) -> None:
    with_shop(
        container,
        order.shop_id,
        lambda shop: shop.answer_request(
            order.external_id, lines, about=about, accept=accept, reason=reason, message=message
        ),
    )
