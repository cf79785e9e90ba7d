"""Deadlines that a separate process enforces: a worker that was stopped after T3 is killed before it can send late.

The supervisor shares an array of doubles with its workers. A send writes CLOCK_BOOTTIME + kill limit into a slot; the
supervisor kills the worker when a slot's time is over. Without a supervisor (tests, CLI) the slots are private.
"""

from __future__ import annotations

import mmap
import struct
import threading
from collections.abc import Iterator
from contextlib import contextmanager

from app.container import Container

SLOTS = 256
_DOUBLE = struct.Struct("d")


class Slots:
    """Deadlines in shared memory, one per send in flight. 0.0 means free."""

    def __init__(self, memory: mmap.mmap | None = None) -> None:
        self.memory = memory if memory is not None else mmap.mmap(-1, SLOTS * _DOUBLE.size)
        self._lock = threading.Lock()

    def set(self, deadline: float) -> int:
        """Take a free slot; gives its number."""
        with self._lock:
            for slot in range(SLOTS):
                if self.read(slot) == 0.0:
                    _DOUBLE.pack_into(self.memory, slot * _DOUBLE.size, deadline)
                    return slot
        raise RuntimeError("more sends in flight than slots")

    def clear(self, slot: int) -> None:
        """Free a slot."""
        _DOUBLE.pack_into(self.memory, slot * _DOUBLE.size, 0.0)

    def read(self, slot: int) -> float:
        """The deadline in a slot."""
        value: float = _DOUBLE.unpack_from(self.memory, slot * _DOUBLE.size)[0]
        return value

    def overdue(self, now: float) -> bool:
        """Whether any deadline is over."""
        return any(0.0 < self.read(slot) < now for slot in range(SLOTS))

    def reset(self) -> None:
        """Free all slots (before a worker starts)."""
        self.memory[:] = bytes(len(self.memory))


_slots = Slots()


def adopt(slots: Slots) -> None:
    """Use the supervisor's array in this process."""
    global _slots  # noqa: PLW0603 - one array per process, set once right after the fork
    _slots = slots


@contextmanager
def watched(container: Container, begun: float) -> Iterator[None]:
    """While inside, the supervisor kills this process if the kill limit after `begun` passes."""
    slot = _slots.set(begun + container.timers.kill_after.total_seconds())
    try:
        yield
    finally:
        _slots.clear(slot)
