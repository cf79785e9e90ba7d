"""What we ordered and were paid for, against the supplier's own list of commissions.

What is in both lists with equal sums needs nobody. The rest is told as it is.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass

from app.ports.money import Money
from app.ports.reporting import Commission

ROUNDING = 1
"""Minor units by which two sums of one item may differ."""


@dataclass(frozen=True, slots=True)
class Difference:
    """An order of which the two sums are not the same. `theirs` None: one of its items tells no sum."""

    order_id: str
    ours: Money
    theirs: Money | None


@dataclass(frozen=True, slots=True)
class Comparison:
    """Numbers of orders, in order. `same`: in both, with equal sums."""

    same: tuple[str, ...]
    ours_only: tuple[str, ...]
    theirs_only: tuple[str, ...]
    differ: tuple[Difference, ...]


def compare(ours: Mapping[str, Money], rows: Iterable[Commission]) -> Comparison:
    """`ours`: what was paid for each order, by its number. `rows`: theirs, an item each, perhaps some of them twice."""
    items: dict[str, dict[tuple[str, str], Commission]] = {}
    for row in rows:
        if row.order_id:
            items.setdefault(row.order_id, {})[row.sub_order_id, row.product_id] = row
    both = sorted(ours.keys() & items.keys())
    found = {order_id: _sum(items[order_id].values()) for order_id in both}
    differ = tuple(
        Difference(order_id, ours[order_id], found[order_id])
        for order_id in both
        if not _alike(ours[order_id], found[order_id], len(items[order_id]))
    )
    odd = {one.order_id for one in differ}
    return Comparison(
        tuple(order_id for order_id in both if order_id not in odd),
        tuple(sorted(ours.keys() - items.keys())),
        tuple(sorted(items.keys() - ours.keys())),
        differ,
    )


def _sum(rows: Iterable[Commission]) -> Money | None:
    """What was paid for all of them; None if one tells no sum, or they are of several currencies."""
    paid = [row.paid for row in rows]
    told = [money for money in paid if money is not None]
    if len(told) < len(paid) or len({money.currency for money in told}) != 1:
        return None
    return Money(sum(money.minor for money in told), told[0].currency)


def _alike(ours: Money, theirs: Money | None, items: int) -> bool:
    return (
        theirs is not None and theirs.currency == ours.currency and abs(theirs.minor - ours.minor) <= ROUNDING * items
    )
