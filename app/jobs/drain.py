"""The drain loop: claims due rows of every kind and works them in a pool of threads.

It wakes when the bell rings and every two seconds without a bell, so Redis may be empty, wiped or absent.
"""

from __future__ import annotations

import threading
import time
from collections.abc import Callable, Collection, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from dataclasses import dataclass
from functools import partial
from typing import Any

from app.container import Container
from app.domain.timing import PHYSICAL_MOST
from app.jobs import guarded
from app.jobs.periodic import claim_due, make_overdue_due, run_job
from app.logs import logger
from app.outage import outage
from app.pipeline import accounting, acts, import_order, poll, reconcile, track
from app.pipeline.buy import run as buy
from app.pipeline.buy.claim import claim as claim_purchases
from app.pipeline.due import INBOX
from app.pipeline.due import claim_due as claim_due_rows

log = logger(__name__)


@dataclass(frozen=True)
class Kind:
    """One kind of due row: how to claim up to n of them, how to work one, and how many threads it may fill."""

    name: str
    claim: Callable[[Container, int], Sequence[Any]]
    run: Callable[[Container, Any], object]
    share: float


def _claim_inbox(container: Container, most: int) -> Sequence[Any]:
    return claim_due_rows(container, "inbox", INBOX, most)


JOB = "job"
KINDS = (
    Kind("reconcile", reconcile.claim, reconcile.run, 0.25),
    Kind("buy", claim_purchases, buy, 0.75),
    Kind("act", acts.due, acts.run, 0.5),
    Kind("inbox", _claim_inbox, import_order.run, 0.75),
    Kind("track", track.due, track.run, 0.5),
    Kind("poll", poll.due, poll.run, 0.25),
    Kind("account", accounting.due, accounting.run, 0.25),
    Kind(JOB, partial(claim_due, long=False), run_job, 0.25),
    Kind("long_job", partial(claim_due, long=True), run_job, 0.25),
)
"""In order of urgency."""
PAUSE = 0.05
"""Seconds between two looks, however often the bell rings: one look takes all that has come meanwhile."""
TICK = 5.0
"""Seconds between two looks at whether somebody makes periodic jobs due."""


class Drain:
    """The loop of one worker process."""

    def __init__(self, container: Container, *, threads: int, kinds: Sequence[Kind] = KINDS) -> None:
        self._container = container
        self._kinds = kinds
        self._threads = threads
        self._wake = threading.Event()
        self._rung = True
        self._more: set[str] = set()
        self._stopping = threading.Event()
        self._pool = ThreadPoolExecutor(threads, thread_name_prefix="drain")
        self._busy: dict[str, int] = dict.fromkeys((kind.name for kind in kinds), 0)
        self._lock = threading.Lock()

    def wake(self) -> None:
        """Something may be due of any kind: look now."""
        self._rung = True
        self._wake.set()

    def stop(self) -> None:
        """Claim nothing more; what is being worked on ends by itself."""
        self._stopping.set()
        self._wake.set()

    def run(self) -> None:
        """Until `stop()`."""
        idle = self._container.timers.drain_idle.total_seconds()
        tick = TICK / min(self._container.settings.time_scale, PHYSICAL_MOST)
        looked = everything = ticked = 0.0
        while not self._stopping.is_set():
            self._wake.clear()
            self._stopping.wait(max(looked + PAUSE - time.monotonic(), 0.0))
            looked = time.monotonic()
            if looked - ticked >= tick:
                ticked = looked
                guarded("job", "tick", self._tick)
            if self._rung or looked - everything >= idle:
                self._rung, everything = False, looked
                self.round()
            else:
                self.round(self._more)
            if outage.recent:
                self._stopping.wait(1.0)  # nothing can be claimed, however often somebody rings
            self._wake.wait(max(everything + idle - time.monotonic(), 0.0))
        self._pool.shutdown(wait=True)

    def _tick(self) -> None:
        """A scheduler that is gone must stop nothing: leases, mails, watching."""
        if make_overdue_due(self._container):
            self._rung = True

    def round(self, names: Collection[str] | None = None) -> int:
        """Claim once over all kinds, or over those named; gives how many rows were taken."""
        taken = 0
        for kind in [kind for kind in self._kinds if names is None or kind.name in names]:
            if self._stopping.is_set() or outage.recent:
                break
            # There may be more than we have threads for, until a claim shows otherwise: then a thread that ends looks.
            self._more.add(kind.name)
            free = self._free(kind)
            if free <= 0:
                continue
            rows: Sequence[Any] = ()

            def claim_now(kind: Kind = kind, free: int = free) -> None:
                nonlocal rows
                rows = kind.claim(self._container, free)

            if not guarded(kind.name, "claim", claim_now):
                continue
            if len(rows) < free:
                self._more.discard(kind.name)
            for row in rows:
                self._submit(kind, row)
            taken += len(rows)
        return taken

    def _free(self, kind: Kind) -> int:
        with self._lock:
            whole = self._threads - sum(self._busy.values())
            own = max(int(self._threads * kind.share), 1) - self._busy[kind.name]
            if kind.name != JOB and self._threads > 1 and not self._busy.get(JOB, 1):
                whole -= 1  # however much there is of all others, what watches them comes to its turn
        return min(whole, own)

    def _submit(self, kind: Kind, row: Any) -> None:
        with self._lock:
            self._busy[kind.name] += 1

        def done(_: Future[Any]) -> None:
            with self._lock:
                self._busy[kind.name] -= 1
            if self._more:
                self._wake.set()

        key = getattr(row, "id", row)
        self._pool.submit(guarded, kind.name, key, lambda: kind.run(self._container, row)).add_done_callback(done)

    def until_idle(self, *, rounds: int = 1000) -> int:
        """Work until nothing is due (tests, `sweep --once`). Gives how many rows were worked."""
        worked = 0
        for _ in range(rounds):
            taken = self.round()
            while any(self._busy.values()):
                self._wake.wait(0.02)
                self._wake.clear()
            worked += taken
            if not taken:
                break
        return worked

    def close(self) -> None:
        """Give the threads back."""
        self._stopping.set()
        self._pool.shutdown(wait=True)
