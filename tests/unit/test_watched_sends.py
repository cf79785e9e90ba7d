"""Deadlines of sends in flight, in memory that the supervisor and its workers share."""

from __future__ import annotations

import mmap

import pytest

from app.pipeline.buy import watch
from app.pipeline.buy.watch import SLOTS, Slots


def test_a_deadline_is_overdue_only_after_its_time_and_until_it_is_cleared() -> None:
    slots = Slots()
    assert not slots.overdue(1e9), "free slots are no deadlines"
    slot = slots.set(10.0)
    assert [slots.overdue(now) for now in (9.0, 10.0, 10.5)] == [False, False, True]
    slots.clear(slot)
    assert not slots.overdue(11.0)


def test_each_send_has_a_slot_of_its_own_and_a_freed_one_is_used_again() -> None:
    slots = Slots()
    taken = [slots.set(float(number)) for number in range(1, SLOTS + 1)]
    assert taken == list(range(SLOTS))
    with pytest.raises(RuntimeError, match="more sends"):
        slots.set(1.0)
    slots.clear(7)
    assert slots.set(99.0) == 7
    assert slots.read(7) == 99.0


def test_the_parent_sees_what_the_worker_writes_and_resets_it() -> None:
    memory = mmap.mmap(-1, SLOTS * 8)
    parent, worker = Slots(memory), Slots(memory)
    worker.set(5.0)
    assert parent.overdue(6.0)
    parent.reset()
    assert not parent.overdue(6.0)
    assert worker.read(0) == 0.0


def test_a_worker_uses_the_array_that_it_was_given(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(watch, "_slots", Slots())
    shared = Slots()
    watch.adopt(shared)
    assert watch._slots is shared
