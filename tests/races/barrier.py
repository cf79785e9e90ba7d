"""A barrier: one actor stops at its n-th point, the other runs through meanwhile, then the first goes on.

Points are the moments before and after each commit and each call outside. They are put around the product's functions
while a race runs; only the thread that is stopped notices them.
"""

from __future__ import annotations

import threading
import time
from collections.abc import Callable, Collection, Iterator
from contextlib import contextmanager
from typing import Any

import sqlalchemy as sa
from sqlalchemy.orm import Session

from app.ports.http import OutboundCall
from tests.faults.points import caller
from tests.flow.world import World

Scene = tuple[Callable[[], object], Callable[[], object], Callable[[], list[str]]]
"""One actor, the other, and what is wrong when both have ended: empty if nothing is."""
HANGS = 60.0
"""Seconds that only an actor that never ends takes."""


class Stop:
    """Where one actor stops: at its n-th point, counted from 0, of those whose names hold one of `at`."""

    def __init__(self, place: int, at: Collection[str]) -> None:
        self._left, self._at = place, at
        self._thread: threading.Thread | None = None
        self._go_on = threading.Event()
        self.stopped = threading.Event()
        self.name = ""
        """The point at which it stopped; empty if its way was shorter."""

    def mine(self) -> None:
        """This thread is the actor."""
        self._thread = threading.current_thread()  # its number may be the next thread's

    def reach(self, name: str) -> None:
        """A point of any thread."""
        if threading.current_thread() is not self._thread or not any(part in name for part in self._at):
            return
        if self._left == 0:
            self.name = name
            self.stopped.set()
            assert self._go_on.wait(HANGS), f"nobody let it go on from {name}"
        self._left -= 1

    def go_on(self) -> None:
        """From here to its end."""
        self._go_on.set()


@contextmanager
def _points(reach: Callable[[str], None]) -> Iterator[None]:
    def before(_session: Session) -> None:
        reach(f"before the commit of {caller()}")

    def after(_session: Session) -> None:
        reach(f"after the commit of {caller()}")

    whole = OutboundCall.send

    def send(call: OutboundCall, *given: Any, **more: Any) -> Any:
        reach(f"before the call {call.vendor}.{call.operation}")
        answer = whole(call, *given, **more)
        reach(f"after the call {call.vendor}.{call.operation}")
        return answer

    sa.event.listen(Session, "before_commit", before)
    sa.event.listen(Session, "after_commit", after)
    OutboundCall.send = send  # type: ignore[method-assign, assignment]
    try:
        yield
    finally:
        OutboundCall.send = whole  # type: ignore[method-assign]
        sa.event.remove(Session, "before_commit", before)
        sa.event.remove(Session, "after_commit", after)


class _Actor(threading.Thread):
    """Runs an act; what it raises is raised again by `end`."""

    def __init__(self, act: Callable[[], object], stop: Stop | None = None) -> None:
        super().__init__(daemon=True)
        self._act, self._stop_at, self._raised = act, stop, None
        self.start()

    def run(self) -> None:
        if self._stop_at is not None:
            self._stop_at.mine()
        try:
            self._act()
        except BaseException as error:  # noqa: BLE001 - it is raised in the test's thread
            self._raised = error
        finally:
            if self._stop_at is not None:
                self._stop_at.stopped.set()

    _raised: BaseException | None

    def end(self) -> None:
        """Wait for its end."""
        self.join(HANGS)
        assert not self.is_alive(), "an actor never ends"
        if self._raised is not None:
            raise self._raised


def race(
    world: World,
    first: Callable[[], object],
    other: Callable[[], object],
    place: int,
    patience: float,
    at: Collection[str],
) -> str:
    """Stop `first` at its point number `place`, run `other`, let `first` go on. Gives the point's name or "".

    `other` may have to wait for `first` (a lock, a lease): when it waits, or after `patience` seconds, `first` goes on.
    `at`: only points whose names hold one of these count; before a read one stands where one stood after the last point.
    """
    stop = Stop(place, at)
    with _points(stop.reach):
        one = _Actor(first, stop)
        assert stop.stopped.wait(HANGS), "the first actor never ends"
        try:
            two = _Actor(other)
            until = time.monotonic() + patience
            while two.is_alive() and time.monotonic() < until and not _waiting(world):
                two.join(0.01)
        finally:
            stop.go_on()
        one.end()
        two.end()
    return stop.name


def way(act: Callable[[], object]) -> list[str]:
    """The points that an actor comes to alone."""
    names, mine = list[str](), threading.current_thread()

    def reach(name: str) -> None:
        if threading.current_thread() is mine:
            names.append(name)

    with _points(reach):
        act()
    return names


def _waiting(world: World) -> bool:
    """Whether somebody in this database waits for a lock."""
    query = "SELECT 1 FROM pg_stat_activity WHERE datname = current_database() AND wait_event_type = 'Lock' LIMIT 1"
    with world.container.database.reading() as session:
        return session.scalar(sa.text(query)) is not None


def every_order(
    world: World,
    scene: Callable[[], Scene],
    *,
    at: Collection[str],
    patience: float = 2.0,
    both: bool = True,
) -> int:
    """Each stop of the first x the whole of the other, and the other way round; gives how many orders were tried.

    `scene` makes a fresh pair: (one actor, the other, what is wrong afterwards). Raises AssertionError naming the stop.
    `at`: as in `race`; each part of it must name a stop that was made, so that none is dead. `both` False, where the
    two actors do the same: the other way round is the same race.
    """
    met = list[str]()
    for swapped in (False, True) if both else (False,):
        for place in range(200):
            one, two, problems = scene()
            first, other = (two, one) if swapped else (one, two)
            name = race(world, first, other, place, patience, at)
            wrong = problems()
            assert not wrong, (f"{'second' if swapped else 'first'} actor stopped {name or 'nowhere'}", wrong)
            if not name:
                break
            met.append(name)
        else:
            raise AssertionError("an actor has no end of points")
    dead = [part for part in at if not any(part in name for name in met)]
    assert not dead, f"nobody stopped at {dead}, but at {sorted(set(met))}"
    return len(met)
