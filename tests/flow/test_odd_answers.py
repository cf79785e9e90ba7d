"""Answers with any one value missing, doubled or of another kind: an outcome of the port, stored or not, never a crash."""

from __future__ import annotations

import copy
import dataclasses
import json
import random
from collections.abc import Callable, Iterator
from typing import Any

import pytest
import sqlalchemy as sa

from app.models import SupplierOrder
from app.pipeline import import_order, track
from app.pipeline.due import Claim
from app.ports.errors import OutsideError
from app.ports.http import OutboundCall
from app.shop_access import with_account, with_shop
from connectors.shopify.throttle import Throttle
from tests.flow.test_order_changes import order, shop
from tests.flow.world import BOTTLE, World

VALUES = (None, "", "x", 0, -1, 10**30, True, False, [], {}, [None], {"a": 1}, "2026-99-99T00:00:00Z", "NaN", "9" * 50)
ROUNDS = 150
Path = tuple[str | int, ...]


def paths(value: Any, path: Path = ()) -> Iterator[Path]:
    """Where something stands in a JSON value."""
    for key, one in value.items() if isinstance(value, dict) else enumerate(value) if isinstance(value, list) else ():
        yield (*path, key)
        yield from paths(one, (*path, key))


def odd(value: Any, chance: random.Random) -> Any:
    """The value with one thing in it changed."""
    changed = copy.deepcopy(value)
    found = list(paths(changed))
    if not found:
        return changed
    *way, last = chance.choice(found)
    at = changed
    for key in way:
        at = at[key]
    what = chance.random()
    if what < 0.2 and isinstance(at, dict):
        del at[last]
    elif what < 0.4 and isinstance(at[last], list):
        at[last] = at[last] * 2
    else:
        at[last] = chance.choice(VALUES)
    return changed


class Odd:
    """While `on`, what comes back from outside is odd."""

    def __init__(self, monkeypatch: pytest.MonkeyPatch) -> None:
        self.on = False
        self._chance = random.Random(7)  # the same oddities each time
        whole = OutboundCall.send

        def send(call: OutboundCall, *given: Any, **named: Any) -> Any:
            answer = whole(call, *given, **named)
            if not self.on or not answer.body.lstrip().startswith((b"{", b"[")):
                return answer
            return dataclasses.replace(answer, body=json.dumps(odd(json.loads(answer.body), self._chance)).encode())

        monkeypatch.setattr(OutboundCall, "send", send)
        monkeypatch.setattr(Throttle, "reserve", lambda *_: 0.0)  # odd points would only make the test wait

    def try_out(self, act: Callable[[], object]) -> None:
        """The act again and again, each time with other oddities; any other exception is the test's failure."""
        for _ in range(ROUNDS):
            self.on = True
            try:
                act()
            except OutsideError:
                pass
            finally:
                self.on = False


@pytest.fixture
def odd_answers(monkeypatch: pytest.MonkeyPatch) -> Odd:
    return Odd(monkeypatch)


def shipped(world: World) -> tuple[int, str, str]:
    """A Shopify order on its way to the buyer: shop, order, supplier's order."""
    made, variant = shop(world)
    number = order(world, variant)
    world.settle(until=lambda: world.states() == ["PLACED_UNPAID"], seconds=20)
    bought = str(world.created()[0]["order_id"])
    world.aliexpress.control("pay", {"order_ids": [bought]})
    world.aliexpress.control("ship", {"order_id": bought})
    world.settle(until=lambda: world.states() == ["SHIPPED"], seconds=20)
    return made, number, bought


def test_what_the_supplier_tells(world: World, odd_answers: Odd) -> None:
    _, _, bought = shipped(world)
    now = world.container.clock.now()
    with world.container.database.transaction() as session:
        row = session.scalars(sa.select(SupplierOrder.id)).one()
    odd_answers.try_out(lambda: track.run(world.container, Claim(row, now)))
    for read in (
        lambda one: one.product(BOTTLE[0], country="US", currency="USD", language="en"),
        lambda one: one.freight(*BOTTLE, 1, country="US", currency="USD", language="en_US"),
        lambda one: one.paid_orders(now.replace(hour=0), now),
    ):
        odd_answers.try_out(lambda read=read: with_account(world.container, 1, read))
    assert world.states() == ["SHIPPED"], "nothing odd takes it back"
    assert len(world.purchases()) == 1
    assert bought


@pytest.mark.parametrize("storefront", ["shopify", "woocommerce"])
def test_what_a_shop_tells(world: World, odd_answers: Odd, storefront: str) -> None:
    if storefront == "shopify":
        made, number, _ = shipped(world)
    else:
        made = world.woocommerce_shop("socks")
        product = world.woocommerce_product("socks", "SOCKS")
        number = str(world.woocommerce_order("socks", [{"product_id": int(product), "quantity": 1}])["id"])
    now = world.container.clock.now
    odd_answers.try_out(lambda: import_order.refresh(world.container, made, number, now()))
    for read in (
        lambda one: one.fulfilments(number),
        lambda one: one.profile(),
        lambda one: one.orders_changed(now().replace(hour=0), now(), None),
    ):
        odd_answers.try_out(lambda read=read: with_shop(world.container, made, read))
    assert world.calls_of_create() == (1 if storefront == "shopify" else 0)
