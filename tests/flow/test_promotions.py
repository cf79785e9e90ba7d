"""A promotion's price is for so many pieces in one order; above, the normal price applies or ordering fails."""

from __future__ import annotations

from typing import Any

from tests.flow.world import BOTTLE, World

SHOP = "bottles.myshopify.com"


def ordered(world: World, quantity: int, price: str, **sku: Any) -> None:
    """A paid order of bottles whose SKU at the supplier is like that."""
    bottle = {"sku_id": BOTTLE[1], "sku_attr": "14:365458#Brown", "title": "Brown", "price": "7.19", **sku}
    world.aliexpress.control("products", {"product_id": BOTTLE[0], "skus": [bottle]})
    shop = world.shopify_shop(SHOP)
    variant = world.shopify_variant(SHOP, "BOTTLE", price)
    world.link(shop, variant, BOTTLE)
    world.shopify.control("orders", {"shop": SHOP, "lines": [{"variant_id": variant, "quantity": quantity}]})


def quote(world: World) -> str:
    """The quote of the only purchase, once it is placed, and that its real total is the same."""
    world.settle(until=lambda: world.states() == ["PLACED_UNPAID"], seconds=20)
    [made] = world.created()
    purchase = world.purchases()[0]
    assert purchase.facts["quote"] == f"{made['total']} USD"
    return str(made["total"])


def test_within_the_limit_the_promotion_holds(world: World) -> None:
    ordered(world, 2, "19.90", promotion_limit=2, limit_strategy="create_order_fail", normal_price="9.00")
    assert quote(world) == "16.37"


def test_above_it_the_normal_price_is_quoted(world: World) -> None:
    ordered(world, 3, "19.90", promotion_limit=2, normal_price="9.00")
    assert quote(world) == "28.99"


def test_above_it_the_normal_price_may_break_the_margin(world: World) -> None:
    ordered(world, 3, "9.00", promotion_limit=2, limit_strategy="back_to_normal_price", normal_price="9.00")
    world.settle(until=lambda: world.reasons() == ["margin"], seconds=20)
    assert world.calls_of_create() == 0


def test_where_ordering_would_fail_nothing_is_sent(world: World) -> None:
    ordered(world, 3, "19.90", promotion_limit=2, limit_strategy="create_order_fail", normal_price="9.00")
    world.settle(until=lambda: world.reasons() == ["promotion_limit"], seconds=20)
    assert world.calls_of_create() == 0
    assert {name: world.purchases()[0].facts[name] for name in ("limit", "wanted")} == {"limit": 2, "wanted": 3}


def test_a_tax_that_the_price_leaves_out_is_quoted(world: World) -> None:
    ordered(world, 1, "19.90", tax="1.50")
    assert quote(world) == "10.68"
