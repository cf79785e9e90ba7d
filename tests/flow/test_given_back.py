"""The price guard compares with what the buyer paid and did not get back."""

from __future__ import annotations

import pytest

from tests.flow.world import BOTTLE, World

SHOP = "bottles.myshopify.com"
CREDIT = [{"name": "Store credit", "total": "-18.90"}]


def link_and_settle(world: World, shop: int, variant: str) -> None:
    world.link(shop, variant, BOTTLE)
    world.retry(1)
    world.settle(until=lambda: world.states() != ["READY"] and world.states() != ["CLAIMED"])
    world.settle()


def test_store_credit_was_not_paid(world: World) -> None:
    shop = world.woocommerce_shop("bottles")
    product = world.woocommerce_product("bottles", "BOTTLE")
    world.link(shop, product, BOTTLE)
    world.woocommerce_order("bottles", [{"product_id": int(product), "quantity": 1}], fee_lines=CREDIT)
    world.settle(until=lambda: world.reasons() == ["margin"])
    assert world.created() == []


def test_money_refunded_at_woocommerce_without_pieces_is_off_what_was_paid(world: World) -> None:
    shop = world.woocommerce_shop("bottles")
    product = world.woocommerce_product("bottles", "BOTTLE")
    order = world.woocommerce_order("bottles", [{"product_id": int(product), "quantity": 1}])
    world.settle(until=lambda: world.reasons() == ["mapping_missing"])
    world.woocommerce.control(f"orders/{order['id']}/refund", {"shop": "bottles", "amount": "19.00"})
    link_and_settle(world, shop, product)
    assert world.reasons() == ["margin"]
    assert world.created() == []


@pytest.mark.parametrize(("back", "reason"), [({"amount": "19.00"}, "margin"), ({"amount": "1.00"}, "")])
def test_money_refunded_at_shopify_without_pieces_is_off_what_was_paid(
    world: World, back: dict[str, str], reason: str
) -> None:
    shop = world.shopify_shop(SHOP)
    variant = world.shopify_variant(SHOP, "BOTTLE")
    order = world.shopify.control("orders", {"shop": SHOP, "lines": [{"variant_id": variant, "quantity": 1}]})
    world.settle(until=lambda: world.reasons() == ["mapping_missing"])
    world.shopify.control(f"orders/{order['id']}/refund", back)
    link_and_settle(world, shop, variant)
    assert world.reasons() == [reason]
    assert len(world.created()) == (reason == "")


def test_refunded_pieces_are_not_taken_off_twice(world: World) -> None:
    """Three bottles, one refunded with its price: the other two are bought, as their price was kept."""
    shop = world.shopify_shop(SHOP)
    variant = world.shopify_variant(SHOP, "BOTTLE")
    order = world.shopify.control("orders", {"shop": SHOP, "lines": [{"variant_id": variant, "quantity": 3}]})
    world.settle(until=lambda: world.reasons() == ["mapping_missing"])
    world.refund(order["id"], 1)
    link_and_settle(world, shop, variant)
    assert [item["quantity"] for made in world.created() for item in made["items"]] == [2]
    assert world.orders()[0].given_back == 0
