"""A person says "not there" while the order turns up: it is never bought again unless that is told as a duplicate."""

from __future__ import annotations

from collections.abc import Callable

import pytest

from tests.flow.world import World
from tests.races.barrier import Scene, every_order
from tests.races.points import CREATE, READ
from tests.races.scene import Shop
from tests.races.unclear import Unclear

FINDING = ("evidence.", READ)
"""Points of those who find it."""
GIVING_UP = ("not_there.give_up", READ)
"""Points of one who does not."""


@pytest.fixture(scope="module", autouse=True)
def no_pushes(shared_world: World) -> None:
    """None comes but those of the actors."""
    shared_world.aliexpress.control("push", {"lost": -1})


def judged(unclear: Unclear, *, twice: int) -> list[str]:
    """What is wrong at the end: bought again while the first order exists and nobody told, or not bought at all.

    `twice`: how often it may be bought at most.
    """
    shop = unclear.shop
    unclear.push()  # whoever turned up too early comes once more, as pushes do
    shop.finish(unclear.order)
    bought, told, rows = unclear.bought(), unclear.told(), unclear.rows()
    stands = f"{bought} bought, {shop.states(unclear.order)}, {[row.role for row in rows]}, told {told}"
    kept = [row.role for row in rows] == ["bought"]
    if bought == 1 and kept and not told:
        return []
    if 1 < bought <= twice and [row.role for row in rows] == ["duplicate"] and "duplicate" in told:
        return []
    return [stands]


def against(shop: Shop, finder: Callable[[Unclear], object]) -> Callable[[], Scene]:
    """Somebody who finds the order x a person who does not; nothing is sent meanwhile."""

    def scene() -> Scene:
        unclear = Unclear(shop)
        if finder == Unclear.answer:
            unclear.answer_is_kept()
        unclear.may_be_given_up()
        return lambda: finder(unclear), unclear.not_there, lambda: judged(unclear, twice=1)

    return scene


def test_late_answer_and_not_there(shop: Shop, shared_world: World) -> None:
    assert every_order(shared_world, against(shop, Unclear.answer), at=(*GIVING_UP, "buy.outcome.")) > 3


def test_push_and_not_there(shop: Shop, shared_world: World) -> None:
    assert every_order(shared_world, against(shop, Unclear.push), at=(*GIVING_UP, *FINDING)) > 4


def test_found_and_not_there(shop: Shop, shared_world: World) -> None:
    assert every_order(shared_world, against(shop, Unclear.found), at=(*GIVING_UP, *FINDING)) > 4


def test_push_and_found(shop: Shop, shared_world: World) -> None:
    def scene() -> Scene:
        unclear = Unclear(shop)
        return unclear.push, unclear.found, lambda: judged(unclear, twice=1)

    assert every_order(shared_world, scene, at=FINDING) > 4


SENDING = (*FINDING, "buy.commit.commit", *CREATE, "buy.outcome.record")
"""Points of those who find it, and of the worker who sends once more."""


def heir(shop: Shop, finder: Callable[[Unclear], object]) -> Callable[[], Scene]:
    """It was given up, and its successor is placed while the first order turns up."""

    def scene() -> Scene:
        unclear = Unclear(shop)
        unclear.may_be_given_up()
        unclear.not_there()
        assert shop.states(unclear.order) == ["VOID", "READY"]
        return shop.place, lambda: finder(unclear), lambda: judged(unclear, twice=2)

    return scene


def test_the_successor_is_placed_while_the_first_order_turns_up(shop: Shop, shared_world: World) -> None:
    assert every_order(shared_world, heir(shop, Unclear.push), at=SENDING) > 6


def test_the_successor_is_placed_while_a_person_finds_the_first(shop: Shop, shared_world: World) -> None:
    assert every_order(shared_world, heir(shop, Unclear.found), at=SENDING) > 6
