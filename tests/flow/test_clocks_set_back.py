"""A shop's clocks may disagree or be set back: what is told later counts, though its stamp is the lower one."""

from __future__ import annotations

from collections.abc import Callable
from datetime import datetime, timedelta
from typing import Any

import pytest
import sqlalchemy as sa

from app import db
from app.models import StoreOrder
from app.pipeline import import_order, newest, poll
from app.pipeline.due import Claim
from app.ports.errors import TryLater
from app.shop_access import with_shop
from tests.flow.world import BOTTLE, World

SHOP = "socks"


def made(world: World, **wish: Any) -> tuple[int, str]:
    """(the shop, an order there that a front-end with a clock two seconds ahead has made); nobody told us of it."""
    shop, product = world.woocommerce_shop(SHOP), world.woocommerce_product(SHOP, "BOTTLE")
    world.link(shop, product, BOTTLE)
    world.woocommerce.control("queue", {"shop": SHOP, "act": "pause"})
    clock(world, 2)
    found = world.woocommerce_order(SHOP, [{"product_id": int(product), "quantity": 1}], **wish)
    return shop, str(found["id"])


def clock(world: World, ahead: int) -> None:
    """From now on a front-end answers whose clock is so many seconds ahead."""
    world.woocommerce.control("settings", {"shop": SHOP, "clock_ahead": ahead})


def act(world: World, order: str, what: str) -> None:
    """The merchant or a gateway does something, through a front-end with a clock far behind."""
    clock(world, -60)
    world.woocommerce.control(f"orders/{order}/{what}", {"shop": SHOP})


def now(world: World) -> datetime:
    """By the database's clock."""
    with world.container.database.transaction() as session:
        return db.now(session)


def read(world: World, shop: int, order: str, **later: float) -> str:
    """A worker reads it now, or so much later than it was read last. Gives what happened."""
    moment = now(world) if not later else world.orders()[0].read_at + timedelta(**later)
    return import_order.refresh(world.container, shop, order, moment)[1]


def test_a_payment_with_a_lower_stamp_is_heard(world: World) -> None:
    shop, order = made(world, status="pending")
    read(world, shop, order)
    assert world.states() == ["DRAFT"]
    act(world, order, "pay")
    world.woocommerce.control("queue", {"shop": SHOP, "act": "run"})
    world.settle(until=lambda: world.states() == ["PLACED_UNPAID"], seconds=20)
    assert len(world.created()) == 1


def test_what_is_cancelled_with_a_lower_stamp_is_not_bought(world: World) -> None:
    """Nobody told us of it: the checks before the send find it."""
    shop, order = made(world)
    read(world, shop, order)
    assert world.states() == ["READY"]
    act(world, order, "cancel")
    world.settle(until=lambda: world.states() == ["CANCELLED"], seconds=20)
    assert world.calls_of_create() == 0


def test_the_poller_finds_a_change_with_a_lower_stamp(world: World) -> None:
    shop, order = made(world, status="pending")
    read(world, shop, order)
    act(world, order, "pay")
    poll.run(world.container, Claim(shop, now(world)))
    world.settle(until=lambda: world.states() == ["PLACED_UNPAID"], seconds=20)


def test_a_lower_stamp_is_not_believed_at_once(world: World) -> None:
    """A copy of the shop's database that lags behind tells lower stamps too, for some seconds."""
    shop, order = made(world, status="pending")
    read(world, shop, order)
    act(world, order, "pay")
    lag = newest.LAGS / world.container.settings.time_scale
    with pytest.raises(TryLater) as told:
        read(world, shop, order, seconds=lag.total_seconds() * 0.9)
    assert (told.value.code, told.value.retry_after) == ("told_older", newest.LAGS.total_seconds())
    assert not world.orders()[0].paid
    assert read(world, shop, order, seconds=lag.total_seconds()) == "read again"
    assert world.orders()[0].paid


@pytest.mark.parametrize("undone", ["cancel", "refund", "delete"])
def test_a_copy_that_lags_for_minutes_does_not_bring_back_what_was_taken_back(
    world: World, monkeypatch: pytest.MonkeyPatch, undone: str
) -> None:
    """A replica of the shop's database, or a cache, answers for a while with what was before."""
    shop, order = made(world)
    read(world, shop, order)
    before = with_shop(world.container, shop, lambda opened: opened.order(order))
    clock(world, 10)
    world.woocommerce.control(f"orders/{order}/{undone}", {"shop": SHOP})
    read(world, shop, order)
    assert world.states() == ["CANCELLED"]
    monkeypatch.setattr(import_order, "with_shop", lambda *_: before)
    hour = (newest.UNDOES_AFTER / world.container.settings.time_scale).total_seconds()
    with pytest.raises(TryLater, match="told_older"):
        read(world, shop, order, seconds=hour * 0.9)
    assert world.states() == ["CANCELLED"]
    assert read(world, shop, order, seconds=hour) == "read again"
    assert world.states() == ["CANCELLED", "READY"]


def meanwhile(monkeypatch: pytest.MonkeyPatch, happens: Callable[[Any], Any], *, times: int = 1) -> None:
    """Between the answer of a read and its being stored something happens, `times` times; it gives the answer."""
    whole, left = import_order.with_shop, [times]

    def with_shop(*given: Any) -> Any:
        answer = whole(*given)
        if left[0] <= 0:
            return answer
        left[0] -= 1
        kept, left[0] = left[0], 0  # what happens meanwhile is not disturbed
        answer = happens(answer)
        left[0] = kept
        return answer

    monkeypatch.setattr(import_order, "with_shop", with_shop)


def test_an_older_read_with_a_higher_stamp_does_not_undo_a_newer_one(
    world: World, monkeypatch: pytest.MonkeyPatch
) -> None:
    shop, order = made(world, status="pending")
    read(world, shop, order)

    def paid(answer: Any) -> Any:
        act(world, order, "pay")
        read(world, shop, order, minutes=1)
        assert world.orders()[0].paid
        return answer

    meanwhile(monkeypatch, paid)
    read(world, shop, order, minutes=2)
    assert world.orders()[0].paid
    assert world.states() == ["READY"]


def test_an_older_read_does_not_say_of_a_restored_order_that_it_is_gone(
    world: World, monkeypatch: pytest.MonkeyPatch
) -> None:
    shop, order = made(world)
    read(world, shop, order)

    def restored(_: Any) -> Any:
        read(world, shop, order)

    meanwhile(monkeypatch, restored)
    read(world, shop, order)
    assert not world.orders()[0].gone
    with world.container.database.transaction() as session:
        assert session.scalar(sa.select(StoreOrder.reads)) == 3


def test_an_older_read_does_not_bring_back_what_is_gone(world: World, monkeypatch: pytest.MonkeyPatch) -> None:
    shop, order = made(world)
    read(world, shop, order)

    def deleted(answer: Any) -> Any:
        act(world, order, "delete")
        read(world, shop, order)
        assert world.orders()[0].gone
        return answer

    meanwhile(monkeypatch, deleted)
    read(world, shop, order)
    assert world.orders()[0].gone
    assert world.states() == ["CANCELLED"]


def test_a_read_that_others_always_overtake_is_made_later(world: World, monkeypatch: pytest.MonkeyPatch) -> None:
    shop, order = made(world)

    def read_by_another(answer: Any) -> Any:
        read(world, shop, order)
        return answer

    meanwhile(monkeypatch, read_by_another, times=100)
    with pytest.raises(TryLater, match="read_by_others"):
        read(world, shop, order)
    assert world.states() == ["READY"]


def test_an_event_that_names_a_part_of_a_known_order_is_heard(world: World) -> None:
    """The count of its reads is not known before the shop has said whose part it is."""
    domain = "bottles.myshopify.com"
    shop, variant = world.shopify_shop(domain), world.shopify_variant(domain, "BOTTLE")
    world.link(shop, variant, BOTTLE)
    asked = {"shop": domain, "lines": [{"variant_id": variant, "quantity": 1}], "webhooks": False}
    order = str(world.shopify.control("orders", asked)["id"])
    read(world, shop, order)
    (found,) = world.orders()
    part = next(one for one in world.shopify.control("state")["orders"] if str(one["id"]) == order)
    ref = f"fulfillment_order:{part['fulfillment_orders'][0]['id']}"
    assert import_order.refresh(world.container, shop, ref, now(world)) == (found.id, "read again")
