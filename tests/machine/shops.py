"""The truth of the storefronts: what each buyer wants at this moment, as the shops' simulators have it."""

from __future__ import annotations

import hashlib
from collections import Counter
from dataclasses import dataclass, field
from typing import Any

from app.local.demo.cast import BLUE_BOTTLE, BROWN_BOTTLE, SOCKS, Goods
from tests.flow.world import World

SHOPIFY, WOOCOMMERCE = "shopify", "woocommerce"
DOMAIN, SLUG = "bottles.myshopify.com", "socks"
GOODS: tuple[Goods, ...] = (BROWN_BOTTLE, SOCKS, BLUE_BOTTLE)
"""Sold by both shops; the first and the last are SKUs of one product."""
OTHER_SOCKS = SOCKS.sku_id[:-1] + "1"
"""What a merchant may have the socks bought as instead."""
PRICE = "60.00"
MOST_ORDERS = 5
"""Of one story."""


def sold_as(sku: str) -> str:
    """The SKU of the goods that this one is bought for."""
    return SOCKS.sku_id if sku == OTHER_SOCKS else sku


@dataclass
class Order:
    """An order of a buyer whose name nobody else has: the supplier's ledger tells by it for whom something was made."""

    shop: str
    buyer: str
    external_id: str
    lines: list[tuple[str, str]]
    """Of each line, its id and the supplier SKU that it is bought as."""
    wanted: Counter[str] = field(default_factory=Counter)
    """Pieces by SKU at this moment: none unless it is paid and alive."""
    history: list[tuple[int, Counter[str]]] = field(default_factory=list)
    """`wanted` from which step of the story on."""
    changed: bool = False
    """Whether anybody did anything to it that may keep its parcels from being shown."""

    @property
    def name_hash(self) -> str:
        """How the supplier's ledger names the buyer."""
        return hashlib.sha256(self.buyer.encode()).hexdigest()[:16]

    def most_since(self, step: int) -> Counter[str]:
        """The most that was wanted of each SKU at any moment since this step."""
        most: Counter[str] = Counter()
        for place, (since, wanted) in enumerate(self.history):
            until = self.history[place + 1][0] if place + 1 < len(self.history) else None
            if until is None or until > step or since >= step:
                most |= wanted
        return most


class Shops:
    """Two shops, the orders in them, and what people do to these."""

    def __init__(self, world: World) -> None:
        self._world = world
        self.orders: list[Order] = []
        self.ids = {SHOPIFY: world.shopify_shop(DOMAIN)}
        world.account = {}  # the other shop's merchant has an account of their own
        self.ids[WOOCOMMERCE] = world.woocommerce_shop(SLUG, fulfilments=True)
        for goods in GOODS:
            for shop, variant in (
                (SHOPIFY, world.shopify_variant(DOMAIN, goods.sku, PRICE)),
                (WOOCOMMERCE, world.woocommerce_product(SLUG, goods.sku, PRICE)),
            ):
                world.link(self.ids[shop], variant, (goods.product_id, goods.sku_id))

    def buy(self, shop: str, goods: list[tuple[Goods, int]], *, paid: bool) -> Order:
        """A new order."""
        first, last = f"Buyer{len(self.orders) + 1}", "Example"
        lines = [{"sku": one.sku, "quantity": pieces} for one, pieces in goods]
        made: dict[str, Any]
        if shop == SHOPIFY:
            asked = {"shop": DOMAIN, "lines": lines, "address": {"firstName": first, "lastName": last}}
            made = self._world.shopify.control("orders", asked if paid else {**asked, "financial_status": "PENDING"})
            found = [str(line["id"]) for line in made["lines"]]
        else:
            how: dict[str, Any] = {} if paid else {"status": "pending", "set_paid": False}
            made = self._world.woocommerce_order(SLUG, lines, billing=_billing(first, last), **how)
            found = [str(line["id"]) for line in made["line_items"]]
        skus = [one.sku_id for one, _ in goods]
        order = Order(shop, f"{first} {last}", str(made["id"]), list(zip(found, skus, strict=True)))
        self.orders.append(order)
        return order

    def act(self, order: Order, name: str, data: dict[str, Any]) -> bool:
        """An act of a merchant or buyer; gives whether the shop allowed it."""
        order.changed |= name not in {"touch", "pay"}
        server = self._world.shopify if order.shop == SHOPIFY else self._world.woocommerce
        asked = data if order.shop == SHOPIFY else {"shop": SLUG, **data}
        status, _ = server.call("POST", f"/_control/orders/{order.external_id}/{name}", asked)
        return status < 300

    def look(self, step: int) -> None:
        """Read what is wanted now."""
        shopify = {str(one["id"]): one for one in self._world.shopify.control("state")["orders"]}
        shops = self._world.woocommerce.control("state")["shops"]
        for order in self.orders:
            if order.shop == SHOPIFY:
                wanted = _wanted_at_shopify(shopify[order.external_id])
            else:
                wanted = _wanted_at_woocommerce(shops[SLUG], order.external_id)
            skus = dict(order.lines)
            order.wanted = Counter()
            for line_id, pieces in wanted.items():
                if pieces > 0:
                    order.wanted[skus[line_id]] += pieces
            if not order.history or order.history[-1][1] != order.wanted:
                order.history.append((step, order.wanted.copy()))


def _wanted_at_shopify(order: dict[str, Any]) -> dict[str, int]:
    dead = order["cancelled"] or order["deleted"] or order["financial_status"] not in {"PAID", "PARTIALLY_REFUNDED"}
    return {line["id"]: 0 if dead else int(line["current"]) for line in order["lines"]}


def _wanted_at_woocommerce(shop: dict[str, Any], order_id: str) -> dict[str, int]:
    order = shop["orders"].get(order_id)
    if order is None or order["status"] not in {"processing", "completed"}:
        return {}
    wanted = {str(line["id"]): int(line["quantity"]) for line in order["line_items"]}
    for refund in shop["refunds"].values():
        for line in refund["line_items"] if str(refund["order_id"]) == order_id else ():
            of = next(str(row["value"]) for row in line["meta_data"] if row["key"] == "_refunded_item_id")
            wanted[of] = wanted.get(of, 0) - abs(int(line["quantity"]))
    return wanted


def _billing(first: str, last: str) -> dict[str, str]:
    return {
        "first_name": first,
        "last_name": last,
        "address_1": "1 Sample Street",
        "city": "Springfield",
        "state": "IL",
        "postcode": "62701",
        "country": "US",
        "phone": "+1 217 555 0100",
    }
