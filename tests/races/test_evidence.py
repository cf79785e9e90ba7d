"""The order of an unclear send is found by several at once: attached once, to its purchase, and nobody is alarmed."""

from __future__ import annotations

import contextlib
from collections.abc import Callable

import pytest
import sqlalchemy as sa

from app.errors import Conflict, NotFound
from app.models import SupplierOrder
from app.services import orphans, placement
from tests.flow.world import BOTTLE, World
from tests.races.barrier import Scene, every_order
from tests.races.byhand import order_by_hand
from tests.races.points import CREATE, READ
from tests.races.scene import Shop
from tests.races.unclear import Unclear, push

ATTACHING = ("evidence.", READ)
"""Points of those who find it."""


@pytest.fixture(scope="module", autouse=True)
def no_pushes(shared_world: World) -> None:
    """None comes but those of the actors."""
    shared_world.aliexpress.control("push", {"lost": -1})


def finders(shop: Shop, one: Callable[[Unclear], object], other: Callable[[Unclear], object]) -> Callable[[], Scene]:
    """Two who find the order at once."""

    def scene() -> Scene:
        unclear = Unclear(shop)
        if Unclear.answer in {one, other}:
            unclear.answer_is_kept()
        if {Unclear.look, Unclear.track} & {one, other}:
            unclear.is_seen()

        def problems() -> list[str]:
            unclear.track()
            states, owners = shop.states(unclear.order), [(row.purchase_id, row.role) for row in unclear.rows()]
            wrong = []
            if unclear.bought() != 1 or states != ["PLACED_UNPAID"]:
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


@pytest.mark.parametrize(("poll", "point"), [(Unclear.look, "reconcile.run"), (Unclear.track, "pipeline.track.")])
def test_push_and_poll(shop: Shop, shared_world: World, poll: Callable[[Unclear], object], point: str) -> None:
    """The reconciler, or the worker who reads supplier orders."""
    assert every_order(shared_world, finders(shop, Unclear.push, poll), at=(*ATTACHING, point)) > 5


def test_push_and_late_answer(shop: Shop, shared_world: World) -> None:
    assert every_order(shared_world, finders(shop, Unclear.push, Unclear.answer), at=(*ATTACHING, "buy.outcome.")) > 4


def test_poll_and_late_answer(shop: Shop, shared_world: World) -> None:
    assert (
        every_order(
            shared_world, finders(shop, Unclear.look, Unclear.answer), at=(*ATTACHING, "reconcile.run", "buy.outcome.")
        )
        > 4
    )


IN_FLIGHT = (*CREATE, "buy.outcome.record")
"""From the point of no return on."""


def test_a_send_and_an_order_by_hand(shop: Shop, shared_world: World) -> None:
    """The account's holder buys the same at that moment, and that is told first: it is not taken for ours."""
    container = shared_world.container

    def scene() -> Scene:
        order, known = shop.order(1), len(shared_world.created())
        by_hand = list[str]()

        def buy() -> None:
            by_hand.append(order_by_hand(shared_world, BOTTLE))
            push(shop, by_hand[0])

        def problems() -> list[str]:
            # Else a send that was too late, and is made once more, would wait for that. Not seen: nothing was unclear.
            with contextlib.suppress(NotFound, Conflict):
                orphans.dismiss(container, by_hand[0], by="test")
            with contextlib.suppress(Conflict):  # or buying is frozen: it holds what we are about to order
                placement.release(container, by="ann", second="bob", despite=True)
            shop.finish(order)
            (purchase,) = shop.purchases(order)
            sent = [line["order_id"] for line in shared_world.created()[known:] if line["order_id"] not in by_hand]
            with container.database.transaction() as session:
                mine = sa.select(SupplierOrder.external_id).where(SupplierOrder.purchase_id == purchase.id)
                attached = list(session.scalars(mine))
            return [] if attached == sent and len(sent) == 1 else [f"sent {sent}, attached {attached}"]

        return shop.place, buy, problems

    assert every_order(shared_world, scene, at=IN_FLIGHT, both=False) > 2
