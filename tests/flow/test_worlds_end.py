"""A world that is closed goes on nowhere: what it left would slow down every test after it."""

from __future__ import annotations

import threading
import time
from pathlib import Path

from tests.flow.world import BOTTLE, SOCKS, running

OF_SIMULATORS = {"aliexpress-clock", "aliexpress-pushes", "shopify-webhooks", "queue-socks"}


def test_no_thread_of_a_simulator_outlives_its_world(database_url: str, redis_url: str, tmp_path: Path) -> None:
    before = set(threading.enumerate())
    with running(database_url, redis_url, tmp_path) as world:
        shop = world.shopify_shop("bottles.myshopify.com")
        variant = world.shopify_variant("bottles.myshopify.com", "BOTTLE")
        world.link(shop, variant, BOTTLE)
        other = world.woocommerce_shop("socks")
        product = world.woocommerce_product("socks", "SOCKS")
        world.link(other, product, SOCKS)
        world.shopify.control(
            "orders", {"shop": "bottles.myshopify.com", "lines": [{"variant_id": variant, "quantity": 1}]}
        )
        world.woocommerce_order("socks", [{"product_id": int(product), "quantity": 1}])
        world.settle(seconds=20, until=lambda: world.states() == ["PLACED_UNPAID"] * 2)
        names = {thread.name for thread in set(threading.enumerate()) - before}
        assert names >= OF_SIMULATORS, "else this test sees nothing"
    until = time.monotonic() + 10
    while left := [one.name for one in set(threading.enumerate()) - before if one.name in OF_SIMULATORS]:
        assert time.monotonic() < until, left
        time.sleep(0.05)
