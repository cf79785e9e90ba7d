"""What the breaker counts: unclear outcomes for the supplier and for each account, and reads that fail."""

from __future__ import annotations

import sqlalchemy as sa

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
