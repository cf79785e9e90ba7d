"""Workers that stop wherever the outside could see a difference, and go on or die there when they are told to.

A worker is a thread that does one unit of work of the real code. It stops after each commit, between what a transaction
reads and its first write, before an order is placed, when a call was answered and nobody has read the answer, around
the journal, and instead of sleeping. Only one of them runs at a time, so a story always ends in the same way.
"""

from __future__ import annotations

import threading
from collections.abc import Callable, Sequence

import psycopg

_here = threading.local()
LOOK = 0.02
LONGEST = 180.0
"""Seconds after which a worker that neither stops nor ends is an error of the machine."""


class Killed(BaseException):
    """Unwinds a worker that died. Whatever it tries meanwhile is refused: the dead do nothing."""


class Worker:
    """One of them. `point` says where it stands, "" if it has nothing to do."""

    def __init__(self, name: str, blocked: Callable[[], bool]) -> None:
        self.name = name
        self.point = ""
        self.killed = self.through = False
        self.transaction = ""
        """Which function of the product opened the last one."""
        self.in_transaction = self.has_read = self.has_written = False
        self.kill_at: float | None = None
        """By the story's `boottime`: then the supervisor kills it (it stands behind the point of no return)."""
        self.began, self.began_at = 0, 0.0
        """When it took its work: the step, and the story's time."""
        self.calls: list[str] = []
        self._blocked = blocked
        self._thread: threading.Thread | None = None
        self._go = threading.Semaphore(0)
        self._stopped = threading.Event()
        self._fault: BaseException | None = None

    @property
    def idle(self) -> bool:
        """Whether it has nothing to do."""
        return self._thread is None

    def begin(self, act: Callable[[], object]) -> None:
        """Start a unit of work. The caller waits afterwards."""
        assert self.idle
        self.killed = self.through = self.in_transaction = False
        self.kill_at = None
        self._thread = threading.Thread(target=self._run, args=(act,), name=self.name, daemon=True)
        self._stopped.clear()
        self._thread.start()

    def _run(self, act: Callable[[], object]) -> None:
        _here.worker = self
        try:
            act()
        except Killed:
            pass
        except BaseException as error:  # noqa: BLE001 - told in the story's own thread
            self._fault = error
        finally:
            self.point, self.in_transaction, self.kill_at = "", False, None
            self._thread = None
            self._stopped.set()

    def go(self, *, through: bool = False, kill: bool = False) -> None:
        """Let it go on, to its end if `through`; or die where it stands. The caller waits afterwards."""
        self.through, self.killed = through, self.killed or kill
        self._stopped.clear()
        self._go.release()

    def wait(self, others: Sequence[Worker]) -> None:
        """Until it stops or ends. Whoever holds a lock that it wants is let go on first. Raises what it raised."""
        waited = 0.0
        while not self._stopped.wait(LOOK):
            waited += LOOK
            holder = next((one for one in others if one is not self and not one.idle and one.in_transaction), None)
            if holder is not None and self._blocked():
                holder.leave_transaction(others)
            assert waited < LONGEST, f"{self.name} neither stops nor ends after {self.point!r}"
        if self._fault is not None:
            fault, self._fault = self._fault, None
            raise fault

    def leave_transaction(self, others: Sequence[Worker]) -> None:
        """On to the end of the transaction that it has open."""
        while not self.idle and self.in_transaction:
            self.go()
            self.wait([one for one in others if one is not self])

    def stop(self, point: str) -> None:
        """Called by the worker itself. Raises `Killed`."""
        self.refuse_dead()
        if self.through:
            return
        self.point = point
        self._stopped.set()
        self._go.acquire()
        self.refuse_dead()

    def refuse_dead(self) -> None:
        """Raises `Killed` if it died."""
        if self.killed:
            raise Killed


def current() -> Worker | None:
    """The worker whose thread this is."""
    return getattr(_here, "worker", None)


def lock_waits(connection: psycopg.Connection[tuple[object, ...]]) -> bool:
    """Whether a session of this database waits for a lock of another one."""
    found = connection.execute(
        "SELECT count(*) FROM pg_stat_activity WHERE datname = current_database() AND wait_event_type = 'Lock'"
    ).fetchone()
    return bool(found and found[0])
