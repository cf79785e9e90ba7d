"""Orders that people at a desk act on: asked for, turned down, taken back, paused, linked anew, told once more."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from app.local.demo.cast import (
    BLACK_LAMP,
    BROWN_BOTTLE,
    BRUSH,
    SNEAKERS,
    SOCKS,
    TRAY,
    WHITE_LAMP,
)  # fmt: skip
from tests.faults.market import SLUG
from tests.faults.orders import SHOPIFY, WOOCOMMERCE, Order
from tests.faults.stories import Story

if TYPE_CHECKING:
    from tests.faults.scene import Scene

OURS, PAUSED = "ours.myshopify.com", "paused.myshopify.com"
SOLD = {
    OURS: (SOCKS, TRAY, BROWN_BOTTLE),
    PAUSED: (SNEAKERS, BRUSH),
    SLUG: (BLACK_LAMP, WHITE_LAMP),
}
UNWELL = ("product.get", "trade.ds.order.get", "tracking.get")
"""Reads of the supplier that fail for a while."""


class Desk:
    """A script, as `tests.faults.scene.Script` says."""

    name = "desk"
    hurries = True

    def __init__(self, scene: Scene) -> None:
        self._scene = scene
        self.asked = Order(SHOPIFY, "Asked For", ((SOCKS, 1),), domain=OURS)
        self.declined = Order(SHOPIFY, "Not Sold", ((TRAY, 1),), kept=False, never=True, domain=OURS)
        self.taken_back = Order(SHOPIFY, "Taken Back", ((BROWN_BOTTLE, 1),), kept=False, domain=OURS)
        self.paused = Order(SHOPIFY, "Shop Paused", ((SNEAKERS, 1),), domain=PAUSED)
        self.unlinked = Order(SHOPIFY, "Linked Anew", ((BRUSH, 1),), domain=PAUSED)
        self.unwell = Order(WOOCOMMERCE, "Supplier Unwell", ((WHITE_LAMP, 1),))
        self.again = Order(WOOCOMMERCE, "Told Again", ((BLACK_LAMP, 1),))
        self.orders = [
            self.asked, self.declined, self.taken_back, self.paused, self.unlinked, self.unwell, self.again,
        ]  # fmt: skip

    def furnish(self) -> None:
        """Three shops of one account; one works with requests at our own location."""
        market = self._scene.market
        for name, goods in SOLD.items():
            market.open(name, goods, **({"our_location": True} if name == OURS else {}))
            market.link(name, goods)
        self._scene.world.aliexpress.control("products", {"product_id": TRAY.product_id, "on_sale": False})

    def stories(self) -> list[Story]:
        """All beside each other."""
        return [
            self._asked(self.asked), self._declined(), self._taken_back(), self._paused(), self._linked_anew(),
            self._unwell(), self._told_again(),
        ]  # fmt: skip

    def wrong(self) -> list[str]:
        """What cannot be sold was turned down in the shop."""
        turned_down = [line for line in self._events() if line["event"] == "request_rejected"]
        return [] if len(turned_down) == 1 else [f"{len(turned_down)} requests were turned down, not one"]

    def _events(self) -> list[dict[str, Any]]:
        events: list[dict[str, Any]] = self._scene.world.shopify.control("ledger")
        return events

    def _asked(self, order: Order) -> Story:
        """Nothing is bought before the merchant asks our location for it."""
        scene = self._scene
        scene.market.buy(order)
        yield from scene.until(lambda: scene.stands(order, "waiting_request"))
        scene.world.shopify.control(f"orders/{order.external_id}/request_fulfillment", {})

    def _declined(self) -> Story:
        yield from self._asked(self.declined)
        yield from self._scene.until(lambda: not self.wrong())

    def _taken_back(self) -> Story:
        """After it was ordered: the merchant is told that it is too late, does not pay, and the supplier closes it."""
        scene, order = self._scene, self.taken_back
        scene.people.unpaid.add(order.name_hash)
        yield from self._asked(order)
        yield from scene.until(lambda: scene.stands(order, "PLACED_UNPAID"))
        scene.world.shopify.control(f"orders/{order.external_id}/request_cancellation", {})
        yield from scene.until(lambda: any(line["event"] == "cancellation_rejected" for line in self._events()))
        yield from scene.until(lambda: scene.stands(order, "PAY_BLOCKED"))
        scene.world.aliexpress.control("close", {"order_id": scene.people.orders(order.name_hash)[0]["order_id"]})

    def _paused(self) -> Story:
        scene = self._scene
        shop = scene.market.shops[PAUSED]
        yield from scene.until_done("shop", "pause", shop, holds=lambda: self._state(shop) == "PAUSED")
        scene.market.buy(self.paused)
        yield from scene.until(lambda: scene.stands(self.paused, "shop_paused"))
        yield from scene.until_done("shop", "resume", shop, holds=lambda: self._state(shop) == "ACTIVE")

    def _state(self, shop: int) -> str:
        return str(self._scene.commands.give("shop", "show", shop).data["state"])

    def _linked_anew(self) -> Story:
        """The link is taken away, and made again when the order waits for it; then the supplier is unwell."""
        scene, market = self._scene, self._scene.market
        variant = market.variants[BRUSH.sku]
        yield from scene.until_done("link", "remove", self._link(variant), holds=lambda: not self._link(variant))
        market.buy(self.unlinked)
        yield from scene.until(lambda: scene.stands(self.unlinked, "mapping_missing"))
        scene.fails("product.get", about=BRUSH.product_id)
        made = (
            "link", "add", "--shop", market.shops[PAUSED], "--variant", variant,
            "--product", BRUSH.product_id, "--sku-id", BRUSH.sku_id,
        )  # fmt: skip
        yield from scene.until_done(*made)

    def _link(self, variant: str) -> int:
        """The number of its link; 0: none."""
        rows = self._scene.commands.give("link", "list").data
        return next((int(row["id"]) for row in rows if row["variant_id"] == variant), 0)

    def _unwell(self) -> Story:
        scene = self._scene
        for operation in UNWELL:
            scene.fails(operation)
        scene.market.buy(self.unwell)
        yield from scene.until(lambda: scene.stands(self.unwell, "PLACED_UNPAID", "PLACED_PAID", "SHIPPED"))

    def _told_again(self) -> Story:
        """Staff have its event dealt with once more when it is bought already."""
        scene = self._scene
        scene.market.buy(self.again)
        yield from scene.until(lambda: scene.stands(self.again, "PLACED_UNPAID", "PLACED_PAID", "SHIPPED"))
        rows = scene.commands.give("inbox", "list", "--state", "DONE").data
        yield from scene.until_done("inbox", "replay", rows[0]["id"])
