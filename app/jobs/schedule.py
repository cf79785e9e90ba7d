"""Every periodic job in one table: name, seconds between runs (at TIME_SCALE 1), what it does."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

from app.container import Container
from app.jobs import sweep


@dataclass(frozen=True)
class Periodic:
    """A periodic job. `every` is in seconds; `physical`: not shortened by TIME_SCALE."""

    name: str
    every: float
    act: Callable[[Container], object]
    physical: bool = False


JOBS = {
    job.name: job
    for job in (
        Periodic("sweep", 30, sweep.free_leases),
        Periodic("journal", 30, sweep.replay_journal),
        Periodic("held", 900, sweep.recheck_held),
        Periodic("refresh_tokens", 60, sweep.refresh_tokens),
        Periodic("probe", 30, sweep.probe),
        Periodic("hooks", 900, sweep.check_hooks),
        Periodic("audit_seal", 1, sweep.seal_audit, physical=True),
        Periodic("watch", 60, sweep.watch),
        Periodic("call_stats", 5, sweep.flush_calls, physical=True),
        Periodic("retention", 3600, sweep.retention),
    )
}
