"""The order of an unclear send is found by several at once: attached once, to its purchase, and nobody is alarmed."""

from __future__ import annotations

from collections.abc import Callable

import pytest

from tests.flow.world import World
from tests.races.barrier import Scene, every_order
from tests.races.scene import Shop
from tests.races.unclear import Unclear

ATTACHING = ("app.pipeline.evidence.look_up", "buy.outcome.record", "pipeline.track.", "order.get", "evidence.push")
"""Points of those who find it."""


@pytest.fixture(scope="module", autouse=True)
def no_pushes(shared_world: World) -> None:
    """None comes but those of the actors."""
    shared_world.aliexpress.control("push", {"lost": -1})


def finders(
    shop: Shop, one: Callable[[Unclear], object], other: Callable[[Unclear], object], *, paid: bool = False
) -> Callable[[], Scene]:
    """Two who find the order at once. `paid`: so that the supplier's list of paid orders shows it."""

    def scene() -> Scene:
        unclear = Unclear(shop)
        if paid:
            shop.world.aliexpress.control("pay", {"order_id": unclear.ref})

        def problems() -> list[str]:
            unclear.track()
            states, rows = shop.states(unclear.order), unclear.rows()
            owners = [(row.purchase_id, row.role) for row in rows]
            wrong = []
            if unclear.bought() != 1 or states != ["PLACED_PAID" if paid else "PLACED_UNPAID"]:
                wrong.append(f"{unclear.bought()} bought, {states}")
            if owners != [(unclear.purchase.id, "bought")] or unclear.times_attached() != 1:
                wrong.append(f"{owners}, attached {unclear.times_attached()} times")
            if unclear.told():
                wrong.append(f"told {unclear.told()}")
            return wrong

        return lambda: one(unclear), lambda: other(unclear), problems

    return scene


def test_push_and_push(shop: Shop, shared_world: World) -> None:
    scene = finders(shop, Unclear.push, Unclear.push)
    assert every_order(shared_world, scene, at=ATTACHING, both=False) > 2


def test_push_and_poll(shop: Shop, shared_world: World) -> None:
    scene = finders(shop, Unclear.push, Unclear.look, paid=True)
    assert every_order(shared_world, scene, at=ATTACHING) > 4


def test_push_and_late_answer(shop: Shop, shared_world: World) -> None:
    assert every_order(shared_world, finders(shop, Unclear.push, Unclear.answer), at=ATTACHING) > 4


def test_poll_and_late_answer(shop: Shop, shared_world: World) -> None:
    scene = finders(shop, Unclear.look, Unclear.answer, paid=True)
    assert every_order(shared_world, scene, at=ATTACHING) > 4
