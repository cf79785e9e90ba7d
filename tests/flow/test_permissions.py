"""A permission that the shop has not granted: the merchant is told, orders wait, and go on when it is granted."""

from __future__ import annotations

import sqlalchemy as sa

from app.jobs import sweep
from app.models import Inbox, Purchase, Task
from app.pipeline import poll
from app.pipeline.due import Claim
from app.pipeline.record import sentence
from app.services import shops
from connectors.shopify.simulator.making import SCOPES
from tests.flow.test_order_changes import order, shop
from tests.flow.world import World

DOMAIN = "bottles.myshopify.com"
GRANTED = SCOPES.split(",")


def grant(world: World, scopes: list[str]) -> None:
    """Without a webhook."""
    world.shopify.control(f"shops/{DOMAIN}", {"scopes": scopes})


def look_now(world: World) -> None:
    with world.container.database.transaction() as session:
        session.execute(sa.update(Purchase).where(Purchase.state.in_(("READY", "HELD"))).values(run_at=sa.func.now()))
        session.execute(sa.update(Inbox).where(Inbox.state == "DUE").values(run_at=sa.func.now()))


def texts(world: World) -> list[str]:
    with world.container.database.transaction() as session:
        return list(session.scalars(sa.select(Task.text).where(Task.kind == "shop_permission").order_by(Task.id)))


def polled(world: World, shop_id: int) -> str:
    """One walk of the poller; gives the error that it noted."""
    poll.run(world.container, Claim(shop_id, world.container.clock.now()))
    return str(shops.told(world.container, shop_id)["poll_error"])


def test_an_order_that_may_not_be_read_waits_and_the_merchant_is_told_once(world: World) -> None:
    made, variant = shop(world)
    grant(world, [scope for scope in GRANTED if scope != "read_orders"])
    order(world, variant)
    order(world, variant)
    world.settle(until=lambda: bool(texts(world)))
    look_now(world)
    world.settle()
    assert polled(world, made) == "shop_permission"
    (text,) = texts(world)
    assert "Waybill lacks a permission" in text
    assert "read_orders" in text
    with world.container.database.transaction() as session:
        assert set(session.scalars(sa.select(Inbox.state).where(Inbox.order_id.is_(None)))) <= {"DUE", "DONE"}
    assert world.states() == []
    world.shopify.control("scopes", {"shop": DOMAIN, "scopes": GRANTED})
    world.settle(until=lambda: world.states() == ["PLACED_UNPAID"] * 2, seconds=15)
    assert world.tasks() == []


def test_a_permission_lost_before_buying_holds_the_purchase(world: World) -> None:
    made, variant = shop(world)
    world.pause_shop()
    order(world, variant)
    world.settle(until=lambda: world.reasons() == ["shop_paused"])
    grant(world, [scope for scope in GRANTED if scope != "write_third_party_fulfillment_orders"])
    shops.resume(world.container, made, actor="test")
    world.settle(until=lambda: world.reasons() == ["shop_permission"])
    assert world.states() == ["HELD"]
    assert "read_third_party_fulfillment_orders" in sentence(world.purchases()[0])[0]
    world.shopify.control("scopes", {"shop": DOMAIN, "scopes": GRANTED})
    world.settle(until=lambda: sweep.recheck_held(world.container) == 0 and world.states() == ["PLACED_UNPAID"])
    assert len(world.created()) == 1


def test_an_order_hidden_for_its_age_is_held_and_never_cancelled(world: World) -> None:
    made, variant = shop(world)
    world.pause_shop()
    number = order(world, variant)
    world.settle(until=lambda: world.reasons() == ["shop_paused"])
    with world.container.database.transaction() as session:
        session.execute(sa.text("UPDATE store_order SET placed_at = placed_at - interval '61 days'"))
    world.shopify.control(f"orders/{number}/age", {"days": 61})
    world.settle()
    assert not world.orders()[0].gone
    assert world.reasons() == ["shop_paused"]
    shops.resume(world.container, made, actor="test")
    world.settle(until=lambda: world.reasons() == ["order_too_old"])
    assert (world.states(), world.calls_of_create()) == (["HELD"], 0)
    assert "60 days" in sentence(world.purchases()[0])[0]
    with world.container.database.transaction() as session:
        assert session.scalars(sa.select(Inbox.state).where(Inbox.state == "DUE")).all() == []
    world.shopify.control("scopes", {"shop": DOMAIN, "scopes": [*GRANTED, "read_all_orders"]})
    world.settle(until=lambda: sweep.recheck_held(world.container) == 0 and world.states() == ["PLACED_UNPAID"])


def test_a_young_order_that_is_null_is_gone_as_before(world: World) -> None:
    _, variant = shop(world)
    world.pause_shop()
    number = order(world, variant)
    world.settle(until=lambda: world.reasons() == ["shop_paused"])
    world.shopify.control(f"orders/{number}/delete", {})
    world.settle(until=lambda: world.orders()[0].gone)
    assert world.states() == ["CANCELLED"]


def test_the_poller_tells_and_ends_it(world: World) -> None:
    made, _ = shop(world)
    grant(world, ["read_products"])
    assert polled(world, made) == "shop_permission"
    assert world.tasks() == ["shop_permission"]
    grant(world, GRANTED)
    assert polled(world, made) == ""
    assert world.tasks() == []
    grant(world, ["read_products"])
    assert polled(world, made) == "shop_permission"
    assert len(texts(world)) == 2
