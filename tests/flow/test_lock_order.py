"""Whoever frees or polls never holds what a send or an import waits for while it waits for theirs."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator
from concurrent.futures import Future, ThreadPoolExecutor
from contextlib import contextmanager

import pytest
import sqlalchemy as sa

from app.jobs import sweep
from app.models import Interlock, Purchase, Shop
from app.pipeline import follow, locks, poll
from app.pipeline.due import Claim
from tests.flow.test_order_changes import order, shop
from tests.flow.test_permissions import GRANTED, grant
from tests.flow.world import World


@contextmanager
def another(world: World) -> Iterator[sa.Connection]:
    """Another worker in the middle of a transaction."""
    with world.container.database.engine.begin() as connection:
        yield connection


def wait_for_a_lock(world: World, actor: Future[None]) -> None:
    """Until somebody in this database waits for one."""
    query = "SELECT count(*) FROM pg_stat_activity WHERE datname = current_database() AND wait_event_type = 'Lock'"
    deadline = time.monotonic() + 60
    while not actor.done():
        with world.container.database.reading() as session:
            if session.scalar(sa.text(query)):
                return
        assert time.monotonic() < deadline
        time.sleep(0.02)
    raise AssertionError("it waited for nobody")


def test_interlocks_that_a_send_takes_over_are_left_to_it(world: World) -> None:
    _, variant = shop(world)
    world.pause_shop()
    order(world, variant)
    world.settle(until=lambda: world.states() == ["HELD"])
    rows = [f"(1, '1', '{sku}', {world.purchases()[0].id}, now() - interval '1 second')" for sku in ("a", "b", "c")]
    with another(world) as session:
        session.execute(sa.text(f"INSERT INTO interlock VALUES {', '.join(rows)}"))
    with another(world) as send:
        send.execute(sa.text("SELECT 1 FROM interlock WHERE sku_id = 'b' FOR UPDATE"))
        sweep.free_leases(world.container)
    with world.container.database.transaction() as session:
        assert session.scalars(sa.select(Interlock.sku_id)).all() == ["b"]


Block = Callable[[sa.Connection], object]


def holds_purchase(worker: sa.Connection) -> object:
    """As an import that derives purchases anew."""
    return worker.execute(sa.select(Purchase.id).with_for_update())


def tells(worker: sa.Connection) -> object:
    """As an import whose shop has not granted what it needs."""
    return worker.execute(
        sa.text("INSERT INTO task (dedupe_key, kind, turn, text, done_by) VALUES ('permission:1', 'x', 'us', '', '')")
    )


@pytest.mark.parametrize(("scopes", "block"), [(GRANTED, holds_purchase), (["read_products"], tells)])
def test_a_poll_holds_no_shop_while_it_waits(world: World, scopes: list[str], block: Block) -> None:
    made, variant = shop(world)
    world.pause_shop()
    order(world, variant)
    world.settle(until=lambda: world.states() == ["HELD"])
    with world.container.database.transaction() as session:
        session.execute(sa.update(Purchase).values(reason="shop_permission"))
        session.execute(sa.update(Shop).values(poll_failing_since=sa.func.now()))
    grant(world, scopes)
    with ThreadPoolExecutor(1) as threads:
        with another(world) as worker:
            block(worker)
            poller = threads.submit(poll.run, world.container, Claim(made, world.container.clock.now()))
            wait_for_a_lock(world, poller)
            worker.execute(sa.select(Shop.id).with_for_update(key_share=True, nowait=True))
        poller.result(60)


def test_what_refers_to_a_locked_row_is_put_down_without_waiting(world: World) -> None:
    """A send holds its shop, order and purchase: webhooks of the shop come in, and others' tasks about them as well."""
    _, variant = shop(world)
    world.pause_shop()
    order(world, variant)
    world.settle(until=lambda: world.states() == ["HELD"])
    purchase = world.purchases()[0].id
    with world.container.database.transaction() as session:
        its = locks.purchase(session, purchase)
        follow.match_shop(session, its.shop_id)
        locks.lines(session, its.order_id)
        with another(world) as other:
            other.execute(sa.text("SET LOCAL lock_timeout = '1s'"))
            task = "INSERT INTO task (dedupe_key, kind, turn, text, done_by, shop_id, order_id, purchase_id)"
            other.execute(sa.text(f"{task} VALUES ('x', 'x', 'us', '', '', 1, {its.order_id}, {purchase})"))
