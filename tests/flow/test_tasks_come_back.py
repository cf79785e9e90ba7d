"""What a person was asked for once and is over, may have to be asked for again; and is not asked for any longer."""

from __future__ import annotations

from app.models import StoreOrder
from app.pipeline import match
from tests.flow.test_order_changes import order, shop
from tests.flow.world import World


def cancel(world: World, *, yes: bool) -> None:
    """The shop cancels the order, or restores it."""
    with world.container.database.transaction() as session:
        session.get_one(StoreOrder, 1).cancelled = yes
        match.derive_again(world.container, session, 1)


def test_a_second_cancellation_of_what_is_paid_is_told_as_the_first_was(world: World) -> None:
    _, variant = shop(world)
    order(world, variant)
    world.settle(until=lambda: world.states() == ["PLACED_UNPAID"], seconds=10)
    world.aliexpress.control("pay", {"order_ids": [world.created()[0]["order_id"]]})
    world.settle(until=lambda: world.states() == ["PLACED_PAID"], seconds=20)
    told = []
    for yes in (True, False, True):
        cancel(world, yes=yes)
        told.append(world.tasks())
    assert told == [["ask_supplier_to_cancel"], [], ["ask_supplier_to_cancel"]]


def test_pieces_too_many_are_asked_about_by_the_number_that_they_are_now(world: World) -> None:
    _, variant = shop(world)
    number = order(world, variant, 3)
    world.settle(until=lambda: world.states() == ["PLACED_UNPAID"], seconds=10)

    def asked() -> list[str]:
        return [text.split(": ")[1][:3] for text in world.task_texts()]

    for quantity, pieces in ((2, ["1 ×"]), (1, ["2 ×"]), (3, [])):
        world.edit(number, quantity)
        world.settle(until=lambda pieces=pieces: asked() == pieces, seconds=10)  # type: ignore[misc]
