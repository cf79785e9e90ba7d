"""Trying deaths: servers that are kept up, and several runs at a time, as they mostly wait."""

from __future__ import annotations

import itertools
import shutil
import threading
import time
import traceback
from collections.abc import Callable, Iterable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor, as_completed
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from pathlib import Path

import redis

from app.db_migrate import upgrade
from app.local.embedded import start_postgres, start_valkey
from tests.faults.deaths import Plan
from tests.faults.desk import Desk
from tests.faults.plain import Plain
from tests.faults.rescue import ALONE, Rescue, Twice
from tests.faults.roles import Zygote
from tests.faults.scene import Scene, Script
from tests.faults.troubles import Troubles
from tests.fresh_databases import FreshDatabases

SCRIPTS: dict[str, Callable[[Scene], Script]] = {
    script.name: script for script in (Plain, *ALONE, Rescue, Troubles, Desk, Twice)
}
"""In the order in which a death is tried in them: what is short comes first."""


@dataclass(frozen=True)
class Outcome:
    """One run. `fired`: the points where somebody died; `wrong`: what was not as it must be, a traceback included.

    `reached`: the points that were come to; `later`: those after the first death.
    """

    plan: Plan
    fired: frozenset[str]
    wrong: list[str]
    reached: frozenset[str]
    later: frozenset[str]
    seconds: float
    folder: Path
    whole: bool
    """Whether the whole plan came true."""
    chain: Sequence[str] = ()
    """Where somebody died in a chain, in order."""
    links: Sequence[tuple[str, str]] = ()
    """The pairs of it: two deaths of which the second came in the recovery from the first."""

    def told(self) -> str:
        """For a person: what was planned, what went wrong, and where the logs lie."""
        died = "\n".join(f"  died: {point}" for point in self.chain or sorted(self.fired))
        return "\n".join([self.plan.name, died, *(f"  {line}" for line in self.wrong), f"  logs: {self.folder}"])


class Stage:
    """Servers and the zygote, shared by all runs; each run has a database and a Redis number of its own."""

    def __init__(self, folder: Path, databases: FreshDatabases, valkey_url: str) -> None:
        self._folder = folder
        self._databases = databases
        self._valkey_url = valkey_url
        self._lock = threading.Lock()
        self._numbers = itertools.count(1)
        self.zygote = Zygote()

    def run(self, slot: int, plan: Plan) -> Outcome:
        """Play the script once, dying as planned. Its folder stays when something was wrong."""
        folder = self._folder / f"run-{next(self._numbers)}"
        began = time.monotonic()
        fired, reached, later, whole = set[str](), set[str](), set[str](), False
        chain: list[str] = []
        links: list[tuple[str, str]] = []
        try:
            with self.scene(slot, folder, plan) as scene:
                try:
                    wrong = scene.play()
                finally:
                    fired, reached, later, whole = scene.fired, scene.reached, scene.later, scene.all_fired
                    if plan.wanted is not None:
                        chain, links = scene.chain, scene.links
        except Exception:  # noqa: BLE001 - whatever it was, it is told and the others go on
            wrong = traceback.format_exc().splitlines()
        took = time.monotonic() - began
        points = frozenset(reached), frozenset(later)
        outcome = Outcome(plan, frozenset(fired), wrong, *points, took, folder, whole, chain, links)
        if wrong:
            (folder / "wrong").write_text(outcome.told() + "\n")
        else:
            shutil.rmtree(folder, ignore_errors=True)
        return outcome

    @contextmanager
    def scene(self, slot: int, folder: Path, plan: Plan) -> Iterator[Scene]:
        """A scene that has not been played yet."""
        with self.room(slot) as (database_url, redis_url):
            script = SCRIPTS[plan.script]
            more = {"together": plan.together, "system_call": plan.system_call, "wanted": plan.wanted}
            with Scene(database_url, redis_url, folder, self.zygote, script, plan.shots, **more) as scene:
                yield scene

    @contextmanager
    def room(self, slot: int) -> Iterator[tuple[str, str]]:
        """The addresses of a fresh database and of a flushed Redis number."""
        url = f"{self._valkey_url.rstrip('/').removesuffix('/0')}/{slot}"
        with redis.Redis.from_url(url) as client:
            client.flushdb()
        database = self._databases.migrated()
        with self._lock:
            database_url = database.__enter__()
        try:
            yield database_url, url
        finally:
            with self._lock:
                database.__exit__(None, None, None)

    def close(self) -> None:
        """End the zygote and what it started."""
        self.zygote.close()


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


def try_all(made: Stage, plans: Iterable[Plan], *, until: float, slots: int, tell: Callable[[Outcome], None]) -> None:
    """Try these, `slots` at a time, until the time is over. `tell` hears of each, one at a time."""
    waiting, lock, over = iter(plans), threading.Lock(), threading.Event()

    def work(slot: int) -> None:
        while time.monotonic() < until and not over.is_set():
            with lock:
                plan = next(waiting, None)
            if plan is None:
                return
            outcome = made.run(slot, plan)
            with lock:
                if not over.is_set():  # what is torn down around it goes wrong, and says nothing
                    tell(outcome)

    pool = ThreadPoolExecutor(slots)
    try:
        for done in as_completed([pool.submit(work, slot) for slot in range(slots)]):
            done.result()
    except BaseException:
        over.set()
        raise
    finally:
        pool.shutdown(wait=True)
