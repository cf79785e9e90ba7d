"""What the pieces of a purchase were sold for, what the shop still has of it, and the total that keeps its margin."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import sqlalchemy as sa
from sqlalchemy.orm import Session

from app.domain import pricing
from app.models import ExchangeRate, Purchase, PurchaseItem, Shop, SourceLine, StoreOrder
from app.ports.money import Money


def sold_and_kept(
    order: StoreOrder, lines: Mapping[int, SourceLine], items: Sequence[PurchaseItem]
) -> tuple[Money, Money | None]:
    """What this purchase's pieces were sold for, with their share of the shipping, and what the shop still has of it.

    In the order's currency, without tax. `lines`: all of the order, by our id; `items`: those of the purchase.
    """
    currency = order.currency
    whole = Money(sum(line.paid for line in lines.values()), currency)
    shipping = Money(order.shipping_paid, currency)
    sold = Money.zero(currency)
    for item in items:
        if item.position != 1:
            continue
        line = lines[item.source_line_id]
        for_line = Money(line.paid, currency)
        share = pricing.share_of_shipping(for_line, whole, shipping)
        sold = sold + pricing.part_of(for_line + share, item.quantity, max(line.quantity, 1))
    order_sold = shipping
    for line in lines.values():
        order_sold = order_sold + pricing.part_of(
            Money(line.paid, currency), line.quantity - line.refunded, line.quantity
        )
    kept = None if order.kept is None else Money(order.kept, currency)
    return sold, pricing.kept_of(sold, order_sold, kept)


def limit_of(session: Session, purchase: Purchase, currency: str) -> Money:
    """The highest total in `currency` that keeps the margin; zero where nobody can tell: then a person approves."""
    order = session.get_one(StoreOrder, purchase.order_id)
    shop = session.get_one(Shop, purchase.shop_id)
    lines = {line.id: line for line in session.scalars(sa.select(SourceLine).where(SourceLine.order_id == order.id))}
    mine = sa.select(PurchaseItem).where(PurchaseItem.purchase_id == purchase.id, PurchaseItem.quantity > 0)
    _, kept = sold_and_kept(order, lines, session.scalars(mine.order_by(PurchaseItem.id)).all())
    pairs = sa.select(ExchangeRate.base, ExchangeRate.quote, ExchangeRate.rate)
    rates = pricing.Rates({(base, quote): rate for base, quote, rate in session.execute(pairs)})
    nothing = Money.zero(currency)
    return pricing.guard(nothing, kept, pricing.MarginRule(shop.margin_percent), rates).limit or nothing
