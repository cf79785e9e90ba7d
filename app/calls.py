"""What is remembered of outside calls: running totals for the metrics, and the calls of an order for its story."""

from __future__ import annotations

import threading
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from datetime import datetime
from typing import Any

from sqlalchemy.dialects.postgresql import insert
from sqlalchemy.orm import Session

from app.clock import Clock
from app.db import ROW, table
from app.models import Call, CallStat
from app.ports.http import DEPRECATED, OTHER_VERSION, CallRecord

BUCKETS = (0.05, 0.1, 0.25, 0.5, 1.0, 2.5, 5.0, 10.0, 30.0)
"""Upper bounds of the latency histogram, in seconds."""


@dataclass
class Story:
    """The calls made for one order while a step runs."""

    order_id: int | None = None
    purchase_id: int | None = None
    calls: list[tuple[datetime, CallRecord]] = field(default_factory=list)

    def write(self, session: Session) -> None:
        """Store the calls so far in the step's own transaction."""
        self.add_to(session)
        self.calls.clear()

    def add_to(self, session: Session) -> None:
        """`write`, where the transaction may yet be given up: the caller clears `calls` once it is committed."""
        if self.calls and self.order_id is not None:
            session.execute(
                insert(table(Call)),
                [
                    {
                        "at": at,
                        "vendor": call.vendor,
                        "operation": call.operation,
                        "outcome": call.outcome,
                        "status": call.status,
                        "milliseconds": int(call.seconds * 1000),
                        "order_id": self.order_id,
                        "purchase_id": self.purchase_id,
                        "request": call.request,
                        "answer": call.answer,
                        "request_id": call.request_id,
                    }
                    for at, call in self.calls
                ],
            )


class CallLog:
    """The observer of the process's HTTP client. Thread-safe; totals are flushed now and then by the caller."""

    def __init__(self, clock: Clock) -> None:
        self._clock = clock
        self._local = threading.local()
        self._lock = threading.Lock()
        self._totals: dict[tuple[str, str, str], list[int]] = {}
        self._notices: dict[tuple[str, str], CallRecord] = {}

    def __call__(self, record: CallRecord) -> None:
        """Note one finished call."""
        story: Story | None = getattr(self._local, "story", None)
        if story is not None:
            story.calls.append((self._clock.now(), record))
        with self._lock:
            if record.outcome in {OTHER_VERSION, DEPRECATED}:
                self._notices[record.vendor, record.outcome] = record
            totals = self._totals.setdefault(
                (record.vendor, record.operation, record.outcome), [0] * (len(BUCKETS) + 2)
            )
            totals[0] += 1
            totals[1] += int(record.seconds * 1000)
            for place, bound in enumerate(BUCKETS, start=2):
                if record.seconds <= bound:
                    totals[place] += 1

    @contextmanager
    def story(self, order_id: int | None = None, purchase_id: int | None = None) -> Iterator[Story]:
        """Collect the calls that this thread makes inside."""
        story, outer = Story(order_id, purchase_id), getattr(self._local, "story", None)
        self._local.story = story
        try:
            yield story
        finally:
            self._local.story = outer
            if outer is not None:
                outer.calls += story.calls  # what nobody wrote is the outer step's to tell

    def notices(self) -> list[CallRecord]:
        """The last call of each vendor and kind of which staff should hear, since this was asked last."""
        with self._lock:
            notices, self._notices = self._notices, {}
        return list(notices.values())

    def flush(self, session: Session) -> None:
        """Add this process's totals to the shared ones."""
        with self._lock:
            totals, self._totals = self._totals, {}
        for (vendor, operation, outcome), numbers in sorted(totals.items()):
            key = {"vendor": vendor, "operation": operation, "outcome": outcome}
            empty = insert(CallStat).values(**key, calls=0, milliseconds=0, buckets=[]).on_conflict_do_nothing()
            session.execute(empty)
            stored = session.get_one(CallStat, tuple(key.values()), with_for_update=ROW)
            stored.calls += numbers[0]
            stored.milliseconds += numbers[1]
            stored.buckets = _added(stored.buckets, numbers[2:])


def _added(before: list[Any], more: list[int]) -> list[int]:
    padded = [int(number) for number in before] + [0] * (len(more) - len(before))
    return [first + second for first, second in zip(padded, more, strict=True)]
