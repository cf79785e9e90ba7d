"""Webhooks that a shop switches off again and again: not switched on for ever, told, and polled instead."""

from __future__ import annotations

from datetime import timedelta

import pytest
import sqlalchemy as sa

from app.jobs import sweep
from app.models import Alert, Audit, Shop, Task
from app.pipeline import hooks, poll
from app.pipeline.due import Claim
from app.services import shops
from tests.flow.world import World

UPDATED = "order.updated"


class Off:
    """A WooCommerce shop whose webhook for changed orders goes off with each delivery."""

    def __init__(self, world: World) -> None:
        self.world = world
        self.shop = world.woocommerce_shop("socks")
        self.product = int(world.woocommerce_product("socks", "SOCKS"))
        self.fault(-1)

    def fault(self, times: int) -> None:
        rule = {"op": f"delivery:{UPDATED}", "kind": "disable", "times": times, "shop": "socks"}
        self.world.woocommerce.control("faults", rule)

    def heal(self) -> None:
        status, _ = self.world.woocommerce.call("DELETE", "/_control/faults")
        assert status == 200

    def order(self) -> str:
        """An order whose delivery switches the webhook off; gives its number."""
        made = self.world.woocommerce_order("socks", [{"product_id": self.product, "quantity": 1}])
        self.world.settle(until=lambda: not self.queued())
        return str(made["id"])

    def queued(self) -> bool:
        return bool(self.world.woocommerce.control("state")["shops"]["socks"]["queue"])

    def status(self) -> str:
        """Of the webhook in the shop."""
        found = self.world.woocommerce.control("state")["shops"]["socks"]["webhooks"].values()
        return next(str(hook["status"]) for hook in found if hook["topic"] == UPDATED)

    def switched_on(self) -> int:
        with self.world.container.database.transaction() as session:
            rows = session.scalars(sa.select(Audit.detail).where(Audit.action == "hooks_mended")).all()
        return sum(UPDATED in row["topics"] for row in rows)

    def alerts(self) -> list[str]:
        with self.world.container.database.transaction() as session:
            return list(session.scalars(sa.select(Alert.text).where(Alert.ended_at.is_(None))))

    def give_up(self) -> None:
        """As often as it is switched on by itself, and once more."""
        for _ in range(hooks.MOST + 2):
            self.order()
            sweep.check_hooks(self.world.container)


@pytest.fixture
def off(world: World) -> Off:
    return Off(world)


def test_it_is_not_switched_on_for_ever_and_people_are_told(world: World, off: Off) -> None:
    off.give_up()
    assert off.switched_on() == hooks.MOST
    assert off.status() == "disabled"
    (text,) = off.alerts()
    assert UPDATED in text
    with world.container.database.transaction() as session:
        (told,) = session.scalars(sa.select(Task.text).where(Task.kind == "webhooks_off"))
    assert "No order is lost" in told
    assert "127.0.0.1" in told


def test_its_orders_are_found_by_polling_and_more_often(world: World, off: Off) -> None:
    world.woocommerce.control("faults", {"op": "delivery:order.created", "kind": "lose", "times": -1, "shop": "socks"})
    off.give_up()
    number = off.order()
    assert number not in {order.external_id for order in world.orders()}
    now = world.container.clock.now()
    poll.run(world.container, Claim(off.shop, now))
    world.settle(until=lambda: number in {order.external_id for order in world.orders()})
    with world.container.database.transaction() as session:
        due = session.get_one(Shop, off.shop).poll_run_at
    assert due - now < world.container.timers.poll / 2


def test_a_day_later_it_is_tried_once_more(world: World, off: Off, monkeypatch: pytest.MonkeyPatch) -> None:
    off.give_up()
    monkeypatch.setattr(hooks, "WITHIN", timedelta(0))
    off.heal()
    sweep.check_hooks(world.container)
    assert (off.status(), len(off.alerts())) == ("active", 1)
    sweep.check_hooks(world.container)
    assert (off.alerts(), world.tasks()) == ([], [])


def test_a_person_may_switch_it_on(world: World, off: Off) -> None:
    off.give_up()
    off.heal()
    report, warning = shops.check_webhooks(world.container, off.shop, actor="test")
    assert warning == ""
    assert report is not None
    assert report.reenabled == (UPDATED,)
    assert off.alerts() == []
    off.fault(1)
    off.order()
    sweep.check_hooks(world.container)
    assert off.status() == "active"
