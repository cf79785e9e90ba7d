"""What the breaker counts: unclear outcomes for the supplier and for each account, and reads that fail."""

from __future__ import annotations

from dataclasses import replace
from datetime import datetime, timedelta

import sqlalchemy as sa

from app import db
from app.clock import SystemClock
from app.container import Container
from app.jobs import sweep
from app.models import Breaker, Purchase
from app.pipeline import breaker
from tests.flow.test_unclear import order
from tests.flow.world import World


def states(world: World) -> dict[str, str]:
    """State of each breaker."""
    with world.container.database.transaction() as session:
        return {row.scope: row.state for row in session.scalars(sa.select(Breaker))}


def test_unclear_outcomes_are_counted_for_the_supplier_and_for_each_account(world: World) -> None:
    def unclear(account: int) -> None:
        with world.container.database.transaction() as session:
            sent = Purchase(account_id=account, supplier="aliexpress")
            breaker.note_outcome(session, world.container, sent, clear=False)

    unclear(1)
    unclear(2)
    assert set(states(world).values()) == {"CLOSED"}
    unclear(2)
    assert states(world) == {"supplier:aliexpress": "OPEN", "account:1": "CLOSED", "account:2": "CLOSED"}
    unclear(2)
    assert states(world) == {"supplier:aliexpress": "OPEN", "account:1": "CLOSED", "account:2": "OPEN"}


def test_failing_reads_stop_sending_until_one_succeeds(world: World) -> None:
    world.aliexpress.control("faults", [{"op": "ds.product.get", "kind": "outage", "times": -1}])
    order(world)
    world.settle(until=lambda: states(world).get("supplier:aliexpress") == "OPEN", seconds=30)
    world.aliexpress.control("faults", [])
    with world.container.database.transaction() as session:
        session.execute(sa.update(Purchase).values(run_at=sa.func.now()))
    world.settle()
    assert (world.states(), world.calls_of_create()) == (["READY"], 0)
    sweep.probe(world.container)
    world.settle(until=lambda: world.states() == ["PLACED_UNPAID"], seconds=20)
    assert world.calls_of_create() == 1


class HourAhead(SystemClock):
    """The clock of a host that nobody set right."""

    def now(self) -> datetime:
        return super().now() + timedelta(hours=1)


def unclear_until_open(container: Container) -> None:
    """Three sends of one account end unclear."""
    for _ in range(3):
        with container.database.transaction() as session:
            breaker.note_outcome(session, container, Purchase(account_id=1, supplier="aliexpress"), clear=False)


def test_a_host_whose_clock_is_ahead_pauses_no_longer_than_others(world: World) -> None:
    unclear_until_open(replace(world.container, clock=HourAhead()))
    assert states(world)["account:1"] == "OPEN"
    with world.container.database.transaction() as session:  # as if the ten minutes of the pause were over
        session.execute(sa.update(Breaker).values(trial_at=Breaker.trial_at - timedelta(minutes=10)))
    breaker.accounts_due(world.container)
    assert states(world)["account:1"] == "TRIAL"
    with world.container.database.transaction() as session:
        counted = session.scalars(sa.select(Breaker.unclear_at)).all()
        assert max(max(each) for each in counted) <= db.now(session).timestamp(), "or they count for an hour"


def test_a_host_whose_clock_is_ahead_ends_no_pause_early(world: World) -> None:
    unclear_until_open(world.container)
    breaker.accounts_due(replace(world.container, clock=HourAhead()))
    assert states(world)["account:1"] == "OPEN"
