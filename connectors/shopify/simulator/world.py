"""The simulated shops and orders: plain records under one lock, written through the ledger."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable
from typing import Any

from connectors.shopify.simulator.ledger import Ledger
from connectors.shopify.simulator.options import Options

Record = dict[str, Any]

# Real ids are 13 digits and more; these exceed 2^53 on purpose, so that a float on the way shows.
_FIRST_ID = 9_007_199_254_741_001


def _silent(*_args: Any, **_parts: Any) -> None:
    return


class ProblemError(Exception):
    """A control call that makes no sense; the text goes to whoever called it."""


class World:
    """All state. Hold `lock` around every look and every change."""

    def __init__(self, options: Options) -> None:
        self.options = options
        self.tell: Callable[..., None] = _silent
        """Sends a webhook: topic, shop, order and the parts of its body; set once the sender exists."""
        self.lock = threading.RLock()
        self.ledger = Ledger(options.ledger)
        self.app: Record = {
            "id": _FIRST_ID,
            "client_secret": options.client_secret,
            "previous_secret": None,
            "sign_with": "current",
        }
        self.shops: dict[str, Record] = {}
        self.products: dict[int, Record] = {}
        self.variants: dict[int, Record] = {}
        self.orders: dict[int, Record] = {}
        self.by_fulfillment_order: dict[int, int] = {}
        self.by_fulfillment: dict[int, int] = {}
        for state in self.ledger.replay():
            self._restore(state)
        if self.app["previous_secret"] is None:
            # Never rotated: the secret is what the simulator was started with, not what it was once.
            self.app["client_secret"] = options.client_secret

    def _restore(self, state: Record) -> None:
        self.app = state.get("app", self.app)
        for shop in state.get("shops", []):
            self.shops[shop["domain"]] = shop
        for product in state.get("products", []):
            self._index_product(product)
        for order in state.get("orders", []):
            self._index_order(order)

    def new_id(self) -> int:
        """A number never given before."""
        self.app["id"] += 1
        return int(self.app["id"])

    def now(self) -> float:
        """Seconds since 1970."""
        return time.time()

    def scaled(self, seconds: float) -> float:
        """A delay of the real service, in our time."""
        return seconds / self.options.time_scale

    def shop(self, domain: str) -> Record:
        """The shop, or `ProblemError`."""
        found = self.shops.get(domain)
        if found is None:
            raise ProblemError(f"no shop {domain}")
        return found

    def order(self, order_id: int) -> Record:
        """The order, or `ProblemError`."""
        found = self.orders.get(order_id)
        if found is None:
            raise ProblemError(f"no order {order_id}")
        return found

    def commit(
        self,
        event: str,
        *,
        shop: Record | None = None,
        product: Record | None = None,
        order: Record | None = None,
        **details: Any,
    ) -> None:
        """Write an event with the records that it changed; call it once the records are in their new state."""
        state: Record = {"app": self.app}
        if shop is not None:
            self.shops[shop["domain"]] = shop
            state["shops"] = [shop]
        if product is not None:
            self._index_product(product)
            state["products"] = [product]
        if order is not None:
            self._index_order(order)
            state["orders"] = [order]
        self.ledger.append(event, state, **details)

    def _index_product(self, product: Record) -> None:
        self.products[product["id"]] = product
        for variant in product["variants"]:
            self.variants[variant["id"]] = variant | {"product": product}

    def _index_order(self, order: Record) -> None:
        self.orders[order["id"]] = order
        for routed in order["fulfillment_orders"]:
            self.by_fulfillment_order[routed["id"]] = order["id"]
        for fulfillment in order["fulfillments"]:
            self.by_fulfillment[fulfillment["id"]] = order["id"]

    def touch(self, order: Record) -> None:
        """The order changed now. `updatedAt` has whole seconds and never goes back."""
        order["updated_at"] = max(int(self.now()), order["updated_at"])
