"""The journal of another database, or of a time before a restore, names attempts that are not ours."""

from __future__ import annotations

import json
from dataclasses import asdict
from datetime import datetime, timedelta
from pathlib import Path
from typing import Any

import pytest
import sqlalchemy as sa

from app.clock import SystemClock
from app.journal import HOST, Entry
from app.models import Attempt, PlacementFreeze, SupplierOrder
from app.pipeline.buy import outcome
from app.ports.supplier import PlaceOutcome, PlaceResult
from tests.flow.test_unclear import fault, order
from tests.flow.world import World

STRANGE = "123456789012345678"


def answered(*order_ids: str) -> dict[str, Any]:
    """An answer with these numbers, as an entry holds it."""
    return outcome.plain(PlaceResult(PlaceOutcome.PLACED, order_ids=order_ids))


def sent(world: World) -> Attempt:
    """The attempt that was really sent: a worker that was held up on a busy machine sends nothing at first."""
    with world.container.database.transaction() as session:
        return session.scalars(sa.select(Attempt).where(Attempt.outcome != "NOT_SENT")).one()


@pytest.mark.parametrize(("ours", "state"), [(False, "UNKNOWN"), (True, "PLACED_UNPAID")])
def test_an_answer_belongs_to_the_send_with_its_number_not_to_the_one_with_its_id(
    world: World, ours: bool, state: str
) -> None:
    world.aliexpress.control("push", {"lost": 1000})
    fault(world, "drop_after")
    order(world)
    world.settle(until=lambda: world.states() == ["UNKNOWN"], seconds=20)
    attempt = sent(world)
    with world.container.database.transaction() as session:
        session.get_one(Attempt, attempt.id).outcome = "OPEN"
    assert attempt.id in {entry.attempt_id for entry in world.container.journal.entries()}
    for file in (world.folder / "state" / "journal").glob("*.jsonl"):
        file.write_bytes(b"")
    number = attempt.out_order_id if ours else STRANGE
    answer = answered(str(world.created()[0]["order_id"]))
    world.container.journal.append(Entry(attempt.id, attempt.purchase_id, number, answer))
    assert outcome.replay(world.container) == int(ours)
    with world.container.database.transaction() as session:
        attached = session.scalar(sa.select(sa.func.count()).select_from(SupplierOrder))
    assert (world.states(), attached) == ([state], int(ours))
    assert world.calls_of_create() == 1


def test_an_entry_of_another_time_with_the_same_id_hides_nothing(world: World) -> None:
    """Ids repeat after a restore: both entries count, ours is recorded and the other one freezes buying."""
    world.aliexpress.control("push", {"lost": 1000})
    fault(world, "drop_after")
    order(world)
    world.settle(until=lambda: world.states() == ["UNKNOWN"], seconds=20)
    attempt = sent(world)
    with world.container.database.transaction() as session:
        session.get_one(Attempt, attempt.id).outcome = "OPEN"
    journal = world.container.journal
    for file in (world.folder / "state" / "journal").glob("*.jsonl"):
        file.write_bytes(b"")
    ours = answered(str(world.created()[0]["order_id"]))
    journal.append(Entry(attempt.id, attempt.purchase_id, attempt.out_order_id, ours))
    journal.append(Entry(attempt.id, attempt.purchase_id, STRANGE, answered("8199999999999999")))
    outcome.replay(world.container)
    assert world.states() == ["PLACED_UNPAID"]
    assert frozen(world)


def test_a_file_with_an_entry_of_another_time_stays(world: World) -> None:
    """It is the sign by which a restore is noticed, and proof of what was bought before it."""
    order(world)
    world.settle(until=lambda: world.states() == ["PLACED_UNPAID"], seconds=20)
    attempt = sent(world)
    folder = world.folder / "state" / "journal"
    entry = Entry(attempt.id, attempt.purchase_id, STRANGE, answered("8199999999999999"))
    old = folder / f"{HOST}-1-1.jsonl"
    old.write_text(json.dumps(asdict(entry)) + "\n")
    (folder / f"{HOST}-1-2.jsonl").touch()
    outcome.replay(world.container)
    assert frozen(world)
    assert old.exists()


def frozen(world: World) -> bool:
    """Whether buying has stopped."""
    with world.container.database.transaction() as session:
        return session.scalar(sa.select(PlacementFreeze.id)) is not None


class Behind(SystemClock):
    """A host whose clock is five minutes late."""

    def now(self) -> datetime:
        return super().now() - timedelta(minutes=5)


def test_an_answer_is_recorded_though_the_hosts_clock_is_late(
    database_url: str, redis_url: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Which send an entry answers is told by the database's clock, not by the host that wrote it."""
    world = World(database_url, redis_url, tmp_path, time_scale=60, clock=Behind())
    try:
        code = "B_DROPSHIPPER_DELIVERY_ADDRESS_VALIDATE_FAIL"
        world.aliexpress.control("faults", [{"op": "order.create", "kind": "error", "times": 1, "code": code}])
        whole = outcome._record

        def dies(*_: Any) -> bool:
            raise ConnectionError("the worker dies between journal and database")

        monkeypatch.setattr(outcome, "_record", dies)
        order(world)
        world.settle(until=lambda: bool(list(world.container.journal.entries())), seconds=20)
        monkeypatch.setattr(outcome, "_record", whole)
        outcome.replay(world.container)
        assert world.states()[0] == "REJECTED", world.tell()
    finally:
        world.close()
