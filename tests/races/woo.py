"""A WooCommerce shop for races."""

from __future__ import annotations

from collections import Counter

from tests.flow.world import BOTTLE, World
from tests.races.scene import Shop


class WooShop(Shop):
    """As `Shop`. Its events go nowhere: what happens is what the actors do."""

    def __init__(self, world: World, *, fulfilments: bool) -> None:
        self.slug = "newer" if fulfilments else "older"
        number = world.woocommerce_shop(self.slug, fulfilments=fulfilments)
        variant = world.woocommerce_product(self.slug, "BOTTLE")
        super().__init__(world, number, variant)
        world.link(number, variant, BOTTLE)

    def made(self, pieces: int) -> str:
        """As `Shop.made`."""
        order = self.world.woocommerce_order(self.slug, [{"product_id": int(self.variant), "quantity": pieces}])
        return str(order["id"])

    def cancel(self, external_id: str) -> None:
        """As `Shop.cancel`."""
        self.world.woocommerce.control(f"orders/{external_id}/cancel", {"shop": self.slug})

    def refund(self, external_id: str) -> None:
        """As `Shop.refund`."""
        self.world.woocommerce.control(f"orders/{external_id}/refund", {"shop": self.slug})

    def shown(self, external_id: str) -> list[str]:
        """As `Shop.shown`; a number that two notes tell is there twice."""
        lines = self.world.woocommerce.control("ledger")
        notes = [line["note"] for line in lines if line["event"] == "note_created" and line["shop"] == self.slug]
        mine = [note.rpartition(": ")[2] for note in notes]
        twice = [number for number, times in Counter(mine).items() if times > 1]
        return super().shown(external_id) + twice
