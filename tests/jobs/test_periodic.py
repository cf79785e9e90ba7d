"""A worker that dies in the middle of a periodic job does not keep it for long."""

from __future__ import annotations

from datetime import timedelta

import sqlalchemy as sa

from app.jobs.periodic import claim_due, make_due
from app.jobs.schedule import JOBS
from app.models import PeriodicJob
from tests.flow.conftest import world
from tests.flow.world import World

__all__ = ["world"]


def test_a_job_of_a_dead_worker_is_run_by_another_soon(world: World) -> None:
    container = world.container
    make_due(container)
    assert set(claim_due(container, 50)) == set(JOBS)
    assert claim_due(container, 50) == []
    with container.database.transaction() as session:
        held = session.scalar(
            sa.select(PeriodicJob.lease_until - sa.func.clock_timestamp()).where(PeriodicJob.name == "leases")
        )
        assert held is not None
        assert held <= timedelta(seconds=5), "claims of dead workers hang on this one (P14)"
        earlier = PeriodicJob.lease_until - timedelta(seconds=5)
        session.execute(sa.update(PeriodicJob).where(PeriodicJob.name == "leases").values(lease_until=earlier))
    assert claim_due(container, 50) == ["leases"]
