"""Which deaths there are, which of them were tried, and trying them: several runs at a time, as they mostly wait."""

from __future__ import annotations

import itertools
import json
import queue
import random
import shutil
import threading
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass, field
from pathlib import Path

import redis

from app.db_migrate import upgrade
from app.local.embedded import start_postgres, start_valkey
from tests.faults.points import KILL, KINDS, Shot
from tests.faults.roles import Zygote
from tests.faults.scene import Scene
from tests.fresh_databases import FreshDatabases

Plan = tuple[Shot, ...]
PLACEMENT = ("app.pipeline.buy.", "ds.order.create", "journal append", "app.pipeline.claim")
RECOVERY = ("app.boot.", "outcome.replay", "app.pipeline.reconcile.", "app.pipeline.evidence.", "free_", "journal tidy")
TRIES = 3
"""Runs until a death that was never come to counts as one that this scene does not reach."""


def singles(points: Sequence[str]) -> list[Plan]:
    """Every point, in every way to die."""
    return [(Shot(point, kind),) for point in points for kind in KINDS]


def pairs(points: Sequence[str]) -> list[Plan]:
    """Killed while placing or recovering, and killed once more in the recovery from that."""
    mine = [point for point in points if any(part in point for part in PLACEMENT + RECOVERY)]
    return [(Shot(first, KILL), Shot(second, KILL)) for first, second in itertools.product(mine, mine)]


def name(plan: Plan) -> str:
    """How a plan is written in the book."""
    return " >> ".join(f"{shot.point} ! {shot.kind}" for shot in plan)


@dataclass
class Book:
    """What was tried, added up over runs in one file."""

    path: Path
    points: list[str] = field(default_factory=list)
    passed: set[str] = field(default_factory=set)
    not_reached: dict[str, int] = field(default_factory=dict)

    @classmethod
    def open(cls, path: Path) -> Book:
        """As it was left, or empty."""
        if not path.exists():
            return cls(path)
        kept = json.loads(path.read_text())
        return cls(path, kept["points"], set(kept["passed"]), kept["not_reached"])

    def save(self) -> None:
        """Written whole, so that an interrupted run loses nothing."""
        self.path.parent.mkdir(parents=True, exist_ok=True)
        kept = {"points": self.points, "passed": sorted(self.passed), "not_reached": self.not_reached}
        new = self.path.with_suffix(".new")
        new.write_text(json.dumps(kept, indent=1) + "\n")
        new.replace(self.path)

    def left(self, plans: Sequence[Plan]) -> list[Plan]:
        """Those still to be tried."""
        return [plan for plan in plans if name(plan) not in self.passed and self.not_reached.get(name(plan), 0) < TRIES]

    def count(self, plans: Sequence[Plan]) -> tuple[int, int, int]:
        """(passed, never come to, all)."""
        names = [name(plan) for plan in plans]
        never = sum(one not in self.passed and self.not_reached.get(one, 0) >= TRIES for one in names)
        return sum(one in self.passed for one in names), never, len(names)


@dataclass(frozen=True)
class Outcome:
    """One run. `wrong`: what was not as it must be."""

    plan: Plan
    fired: bool
    wrong: list[str]
    reached: set[str]
    seconds: float


class Stage:
    """Servers and the zygote, shared by all runs; each run has a database and a Redis number of its own."""

    def __init__(self, folder: Path, databases: FreshDatabases, valkey_url: str) -> None:
        self._folder = folder
        self._databases = databases
        self._valkey_url = valkey_url
        self._lock = threading.Lock()
        self._numbers = itertools.count(1)
        self._zygote = Zygote()

    def run(self, slot: int, plan: Plan) -> Outcome:
        """Play the scene once, dying as planned. Its folder stays when something was wrong."""
        folder = self._folder / f"run-{next(self._numbers)}"
        began = time.monotonic()
        with self.scene(slot, folder, plan) as scene:
            wrong = scene.play()
            outcome = Outcome(plan, scene.fired == len(plan), wrong, scene.reached, time.monotonic() - began)
        if not wrong:
            shutil.rmtree(folder, ignore_errors=True)
        return outcome

    @contextmanager
    def scene(self, slot: int, folder: Path, plan: Plan = ()) -> Iterator[Scene]:
        """A scene that has not been played yet."""
        url = f"{self._valkey_url.rstrip('/').removesuffix('/0')}/{slot}"
        with redis.Redis.from_url(url) as client:
            client.flushdb()
        database = self._databases.migrated()
        with self._lock:
            database_url = database.__enter__()
        try:
            with Scene(database_url, url, folder, self._zygote, plan) as scene:
                yield scene
        finally:
            with self._lock:
                database.__exit__(None, None, None)

    def close(self) -> None:
        """End the zygote and what it started."""
        self._zygote.close()


@contextmanager
def stage(folder: Path) -> Iterator[Stage]:
    """Servers of its own in a folder."""
    with ExitStack() as stack:
        postgres = stack.enter_context(start_postgres(folder / "postgres", durable=False))
        valkey = stack.enter_context(start_valkey(folder / "valkey", durable=False))
        databases = FreshDatabases(postgres.url, upgrade)
        stack.callback(databases.close)
        made = Stage(folder, databases, valkey.url)
        stack.callback(made.close)
        yield made


def try_all(made: Stage, plans: Sequence[Plan], *, until: float, slots: int, tell: Callable[[Outcome], None]) -> None:
    """Try these, `slots` at a time, until the time is over. `tell` hears of each, one at a time."""
    waiting: queue.SimpleQueue[Plan] = queue.SimpleQueue()
    for plan in plans:
        waiting.put(plan)
    lock = threading.Lock()

    def work(slot: int) -> None:
        while time.monotonic() < until:
            try:
                plan = waiting.get_nowait()
            except queue.Empty:
                return
            outcome = made.run(slot, plan)
            with lock:
                tell(outcome)

    threads = [threading.Thread(target=work, args=(slot,)) for slot in range(slots)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()


def shuffled(plans: Sequence[Plan], seed: int) -> list[Plan]:
    """In an order that a seed decides, so that a short budget is a fair sample."""
    mixed = list(plans)
    random.Random(seed).shuffle(mixed)
    return mixed
