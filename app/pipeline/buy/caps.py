"""Spending limits: per order and per day, for all orders and for those paid automatically (S66)."""

from __future__ import annotations

from datetime import date

import sqlalchemy as sa
from sqlalchemy.orm import Session

from app.domain.caps import CapReached, Caps, check_caps
from app.models import Shop, Spend
from app.ports.money import Money


def over(session: Session, shop: Shop, quote: Money, day: date, *, autopay: bool) -> CapReached | None:
    """The cap that this quote would pass, None if none. The caller holds the shop's row lock.

    Caps are minor units of the supplier's quote currency; `day` is UTC.
    """
    amount = sa.func.sum(sa.func.coalesce(Spend.settled, Spend.quoted))
    spent = sa.select(amount, amount.filter(Spend.autopay)).where(
        Spend.shop_id == shop.id, Spend.day == day, Spend.state != "RELEASED"
    )
    total, automatic = session.execute(spent).one()
    currency = quote.currency
    limits = [(shop.order_cap, shop.day_cap, int(total or 0))]
    if autopay:
        limits.append((shop.autopay_order_cap, shop.autopay_day_cap, int(automatic or 0)))
    for per_order, per_day, so_far in limits:
        reached = check_caps(
            Caps(Money(per_order, currency), Money(per_day, currency)),
            quote,
            order_so_far=Money.zero(currency),
            day_so_far=Money(so_far, currency),
        )
        if reached is not None:
            return reached
    return None
