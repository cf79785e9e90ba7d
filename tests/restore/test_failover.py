"""A standby that lacks the last commits becomes the database, under workers that run on: nothing is bought twice."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest
import sqlalchemy as sa

from app import create_app
from app.db_migrate import upgrade
from app.jobs.periodic import make_due
from app.local.embedded import start_postgres
from app.models import PeriodicJob, Purchase
from app.pipeline.buy import outcome
from app.services import placement
from tests.cli.test_commands import Shell
from tests.flow.world import World, running
from tests.jobs.test_worker_processes import order, shop_with_bottle, wait, worker
from tests.restore.standby import Standby, ask
from tests.restore.test_restored import freezes

PROMOTED = "the database was recovered to another timeline"


def due(world: World, when: str) -> None:
    with world.container.database.transaction() as session:
        session.execute(sa.update(Purchase).where(Purchase.state == "READY").values(run_at=sa.text(when)))


def looks(world: World, when: str) -> None:
    """When workers do their periodic jobs next; one of them is to look at the database."""
    with world.container.database.transaction() as session:
        session.execute(sa.update(PeriodicJob).values(due=False, next_at=sa.text(when)))


@contextmanager
def unlooked(world: World) -> Iterator[None]:
    """Without a scheduler workers would see soon that jobs are late: keep them from that."""
    make_due(world.container)
    looks(world, "now() + interval '1 day'")
    yield


def attempts(server: Standby) -> int:
    return int(ask(server, "SELECT count(*) FROM attempt WHERE outcome NOT IN ('NOT_SENT', 'NOT_EXECUTED')"))


@pytest.mark.timeout(240)
def test_a_running_worker_sends_nothing_that_a_promoted_standby_forgot(redis_url: str, tmp_path: Path) -> None:
    with start_postgres(tmp_path / "primary") as primary, Standby(tmp_path / "standby", primary) as standby:
        upgrade(primary.url)
        (tmp_path / "world").mkdir()
        with running(primary.url, redis_url, tmp_path / "world") as world, unlooked(world), worker(world):
            variant = shop_with_bottle(world)
            order(world, variant)
            wait(lambda: world.states() == ["PLACED_UNPAID"], world)
            placement.freeze(world.container, "until the standby lags", by="ann")
            order(world, variant)
            wait(lambda: world.states() == ["PLACED_UNPAID", "READY"], world)
            due(world, "now() + interval '1 hour'")
            placement.release(world.container, by="ann", second="bob")
            standby.catch_up()
            standby.stop()
            due(world, "now()")
            wait(lambda: world.states() == ["PLACED_UNPAID"] * 2, world)
            assert len(world.created()) == 2

            journal = world.folder / "state" / "journal"
            journal.rename(world.folder / "journal")  # out of reach: it would have frozen by itself
            primary.kill()
            world.container.database.engine.dispose()
            standby.take_over()
            assert attempts(standby) == 1, "it lacks the last send"
            standby.promote()
            due(world, "now()")
            wait(lambda: world.reasons() == ["", "placement_frozen"], world)
            assert len(world.created()) == 2
            assert freezes(world) == [], "the send was stopped before anybody had looked"

            looks(world, "now()")
            wait(lambda: PROMOTED in freezes(world), world)
            assert PROMOTED in Shell(create_app(world.container)).text("placement", "status")
            journal.mkdir(exist_ok=True)
            for kept in (world.folder / "journal").iterdir():
                kept.rename(journal / kept.name)
            outcome.replay(world.container)
            wait(lambda: world.states() == ["PLACED_UNPAID"] * 2, world)
            placement.release(world.container, by="ann", second="bob", despite=True)
            order(world, variant)
            wait(lambda: world.states() == ["PLACED_UNPAID"] * 3, world)
            assert len(world.created()) == 3, "each once, and buying goes on"
