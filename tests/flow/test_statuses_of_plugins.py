"""A paid order that a plugin of the shop moves to a status of its own: the merchant is asked, nothing is claimed."""

from __future__ import annotations

import pytest

from app.models import Shop
from app.pipeline.record import sentence
from tests.flow.world import BOTTLE, World

SHOP = "socks"


def moved(world: World, status: str) -> str:
    """A paid order that had this status before we read it first; gives its id."""
    shop = world.woocommerce_shop(SHOP)
    product = world.woocommerce_product(SHOP, "BOTTLE")
    world.link(shop, product, BOTTLE)
    world.woocommerce.control("settings", {"shop": SHOP, "more_statuses": ["high-risk-review", "in-production"]})
    world.woocommerce.control("queue", {"shop": SHOP, "act": "pause"})
    order = world.woocommerce_order(SHOP, [{"product_id": int(product), "quantity": 1}])
    world.woocommerce.control(f"orders/{order['id']}/status", {"shop": SHOP, "status": status})
    world.woocommerce.control("queue", {"shop": SHOP, "act": "run"})
    return str(order["id"])


@pytest.mark.parametrize("status", ["in-production", "high-risk-review"])
def test_it_is_held_with_its_status_and_goes_on_by_itself(world: World, status: str) -> None:
    order = moved(world, status)
    world.settle(until=lambda: world.reasons() == ["status_unknown"])
    (purchase,) = world.purchases()
    assert purchase.state == "HELD"
    text, turn = sentence(purchase)
    assert (status in text, turn) == (True, "merchant")
    assert world.orders()[0].paid
    world.woocommerce.control(f"orders/{order}/status", {"shop": SHOP, "status": "processing"})
    world.settle(until=lambda: world.states() == ["PLACED_UNPAID"], seconds=20)


def test_on_hold_after_the_payment_is_a_hold_and_not_unpaid(world: World) -> None:
    moved(world, "on-hold")
    world.settle(until=lambda: world.reasons() == ["shop_hold"])


def test_moved_after_it_was_read_it_is_not_bought_either(world: World) -> None:
    """Nobody told us of it: the checks before the send find it."""
    order = moved(world, "processing")
    with world.container.database.transaction() as session:
        session.get_one(Shop, 1).state = "PAUSED"
    world.settle(until=lambda: world.reasons() == ["shop_paused"])
    world.woocommerce.control("queue", {"shop": SHOP, "act": "pause"})
    world.woocommerce.control(f"orders/{order}/status", {"shop": SHOP, "status": "in-production"})
    with world.container.database.transaction() as session:
        session.get_one(Shop, 1).state = "ACTIVE"
    world.retry(world.purchases()[0].id)
    world.settle(until=lambda: world.reasons() == ["status_unknown"], seconds=20)
    assert world.calls_of_create() == 0
