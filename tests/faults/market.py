"""The shops of a scene: what they sell, and buying there."""

from __future__ import annotations

from typing import Any

from app.local.demo.cast import Goods
from tests.faults.orders import SHOPIFY, Order
from tests.flow.connecting import connect_account, connect_shop
from tests.flow.world import World

SLUG = "socks"
AMERICAN = {
    "line": "1 Sample Street", "city": "Springfield", "state": "IL", "state_name": "Illinois",
    "zip": "62701", "country": "US", "country_name": "United States", "phone": "+1 217 555 0100",
}  # fmt: skip
GERMAN = {
    "line": "Musterstrasse 7", "city": "Berlin", "state": "", "state_name": "Berlin",
    "zip": "", "country": "DE", "country_name": "Germany", "phone": "+49 30 901820",
}  # fmt: skip
"""Without its postcode, which the supplier refuses."""
CHEAP = "5.00"
"""A price at which nothing here is bought without a person's word."""


class Market:
    """`shops`: our id by a Shopify domain, or by `SLUG`. `variants`: a variant's id by its SKU."""

    def __init__(self, world: World) -> None:
        self._world = world
        self.shops: dict[str, int] = {}
        self.variants: dict[str, str] = {}

    def open(self, name: str, goods: tuple[Goods, ...], *, cheap: tuple[Goods, ...] = (), **asked: object) -> int:
        """A shop that sells these, with the account of the others. `asked`: more about a Shopify shop."""
        world = self._world
        if name == SLUG:
            self.shops[name] = world.woocommerce_shop(SLUG, fulfilments=True)
        else:
            self.shops[name] = world.shopify_shop(name, **asked)
        self._stock(name, goods, cheap)
        return self.shops[name]

    def open_apart(self, domain: str, goods: tuple[Goods, ...]) -> dict[str, Any]:
        """A Shopify shop with an account of its own, which is given."""
        world = self._world
        made = world.shopify.control("shops", {"domain": domain})
        tokens = {"access_token": made["access_token"], "refresh_token": made["refresh_token"]}
        self.shops[domain] = connect_shop(world.container, "shopify", domain, tokens)
        account: dict[str, Any] = world.aliexpress.control("accounts", {})
        connect_account(world.container, self.shops[domain], account)
        self._stock(domain, goods, ())
        return account

    def _stock(self, name: str, goods: tuple[Goods, ...], cheap: tuple[Goods, ...]) -> None:
        for one in goods:
            price = CHEAP if one in cheap else one.price
            make = self._world.woocommerce_product if name == SLUG else self._world.shopify_variant
            self.variants[one.sku] = make(name, one.sku, price)

    def link(self, name: str, goods: tuple[Goods, ...]) -> None:
        """Link them directly; `flask link add` is for scripts whose commands may die."""
        for one in goods:
            self._world.link(self.shops[name], self.variants[one.sku], (one.product_id, one.sku_id))

    def buy(self, order: Order, where: dict[str, str] = AMERICAN, **more: Any) -> None:
        """A buyer orders and pays."""
        first, last = order.buyer.split()
        lines = [{"sku": goods.sku, "quantity": pieces} for goods, pieces in order.goods]
        made: dict[str, Any]
        if order.shop == SHOPIFY:
            address = {
                "firstName": first, "lastName": last, "address1": where["line"], "city": where["city"],
                "province": where["state_name"], "provinceCode": where["state"] or None, "zip": where["zip"],
                "country": where["country_name"], "countryCodeV2": where["country"], "phone": where["phone"],
            }  # fmt: skip
            asked = {"shop": order.domain, "lines": lines, "address": address, **more}
            made = self._world.shopify.control("orders", asked)
            order.lines = {str(line["id"]): str(line["sku"]) for line in made["lines"]}
        else:
            billing = {
                "first_name": first, "last_name": last, "address_1": where["line"], "city": where["city"],
                "state": where["state"], "postcode": where["zip"], "country": where["country"], "phone": where["phone"],
            }  # fmt: skip
            made = self._world.woocommerce_order(SLUG, lines, billing=billing)
            order.lines = {str(line["id"]): str(line["sku"]) for line in made["line_items"]}
        order.external_id = str(made["id"])
