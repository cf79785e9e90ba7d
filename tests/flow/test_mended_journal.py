"""The journal of another database, or of a time before a restore, names attempts that are not ours."""

from __future__ import annotations

import pytest
import sqlalchemy as sa

from app.journal import Entry
from app.models import Attempt, SupplierOrder
from app.pipeline.buy import outcome
from app.ports.supplier import PlaceOutcome, PlaceResult
from tests.flow.test_unclear import fault, order
from tests.flow.world import World


@pytest.mark.parametrize(("ours", "state"), [(False, "UNKNOWN"), (True, "PLACED_UNPAID")])
def test_an_answer_belongs_to_the_send_with_its_number_not_to_the_one_with_its_id(
    world: World, ours: bool, state: str
) -> None:
    world.aliexpress.control("push", {"lost": 1000})
    fault(world, "drop_after")
    order(world)
    world.settle(until=lambda: world.states() == ["UNKNOWN"], seconds=20)
    with world.container.database.transaction() as session:
        # A worker that was held up on a busy machine sends nothing at first, and tries again.
        attempt = session.scalars(sa.select(Attempt).where(Attempt.outcome != "NOT_SENT")).one()
        attempt.outcome = "OPEN"
    assert attempt.id in {entry.attempt_id for entry in world.container.journal.entries()}
    for file in (world.folder / "state" / "journal").glob("*.jsonl"):
        file.write_bytes(b"")
    answer = PlaceResult(PlaceOutcome.PLACED, order_ids=(world.created()[0]["order_id"],))
    number = attempt.out_order_id if ours else "123456789012345678"
    world.container.journal.append(Entry(attempt.id, attempt.purchase_id, number, outcome.plain(answer)))
    assert outcome.replay(world.container) == int(ours)
    with world.container.database.transaction() as session:
        attached = session.scalar(sa.select(sa.func.count()).select_from(SupplierOrder))
    assert (world.states(), attached) == ([state], int(ours))
    assert world.calls_of_create() == 1
