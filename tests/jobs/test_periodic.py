"""Periodic jobs go on, whoever dies: a worker in the middle of one, or the scheduler."""

from __future__ import annotations

import threading
import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import replace
from datetime import timedelta

import pytest
import sqlalchemy as sa

from app.container import Container
from app.jobs.drain import KINDS, Drain
from app.jobs.periodic import Turn, claim_due, make_due, make_overdue_due, run_job
from app.jobs.schedule import JOBS, Periodic
from app.models import Alert, PeriodicJob
from app.services.periods import PERIODS
from tests.flow.conftest import world
from tests.flow.world import World

__all__ = ["world"]


def names(turns: Sequence[Turn]) -> set[str]:
    return {turn.id for turn in turns}


def test_a_job_of_a_dead_worker_is_run_by_another_soon(world: World) -> None:
    container = world.container
    make_due(container)
    assert names(claim_due(container, 50)) == set(JOBS)
    assert claim_due(container, 50) == []
    with container.database.transaction() as session:
        held = session.scalar(
            sa.select(PeriodicJob.lease_until - sa.func.clock_timestamp()).where(PeriodicJob.name == "leases")
        )
        assert held is not None
        assert held <= timedelta(seconds=5), "claims of dead workers hang on this one (P14)"
        earlier = PeriodicJob.lease_until - timedelta(seconds=5)
        session.execute(sa.update(PeriodicJob).where(PeriodicJob.name == "leases").values(lease_until=earlier))
    assert names(claim_due(container, 50)) == {"leases"}


@contextmanager
def worker(container: Container) -> Iterator[None]:
    """One that does periodic jobs, as long as it is wanted."""
    loop = Drain(container, threads=4, kinds=[kind for kind in KINDS if kind.run is run_job])
    thread = threading.Thread(target=loop.run)
    thread.start()
    try:
        yield
    finally:
        loop.stop()
        thread.join(20)


def finished(container: Container) -> set[str]:
    with container.database.transaction() as session:
        return set(session.scalars(sa.select(PeriodicJob.name).where(PeriodicJob.last_finished_at.is_not(None))))


def until_all_ran(container: Container) -> None:
    deadline = time.monotonic() + 20
    while finished(container) != set(JOBS):
        assert time.monotonic() < deadline, set(JOBS) - finished(container)
        time.sleep(0.05)


def test_workers_do_all_jobs_without_a_scheduler_again_and_again(world: World) -> None:
    with worker(world.container):
        until_all_ran(world.container)  # there was no row of any
        with world.container.database.transaction() as session:
            long_ago = sa.func.now() - timedelta(hours=1)
            session.execute(sa.update(PeriodicJob).values(last_finished_at=None, due=False, next_at=long_ago))
        until_all_ran(world.container)


def test_a_worker_leaves_it_to_a_scheduler_that_runs(world: World) -> None:
    container = world.container
    make_due(container)
    with container.database.transaction() as session:
        session.execute(sa.update(PeriodicJob).values(due=False, next_at=sa.func.now() - timedelta(seconds=1)))
    assert make_overdue_due(container) == 0, "the scheduler looks twice a second"
    with container.database.transaction() as session:
        session.execute(sa.update(PeriodicJob).values(next_at=sa.func.now() - timedelta(seconds=3)))
    assert make_overdue_due(container) == len(JOBS)
    with container.database.transaction() as session:
        assert set(session.scalars(sa.select(PeriodicJob.due))) == {True}


def test_its_look_is_one_statement(world: World) -> None:
    container = world.container
    make_due(container)
    statements: list[str] = []
    sa.event.listen(container.database.engine, "before_cursor_execute", lambda *given: statements.append(given[2]))
    assert make_overdue_due(container) == 0
    assert [text.split()[0] for text in statements] == ["SELECT"]


def test_a_run_that_outlived_its_lease_does_not_end_the_one_that_took_over(world: World) -> None:
    container = world.container
    make_due(container)
    first = next(turn for turn in claim_due(container, 50) if turn.id == "watch")
    with container.database.transaction() as session:
        earlier = PeriodicJob.lease_until - timedelta(hours=1)
        session.execute(sa.update(PeriodicJob).where(PeriodicJob.name == "watch").values(lease_until=earlier))
    [second] = claim_due(container, 50)
    run_job(container, first)
    with container.database.transaction() as session:
        row = session.get_one(PeriodicJob, "watch")
        assert (row.due, row.lease_until, row.last_finished_at) == (True, second.lease_until, None)
    assert claim_due(container, 50) == []
    run_job(container, second)
    with container.database.transaction() as session:
        row = session.get_one(PeriodicJob, "watch")
        assert (row.due, row.lease_until) == (False, None)
        assert row.last_finished_at is not None


def test_a_long_job_holds_up_no_other(world: World, monkeypatch: pytest.MonkeyPatch) -> None:
    over = threading.Event()
    monkeypatch.setitem(JOBS, "hooks", Periodic(PERIODS["hooks"], lambda _: over.wait(60)))
    make_due(world.container)
    with world.container.database.transaction() as session:
        session.execute(sa.update(PeriodicJob).where(PeriodicJob.name != "hooks").values(due=False))
    try:
        with worker(world.container):
            deadline = time.monotonic() + 20
            while claimed(world.container) != {"hooks"}:
                assert time.monotonic() < deadline
                time.sleep(0.05)
            with world.container.database.transaction() as session:
                session.execute(sa.update(PeriodicJob).where(PeriodicJob.name == "watch").values(due=True))
            while "watch" not in finished(world.container):
                assert time.monotonic() < deadline, "one of four threads is a quarter of them"
                time.sleep(0.05)
            over.set()
    finally:
        over.set()


def claimed(container: Container) -> set[str]:
    with container.database.transaction() as session:
        return set(session.scalars(sa.select(PeriodicJob.name).where(PeriodicJob.lease_until.is_not(None))))


def test_a_job_that_always_fails_after_its_lease_is_told(world: World, monkeypatch: pytest.MonkeyPatch) -> None:
    """Each run is taken over before it ends, so none of them ends the turn."""
    container = world.container
    make_due(container)
    turns = [next(turn for turn in claim_due(container, 50) if turn.id == "watch")]

    def fails(_: Container) -> None:
        with container.database.transaction() as session:
            earlier = PeriodicJob.lease_until - timedelta(hours=1)
            session.execute(sa.update(PeriodicJob).where(PeriodicJob.name == "watch").values(lease_until=earlier))
        turns.extend(claim_due(container, 50))
        raise KeyError

    monkeypatch.setitem(JOBS, "watch", replace(JOBS["watch"], act=fails))
    for told in (0, 1):
        with pytest.raises(KeyError):
            run_job(container, turns[-1])
        with container.database.transaction() as session:
            kind = Alert.kind == "step_failed"
            assert session.scalar(sa.select(sa.func.count()).where(kind, Alert.ended_at.is_(None))) == told


def test_one_thread_is_kept_for_jobs_however_much_there_is_of_all_others(world: World) -> None:
    loop = Drain(world.container, threads=8)
    kinds = {kind.name: kind for kind in KINDS}
    taken = dict.fromkeys(kinds, 0)
    for name, kind in kinds.items():
        if name != "job":
            taken[name] = loop._free(kind)
            loop._busy[name] += taken[name]
    assert (sum(taken.values()), loop._free(kinds["job"])) == (7, 1)
    loop._busy["job"] = 1
    loop._busy["reconcile"] = 0
    assert loop._free(kinds["reconcile"]) == taken["reconcile"]
    assert Drain(world.container, threads=1)._free(kinds["buy"]) == 1
