"""Who and what the demo is about: two shops, what they sell, and the orders that are going to be made."""

from __future__ import annotations

import hashlib
from collections import Counter
from dataclasses import dataclass, field


@dataclass(frozen=True, slots=True)
class Goods:
    """Something a shop sells, and the AliExpress SKU that it is bought as."""

    sku: str
    title: str
    price: str
    product_id: str
    sku_id: str


def _goods(sku: str, title: str, price: str, product: int, variant: int) -> Goods:
    """The simulator's catalogue derives ids from numbers: product 1005…, SKU 12000…."""
    return Goods(sku, title, price, str(1005006000000000 + product), str(12000036000000000 + product * 100 + variant))


# Every order has SKUs of its own. Waybill lets orders for the same SKU wait while one of them is unclear, which is
# right but would make the story hard to follow.
SNEAKERS = _goods("SNEAKER-BLACK-42", "Canvas sneakers (black, 42)", "44.90", 1, 1)
SOCKS = _goods("SOCKS-MOSS", "Wool socks (moss)", "9.90", 2, 2)
BRUSH = _goods("BRUSH", "Shoe brush", "14.90", 3, 1)
COPPER_CAN = _goods("CAN-COPPER", "Watering can (copper)", "34.90", 4, 1)
GREEN_CAN = _goods("CAN-GREEN", "Watering can (green)", "32.90", 4, 2)
LIGHTS = _goods("LIGHTS-US", "Garden string light (US plug)", "29.90", 5, 2)
TRAY = _goods("TRAY", "Seed tray", "19.90", 6, 1)
BROWN_BOTTLE = _goods("BOTTLE-BROWN", "Insulated bottle (brown)", "21.90", 8, 1)
BLUE_BOTTLE = _goods("BOTTLE-BLUE", "Insulated bottle (blue)", "21.90", 8, 2)
BLACK_LAMP = _goods("LAMP-BLACK", "Desk lamp (black)", "49.90", 9, 1)
WHITE_LAMP = _goods("LAMP-WHITE", "Desk lamp (white)", "49.90", 9, 2)
HOLDER = _goods("HOLDER", "Cable holder (5 pieces)", "12.90", 10, 1)

SHOPIFY, WOOCOMMERCE = "shopify", "woocommerce"
NAMES = {SHOPIFY: "Lumen & Leaf", WOOCOMMERCE: "Wool Corner"}
KINDS = {SHOPIFY: "Shopify", WOOCOMMERCE: "WooCommerce"}
SOLD = {
    SHOPIFY: (SNEAKERS, SOCKS, GREEN_CAN, BRUSH, BROWN_BOTTLE, BLUE_BOTTLE, TRAY),
    WOOCOMMERCE: (COPPER_CAN, LIGHTS, BLACK_LAMP, WHITE_LAMP, HOLDER),
}
US = {
    "line": "12 Sample Street",
    "city": "Springfield",
    "state": "IL",
    "state_name": "Illinois",
    "postcode": "62701",
    "country": "US",
    "country_name": "United States",
    "phone": "+1 217 555 0100",
}
GERMANY = {
    "line": "Musterstrasse 7",
    "city": "Berlin",
    "state": "",
    "state_name": "Berlin",
    "postcode": "",
    "country": "DE",
    "country_name": "Germany",
    "phone": "+49 30 901820",
}


TITLES = {
    "plain-shopify": "plain",
    "plain-woocommerce": "plain",
    "three-lines": "3 lines, 2 sellers",
    "webhooks": "webhooks twice",
    "lost-reply": "reply lost",
    "lost-all": "reply and pushes lost",
    "price-before": "price rose before",
    "price-after": "price rose at order",
    "address": "address refused",
    "dead-token": "dead token",
}


@dataclass(slots=True)
class Case:
    """One order of the demo. `end` is how it must end; `path` names states or reasons it must have gone through.

    Buyers' names differ, so that the supplier's ledger tells for whom it created an order without asking Waybill.
    """

    key: str
    shop: str
    buyer: str
    goods: tuple[tuple[Goods, int], ...]
    end: str
    path: tuple[str, ...] = ()
    address: dict[str, str] = field(default_factory=lambda: dict(US))
    external_id: str = ""
    number: str = ""
    line_ids: dict[str, str] = field(default_factory=dict)

    @property
    def name(self) -> str:
        """How the story calls the order."""
        return f"{self.number} of {NAMES[self.shop]}"

    @property
    def name_hash(self) -> str:
        """How the supplier's ledger names the recipient."""
        return hashlib.sha256(self.buyer.encode()).hexdigest()[:16]

    @property
    def wanted(self) -> Counter[tuple[str, str]]:
        """Pieces by supplier product and SKU."""
        return Counter({(goods.product_id, goods.sku_id): pieces for goods, pieces in self.goods})

    @property
    def scene(self) -> str:
        """What is special about it."""
        return TITLES.get(self.key, self.key)

    @property
    def contents(self) -> str:
        """What was ordered, in words."""
        return " + ".join(f"{pieces} x {goods.title}" for goods, pieces in self.goods)


BOUGHT, HELD, DO_NOT_PAY = "bought", "held", "do not pay"


def cases() -> dict[str, Case]:
    """The orders, by key, not made yet."""
    made = (
        Case("plain-shopify", SHOPIFY, "Ada Plain", ((BROWN_BOTTLE, 2),), BOUGHT),
        Case("plain-woocommerce", WOOCOMMERCE, "Ben Plain", ((BLACK_LAMP, 1),), BOUGHT),
        Case("three-lines", SHOPIFY, "Cleo Many", ((SNEAKERS, 1), (SOCKS, 2), (GREEN_CAN, 1)), BOUGHT),
        Case("webhooks", SHOPIFY, "Dora Twice", ((BRUSH, 1),), BOUGHT),
        Case("lost-reply", SHOPIFY, "Emil Silent", ((BLUE_BOTTLE, 1),), BOUGHT, ("UNKNOWN",)),
        Case("lost-all", WOOCOMMERCE, "Fay Silent", ((WHITE_LAMP, 1),), BOUGHT, ("UNKNOWN", "HUMAN")),
        Case("price-before", WOOCOMMERCE, "Gil Dear", ((LIGHTS, 1),), HELD, ("margin",)),
        Case("price-after", SHOPIFY, "Hana Dear", ((TRAY, 1),), DO_NOT_PAY, ("price_over_limit",)),
        Case(
            "address", WOOCOMMERCE, "Ida Elsewhere", ((HOLDER, 2),), BOUGHT, ("address_refused",), address=dict(GERMANY)
        ),
        Case("dead-token", WOOCOMMERCE, "Jan Patient", ((COPPER_CAN, 1),), BOUGHT, ("token_dead",)),
    )
    return {case.key: case for case in made}
