"""Periodic jobs live in a table: the scheduler makes them due, any worker runs them, under a lease."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta

import sqlalchemy as sa
from sqlalchemy.dialects.postgresql import insert
from sqlalchemy.orm import Session

from app.container import Container
from app.db import changed
from app.logs import logger
from app.models import PeriodicJob
from app.pipeline import failing
from app.services.periods import PERIODS

log = logger(__name__)

GRACE = timedelta(seconds=2)
"""By how much a job is late when nobody makes it due: a scheduler looks twice a second."""


def make_due(container: Container) -> int:
    """Make due what is due by the clock (compare-and-set: two schedulers do no harm). Gives how many."""
    made = 0
    with container.database.transaction() as session:
        for name, period in PERIODS.items():
            session.execute(insert(PeriodicJob).values(name=name, due=True, last_error="").on_conflict_do_nothing())
            made += changed(
                session,
                sa.update(PeriodicJob)
                .where(PeriodicJob.name == name, PeriodicJob.next_at <= sa.func.clock_timestamp())
                .values(due=True, next_at=sa.func.clock_timestamp() + period.wait(container)),
            )
    return made


def make_overdue_due(container: Container) -> int:
    """What every worker does now and then, so that a scheduler that is gone stops nothing. Gives how many.

    While a scheduler runs, it costs one statement that finds nothing.
    """
    kept = sa.and_(PeriodicJob.name.in_(tuple(PERIODS)), PeriodicJob.next_at > sa.func.clock_timestamp() - GRACE)
    with container.database.reading() as session:
        made = session.scalar(sa.select(sa.func.count()).where(kept))
    return make_due(container) if made != len(PERIODS) else 0


@dataclass(frozen=True, slots=True)
class Turn:
    """A periodic job to be run now. It is ours until `lease_until`, and no longer than nobody else took it."""

    id: str
    lease_until: datetime | None


def claim_due(container: Container, most: int, *, long: bool | None = None) -> Sequence[Turn]:
    """Periodic jobs that are due and now ours. `long`: only those that are, or are not."""
    wanted = [name for name, period in PERIODS.items() if long is None or period.long == long]
    with container.database.transaction() as session:
        names = (
            sa.select(PeriodicJob.name)
            .where(
                PeriodicJob.due,
                PeriodicJob.name.in_(wanted),
                sa.or_(PeriodicJob.lease_until.is_(None), PeriodicJob.lease_until < sa.func.clock_timestamp()),
            )
            .limit(most)
            .with_for_update(skip_locked=True, key_share=True)
        )
        return [_take(container, session, name) for name in session.scalars(names).all()]


def _take(container: Container, session: Session, name: str) -> Turn:
    until = sa.func.clock_timestamp() + PERIODS[name].hold(container)
    taken = sa.update(PeriodicJob).where(PeriodicJob.name == name).values(lease_until=until)
    return Turn(name, session.execute(taken.returning(PeriodicJob.lease_until)).scalar_one())


def run_job(container: Container, turn: Turn) -> None:
    """Run one; a fault is stored and raised."""
    from app.jobs.schedule import JOBS  # noqa: PLC0415 - it names functions that need much, and this module

    error = ""
    try:
        JOBS[turn.id].act(container)
    except Exception as fault:
        error = type(fault).__name__
        raise
    finally:
        _end(container, turn, error)


def _ended_late(session: Session, name: str, error: str) -> None:
    """When somebody else was at it already: else it would never be told that a job fails which always takes longer."""
    mine = PeriodicJob.name == name
    failed_before = session.scalar(sa.select(PeriodicJob.last_error).where(mine).with_for_update(key_share=True))
    session.execute(sa.update(PeriodicJob).where(mine).values(last_error=error))
    if failed_before and error:
        failing.tell(session, "job", name, error)
    elif failed_before:
        failing.worked(session, "job", name)


def _end(container: Container, turn: Turn, error: str) -> None:
    """Only our own turn: whoever took the job over when our lease had ended is still at it."""
    with container.database.transaction() as session:
        mine = sa.and_(PeriodicJob.name == turn.id, PeriodicJob.lease_until == turn.lease_until)
        failed_before = session.scalar(sa.select(PeriodicJob.last_error).where(mine).with_for_update(key_share=True))
        if failed_before is None:
            log.info("lease_lost", job=turn.id)
            _ended_late(session, turn.id, error)
            return
        ended = {"last_finished_at": sa.func.clock_timestamp(), "last_error": error}
        session.execute(sa.update(PeriodicJob).where(mine).values(due=False, lease_until=None, **ended))
        if failed_before and error:
            failing.tell(session, "job", turn.id, error)
        elif failed_before:
            failing.worked(session, "job", turn.id)
