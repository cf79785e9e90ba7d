"""A placement races with whatever changes its order, with the sweeper and with a second worker."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from datetime import datetime

import pytest

from tests.flow.world import World
from tests.races.barrier import Scene, every_order, way
from tests.races.points import PLACING, left_out
from tests.races.scene import Shop
from tests.races.woo import WooShop


@pytest.fixture(scope="module")
def woo(shared_world: World) -> Iterator[WooShop]:
    """A WooCommerce shop that sells bottles."""
    made = WooShop(shared_world, fulfilments=True)
    yield made
    made.close()


@pytest.fixture(params=["shop", "woo"])
def either(request: pytest.FixtureRequest) -> Shop:
    """Each of the two."""
    made: Shop = request.getfixturevalue(request.param)
    return made


def test_no_commit_of_a_placement_is_left_out(either: Shop) -> None:
    order = either.order(1)
    names = way(either.place)
    assert either.states(order) == ["PLACED_UNPAID"]
    assert not left_out(names, PLACING)


def against(
    shop: Shop,
    pieces: int,
    change: Callable[[str], object],
    wrong: Callable[[str, list[int], list[str]], bool],
    place: Callable[[Shop], object] = Shop.place,
) -> Callable[[], Scene]:
    """Placement x a change of the shop's that a worker reads meanwhile; `wrong` judges pieces bought and tasks.

    A task excuses nothing that was sent when the change was known already. `place`: who places it.
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

        return lambda: place(shop), changed, problems

    return scene


def nothing_wanted(shop: Shop) -> Callable[[str, list[int], list[str]], bool]:
    """What is wrong where the buyer wants nothing any more: bought, and nobody is asked not to pay; or not at its end."""

    def wrong(order: str, bought: list[int], tasks: list[str]) -> bool:
        if bought:
            return bought != [1] or not tasks
        return shop.states(order) != ["CANCELLED"]

    return wrong


def test_placement_and_cancellation(either: Shop, shared_world: World) -> None:
    scene = against(either, 1, either.cancel, nothing_wanted(either))
    assert every_order(shared_world, scene, at=PLACING) > 9


def test_placement_and_refund_of_all(either: Shop, shared_world: World) -> None:
    scene = against(either, 1, either.refund, nothing_wanted(either))
    assert every_order(shared_world, scene, at=PLACING) > 9


def test_a_send_that_would_come_too_late_and_cancellation(shop: Shop, shared_world: World) -> None:
    """The worker is stopped after the point of no return, until its deadline is over: it does not send."""

    def wrong(order: str, bought: list[int], _tasks: list[str]) -> bool:
        return bool(bought) or shop.states(order) != ["CANCELLED"]

    scene = against(shop, 1, shop.cancel, wrong, Shop.place_too_late)
    too_late = ("after the commit of app.pipeline.buy.commit.commit", "before the commit of app.pipeline.buy.outcome.")
    assert every_order(shared_world, scene, at=too_late, both=False) == len(too_late)


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
    assert every_order(shared_world, alone(shop, shop.sweep_and_place), at=PLACING) > 15
