"""What the battery needs of each connector's simulator. A connector without a player here fails the battery by name."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

from tests.flow.world import World


@dataclass(frozen=True)
class StorefrontPlayer:
    """How to make a shop, a product and an order in a storefront's simulator, to refund money, and to kill its keys."""

    shop: Callable[[World], int]
    product: Callable[[World, str], str]
    order: Callable[[World, str, int], str]
    refund: Callable[[World, str, str], Any]
    kill_keys: Callable[[World], Any]


def _woo_order(world: World, variant: str, quantity: int) -> str:
    return str(world.woocommerce_order("socks", [{"product_id": int(variant), "quantity": quantity}])["id"])


def _shopify_order(world: World, variant: str, quantity: int) -> str:
    lines = [{"variant_id": variant, "quantity": quantity}]
    return str(world.shopify.control("orders", {"shop": "bottles.myshopify.com", "lines": lines})["id"])


STOREFRONTS = {
    "shopify": StorefrontPlayer(
        shop=lambda world: world.shopify_shop("bottles.myshopify.com"),
        product=lambda world, sku: world.shopify_variant("bottles.myshopify.com", sku),
        order=_shopify_order,
        refund=lambda world, number, amount: world.shopify.control(f"orders/{number}/refund", {"amount": amount}),
        kill_keys=lambda world: world.shopify.control(
            "expire_token", {"shop": "bottles.myshopify.com", "which": "both"}
        ),
    ),
    "woocommerce": StorefrontPlayer(
        shop=lambda world: world.woocommerce_shop("socks"),
        product=lambda world, sku: world.woocommerce_product("socks", sku),
        order=_woo_order,
        refund=lambda world, number, amount: world.woocommerce.control(
            f"orders/{number}/refund", {"shop": "socks", "amount": amount}
        ),
        kill_keys=lambda world: world.woocommerce.control("keys", {"shop": "socks", "act": "revoke"}),
    ),
}


@dataclass(frozen=True)
class SupplierPlayer:
    """A SKU that the supplier's simulator sells, and how to kill the account's token."""

    product: str
    sku: str
    kill_token: Callable[[World], Any]


SUPPLIERS = {
    "aliexpress": SupplierPlayer(
        product="1005006000000008",
        sku="12000036000000801",
        kill_token=lambda world: world.aliexpress.control("kill_token", {"refresh": True}),
    ),
}
