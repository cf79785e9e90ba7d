"""Where everything stands once all is quiet: each paid line (I11, P2), each order of the supplier (I7)."""

from __future__ import annotations

from collections import Counter
from typing import TYPE_CHECKING

import sqlalchemy as sa
from sqlalchemy.orm import Session

from app.domain.purchase_flow import PLACED
from app.models import (
    Attempt,
    Purchase,
    PurchaseItem,
    Shop,
    SourceLine,
    StoreOrder,
    SupplierAccount,
    SupplierOrder,
    Task,
)
from tests.machine.holds import holds
from tests.machine.ledger import Bought
from tests.machine.shops import Order, sold_as

if TYPE_CHECKING:
    from tests.machine.play import Play

OPEN = frozenset(("DRAFT", "READY", "CLAIMED", "SENDING", "UNKNOWN"))
"""States in which no paid line may be once all is quiet (I11)."""
PASSING = frozenset(("changed", "quantity_over"))
"""Why something is held that nobody is asked to do anything about: it must have gone on by itself once all is quiet."""
MISSING = ("partly_closed", "partly_placed")
"""Tasks that say of a placed purchase that the supplier has not all of it."""

Living = list[tuple[Purchase, PurchaseItem, SourceLine]]


def every_line(play: Play) -> None:
    """I11, P2: every paid line stands somewhere, and what is said to be placed is at the supplier. Raises `Broken`.

    A task is a place to stand for as long as its cause lasts, though a person may have closed it (then it is not
    `over`): one that says how many pieces of just this line are left out, or of just a purchase that holds it that
    the supplier has not all of it.
    """
    with play.container.database.transaction() as session:
        for order in play.shops.orders:
            if +order.wanted:
                _order(play, session, order)


def _order(play: Play, session: Session, order: Order) -> None:
    row = session.scalar(
        sa.select(StoreOrder)
        .join(Shop, Shop.id == StoreOrder.shop_id)
        .where(StoreOrder.external_id == order.external_id, Shop.connector == order.shop)
    )
    holds(row is not None, f"P2: the paid order of {order.buyer} is not known")
    assert row is not None
    living = _living(session, row)
    for purchase, _, _ in living:
        holds(
            purchase.state not in OPEN,
            f"I11: purchase {purchase.id} of {order.buyer} is {purchase.state} ({purchase.reason}) at the end",
        )
        holds(
            purchase.state != "HELD" or purchase.reason not in PASSING,
            f"I11: purchase {purchase.id} of {order.buyer} is held as {purchase.reason}, and nobody has to do anything",
        )
    tasks = session.scalars(sa.select(Task).where(Task.order_id == row.id, ~Task.over)).all()
    lines = session.scalars(sa.select(SourceLine).where(SourceLine.order_id == row.id))
    ids = {str(line.external_id): line.id for line in lines}
    live = play.ledger.live_of(order.name_hash)
    for line_id, sku in order.lines:
        wanted, mine = order.wanted[sku], [one for one in living if str(one[2].external_id) == line_id]
        left_out = sum(_left_out(task, ids[line_id]) for task in tasks) if line_id in ids else 0
        stands = sum(item.quantity for _, item, _ in mine)
        holds(stands + left_out >= wanted, f"P2: {wanted} of {sku} for {order.buyer} are paid, {stands} accounted for")
        elsewhere = sum(item.quantity for purchase, item, _ in mine if purchase.state not in PLACED)
        ours = {purchase.id for purchase, _, _ in mine}
        told = any(task.kind in MISSING and task.purchase_id in ours for task in tasks)
        holds(
            live[sku] + elsewhere + left_out >= wanted or told,
            f"P2: {order.buyer}'s {sku} is said to be placed; the supplier has {live[sku]} of {wanted}",
        )


def _living(session: Session, row: StoreOrder) -> Living:
    query = (
        sa.select(Purchase, PurchaseItem, SourceLine)
        .join(PurchaseItem, PurchaseItem.purchase_id == Purchase.id)
        .join(SourceLine, SourceLine.id == PurchaseItem.source_line_id)
        .where(Purchase.order_id == row.id, Purchase.state != "CANCELLED", PurchaseItem.quantity > 0)
    )
    found: Living = [(purchase, item, line) for purchase, item, line in session.execute(query)]
    replaced = {purchase.previous_id for purchase, _, _ in found}
    return [one for one in found if one[0].id not in replaced]


def _left_out(task: Task, line_id: int) -> int:
    """Pieces of this line that the task says nobody orders."""
    if task.kind != "left_out":
        return 0
    _, line, pieces = task.dedupe_key.split(":")
    return int(pieces) if int(line) == line_id else 0


def every_order(play: Play) -> None:
    """I7: every order of the supplier's ledger is attached, or in the list of those that belong to nobody.

    Or it is what a person is asked to look for: the purchase that it was made for is unclear, under its account, and
    all that is in it was sent. Raises `Broken`.
    """
    with play.container.database.transaction() as session:
        known = set(session.scalars(sa.select(SupplierOrder.external_id)))
        query = (
            sa.select(Attempt, SupplierAccount.user_id)
            .join(Purchase, Purchase.id == Attempt.purchase_id)
            .join(SupplierAccount, SupplierAccount.id == Attempt.account_id)
            .where(Purchase.state == "HUMAN", Attempt.outcome.in_(("OPEN", "UNKNOWN")))
        )
        asked = [(attempt, str(user)) for attempt, user in session.execute(query)]
    lost = [
        bought.number
        for bought in play.ledger.orders.values()
        if bought.number not in known and not any(_is_it(bought, attempt, user) for attempt, user in asked)
    ]
    holds(not lost, f"I7: nobody knows of {sorted(lost)}")


def _is_it(bought: Bought, attempt: Attempt, user: str) -> bool:
    sent = Counter[str]()
    for _, sku, pieces, _ in attempt.items:
        sent[sold_as(str(sku))] += int(pieces)
    return (bought.number_of_ours, bought.account) == (attempt.out_order_id, user) and bought.items <= sent
