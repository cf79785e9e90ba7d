"""How often each periodic job runs, and for how long a worker may keep it. What they do stands in `app/jobs`."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import timedelta

from app.container import Container
from app.domain.timing import PHYSICAL_MOST

LEAST = timedelta(seconds=0.5)
"""Between two runs of a job, however fast the world runs."""


@dataclass(frozen=True)
class Period:
    """Of one job. `every`: a timer's name, or seconds at TIME_SCALE 1; `physical`: not shortened by that."""

    name: str
    every: float | str
    physical: bool = False
    lease: float = 300.0
    """Seconds after which another worker runs it again, if the one that had begun is gone."""
    long: bool = False
    """It asks the outside, row by row: it has threads of its own, so that it holds up no other job."""

    def hold(self, container: Container) -> timedelta:
        """For how long a worker may keep it to itself; what the machine needs is shortened ten times at most."""
        return timedelta(seconds=self.lease / min(container.settings.time_scale, PHYSICAL_MOST))

    def work(self, container: Container) -> timedelta:
        """For how long it may begin with further rows: the last one ends within its lease, too."""
        return self.hold(container) / 2

    def wait(self, container: Container) -> timedelta:
        """Time between two runs."""
        if isinstance(self.every, str):
            chosen: timedelta = getattr(container.timers, self.every)
            return max(chosen, LEAST)
        return max(timedelta(seconds=self.every / (1.0 if self.physical else container.settings.time_scale)), LEAST)


PERIODS = {
    period.name: period
    for period in (
        Period("leases", 5, lease=5),
        Period("journal", "sweep", lease=60),
        Period("held", "sweep", long=True),
        Period("refresh_tokens", 60, long=True),
        Period("probe", "sweep", lease=60),
        Period("hooks", 900, long=True),
        Period("audit_seal", 1, physical=True, lease=30),
        Period("mails", "sweep", lease=60),
        Period("watch", 60, lease=60),
        Period("call_stats", 5, physical=True, lease=30),
        Period("retention", 3600),
    )
}
