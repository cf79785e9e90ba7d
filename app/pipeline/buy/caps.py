"""Spending limits: per order and per day, for all orders and for those paid automatically (S66)."""

from __future__ import annotations

from datetime import date

import sqlalchemy as sa
from sqlalchemy.orm import Session

from app.domain.caps import CapReached, Caps, check_caps
from app.models import Attempt, Purchase, Shop, Spend
from app.ports.money import Money


def over(session: Session, shop: Shop, order_id: int, quote: Money, day: date, *, autopay: bool) -> CapReached | None:
    """The cap that this quote would pass, None if none. The caller holds the shop's row lock.

    Caps are minor units of the supplier's quote currency; `day` is UTC. The cap of an order is that of the whole
    storefront order, however many purchases it needs.
    """
    amount = sa.func.sum(sa.func.coalesce(Spend.settled, Spend.quoted))
    held = sa.and_(Spend.shop_id == shop.id, Spend.state != "RELEASED")
    spent = sa.select(amount, amount.filter(Spend.autopay)).where(held, Spend.day == day)
    mine = (
        sa.select(amount, amount.filter(Spend.autopay))
        .join(Attempt, Attempt.id == Spend.attempt_id)
        .join(Purchase, Purchase.id == Attempt.purchase_id)
        .where(held, Purchase.order_id == order_id)
    )
    total, automatic = (int(each or 0) for each in session.execute(spent).one())
    order_total, order_automatic = (int(each or 0) for each in session.execute(mine).one())
    currency = quote.currency
    limits = [(shop.order_cap, shop.day_cap, order_total, total)]
    if autopay:
        limits.append((shop.autopay_order_cap, shop.autopay_day_cap, order_automatic, automatic))
    for per_order, per_day, order_so_far, so_far in limits:
        reached = check_caps(
            Caps(Money(per_order, currency), Money(per_day, currency)),
            quote,
            order_so_far=Money(order_so_far, currency),
            day_so_far=Money(so_far, currency),
        )
        if reached is not None:
            return reached
    return None
