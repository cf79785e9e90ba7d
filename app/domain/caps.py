"""Spend caps as a pure decision; the reservation itself happens in T3's transaction."""

from __future__ import annotations

from dataclasses import dataclass

from app.ports.money import Money


@dataclass(frozen=True, slots=True)
class Caps:
    """Limits in the shop's currency. None: no limit. `quantity`: pieces of one line."""

    per_order: Money | None = None
    per_day: Money | None = None
    quantity: int | None = None


@dataclass(frozen=True, slots=True)
class CapReached:
    """`code` is `cap_order`, `cap_day` or `quantity_over`. `limit` and `spent` fill its sentence."""

    code: str
    limit: str
    spent: str
    cost: str


def check_caps(
    caps: Caps, cost: Money, *, order_so_far: Money, day_so_far: Money, pieces: int = 0
) -> CapReached | None:
    """Whether `cost` may be reserved on top of what is reserved and settled for the same order and the same day.

    All sums are in the shop's currency (else ValueError). A cap is the highest sum allowed, so reaching it exactly is
    fine. `pieces`: the largest quantity of one line of this purchase.
    """
    if cost.minor < 0:
        raise ValueError("a cost cannot be negative")
    if caps.quantity is not None and pieces > caps.quantity:
        return CapReached("quantity_over", str(caps.quantity), "", str(cost))
    if caps.per_order is not None and order_so_far + cost > caps.per_order:
        return CapReached("cap_order", str(caps.per_order), str(order_so_far), str(cost))
    if caps.per_day is not None and day_so_far + cost > caps.per_day:
        return CapReached("cap_day", str(caps.per_day), str(day_so_far), str(cost))
    return None
