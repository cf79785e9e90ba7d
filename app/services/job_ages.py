"""How long ago each periodic job ended, beside how often it is due: whether anybody does them."""

from __future__ import annotations

from dataclasses import dataclass
from math import inf

import sqlalchemy as sa
from sqlalchemy.orm import Session

from app.container import Container
from app.domain.timing import PHYSICAL_MOST
from app.models import PeriodicJob
from app.services.periods import PERIODS

LATE_PERIODS = 3.0
BUSY = 60.0
"""Seconds by which a job may be late, beside its periods, since workers have other things to do."""


@dataclass(frozen=True, slots=True)
class Age:
    """Of one job. `seconds`: since it last ended, infinite if it never did; `error`: what that end was, "" if good."""

    name: str
    seconds: float
    period: float
    error: str
    late: bool

    @property
    def periods(self) -> float:
        """Its age in its own periods: one or so is usual."""
        return self.seconds / self.period

    def __str__(self) -> str:
        told = []
        if self.late:
            ended = "has never run" if self.seconds == inf else f"ended {self.seconds:.0f} s ago"
            told.append(f"{ended}, due every {self.period:g} s: is a worker running?")
        if self.error:
            told.append(f"failed ({self.error})")
        return f"{self.name} {', '.join(told)}"


def read(container: Container, session: Session) -> list[Age]:
    """Of all periodic jobs, the latest ones (in periods) first."""
    age = sa.func.extract("epoch", sa.func.clock_timestamp() - PeriodicJob.last_finished_at)
    rows = session.execute(sa.select(PeriodicJob.name, age.label("age"), PeriodicJob.last_error))
    stored = {row.name: row for row in rows}
    busy = BUSY / min(container.settings.time_scale, PHYSICAL_MOST)
    ages = []
    for name, every in PERIODS.items():
        row, period = stored.get(name), every.wait(container).total_seconds()
        seconds = inf if row is None or row.age is None else float(row.age)
        late = seconds > LATE_PERIODS * period + busy
        ages.append(Age(name, seconds, period, row.last_error if row is not None else "", late))
    return sorted(ages, key=lambda one: one.periods, reverse=True)
