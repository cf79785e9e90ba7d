"""Four orders of both shops on their whole way, the first of which has its answer cut off."""

from __future__ import annotations

from collections.abc import Iterator
from typing import TYPE_CHECKING

from app.local.demo.cast import BLACK_LAMP, BROWN_BOTTLE, BRUSH, COPPER_CAN, LIGHTS, SOCKS
from tests.faults.market import SLUG
from tests.faults.orders import SHOPIFY, WOOCOMMERCE, Order

if TYPE_CHECKING:
    from tests.faults.scene import Scene

DOMAIN = "bottles.myshopify.com"


class Plain:
    """A script, as `tests.faults.scene.Script` says."""

    name = "plain"
    hurries = False

    def __init__(self, scene: Scene) -> None:
        self._scene = scene
        self.orders = [
            Order(SHOPIFY, "Lost Reply", ((BROWN_BOTTLE, 1),), domain=DOMAIN),
            Order(SHOPIFY, "Plain Shopify", ((SOCKS, 2), (BRUSH, 1)), domain=DOMAIN),
            Order(WOOCOMMERCE, "Two Sellers", ((COPPER_CAN, 1), (LIGHTS, 2))),
            Order(WOOCOMMERCE, "Thin Margin", ((BLACK_LAMP, 1),)),
        ]

    def furnish(self) -> None:
        """Two shops of one account."""
        market = self._scene.market
        for name, goods in ((DOMAIN, (BROWN_BOTTLE, SOCKS, BRUSH)), (SLUG, (COPPER_CAN, LIGHTS, BLACK_LAMP))):
            market.open(name, goods, cheap=(BLACK_LAMP,))
            market.link(name, goods)

    def stories(self) -> list[Iterator[None]]:
        """One after another, as the fault is the first one's."""
        return [self._all()]

    def _all(self) -> Iterator[None]:
        scene, (first, *others) = self._scene, self.orders
        yield from scene.until_done("shop", "set", 1, "--contact-email", "owner@example.test")
        scene.fault("drop_after")
        scene.market.buy(first)
        yield from scene.until(scene.world.calls_of_create)
        for order in others:
            scene.market.buy(order)

    def wrong(self) -> list[str]:
        """Nothing beside what is true of every script."""
        return []
