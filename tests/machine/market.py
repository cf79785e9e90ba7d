"""What the supplier offers: goods whose price, stock and SKUs change, and what each SKU cost when."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, Any, TypeVar

from tests.machine.shops import GOODS

if TYPE_CHECKING:
    from tests.machine.play import Play

T = TypeVar("T")
CHANGES: dict[str, dict[str, Any]] = {
    "as before": {},
    "sold out": {"stock": 0},
    "one left": {"stock": 1},
    "dearer": {"price": "12.00"},
    "far too dear": {"price": "58.00"},
    "cheap": {"price": "5.00"},
    "renamed": {"sku_attr": "14:771#Another colour"},
    "its SKU is gone": {"gone": True},
    "not sold any more": {"on_sale": False},
}
"""What becomes of a SKU; the last of its whole product."""
FREIGHT = 1.99
"""Dollars for each item of an order, by the cheapest service."""


class Market:
    """The catalogue as it is now, and its prices in dollars since the story began."""

    def __init__(self, play: Play) -> None:
        self._play = play
        found = play.world.aliexpress.control("state")["products"]
        products = found.values() if isinstance(found, dict) else found
        ours = {goods.product_id for goods in GOODS}
        self._skus = {str(one["product_id"]): list(one["skus"]) for one in products if str(one["product_id"]) in ours}
        self._changed: dict[str, dict[str, Any]] = {}
        self._prices: dict[str, list[tuple[float, float]]] = {}
        for skus in self._skus.values():
            for sku in skus:
                self._prices[str(sku["sku_id"])] = [(0.0, float(sku["price"]))]

    def change(self, goods: int, what: str) -> None:
        """Let this become of one of our goods; what was changed about it before is as it was."""
        product, sku = GOODS[goods].product_id, GOODS[goods].sku_id
        self._changed[sku] = CHANGES[what]
        rows = [row | self._changed.get(str(row["sku_id"]), {}) for row in self._skus[product]]
        for row in rows:
            self._prices[str(row["sku_id"])].append((self._play.clock.at, float(row["price"])))
        on_sale = all(row.get("on_sale", True) for row in rows)
        sold = [
            {name: value for name, value in row.items() if name not in {"gone", "on_sale"}}
            for row in rows
            if not row.get("gone")
        ]
        assert self._play.supplier("products", {"product_id": product, "skus": sold, "on_sale": on_sale})

    def as_before(self) -> None:
        """Everything is sold as in the beginning."""
        for goods in range(len(GOODS)):
            self.change(goods, "as before")

    def cheapest(self, sku: str, since: float) -> float:
        """The lowest price of a SKU at any moment since then (epoch seconds)."""
        return min(in_force(self._prices[sku], since))


def in_force(history: Sequence[tuple[float, T]], since: float) -> list[T]:
    """What was in force at any moment since then, of (from when on, what)."""
    before = [value for at, value in history if at <= since][-1:]
    return before + [value for at, value in history if at > since]
