"""I8 and P4 by the supplier's ledger: what was bought is within the merchant's caps, what is paid within the margin.

Waybill decides by a quote that the ledger does not show. So each order is taken for the least that it can have been
quoted at: the lowest prices since its worker began, and the cheapest freight. Whatever breaks a limit by that, breaks it.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from app.services import shops as shop_services
from tests.machine.holds import holds
from tests.machine.ledger import Bought
from tests.machine.market import FREIGHT, in_force
from tests.machine.shops import PRICE

if TYPE_CHECKING:
    from tests.machine.play import Play

DAY = 86_400
LARGE = {
    "autopay": False,
    "order_cap": 50_000,
    "day_cap": 500_000,
    "autopay_order_cap": 10_000,
    "autopay_day_cap": 100_000,
}
CHOICES: dict[str, dict[str, int]] = {
    "autopay": {"autopay": True},
    "by hand": {"autopay": False},
    "small orders": {"order_cap": 1_200},
    "small days": {"day_cap": 2_000},
    "small autopay": {"autopay": True, "autopay_order_cap": 1_200, "autopay_day_cap": 2_000},
    "large": LARGE,
}
"""Cents, but for the first."""
KEPT = 1 / 1.1
"""What of its price a piece may cost at most, by the shops' margin of ten percent, however that is counted."""
QUOTE_AGE = 62.0
"""Seconds between a quote and an order that is paid by itself, at most."""


class Money:
    """The limits in force, and the judgement."""

    def __init__(self, play: Play) -> None:
        self._play = play
        self._limits = {shop: [(0.0, dict(LARGE))] for shop in play.shops.ids}
        self._approved: dict[str, float] = {}
        """Of a purchase, by its number of ours: the highest sum in dollars that somebody saw and accepted."""

    def choose(self, shop: str, what: str) -> None:
        """A merchant's choice, told to Waybill and kept here."""
        changes = {name: bool(value) if name == "autopay" else value for name, value in CHOICES[what].items()}
        history = self._limits[shop]
        history.append((self._play.clock.at, {**history[-1][1], **CHOICES[what]}))
        container, shop_id = self._play.container, self._play.shops.ids[shop]
        self._play.by_hand(lambda: shop_services.set_policy(container, shop_id, changes, actor="merchant:1"))

    def approve(self, number_of_ours: str, dollars: float) -> None:
        """Somebody accepts that a purchase costs so much."""
        self._approved[number_of_ours] = max(dollars, self._approved.get(number_of_ours, 0.0))

    def judge(self, order: Bought, shop: str, began: float) -> None:
        """A new order of the ledger, whose worker began then (epoch seconds). Raises `Broken`."""
        play = self._play
        same_shop = [one for one in play.ledger.orders.values() if one.account == order.account and one.live]
        today = [one for one in same_shop if one.created // DAY == (order.created - 3) // DAY]
        buyers = [one for one in same_shop if one.name_hash == order.name_hash]
        self._within(order, shop, began, "day_cap", today)
        self._within(order, shop, began, "order_cap", buyers)
        if order.autopaid:
            holds(bool(self._most(shop, "autopay", began)), f"P4: order {order.number} was paid by itself")
            self._within(order, shop, began, "autopay_day_cap", [one for one in today if one.autopaid])
            self._within(order, shop, began, "autopay_order_cap", [one for one in buyers if one.autopaid])
            together = [one for one in buyers if one.number_of_ours == order.number_of_ours]
            cost = sum(self._least(one, order.created - QUOTE_AGE) for one in together)
            limit = self._limit(order)
            holds(cost <= limit, f"P4: order {order.number} was paid by itself at {cost:.2f} or more, over {limit:.2f}")

    def asked_to_pay(self, number: str) -> None:
        """Waybill asks for the payment of this order.

        Raises `Broken` if its purchase costs more than the margin leaves, and than anybody accepted for this purchase.
        """
        order = self._play.ledger.orders[number]
        together = [one for one in self._play.ledger.orders.values() if one.number_of_ours == order.number_of_ours]
        cost = sum(one.total for one in together if one is order or not one.closed)
        limit = max(self._limit(order), self._approved.get(order.number_of_ours, 0.0) + 0.001)
        holds(cost <= limit, f"P4: payment of order {number} is asked for, {cost:.2f} is over {limit:.2f}")

    def _limit(self, order: Bought) -> float:
        buyer = next(one for one in self._play.shops.orders if one.name_hash == order.name_hash)
        return sum(buyer.most_since(0).values()) * float(PRICE) * KEPT + 0.01

    def _within(self, order: Bought, shop: str, began: float, cap: str, orders: list[Bought]) -> None:
        spent = round(100 * sum(self._least(one, began if one is order else one.created - DAY) for one in orders))
        most = self._most(shop, cap, began)
        holds(spent <= most, f"I8: with order {order.number} at least {spent} cents are spent, {cap} is {most}")

    def _least(self, order: Bought, since: float) -> float:
        """Dollars that this order can have been quoted at."""
        kept = ((sku, pieces) for sku, pieces in order.raw.items() if sku not in order.closed)
        prices = ((self._play.market.cheapest(sku, since), pieces) for sku, pieces in kept)
        return sum(min(price * pieces + FREIGHT, order.total) for price, pieces in prices)

    def _most(self, shop: str, name: str, since: float) -> int:
        return max(limits[name] for limits in in_force(self._limits[shop], since))
