"""The two shops: made in their simulators, stocked, and visited by buyers."""

from __future__ import annotations

from app.local.demo.cast import NAMES, SHOPIFY, SOLD, WOOCOMMERCE, Case
from app.local.world import World

DOMAIN = "lumen-and-leaf.myshopify.com"
SLUG = "wool-corner"


class Shops:
    """Plays the platforms and the buyers."""

    def __init__(self, world: World) -> None:
        self._shopify = world.controls[SHOPIFY]
        self._woocommerce = world.controls[WOOCOMMERCE]

    def open_shopify(self) -> dict[str, str]:
        """A Shopify shop with its products; gives its address and tokens."""
        made = self._shopify.post("shops", {"domain": DOMAIN, "name": NAMES[SHOPIFY]})
        for goods in SOLD[SHOPIFY]:
            variants = [{"sku": goods.sku, "price": goods.price}]
            self._shopify.post("products", {"shop": DOMAIN, "title": goods.title, "variants": variants})
        return {"shop": DOMAIN, **{name: str(made[name]) for name in ("access_token", "refresh_token")}}

    def open_woocommerce(self) -> dict[str, str]:
        """A WooCommerce shop with its products; gives its address and keys."""
        wish = {"slug": SLUG, "name": NAMES[WOOCOMMERCE], "currency": "USD", "fulfilments": True}
        made = self._woocommerce.post("shops", wish)
        for goods in SOLD[WOOCOMMERCE]:
            wish = {"shop": SLUG, "name": goods.title, "type": "simple", "sku": goods.sku, "regular_price": goods.price}
            self._woocommerce.post("products", wish)
        return {name: str(made[name]) for name in ("url", "consumer_key", "consumer_secret")}

    def buy(self, case: Case) -> None:
        """A buyer orders and pays; the shop tells Waybill. Fills in the case's numbers."""
        if case.shop == SHOPIFY:
            self._buy_at_shopify(case)
        else:
            self._buy_at_woocommerce(case)

    def _buy_at_shopify(self, case: Case) -> None:
        made = self._shopify.post("orders", shopify_order(case))
        case.external_id, case.number = str(made["id"]), str(made["name"])
        case.line_ids = {str(line["id"]): str(line["sku"]) for line in made["lines"]}

    def _buy_at_woocommerce(self, case: Case) -> None:
        made = self._woocommerce.post("orders", woocommerce_order(case))
        case.external_id, case.number = str(made["id"]), f"#{made['number']}"
        case.line_ids = {str(line["id"]): str(line["sku"]) for line in made["line_items"]}


def shopify_order(case: Case) -> dict[str, object]:
    """What the Shopify simulator is told to make this order."""
    first, last = case.buyer.split(" ", 1)
    where = case.address
    address = {
        "firstName": first,
        "lastName": last,
        "address1": where["line"],
        "city": where["city"],
        "province": where["state_name"],
        "provinceCode": where["state"] or None,
        "zip": where["postcode"],
        "country": where["country_name"],
        "countryCodeV2": where["country"],
        "phone": where["phone"],
    }
    return {"shop": DOMAIN, "lines": _lines(case), "address": address}


def woocommerce_order(case: Case) -> dict[str, object]:
    """What the WooCommerce simulator is told to make this order."""
    first, last = case.buyer.split(" ", 1)
    where = case.address
    billing = {
        "first_name": first,
        "last_name": last,
        "address_1": where["line"],
        "city": where["city"],
        "state": where["state"],
        "postcode": where["postcode"],
        "country": where["country"],
        "email": "buyer@example.test",
        "phone": where["phone"],
    }
    return {"shop": SLUG, "payment_method": "stripe", "lines": _lines(case), "billing": billing}


def _lines(case: Case) -> list[dict[str, object]]:
    return [{"sku": goods.sku, "quantity": pieces} for goods, pieces in case.goods]
