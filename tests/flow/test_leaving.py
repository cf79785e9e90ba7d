"""The app is removed from a shop and comes back: open orders run on, nothing new is bought, nothing is lost (S27)."""

from __future__ import annotations

import sqlalchemy as sa

from app.jobs import sweep
from app.models import Alert
from app.pipeline.record import alert
from app.services import shops
from app.services.purchases import listed
from tests.flow.test_order_changes import SHOP, order, shop
from tests.flow.world import BOTTLE, World


def leave(world: World) -> None:
    """The merchant removes the app."""
    world.shopify.control("uninstall", {"shop": SHOP})
    world.settle(until=lambda: shops.get(world.container, 1).state == "UNINSTALLED", seconds=10)


def come_back(world: World) -> None:
    """The merchant installs it again."""
    made = world.shopify.control("shops", {"domain": SHOP})
    keys = {"access_token": made["access_token"], "refresh_token": made["refresh_token"]}
    shops.connect(world.container, "shopify", SHOP, keys, actor="test")


def test_a_parcel_of_a_shop_that_left_is_shown_when_it_comes_back(world: World) -> None:
    _, variant = shop(world)
    order(world, variant)
    world.settle(until=lambda: world.states() == ["PLACED_UNPAID"])
    bought = world.created()[0]["order_id"]
    world.aliexpress.control("pay", {"order_id": bought})
    world.settle(until=lambda: world.states() == ["PLACED_PAID"], seconds=10)
    leave(world)
    item = {"product_id": BOTTLE[0], "sku_id": BOTTLE[1], "quantity": 1}
    parcel = {"tracking_number": "LP001", "carrier": "Cainiao", "items": [item]}
    world.aliexpress.control("ship", {"order_id": bought, "parcels": [parcel]})
    world.settle(until=lambda: world.parcel_numbers() == ["LP001"], seconds=10)
    world.settle()
    assert world.shown_numbers() in ([None], [""])
    come_back(world)
    world.settle(until=lambda: world.shown_numbers() == ["LP001"], seconds=10)
    assert len(world.shown_parcels()) == 1


def test_what_waits_for_repair_still_waits_for_it_after_the_shop_came_back(world: World) -> None:
    """Leaving, like a pause, must not wash off the reason: the supplier refused it, so it is not sent again as it is."""
    _, variant = shop(world)
    code = "B_DROPSHIPPER_DELIVERY_ADDRESS_VALIDATE_FAIL"
    refusal = {"op": "order.create", "kind": "error", "times": 1, "code": code, "execute": False}
    world.aliexpress.control("faults", [refusal])
    order(world, variant)
    world.settle(until=lambda: world.states() == ["REJECTED", "HELD"], seconds=10)
    calls = world.calls_of_create()
    reasons = world.reasons()
    leave(world)
    assert world.reasons() == reasons
    come_back(world)
    assert shops.get(world.container, 1).state == "PAUSED"
    world.read_again()
    world.settle()
    shops.resume(world.container, 1, actor="test")
    world.settle()
    assert (world.reasons(), world.calls_of_create()) == (reasons, calls)


def test_ready_purchases_of_a_shop_that_left_are_held_and_go_on_by_one_act(world: World) -> None:
    _, variant = shop(world)
    world.pause_shop()
    order(world, variant)
    world.settle(until=lambda: world.reasons() == ["shop_paused"])
    world.aliexpress.control("faults", [{"op": "*", "kind": "outage", "times": -1}])
    shops.resume(world.container, 1, actor="test")
    leave(world)
    # Whichever is noticed first: the event, or that the keys are dead.
    world.settle(until=lambda: world.reasons() in (["uninstalled"], ["shop_token_dead"]), seconds=10)
    world.aliexpress.control("faults", [])
    come_back(world)
    world.settle()
    assert [row["state"] for row in listed(world.container)] == ["HELD"]
    shops.resume(world.container, 1, actor="test")
    world.settle(until=lambda: world.states() == ["PLACED_UNPAID"], seconds=20)
    assert len(world.created()) == 1


def test_what_only_reading_a_shop_would_end_ends_when_it_leaves(world: World) -> None:
    shop(world)
    told = {
        "shop-unread:1": "shop_unread",
        "uncompared:1": "shop_uncompared",
        "unaccounted:1": "orders_unaccounted",
        "webhooks:1": "webhooks_off",
        "step_failed:poll:1": "step_failed",
        "unclear:1": "outcome_unknown",
    }

    def tell() -> None:
        with world.container.database.transaction() as session:
            for key, kind in told.items():
                alert(session, key, kind, "…", shop_id=1)
            alert(session, "unaccounted:2", "orders_unaccounted", "…", shop_id=other)

    def open_ones() -> list[str]:
        with world.container.database.transaction() as session:
            return list(session.scalars(sa.select(Alert.dedupe_key).where(Alert.ended_at.is_(None)).order_by(Alert.id)))

    other = world.woocommerce_shop()
    tell()
    leave(world)
    assert open_ones() == ["unclear:1", "unaccounted:2"]
    tell()
    sweep.watch(world.container)
    assert open_ones() == ["unclear:1", "unaccounted:2"], "a read that was under way told some anew"
