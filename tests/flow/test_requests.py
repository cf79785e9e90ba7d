"""Our own Shopify location: what the merchant asks for there is accepted, rejected, taken back (lifecycle, section 4)."""

from __future__ import annotations

import threading
from typing import Any

import pytest

from app.models import SourceLine, StoreOrder
from app.pipeline.buy import run as buy
from app.pipeline.buy.claim import claim
from app.services import shops
from app.shop_access import with_shop
from tests.flow.test_order_changes import order, shop
from tests.flow.world import BOTTLE, World


@pytest.fixture
def asked(world: World) -> str:
    """A paid order at our location that waits for the merchant's request; gives its id."""
    _, variant = shop(world, our_location=True)
    number = order(world, variant)
    world.settle(until=lambda: world.reasons() == ["waiting_request"])
    return number


def act(world: World, number: str, what: str) -> None:
    """The merchant does something with the order."""
    world.shopify.control(f"orders/{number}/{what}", {})


def events(world: World, name: str) -> list[dict[str, Any]]:
    """What was really carried out in the shop."""
    return [event for event in world.shopify.control("ledger") if event["event"] == name]


def accepted_but_unsent(world: World, number: str) -> None:
    """The request is accepted, and the purchase waits for something else: the shop is paused."""
    world.pause_shop()
    act(world, number, "request_fulfillment")
    world.settle(until=lambda: world.reasons() == ["shop_paused"])
    with world.container.database.transaction() as session:
        line, found = session.get_one(SourceLine, 1).external_id, session.get_one(StoreOrder, 1).external_id
    with_shop(
        world.container,
        1,
        lambda there: there.answer_request(found, [line], about="fulfilment", accept=True, reason="other", message=""),
    )


def test_nothing_is_bought_before_the_request_and_it_is_accepted_before_buying(world: World, asked: str) -> None:
    assert world.calls_of_create() == 0
    act(world, asked, "request_fulfillment")
    world.settle(until=lambda: world.states() == ["PLACED_UNPAID"], seconds=10)
    assert len(events(world, "request_accepted")) == 1


def test_cancelled_before_the_point_of_no_return_nothing_is_bought_until_asked_again(world: World, asked: str) -> None:
    accepted_but_unsent(world, asked)
    act(world, asked, "request_cancellation")
    world.settle(until=lambda: bool(events(world, "cancellation_accepted")), seconds=10)
    assert (world.states(), world.reasons()) == (["CANCELLED"], ["request_cancelled"])
    shops.resume(world.container, 1, actor="test")
    act(world, asked, "touch")
    world.settle()
    assert (world.states(), world.calls_of_create()) == (["CANCELLED"], 0)
    act(world, asked, "request_fulfillment")
    world.settle(until=lambda: world.states() == ["CANCELLED", "PLACED_UNPAID"], seconds=10)
    assert len(world.created()) == 1


def test_cancelled_after_sending_is_rejected_flagged_and_becomes_one_task(world: World, asked: str) -> None:
    act(world, asked, "request_fulfillment")
    world.settle(until=lambda: world.states() == ["PLACED_UNPAID"], seconds=10)
    for times in (1, 2):
        act(world, asked, "request_cancellation")
        world.settle(until=lambda times=times: len(events(world, "cancellation_rejected")) == times, seconds=10)  # type: ignore[misc]
        assert world.tasks() == ["ask_supplier_to_cancel"]
    assert [purchase.cancel_requested_at is not None for purchase in world.purchases()] == [True]
    world.settle(until=lambda: world.states() == ["PAY_BLOCKED"], seconds=20)
    assert len(world.created()) == 1


def test_a_parcel_that_comes_while_a_cancellation_is_open_is_shown_all_the_same(world: World, asked: str) -> None:
    act(world, asked, "request_fulfillment")
    world.settle(until=lambda: world.states() == ["PLACED_UNPAID"], seconds=10)
    bought = world.created()[0]["order_id"]
    world.aliexpress.control("pay", {"order_id": bought})
    world.settle(until=lambda: world.states() == ["PLACED_PAID"], seconds=10)
    world.aliexpress.control("ship", {"order_id": bought, "parcels": [{"tracking_number": "RR1"}]})
    act(world, asked, "request_cancellation")
    world.settle(until=lambda: len(world.shown_parcels()) == 1, seconds=20)
    assert not events(world, "cancellation_accepted")
    assert len(events(world, "cancellation_rejected")) == 1


def test_a_cancellation_that_races_the_point_of_no_return_has_one_of_two_ends(world: World, asked: str) -> None:
    """Whoever locks the order first decides; accepted and bought never come together."""
    accepted_but_unsent(world, asked)
    shops.resume(world.container, 1, actor="test")
    (claimed,) = claim(world.container, 5)
    buyer = threading.Thread(target=buy, args=(world.container, claimed))
    buyer.start()
    act(world, asked, "request_cancellation")
    answers = ("cancellation_rejected", "cancellation_accepted")
    world.settle(until=lambda: any(events(world, name) for name in answers), seconds=15)
    buyer.join()
    world.settle(until=lambda: world.states()[0] in {"CANCELLED", "PLACED_UNPAID", "PAY_BLOCKED"}, seconds=15)
    accepted = bool(events(world, "cancellation_accepted"))
    assert len(world.created()) == (0 if accepted else 1)
    assert (world.states()[0] == "CANCELLED") == accepted


def test_a_final_refusal_rejects_the_request_and_a_new_request_tries_again(world: World, asked: str) -> None:
    world.aliexpress.control("products", {"product_id": BOTTLE[0], "on_sale": False})
    act(world, asked, "request_fulfillment")
    world.settle(until=lambda: bool(events(world, "request_rejected")), seconds=10)
    assert events(world, "request_rejected")[0]["reason"] == "INVENTORY_OUT_OF_STOCK"
    assert world.reasons() == ["product_gone"]
    world.aliexpress.control("products", {"product_id": BOTTLE[0], "on_sale": True})
    act(world, asked, "request_fulfillment")
    world.settle(until=lambda: world.states() == ["PLACED_UNPAID"], seconds=10)


def test_what_was_not_paid_because_its_cancellation_came_too_late_is_not_ordered_again(
    world: World, asked: str
) -> None:
    """The merchant did as he was told and left it unpaid, so it was closed: that was what he wanted."""
    act(world, asked, "request_fulfillment")
    world.settle(until=lambda: world.states() == ["PLACED_UNPAID"], seconds=10)
    act(world, asked, "request_cancellation")
    world.settle(until=lambda: len(events(world, "cancellation_rejected")) == 1, seconds=10)
    world.settle(until=lambda: world.states() == ["PAY_BLOCKED"], seconds=20)
    world.aliexpress.control("close", {"order_id": world.created()[0]["order_id"]})
    world.settle(until=lambda: world.states() == ["CANCELLED"], seconds=30)
    rows = world.inbox_rows()
    act(world, asked, "touch")
    world.settle(until=lambda: world.inbox_rows() > rows, seconds=10)
    world.settle(until=lambda: world.tasks() == ["left_out"], seconds=10)  # the shop still expects it
    assert (world.states(), len(world.created())) == (["CANCELLED"], 1)
