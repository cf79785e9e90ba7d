"""The price guard compares with the money that the shop still has for an order."""

from __future__ import annotations

from typing import Any

import pytest

from app.domain.reasons import explain
from app.services import purchases
from tests.flow.world import BOTTLE, World

SHOPIFY, WOOCOMMERCE = "bottles.myshopify.com", "bottles"
PRICE = "19.90"
GIFT_CARD_AND_MONEY = [{"gateway": "gift_card", "amount": "15.00"}, {"gateway": "shopify_payments"}]
CREDIT_AND_MONEY = [{"gateway": "shopify_store_credit", "amount": "15.00"}, {"gateway": "shopify_payments"}]


class Front:
    """A shop with an order of bottles that are not linked yet, so that nothing is bought until `link`."""

    def __init__(self, world: World, kind: str) -> None:
        self.world, self.kind = world, kind
        if kind == "shopify":
            self.shop = world.shopify_shop(SHOPIFY)
            self.variant = world.shopify_variant(SHOPIFY, "BOTTLE", PRICE)
        else:
            self.shop = world.woocommerce_shop(WOOCOMMERCE)
            self.variant = world.woocommerce_product(WOOCOMMERCE, "BOTTLE", PRICE)

    def order(self, quantity: int = 1, **more: Any) -> str:
        if self.kind == "shopify":
            lines = [{"variant_id": self.variant, "quantity": quantity}]
            made = self.world.shopify.control("orders", {"shop": SHOPIFY, "lines": lines, **more})
        else:
            lines = [{"product_id": int(self.variant), "quantity": quantity}]
            made = self.world.woocommerce_order(WOOCOMMERCE, lines, **more)
        self.world.settle(until=lambda: self.world.reasons() == ["mapping_missing"])
        return str(made["id"])

    def refund(self, order: str, **back: Any) -> None:
        served = self.world.shopify if self.kind == "shopify" else self.world.woocommerce
        served.control(f"orders/{order}/refund", {"shop": WOOCOMMERCE, **back})

    def link(self) -> None:
        self.world.link(self.shop, self.variant, BOTTLE)
        self.look()

    def look(self) -> None:
        self.world.retry(1)
        self.world.settle(until=lambda: not {"READY", "CLAIMED", "SENDING"} & set(self.world.states()))

    def told(self) -> str:
        [purchase] = self.world.purchases()
        return explain(purchase.reason, **purchase.facts).text


@pytest.fixture(params=["shopify", "woocommerce"])
def front(request: pytest.FixtureRequest, world: World) -> Front:
    return Front(world, request.param)


@pytest.fixture
def shopify(world: World) -> Front:
    return Front(world, "shopify")


@pytest.fixture
def woocommerce(world: World) -> Front:
    return Front(world, "woocommerce")


def held_for_its_margin(front: Front, left: str) -> None:
    assert front.world.reasons() == ["margin"]
    assert f"The buyer paid {left} USD. Sold for 19.90 USD: the rest was refunded" in front.told()
    assert front.world.created() == []


def test_a_refund_of_most_of_the_money_holds_the_order(front: Front) -> None:
    order = front.order()
    front.refund(order, amount="19.00")
    front.link()
    held_for_its_margin(front, "0.90")


def test_a_small_refund_leaves_enough(front: Front) -> None:
    order = front.order()
    front.refund(order, amount="1.00")
    front.link()
    assert len(front.world.created()) == 1


def test_a_gift_card_that_only_lowers_the_total_was_not_paid(woocommerce: Front) -> None:
    woocommerce.order(gift_card="19.00")
    woocommerce.link()
    held_for_its_margin(woocommerce, "0.90")


def test_a_negative_fee_was_not_paid(woocommerce: Front) -> None:
    woocommerce.order(fee_lines=[{"name": "Store credit", "total": "-18.90"}])
    woocommerce.link()
    held_for_its_margin(woocommerce, "1.00")


def test_a_gift_card_booked_as_a_payment_is_money(shopify: Front) -> None:
    shopify.order(payments=GIFT_CARD_AND_MONEY)
    shopify.link()
    assert len(shopify.world.created()) == 1


def test_store_credit_is_no_money(shopify: Front) -> None:
    shopify.order(payments=CREDIT_AND_MONEY)
    shopify.link()
    held_for_its_margin(shopify, "4.90")


def test_paid_without_a_payment_is_for_a_person_to_decide(shopify: Front) -> None:
    shopify.order(payments=[])
    shopify.link()
    assert shopify.world.reasons() == ["money_unknown"]
    assert "calls this order paid and shows no payment" in shopify.told()
    assert shopify.world.created() == []
    purchases.approve(shopify.world.container, 1, actor="test")
    shopify.world.settle(until=lambda: len(shopify.world.created()) == 1)


def test_refunded_pieces_are_not_taken_off_twice(shopify: Front) -> None:
    """Three bottles, one refunded with its price: the other two are bought, as their price was kept."""
    order = shopify.order(quantity=3)
    shopify.refund(order, lines=[{"line": 0, "quantity": 1}])
    shopify.link()
    assert [item["quantity"] for made in shopify.world.created() for item in made["items"]] == [2]
    assert shopify.world.orders()[0].kept == 3980
