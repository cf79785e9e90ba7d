"""Every periodic job in one table: name, how often, what it does."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from datetime import timedelta

from app.container import Container
from app.domain.timing import PHYSICAL_MOST
from app.jobs import sweep
from app.pipeline import letters


@dataclass(frozen=True)
class Periodic:
    """A periodic job. `every`: a timer's name, or seconds at TIME_SCALE 1; `physical`: not shortened by that."""

    name: str
    every: float | str
    act: Callable[[Container], object]
    physical: bool = False
    lease: float = 300.0
    """Seconds after which another worker runs it again, if the one that had begun is gone."""

    def hold(self, container: Container) -> timedelta:
        """For how long a worker may keep it to itself; what the machine needs is shortened ten times at most."""
        return timedelta(seconds=self.lease / min(container.settings.time_scale, PHYSICAL_MOST))

    def wait(self, container: Container) -> timedelta:
        """Time between two runs."""
        if isinstance(self.every, str):
            chosen: timedelta = getattr(container.timers, self.every)
            return chosen
        return timedelta(seconds=self.every / (1.0 if self.physical else container.settings.time_scale))


JOBS = {
    job.name: job
    for job in (
        Periodic("leases", 5, sweep.free_leases, lease=5),
        Periodic("journal", "sweep", sweep.replay_journal, lease=60),
        Periodic("held", "sweep", sweep.recheck_held),
        Periodic("refresh_tokens", 60, sweep.refresh_tokens),
        Periodic("probe", "sweep", sweep.probe, lease=60),
        Periodic("hooks", 900, sweep.check_hooks),
        Periodic("audit_seal", 1, sweep.seal_audit, physical=True, lease=30),
        Periodic("mails", "sweep", letters.ask, lease=60),
        Periodic("watch", 60, sweep.watch, lease=60),
        Periodic("call_stats", 5, sweep.flush_calls, physical=True, lease=30),
        Periodic("retention", 3600, sweep.retention),
    )
}
