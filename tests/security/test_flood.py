"""S15: one shop sends 10,000 events a minute; what that costs the orders of another shop."""

from __future__ import annotations

import threading
import time
from collections import Counter
from collections.abc import Callable, Iterator
from contextlib import contextmanager

import pytest
import sqlalchemy as sa

from tests.flow.world import BOTTLE, World
from tests.security.real_server import Granian
from tests.security.sending import order_body, post, shopify

FLOOD, QUIET = "flood.myshopify.com", "quiet.myshopify.com"
PER_SECOND = 10_000 / 60
SENDERS = 8
THREADS = 6
"""Of the worker."""
BACKLOG = 100
ORDERS = 5


class Flood:
    """Sends valid events of one shop, at its pace, and counts the answers."""

    def __init__(self, url: str, first: int = 0) -> None:
        self._url, self._first = url, first
        self._over = threading.Event()
        self._threads = [threading.Thread(target=self._send, args=(number,)) for number in range(SENDERS)]
        self._begun = time.monotonic()
        self._lock = threading.Lock()
        self.answers: Counter[int] = Counter()

    def _send(self, number: int) -> None:
        while not self._over.is_set():
            due = self._begun + number / PER_SECOND
            self._over.wait(max(due - time.monotonic(), 0))
            body = order_body(10_000 + self._first + number)
            status = post(self._url, "/webhooks/shopify", body, shopify(body, domain=FLOOD)).status
            with self._lock:
                self.answers[status] += 1
            number += SENDERS

    def __enter__(self) -> Flood:
        for thread in self._threads:
            thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._over.set()
        for thread in self._threads:
            thread.join()


@contextmanager
def working(world: World) -> Iterator[None]:
    """The worker's own loop."""
    worker = threading.Thread(target=world.drain.run)
    worker.start()
    try:
        yield
    finally:
        world.drain.stop()
        worker.join()


@pytest.mark.security("S15")
def test_s15_ten_thousand_a_minute_of_one_shop_delay_another_by_a_turn(world: World, granian: Granian) -> None:
    """Counted, not timed: how many events of the flooding shop are worked off between an order's event and its turn."""
    url = f"http://127.0.0.1:{granian.port}"
    world.shopify_shop(FLOOD)
    quiet = world.shopify_shop(QUIET)
    variant = world.shopify_variant(QUIET, "BOTTLE")
    world.link(quiet, variant, BOTTLE)
    world.shopify.control("webhook_url", {"url": f"{url}/webhooks/shopify"})
    with working(world), Flood(url) as flood:
        until(world, lambda: counts(world, quiet)[1] > BACKLOG)
        for _ in range(ORDERS):
            order(world, variant)
        stored, waiting = counts(world, quiet)
    # The shop sends again whatever was not answered with 200.
    assert set(flood.answers) <= {200, 429, 503}
    assert counts(world, quiet)[0] == flood.answers[200] >= stored
    assert waiting > BACKLOG, "the worker was behind: it is the turns that kept the other shop's pace"
    overtaken = worked_off_before(world, quiet)
    assert len(overtaken) >= ORDERS
    # What was in the threads, and what was claimed together with it. Without turns it would be the whole backlog.
    assert max(overtaken) <= 3 * THREADS < BACKLOG, overtaken


def until(world: World, holds: Callable[[], bool]) -> None:
    deadline = time.monotonic() + 45
    while not holds():
        world.drain.wake()
        assert time.monotonic() < deadline, world.tell()
        time.sleep(0.02)


def order(world: World, variant: str) -> None:
    """An order of the quiet shop, until the supplier has it."""
    before = len(world.created())
    world.shopify.control("orders", {"shop": QUIET, "lines": [{"variant_id": variant, "quantity": 1}]})
    until(world, lambda: len(world.created()) > before)


def counts(world: World, shop_id: int) -> tuple[int, int]:
    """Events of the other shop: (stored, still to be worked on)."""
    count = sa.text("SELECT count(*), count(*) FILTER (WHERE state = 'DUE') FROM inbox WHERE shop_id <> :shop_id")
    with world.container.database.transaction() as session:
        stored, waiting = session.execute(count, {"shop_id": shop_id}).one()
    return stored, waiting


def worked_off_before(world: World, shop_id: int) -> list[int]:
    """For each event of this shop: how many of others were finished between its arrival and its own end."""
    query = sa.text(
        "SELECT (SELECT count(*) FROM inbox other WHERE other.shop_id <> mine.shop_id"
        " AND other.processed_at > mine.received_at AND other.processed_at < mine.processed_at) "
        "FROM inbox mine WHERE mine.shop_id = :shop_id AND mine.processed_at IS NOT NULL ORDER BY mine.id"
    )
    with world.container.database.transaction() as session:
        return list(session.scalars(query, {"shop_id": shop_id}))
