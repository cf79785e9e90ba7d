"""Orders that are not as orders are: a person is told, nothing repeats for ever, nothing breaks."""

from __future__ import annotations

import pytest
import sqlalchemy as sa

from app.models import Alert, Inbox, Shop, StoreOrder
from app.pipeline import import_order, poll
from app.pipeline.due import Claim
from app.ports.errors import Refused
from tests.flow.test_order_changes import order, shop
from tests.flow.world import World

SHOP = "bottles.myshopify.com"


def open_alerts(world: World) -> list[str]:
    with world.container.database.transaction() as session:
        return list(session.scalars(sa.select(Alert.kind).where(Alert.ended_at.is_(None))))


def due_again(world: World) -> None:
    with world.container.database.transaction() as session:
        session.execute(sa.update(Inbox).where(Inbox.state == "DUE").values(run_at=sa.func.now()))


def test_an_order_that_cannot_be_read_is_told_and_rests(world: World) -> None:
    world.woocommerce_shop("coins")
    product = world.woocommerce_product("coins", "COIN")
    world.woocommerce_order("coins", [{"product_id": int(product), "quantity": 1}], currency="POINTS")
    world.settle(until=lambda: world.inbox_rows() > 0)
    for _ in range(6):
        due_again(world)
        world.settle()
    with world.container.database.transaction() as session:
        assert set(session.scalars(sa.select(Inbox.state))) == {"ODD"}
    assert open_alerts(world) == ["order_unreadable"]
    assert world.tasks() == ["order_unreadable"]


def test_texts_and_numbers_that_no_database_holds(world: World) -> None:
    shop = world.shopify_shop(SHOP)
    made = [
        world.shopify.control(
            "orders", {"shop": SHOP, "lines": [{"sku": "x\u0000y", "title": "N\u0000L", "quantity": 1}]}
        ),
        world.shopify.control(
            "orders", {"shop": SHOP, "lines": [{"sku": "many", "quantity": 9_223_372_036_854_775_808}]}
        ),
    ]

    def told() -> bool:
        due_again(world)
        return open_alerts(world) == ["order_unreadable"] and bool(world.orders())

    world.settle(until=told)
    for _ in range(6):
        world.settle()
        due_again(world)
    world.settle()
    assert open_alerts(world) == ["order_unreadable"]
    with world.container.database.transaction() as session:
        known = session.scalars(sa.select(StoreOrder.external_id).where(StoreOrder.shop_id == shop)).all()
    assert known == [str(made[0]["id"])]


def test_a_strange_404_does_not_make_an_order_gone(world: World) -> None:
    """Maintenance and security plugins answer so: only WooCommerce's own word says that an order is not there."""
    shop = world.woocommerce_shop("bottles")
    product = world.woocommerce_product("bottles", "BOTTLE")
    order = world.woocommerce_order("bottles", [{"product_id": int(product), "quantity": 1}])
    world.settle(until=lambda: world.reasons() == ["mapping_missing"])
    strange = {"op": "orders.get", "kind": "status", "status": 404, "body": {"code": "rest_maintenance"}, "times": 1}
    world.woocommerce.control("faults", strange)
    with world.container.database.transaction() as session:
        row = session.scalars(sa.select(Inbox).order_by(Inbox.id)).first()
        assert row is not None
        row.state, row.run_at, row.seen = "DUE", sa.func.clock_timestamp(), row.seen + 1
        claim = Claim(row.id, world.container.clock.now())
    import_order.run(world.container, claim)
    assert world.reasons() == ["mapping_missing"]
    assert not world.orders()[0].gone
    assert (shop, str(order["id"])) == (world.orders()[0].shop_id, world.orders()[0].external_id)


def test_a_known_order_that_is_readable_again_is_no_task_any_more(
    world: World, monkeypatch: pytest.MonkeyPatch
) -> None:
    made, variant = shop(world)
    world.pause_shop(made)
    number = order(world, variant)
    world.settle(until=lambda: world.reasons() == ["shop_paused"], seconds=10)

    def refuse(*_: object) -> None:
        raise Refused("odd", vendor="shopify")

    with monkeypatch.context() as broken:
        broken.setattr(import_order, "with_shop", refuse)
        with world.container.database.transaction() as session:
            session.execute(sa.update(Inbox).values(state="DUE", attempts=5, run_at=sa.func.now(), lease_until=None))
        world.settle(until=lambda: world.tasks() == ["order_unreadable"], seconds=10)
    world.edit(number, 2)
    world.settle(until=lambda: world.quantities() == [2], seconds=10)
    assert (world.tasks(), open_alerts(world)) == ([], [])


def test_what_could_not_be_read_for_a_while_is_tried_again_at_night(
    world: World, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Vendors answer a bad quarter of an hour like a bad order: a person is told, and it is read again all the same."""
    made, variant = shop(world)
    world.shopify.control("webhook_url", {"url": f"{world.app.url}/nowhere"})
    order(world, variant)
    claim = Claim(made, world.container.clock.now())

    def refuse(*_: object) -> None:
        raise Refused("odd", vendor="shopify")

    with monkeypatch.context() as broken:
        broken.setattr(import_order, "with_shop", refuse)
        poll.run(world.container, claim)
        for _ in range(6):
            due_again(world)
            world.settle()
    assert world.tasks() == ["order_unreadable"]
    poll.run(world.container, claim)  # an ordinary walk leaves it to the night
    world.settle()
    assert world.tasks() == ["order_unreadable"]
    with world.container.database.transaction() as session:
        session.execute(sa.update(Shop).values(poll_full_at=None))
    poll.run(world.container, claim)
    world.settle(until=lambda: world.states() == ["PLACED_UNPAID"], seconds=10)
    assert (world.tasks(), open_alerts(world)) == ([], [])
