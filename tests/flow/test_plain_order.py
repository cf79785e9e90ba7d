"""The plain order's whole way, on both storefronts."""

from __future__ import annotations

from tests.flow.world import BOTTLE, World


def test_shopify_order_is_bought_once_and_its_tracking_comes_back(world: World) -> None:
    shop = world.shopify_shop("bottles.myshopify.com")
    variant = world.shopify_variant("bottles.myshopify.com", "BOTTLE-BROWN")
    world.link(shop, variant, BOTTLE)
    order = world.shopify.control(
        "orders", {"shop": "bottles.myshopify.com", "lines": [{"variant_id": variant, "quantity": 2}]}
    )
    world.settle(until=lambda: world.states() == ["PLACED_UNPAID"])
    created = world.created()
    assert [(item["product_id"], item["sku_id"], item["quantity"]) for line in created for item in line["items"]] == [
        (*BOTTLE, 2)
    ]

    world.aliexpress.control("pay", {"order_ids": [created[0]["order_id"]]})
    world.settle(until=lambda: world.states() == ["PLACED_PAID"])
    world.aliexpress.control("ship", {"order_id": created[0]["order_id"]})
    world.settle(
        until=lambda: any(found["fulfillments"] for found in world.shopify.control("state")["orders"]), seconds=15
    )
    shown = world.shopify.control("state")["orders"][0]
    assert shown["id"] == order["id"]
    assert [line["fulfilled"] for line in shown["lines"]] == [2]
    assert world.states() == ["SHIPPED"]
    assert len(world.created()) == 1


def test_woocommerce_order_is_bought_once_and_its_tracking_comes_back(world: World) -> None:
    shop = world.woocommerce_shop("socks")
    product = world.woocommerce_product("socks", "BOTTLE")
    world.link(shop, product, BOTTLE)
    world.woocommerce_order("socks", [{"product_id": int(product), "quantity": 1}])
    world.settle(until=lambda: world.states() == ["PLACED_UNPAID"])
    created = world.created()
    assert len(created) == 1
    world.aliexpress.control("pay", {"order_ids": [created[0]["order_id"]]})
    world.settle(until=lambda: world.states() == ["PLACED_PAID"])
    world.aliexpress.control("ship", {"order_id": created[0]["order_id"]})
    world.settle(until=lambda: world.states() == ["SHIPPED"], seconds=15)
    assert len(world.created()) == 1
