"""Periodic jobs live in a table: the scheduler makes them due, any worker runs them, under a lease."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import timedelta

import sqlalchemy as sa
from sqlalchemy.dialects.postgresql import insert

from app.container import Container
from app.db import changed
from app.models import PeriodicJob

LEAST = timedelta(seconds=0.5)
"""Between two runs of a job, however fast the world runs."""


def make_due(container: Container) -> int:
    """Make due what is due by the clock (compare-and-set: two schedulers do no harm). Gives how many."""
    from app.jobs.schedule import JOBS  # noqa: PLC0415 - the table names functions that use this module

    made = 0
    with container.database.transaction() as session:
        for job in JOBS.values():
            session.execute(insert(PeriodicJob).values(name=job.name, due=True, last_error="").on_conflict_do_nothing())
            made += changed(
                session,
                sa.update(PeriodicJob)
                .where(PeriodicJob.name == job.name, PeriodicJob.next_at <= sa.func.clock_timestamp())
                .values(due=True, next_at=sa.func.clock_timestamp() + max(job.wait(container), LEAST)),
            )
    return made


def claim_due(container: Container, most: int) -> Sequence[str]:
    """Names of periodic jobs that are due and now ours."""
    from app.jobs.schedule import JOBS  # noqa: PLC0415 - see above

    with container.database.transaction() as session:
        names = (
            sa.select(PeriodicJob.name)
            .where(
                PeriodicJob.due,
                sa.or_(PeriodicJob.lease_until.is_(None), PeriodicJob.lease_until < sa.func.clock_timestamp()),
            )
            .limit(most)
            .with_for_update(skip_locked=True)
        )
        mine = [name for name in session.scalars(names) if name in JOBS]
        for name in mine:
            until = sa.func.clock_timestamp() + JOBS[name].hold(container)
            session.execute(sa.update(PeriodicJob).where(PeriodicJob.name == name).values(lease_until=until))
        return mine


def run_job(container: Container, name: str) -> None:
    """Run one; a fault is stored and raised."""
    from app.jobs.schedule import JOBS  # noqa: PLC0415 - see above

    error = ""
    try:
        JOBS[name].act(container)
    except Exception as fault:
        error = type(fault).__name__
        raise
    finally:
        with container.database.transaction() as session:
            session.execute(
                sa.update(PeriodicJob)
                .where(PeriodicJob.name == name)
                .values(due=False, lease_until=None, last_finished_at=sa.func.clock_timestamp(), last_error=error)
            )
