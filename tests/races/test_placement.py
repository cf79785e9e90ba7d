"""A placement races with whatever changes its order, with the sweeper and with a second worker."""

from __future__ import annotations

from collections.abc import Callable
from datetime import datetime

from tests.flow.world import World
from tests.races.barrier import Scene, every_order
from tests.races.scene import Shop

PLACING = ("buy.claim.claim", "import_order.", "buy.commit.", "order.create", "buy.outcome.")
"""Points of a placement that something depends on; its other reads change nothing."""


def against(
    shop: Shop,
    pieces: int,
    change: Callable[[str], object],
    wrong: Callable[[str, list[int], list[str]], bool],
) -> Callable[[], Scene]:
    """Placement x a change of the shop's that a worker reads meanwhile; `wrong` judges pieces bought and tasks.

    A task excuses nothing that was sent when the change was known already.
    """

    def scene() -> Scene:
        order, known = shop.order(pieces), len(shop.world.created())

        known_at = list[datetime]()

        def changed() -> None:
            change(order)
            shop.read(order)
            known_at.append(shop.now())

        def problems() -> list[str]:
            shop.finish(order)
            bought, tasks, late = shop.bought(known), shop.tasks(order), shop.sent_after(order, known_at[0])
            stands = f"{bought} {tasks} {shop.states(order)}, sent after it was known: {late}"
            return [stands] if wrong(order, bought, [] if late else tasks) else []

        return shop.place, changed, problems

    return scene


def test_placement_and_cancellation(shop: Shop, shared_world: World) -> None:
    def cancel(order: str) -> object:
        return shared_world.shopify.control(f"orders/{order}/cancel", {})

    def wrong(order: str, bought: list[int], tasks: list[str]) -> bool:
        if bought:  # then a person is asked not to pay
            return bought != [1] or not tasks
        return shop.states(order) != ["CANCELLED"]

    assert every_order(shared_world, against(shop, 1, cancel, wrong), at=PLACING) > 9


def test_placement_and_refund_of_a_part(shop: Shop, shared_world: World) -> None:
    def wrong(_order: str, bought: list[int], tasks: list[str]) -> bool:
        return bought != [1] and not (bought == [2] and tasks)

    scene = against(shop, 2, lambda order: shared_world.refund(order, 1), wrong)
    assert every_order(shared_world, scene, at=PLACING) > 9


def test_placement_and_edit_to_more_pieces(shop: Shop, shared_world: World) -> None:
    def wrong(_order: str, bought: list[int], _tasks: list[str]) -> bool:
        return sum(bought) != 2

    scene = against(shop, 1, lambda order: shared_world.edit(order, 2), wrong)
    assert every_order(shared_world, scene, at=PLACING) > 9


def alone(shop: Shop, other: Callable[[], object]) -> Callable[[], Scene]:
    """Placement x somebody who would place it as well."""

    def scene() -> Scene:
        order, known = shop.order(1), len(shop.world.created())

        def problems() -> list[str]:
            shop.finish(order)
            bought, states = shop.bought(known), shop.states(order)
            return [] if (bought, states) == ([1], ["PLACED_UNPAID"]) else [f"{bought} {states}"]

        return shop.place, other, problems

    return scene


def test_two_workers(shop: Shop, shared_world: World) -> None:
    assert every_order(shared_world, alone(shop, shop.place), at=PLACING, both=False) > 8


def test_a_worker_whose_lease_is_freed_while_it_works(shop: Shop, shared_world: World) -> None:
    assert every_order(shared_world, alone(shop, shop.sweep_and_place), at=(*PLACING, "buy.claim.")) > 15
