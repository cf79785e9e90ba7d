"""What a person says about an unclear purchase is checked, and each no says what to do instead."""

from __future__ import annotations

from collections.abc import Callable
from functools import partial
from typing import Any

import pytest
import sqlalchemy as sa

from app.errors import WaybillError
from app.models import Credential, Purchase, Shop, SupplierOrder
from app.pipeline import evidence, not_there, reconcile, unverified
from tests.flow.test_interlock import sell
from tests.flow.test_order_changes import order as order_of
from tests.flow.test_order_changes import shop
from tests.flow.test_unclear import fault, order
from tests.flow.test_unreadable_account import a_week_passes, die
from tests.flow.world import SOCKS, World

TWO = {"by": "merchant:ann", "confirm_by": "merchant:bob"}


def refused(act: Callable[[], object]) -> str:
    """The code of the no."""
    with pytest.raises(WaybillError) as said:
        act()
    assert len(str(said.value)) > 20, "a sentence"
    return said.value.code


@pytest.fixture
def unclear(world: World) -> str:
    """A purchase that was placed, and one that was executed but of which nobody heard; gives the number of that."""
    world.aliexpress.control("push", {"lost": 1000})
    order(world)
    world.settle(until=lambda: world.states() == ["PLACED_UNPAID"], seconds=20)
    world.read_again()
    world.settle()
    fault(world, "drop_after")
    order(world)
    world.settle(until=lambda: world.states() == ["PLACED_UNPAID", "UNKNOWN"], seconds=20)
    return str(world.created()[1]["order_id"])


def test_it_is_number(world: World, unclear: str) -> None:
    first = str(world.created()[0]["order_id"])
    say = partial(evidence.confirm, world.container, by="merchant:1")
    assert refused(lambda: say(2, "12 34")) == "bad_number"
    assert refused(lambda: say(2, "٣٤")) == "bad_number"
    assert refused(lambda: say(99, unclear)) == "no_purchase"
    assert refused(lambda: say(1, unclear)) == "not_unclear"
    assert refused(lambda: say(2, "8199999999999999")) == "not_readable"
    assert refused(lambda: say(2, first)) == "other_purchase"
    assert world.states() == ["PLACED_UNPAID", "UNKNOWN"]
    assert say(2, unclear) == "PLACED_UNPAID"
    assert refused(lambda: say(2, unclear)) == "not_unclear"


def test_an_order_of_other_things_or_of_another_hour_does_not_fit(world: World, unclear: str) -> None:
    variant = sell(world, "socks", SOCKS[0])
    world.woocommerce_order("socks", [{"product_id": int(variant), "quantity": 1}])
    world.settle(until=lambda: world.states()[2:] == ["PLACED_UNPAID"], seconds=20)
    socks = str(world.created()[2]["order_id"])
    with world.container.database.transaction() as session:  # as if it had been made by hand: nobody's
        session.execute(sa.update(SupplierOrder).where(SupplierOrder.external_id == socks).values(purchase_id=None))
    say = partial(evidence.confirm, world.container, 2, by="merchant:1")
    assert refused(lambda: say(socks)) == "does_not_fit"
    with world.container.database.transaction() as session:
        session.execute(sa.text("UPDATE attempt SET sent_at = sent_at - interval '3 hours' WHERE purchase_id = 2"))
    assert refused(lambda: say(unclear)) == "does_not_fit"
    assert world.states()[1] == "UNKNOWN"


def test_what_cannot_be_read_now_is_no_word_about_it(world: World, unclear: str) -> None:
    world.pass_time("quarantine")
    say = partial(evidence.confirm, world.container, 2, unclear, by="merchant:1")
    give_up = partial(not_there.give_up, world.container, 2, newest_seen=unclear, by="merchant:1")
    world.aliexpress.control("faults", [{"op": "*", "kind": "outage", "times": -1}])
    assert (refused(say), refused(give_up)) == ("not_readable", "not_readable")
    world.aliexpress.control("faults", [])
    die(world)
    assert (refused(say), refused(give_up)) == ("token_dead", "token_dead")
    assert world.states()[1] == "UNKNOWN"


def test_it_is_not_there(world: World, unclear: str) -> None:
    world.pass_time("quarantine")
    say: Callable[..., Any] = partial(not_there.give_up, world.container, by="merchant:1")
    assert refused(lambda: say(2, newest_seen="12a")) == "newest_missing"
    assert refused(lambda: say(2, newest_seen=" ")) == "newest_missing"
    assert refused(lambda: say(99, newest_seen=unclear)) == "no_purchase"
    assert refused(lambda: say(1, newest_seen=unclear)) == "not_unclear"
    assert refused(lambda: say(2, newest_seen="8199999999999999")) == "wrong_account"
    assert refused(lambda: say(2, newest_seen=unclear)) == "it_is_there"
    assert refused(lambda: say(2, newest_seen="none", confirm_by="MERCHANT:1 ")) == "second_person"
    assert refused(lambda: say(2, newest_seen="none", confirm_by="ann")) == "not_newest"
    with world.container.database.transaction() as session:
        session.execute(sa.update(Shop).values(alone_cap=1))
    first = str(world.created()[0]["order_id"])
    assert refused(lambda: say(2, newest_seen=first)) == "second_person"
    assert world.states()[1] == "UNKNOWN"
    say(2, newest_seen=first, confirm_by="ann")
    assert world.states()[1] == "VOID"


def test_nobody_needs_to_be_believed_while_the_account_can_be_read(world: World, unclear: str) -> None:
    found: Callable[..., Any] = partial(unverified.found, world.container, **TWO)
    assert refused(lambda: found(99, [unclear])) == "no_purchase"
    assert refused(lambda: found(2, [unclear])) == "readable"
    die(world)
    assert refused(lambda: found(2, [unclear])) == "not_yet"
    a_week_passes(world)
    assert refused(lambda: found(1, [unclear])) == "not_unclear"
    assert refused(lambda: found(2, ["x1"])) == "bad_number"
    assert refused(lambda: found(2, [str(world.created()[0]["order_id"])])) == "other_purchase"
    assert (
        refused(lambda: unverified.found(world.container, 2, [unclear], by="Ann", confirm_by=" ann")) == "second_person"
    )
    assert world.states() == ["PLACED_UNPAID", "UNKNOWN"], "a no leaves everything as it was"
    found(2, [unclear, "8199999999999999"])
    assert world.states()[1] == "PLACED_UNPAID"


def test_a_parcel_by_hand_is_for_an_order_that_is_named_and_has_pieces_left(world: World, unclear: str) -> None:
    track: Callable[..., Any] = partial(unverified.track, world.container, **TWO)
    assert refused(lambda: track(2, " ")) == "bad_number"
    assert refused(lambda: track(2, "x" * (unverified.LONGEST_NUMBER + 1))) == "bad_number"
    die(world)
    a_week_passes(world)
    assert refused(lambda: track(2, "LP1")) == "not_placed"
    unverified.found(world.container, 2, [unclear, "8199999999999999"], **TWO)
    assert refused(lambda: track(2, "LP1")) == "which_order"
    track(2, "x" * unverified.LONGEST_NUMBER, ref=unclear)
    assert refused(lambda: track(2, "LP2", ref=unclear)) == "nothing_left"
    assert world.parcel_numbers() == ["x" * unverified.LONGEST_NUMBER]


def test_order_again_is_for_what_is_over_once_and_still_wanted(world: World) -> None:
    _, variant = shop(world)
    number = order_of(world, variant)
    world.settle(until=lambda: world.states() == ["PLACED_UNPAID"], seconds=20)
    again = partial(reconcile.buy_again, world.container, 1, by="merchant:1")
    assert refused(again) == "nothing_lost"
    made = str(world.created()[0]["order_id"])
    world.aliexpress.control("pay", {"order_id": made})
    world.settle(until=lambda: world.states() == ["PLACED_PAID"], seconds=20)
    world.aliexpress.control("cancel", {"order_id": made})

    def gone() -> bool:
        world.read_again()
        return world.states() == ["SUPPLIER_CANCELLED"]

    world.settle(until=gone, seconds=30)
    world.shopify.control(f"orders/{number}/cancel", {})
    world.settle(until=lambda: world.orders()[0].cancelled, seconds=20)
    assert refused(again) == "nothing_left"
    assert world.states() == ["SUPPLIER_CANCELLED"]
    with world.container.database.transaction() as session:
        session.execute(sa.update(Purchase).values(state="READY"))
    assert refused(again) == "not_finished"


def test_an_account_without_a_connection_counts_as_dead(world: World, unclear: str) -> None:
    """Its connection was removed: nothing can be read, and there is no day since when."""
    with world.container.database.transaction() as session:
        session.execute(sa.delete(Credential).where(Credential.account_id.is_not(None)))
    unverified.found(world.container, 2, [unclear], **TWO)
    assert world.states()[1] == "PLACED_UNPAID"
