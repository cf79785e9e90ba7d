"""Every periodic job in one table: name, how often, what it does."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from datetime import timedelta

from app.container import Container
from app.jobs import sweep
from app.pipeline import letters


@dataclass(frozen=True)
class Periodic:
    """A periodic job. `every`: a timer's name, or seconds at TIME_SCALE 1; `physical`: not shortened by that."""

    name: str
    every: float | str
    act: Callable[[Container], object]
    physical: bool = False

    def wait(self, container: Container) -> timedelta:
        """Time between two runs."""
        if isinstance(self.every, str):
            chosen: timedelta = getattr(container.timers, self.every)
            return chosen
        return timedelta(seconds=self.every / (1.0 if self.physical else container.settings.time_scale))


JOBS = {
    job.name: job
    for job in (
        Periodic("leases", 5, sweep.free_leases),
        Periodic("journal", "sweep", sweep.replay_journal),
        Periodic("held", "recheck_held", sweep.recheck_held),
        Periodic("refresh_tokens", 60, sweep.refresh_tokens),
        Periodic("probe", "sweep", sweep.probe),
        Periodic("hooks", 900, sweep.check_hooks),
        Periodic("audit_seal", 1, sweep.seal_audit, physical=True),
        Periodic("mails", "sweep", letters.ask),
        Periodic("watch", 60, sweep.watch),
        Periodic("call_stats", 5, sweep.flush_calls, physical=True),
        Periodic("retention", 3600, sweep.retention),
    )
}
