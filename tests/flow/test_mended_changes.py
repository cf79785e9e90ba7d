"""What the buyer takes back after it was bought is a person's task, and never a change of what was bought."""

from __future__ import annotations

from collections.abc import Callable

import pytest

from tests.flow.test_order_changes import order, shop
from tests.flow.world import World


@pytest.mark.parametrize("change", [lambda world, n: world.edit(n, 0), lambda world, n: world.refund(n, 1)])
def test_taken_back_after_it_was_bought_is_one_task(world: World, change: Callable[[World, str], None]) -> None:
    _, variant = shop(world)
    number = order(world, variant, 2)
    world.settle(until=lambda: world.states() == ["PLACED_UNPAID"])
    change(world, number)
    world.settle(until=lambda: world.tasks() == ["ask_supplier_to_cancel"], seconds=10)
    world.shopify.control("redeliver", {})
    world.settle()
    assert world.tasks() == ["ask_supplier_to_cancel"]
    assert (world.quantities(), world.calls_of_create()) == ([2], 1)
