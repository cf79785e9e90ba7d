"""One order is read by several at once: one purchase per line and generation, and what was read last counts."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator

import pytest
import sqlalchemy as sa

from app.models import StoreOrder
from app.pipeline import import_order, newest, poll
from app.pipeline.due import INBOX, Claim, claim_due
from app.pipeline.receive import receive
from app.ports.errors import TryLater
from app.ports.inbound import Delivery
from tests.flow.world import World
from tests.races.barrier import Scene, every_order
from tests.races.scene import SHOP, Shop
from tests.races.woo import WooShop

STORING = ("pipeline.import_order.", "after the call shopify.OrderForDropship")
"""Points of those who read it."""
POLLING = (*STORING, "pipeline.poll.", "pipeline.due.", "after the call shopify.OrdersChanged")
"""Points of them, and of one who lists what has changed."""


def hook(shop: Shop, order: str, topic: str) -> None:
    """An event about it comes and is worked off."""
    container = shop.world.container
    body = json.dumps({"id": int(order), "admin_graphql_api_id": f"gid://shopify/Order/{order}"}).encode()
    row = receive(container, "shopify", shop.id, Delivery(topic, shop_key=SHOP), body)
    import_order.run(container, Claim(row, container.clock.now()))


def polled(shop: Shop) -> None:
    """The shop's changed orders are listed, and what is due then is worked off."""
    container = shop.world.container
    poll.run(container, Claim(shop.id, container.clock.now()))
    for claimed in claim_due(container, "inbox", INBOX, 50):
        import_order.run(container, claimed)


def pair(
    shop: Shop, before: int, pieces: int, one: Callable[[str], object], other: Callable[[str], object]
) -> Callable[[], Scene]:
    """Two readers of an order of `before` pieces; when both have ended, `pieces` are wanted by it."""

    def scene() -> Scene:
        order, known = shop.made(before), len(shop.world.created())

        def problems() -> list[str]:
            rows = [(purchase.part, purchase.generation) for purchase in shop.purchases(order)]
            wanted = shop.wanted(order)  # before the placement reads it once more
            shop.send(order)
            bought = shop.bought(known)
            right = (rows, wanted, bought) == ([(1, 1)], [pieces], [pieces])
            return [] if right else [f"{rows} of {wanted} pieces, {bought} bought"]

        return lambda: one(order), lambda: other(order), problems

    return scene


def test_webhook_and_webhook(shop: Shop, shared_world: World) -> None:
    scene = pair(shop, 1, 1, lambda order: hook(shop, order, "orders/create"), lambda o: hook(shop, o, "orders/paid"))
    assert every_order(shared_world, scene, at=STORING, both=False) > 3


def test_webhook_and_poll(shop: Shop, shared_world: World) -> None:
    scene = pair(shop, 1, 1, lambda order: hook(shop, order, "orders/create"), lambda _: polled(shop))
    assert every_order(shared_world, scene, at=POLLING) > 6


def test_what_was_read_before_an_edit_and_stored_after_it(shop: Shop, shared_world: World) -> None:
    def edited(order: str) -> None:
        shared_world.edit(order, 1)
        shop.read(order)

    scene = pair(shop, 2, 1, shop.read, edited)
    assert every_order(shared_world, scene, at=STORING, both=False) > 2


@pytest.fixture(scope="module")
def woo(shared_world: World) -> Iterator[WooShop]:
    """A WooCommerce shop whose clocks disagree; paused, so that other races do not buy what waits there."""
    made = WooShop(shared_world, fulfilments=False)
    shared_world.pause_shop(made.id)
    yield made
    made.close()


def test_what_was_read_before_a_payment_with_a_lower_stamp_and_stored_after_it(
    woo: WooShop, shared_world: World
) -> None:
    """The stamp tells the wrong order of the two; and who is told to come later comes later."""
    control = shared_world.woocommerce.control

    def known(order: str) -> StoreOrder:
        with shared_world.container.database.transaction() as session:
            mine = sa.select(StoreOrder).where(StoreOrder.shop_id == woo.id, StoreOrder.external_id == order)
            return session.scalars(mine).one()

    def paid(order: str) -> None:
        control("settings", {"shop": woo.slug, "clock_ahead": -60})
        control(f"orders/{order}/pay", {"shop": woo.slug})
        try:
            woo.read(order)
        except TryLater:
            import_order.refresh(shared_world.container, woo.id, order, known(order).read_at + newest.LAGS)

    def scene() -> Scene:
        control("settings", {"shop": woo.slug, "clock_ahead": 2})
        lines = [{"product_id": int(woo.variant), "quantity": 1}]
        order = str(shared_world.woocommerce_order(woo.slug, lines, status="pending")["id"])

        def problems() -> list[str]:
            return [] if known(order).paid and woo.states(order) == ["HELD"] else ["the payment was not heard"]

        return lambda: woo.read(order), lambda: paid(order), problems

    storing = ("pipeline.import_order.", "after the call woocommerce.orders.get")
    assert every_order(shared_world, scene, at=storing) > 4
