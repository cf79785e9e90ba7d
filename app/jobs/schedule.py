"""Every periodic job in one table: its period and what it does."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

from app.container import Container
from app.jobs import sweep
from app.pipeline import letters
from app.services.periods import PERIODS, Period


@dataclass(frozen=True)
class Periodic:
    """A periodic job."""

    period: Period
    act: Callable[[Container], object]


_ACTS: dict[str, Callable[[Container], object]] = {
    "leases": sweep.free_leases,
    "journal": sweep.replay_journal,
    "held": sweep.recheck_held,
    "refresh_tokens": sweep.refresh_tokens,
    "probe": sweep.probe,
    "hooks": sweep.check_hooks,
    "audit_seal": sweep.seal_audit,
    "mails": letters.ask,
    "watch": sweep.watch,
    "call_stats": sweep.flush_calls,
    "retention": sweep.retention,
}
JOBS = {name: Periodic(period, _ACTS[name]) for name, period in PERIODS.items()}
