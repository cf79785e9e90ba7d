"""Stop what has not been sent, for a whole shop: it is held with a reason, never failed."""

from __future__ import annotations

import sqlalchemy as sa

from app.container import Container
from app.models import Purchase
from app.pipeline.record import move


def hold_unsent(container: Container, shop_id: int, *, reason: str, actor: str) -> int:
    """Hold the shop's purchases that could be bought at any moment. Gives how many.

    A transaction of its own, without a lock on the shop: the point of no return locks a purchase and then its shop.
    """
    with container.database.transaction() as session:
        # A claimed purchase is stopped as well: its worker finds it gone at the point of no return.
        waiting = session.scalars(
            sa.select(Purchase)
            .where(Purchase.shop_id == shop_id, Purchase.state.in_(("READY", "CLAIMED")))
            .order_by(Purchase.order_id, Purchase.id)
            .with_for_update(key_share=True)
        ).all()
        for purchase in waiting:
            move(session, purchase, "HELD", actor=actor, reason=reason)
    return len(waiting)
