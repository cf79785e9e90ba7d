"""A purchase's state follows from its supplier orders: payment, closing and shipping are theirs (section 3)."""

from __future__ import annotations

from collections.abc import Sequence

from app.models import Purchase, SupplierOrder
from app.ports.money import Money

APPROVABLE = frozenset(("margin", "money_unknown"))
"""Reasons of a held purchase that a person lifts by approving its price."""
_PAID_STATES = ("PLACED_PAID", "PART_SHIPPED", "SHIPPED", "DELIVERED")
"""In their order."""


def state(  # noqa: PLR0911 - one return for each state
    purchase: Purchase, orders: Sequence[SupplierOrder]
) -> tuple[str, str, dict[str, str]]:
    """(state, reason, facts) of a purchase with these supplier orders; never a step backwards."""
    ids = ", ".join(order.external_id for order in orders)
    facts = {"orders": ids}
    alive = [order for order in orders if not order.closed]
    paid = [order for order in orders if order.payment == "paid"]
    if not alive:
        if not paid:
            return "EXPIRED", "expired_unpaid", facts
        # The supplier tells no reason: closed before anything was shipped, or the money came back after it was.
        shipped = any(order.shipping != "none" for order in orders)
        return ("REFUNDED", "", facts) if shipped else ("SUPPLIER_CANCELLED", "supplier_cancelled", facts)
    totals = [order.total for order in alive if order.total is not None]
    total = Money(sum(totals), alive[0].currency) if len(totals) == len(alive) else None
    if total is not None:
        facts["total"] = str(total)
    if all(order.payment == "paid" for order in alive):
        reached = _shipped([order.shipping for order in alive])
        if purchase.state in _PAID_STATES and _PAID_STATES.index(purchase.state) >= _PAID_STATES.index(reached):
            return purchase.state, purchase.reason, facts  # a further order was found that is not as far as the others
        return reached, "", facts
    if purchase.state in _PAID_STATES:  # forward only: an unpaid order that turned up later stands in the pay list
        return purchase.state, purchase.reason, facts
    if purchase.cancel_requested_at is not None:
        return "PAY_BLOCKED", "cancelled_by_shop", facts
    if over(purchase, orders) and not (total is not None and approved(purchase, total)):
        facts["limit"] = str(Money(purchase.limit_minor or 0, purchase.quote_currency))
        return "PAY_BLOCKED", "price_over_limit", facts
    return "PLACED_UNPAID", "", facts


def _shipped(shipping: Sequence[str]) -> str:
    if all(one == "delivered" for one in shipping):
        return "DELIVERED"
    if all(one in {"shipped", "delivered"} for one in shipping):
        return "SHIPPED"
    return "PART_SHIPPED" if any(one != "none" for one in shipping) else "PLACED_PAID"


def approved(purchase: Purchase, amount: Money) -> bool:
    """Whether a person accepted this price. An approval holds for the sum that was shown, not for a higher one."""
    given = purchase.approved_minor
    return given is not None and amount.currency == purchase.approved_currency and amount.minor <= given


def highest(purchase: Purchase) -> Money | None:
    """The highest sum that may be paid: of the margin, or the higher one that a person approved."""
    sums = (
        (purchase.limit_minor, purchase.quote_currency),
        (purchase.approved_minor, purchase.approved_currency or purchase.quote_currency),
    )
    return max((Money(minor, currency) for minor, currency in sums if minor is not None), key=_minor, default=None)


def _minor(amount: Money) -> int:
    return amount.minor


def over(purchase: Purchase, orders: Sequence[SupplierOrder]) -> bool:
    """Whether the living orders cost more than the limit. Another currency cannot be compared and is over."""
    alive = [order for order in orders if not order.closed and order.total is not None]
    if not alive or purchase.limit_minor is None:
        return False
    foreign = any(order.currency != purchase.quote_currency for order in alive)
    return foreign or sum(order.total or 0 for order in alive) > purchase.limit_minor
