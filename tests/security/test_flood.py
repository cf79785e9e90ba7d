"""S15 in counts: one shop sends 10,000 events a minute; how many of them are worked before another shop's event.

What delays another shop is how many foreign rows are taken between its event's arrival and its turn. They are counted
with the database's clock, for a backlog and for one four times as long: a slow machine changes no count.
"""

from __future__ import annotations

import threading
import time
from collections import Counter
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import replace
from datetime import datetime
from typing import Any

import pytest
import sqlalchemy as sa

from app.container import Container
from app.jobs.drain import KINDS, Drain
from app.models import Inbox
from app.pipeline.due import Claim
from tests.flow.world import BOTTLE, World
from tests.security.real_server import Granian
from tests.security.sending import order_body, post, shopify

FLOOD, QUIET = "flood.myshopify.com", "quiet.myshopify.com"
PER_SECOND = 10_000 / 60
SENDERS = 8
BACKLOG = 100
THREADS = 6
TURN = 2 * THREADS
"""Rows: one claim that had begun when the event came, and the one in which it has its turn."""
HANGS = 90.0
"""Seconds that only something that never ends takes."""


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


class Worker:
    """The worker's own loop; it keeps which inbox rows it took, in which order."""

    def __init__(self, world: World) -> None:
        self.taken: list[Claim] = []
        kinds = [
            replace(kind, claim=self._noting(kind.claim)) if kind.name == "inbox" else kind
            for kind in KINDS
            if kind.name not in {"job", "poll"}
        ]
        self.drain = Drain(world.container, threads=THREADS, kinds=kinds)

    def _noting(self, claim: Callable[[Container, int], Sequence[Any]]) -> Callable[[Container, int], Sequence[Any]]:
        def noted(container: Container, most: int) -> Sequence[Any]:
            rows = claim(container, most)
            self.taken += rows
            return rows

        return noted

    @contextmanager
    def working(self) -> Iterator[None]:
        """Meanwhile it works."""
        thread = threading.Thread(target=self.drain.run)
        thread.start()
        try:
            yield
        finally:
            self.drain.stop()
            thread.join()


def wait_for(world: World, until: Callable[[], bool], worker: Worker | None = None) -> None:
    """Raises AssertionError if it never comes."""
    deadline = time.monotonic() + HANGS
    while not until():
        assert time.monotonic() < deadline, world.tell()
        if worker is not None:
            worker.drain.wake()
        time.sleep(0.02)


def order(world: World, shop_id: int) -> tuple[int, datetime]:
    """The quiet shop's order and its event: the row's id, and when it had arrived (the database's clock)."""
    known = {row.id for row in rows_of(world, shop_id)}
    world.shopify.control("orders", {"shop": QUIET, "lines": [{"variant_id": world.variant_ids["BOTTLE"]}]})
    wait_for(world, lambda: any(row.id not in known for row in rows_of(world, shop_id)))
    with world.container.database.transaction() as session:
        arrived: datetime = session.execute(sa.select(sa.func.clock_timestamp())).scalar_one()
    return next(row.id for row in rows_of(world, shop_id) if row.id not in known), arrived


def rows_of(world: World, shop_id: int) -> Sequence[Inbox]:
    with world.container.database.transaction() as session:
        return session.scalars(sa.select(Inbox).where(Inbox.shop_id == shop_id).order_by(Inbox.id)).all()


def taken_before(worker: Worker, row_id: int, arrived: datetime) -> int:
    """Other rows that were taken after its arrival until it was taken as well."""
    place = next(place for place, claimed in enumerate(worker.taken) if claimed.id == row_id)
    last = worker.taken[place].claimed_at
    return sum(arrived < claimed.claimed_at <= last and claimed.id != row_id for claimed in worker.taken)


@pytest.mark.security("S15")
@pytest.mark.parametrize("backlog", [0, BACKLOG, 4 * BACKLOG])
def test_s15_ten_thousand_a_minute_of_one_shop_do_not_double_anothers_delay(
    world: World, granian: Granian, backlog: int
) -> None:
    url = f"http://127.0.0.1:{granian.port}"
    flooding = world.shopify_shop(FLOOD)
    quiet = world.shopify_shop(QUIET)
    world.link(quiet, world.shopify_variant(QUIET, "BOTTLE"), BOTTLE)
    world.shopify.control("webhook_url", {"url": f"{url}/webhooks/shopify"})
    worker = Worker(world)
    with Flood(url) as flood:
        wait_for(world, lambda: flood.answers[200] >= backlog)
        behind = order(world, quiet)  # all of the backlog came before it
        with worker.working():
            wait_for(world, lambda: len(world.created()) == 1, worker)
            amid = order(world, quiet)
            wait_for(world, lambda: len(world.created()) == 2, worker)
    worker.drain.close()
    # The shop sends again whatever was not answered with 200: nothing is lost.
    assert set(flood.answers) <= {200, 429, 503}
    assert len(rows_of(world, flooding)) == flood.answers[200] >= backlog
    for row_id, arrived in (behind, amid):
        assert taken_before(worker, row_id, arrived) <= TURN < BACKLOG
