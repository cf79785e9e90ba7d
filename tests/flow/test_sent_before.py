"""What was bought stands in the journal for two weeks, and before each send it is asked: was this sent before?"""

from __future__ import annotations

import json
import os
from dataclasses import asdict
from datetime import timedelta
from typing import Any

import pytest
import sqlalchemy as sa

from app.errors import Conflict
from app.journal import HOST, Entry
from app.models import Attempt, Audit, Inbox, Interlock, PlacementFreeze, Purchase, Shop, Spend
from app.pipeline import forgotten
from app.pipeline.buy import outcome
from app.pipeline.import_order import POLLED
from app.services import placement
from tests.flow.test_forgotten import due, forget, freezes
from tests.flow.test_unclear import fault, order
from tests.flow.world import World


def deploy(world: World) -> None:
    """The processes that sent are gone, and what they wrote down was recorded."""
    for place, file in enumerate(sorted((world.folder / "state" / "journal").glob("*.jsonl"))):
        file.rename(file.with_name(f"{HOST}-999999999-{place + 1}.jsonl"))
    outcome.replay(world.container)
    assert list(world.container.journal.entries()) == [], "put aside"


def freeze(world: World, by: str = "boot") -> None:
    """As a start does that finds an older database."""
    with world.container.database.transaction() as session:
        assert forgotten.freeze(session, f"by {by}", by=by)


def read_until_now(world: World) -> None:
    """As if all shops had been listed since the freeze."""
    with world.container.database.transaction() as session:
        session.execute(sa.update(Shop).values(poll_cursor=sa.func.now() + timedelta(minutes=1)))


def placed(world: World) -> str:
    """One order that was placed, with no push that tells of it: its number."""
    world.aliexpress.control("push", {"lost": 1000})
    order(world)
    world.settle(until=lambda: world.states() == ["PLACED_UNPAID"], seconds=20)
    return world.purchases()[0].out_order_id


def test_what_the_journal_knows_is_put_back_and_not_sent_though_nobody_froze(world: World) -> None:
    placed(world)
    deploy(world)
    forget(world, "READY")
    outcome.replay(world.container)
    assert world.states() == ["READY"], "what was put aside is not read in each sweep"
    due(world)
    world.settle(until=lambda: world.states() == ["PLACED_UNPAID"], seconds=20)
    assert len(world.created()) == 1
    assert world.calls_of_create() == 1
    with world.container.database.transaction() as session:
        told = session.scalars(sa.select(Audit.detail["reason"].astext).where(Audit.entity == "purchase")).all()
    assert "sent_before" in told
    assert freezes(world) == [None], "it is the sign of a restore"


def test_an_order_that_comes_after_a_release_despite_all_is_not_sent_again(world: World) -> None:
    """The file that knows it is another process's, and grows after this one had read it."""
    number = placed(world)
    freeze(world)
    deploy(world)
    known = next(one for one in world.container.journal.entries(kept=True) if one.number == number)
    for file in (world.folder / "state" / "journal").iterdir():
        file.unlink()
    forget(world, "READY")
    placement.release(world.container, by="ann", second="bob", despite=True)
    assert world.container.journal.bought(number) == []
    (world.folder / "state" / "journal" / f"{HOST}-1-1.jsonl").write_text(json.dumps(asdict(known)) + "\n")
    due(world)
    world.settle(until=lambda: world.states() == ["PLACED_UNPAID"], seconds=20)
    assert world.calls_of_create() == 1


def test_an_answer_of_a_later_send_counts_though_an_earlier_one_was_not_executed(world: World) -> None:
    """The backup has the refused send, which has the same number."""
    number = placed(world)
    deploy(world)
    with world.container.database.transaction() as session:
        attempt = session.scalars(sa.select(Attempt).where(Attempt.outcome == "PLACED")).one()
        refused = {name: getattr(attempt, name) for name in ("purchase_id", "account_id", "fence", "out_order_id")}
        early, number_of_it = attempt.sent_at - timedelta(hours=1), attempt.id
    forget(world, "READY")
    with world.container.database.transaction() as session:
        session.add(
            Attempt(**refused, id=number_of_it, outcome="NOT_EXECUTED", sent_at=early, request_hash="", items=[])
        )
    freeze(world)
    read_until_now(world)
    [asked] = placement.open_questions(world.container)
    assert number in asked
    due(world)
    outcome.replay(world.container)
    assert world.states() == ["PLACED_UNPAID"]
    assert placement.open_questions(world.container) == []
    assert world.outcomes() == ["NOT_EXECUTED", "PLACED"]


def test_while_we_froze_ourselves_what_was_put_aside_is_read_and_not_removed(world: World) -> None:
    number = placed(world)
    deploy(world)
    forget(world, "HELD")
    [aside] = (world.folder / "state" / "journal").iterdir()
    long_ago = world.container.clock.now() - timedelta(days=100)
    os.utime(aside, (0, long_ago.timestamp()))
    freeze(world)
    read_until_now(world)
    [asked] = placement.open_questions(world.container)
    assert number in asked
    outcome.replay(world.container)
    assert world.states() == ["PLACED_UNPAID"]
    assert placement.open_questions(world.container) == []
    assert aside.exists()
    placement.release(world.container, by="ann", second="bob")
    outcome.replay(world.container)
    assert not aside.exists()


def test_numbers_that_another_hosts_journal_told_are_questions_here_too(world: World) -> None:
    placed(world)
    with world.container.database.transaction() as session:
        forgotten.journal_knows_more(session, {"3" * 18, "4" * 18}, {"3" * 18})
    [asked] = placement.open_questions(world.container)
    assert "3" * 18 in asked
    assert "4" * 18 not in asked, "that one bought nothing"


def test_orders_that_were_listed_and_not_read_yet_are_a_question(world: World) -> None:
    placed(world)
    freeze(world)
    read_until_now(world)
    with world.container.database.transaction() as session:
        later = sa.func.now() + timedelta(hours=1)
        session.add(Inbox(shop_id=1, source="shopify", topic=POLLED, dedupe=b"x", body=None, run_at=later))
    with pytest.raises(Conflict, match="have not been read since"):
        placement.release(world.container, by="ann", second="bob")
    with world.container.database.transaction() as session:
        session.execute(sa.update(Inbox).values(state="DONE"))
    assert placement.release(world.container, by="ann", second="bob") == 1


def test_one_shop_that_cannot_be_read_is_left_out_and_nothing_else(world: World) -> None:
    placed(world)
    freeze(world)
    freeze(world, "journal")
    with world.container.database.transaction() as session:
        session.execute(sa.update(Shop).values(poll_cursor=sa.func.now() - timedelta(days=1)))
    world.container.journal.append(Entry(987654, 987654, "5" * 18, {"outcome": "PLACED"}))
    with pytest.raises(Conflict, match=r"\(shop 1\)"):
        placement.release(world.container, by="ann", second="bob", despite_shops=[2])
    with pytest.raises(Conflict, match="5" * 18) as refused:
        placement.release(world.container, by="ann", second="bob", despite_shops=[1])
    assert "have not been read" not in str(refused.value)
    for file in (world.folder / "state" / "journal").iterdir():
        file.unlink()
    assert placement.release(world.container, by="ann", second="bob", despite_shops=[1]) == 2
    with world.container.database.transaction() as session:
        released = session.scalars(sa.select(Audit.detail["despite_shops"]).where(Audit.action == "released")).all()
    assert released == [[1], [1]]


def settled(world: World) -> tuple[Any, ...]:
    """Day, sum and currency of the one expense, when the supplier's total was read."""
    query = sa.select(Spend.day, Spend.settled, Spend.currency).where(Spend.state == "SETTLED")

    def found() -> list[tuple[Any, ...]]:
        with world.container.database.transaction() as session:
            return [tuple(row) for row in session.execute(query)]

    world.settle(until=lambda: bool(found()), seconds=20)
    [row] = found()
    return row


def test_what_is_put_back_counts_in_the_caps_of_its_day(world: World) -> None:
    placed(world)
    before = settled(world)
    forget(world, "READY")
    outcome.replay(world.container)
    assert settled(world) == before


def unclear(world: World) -> None:
    """One order whose answer was lost, in the journal as such."""
    world.aliexpress.control("push", {"lost": 1000})
    fault(world, "drop_after")
    order(world)
    world.settle(until=lambda: world.states() == ["UNKNOWN"], seconds=20)


def test_what_is_put_back_unclear_keeps_others_of_the_same_item_waiting(world: World) -> None:
    unclear(world)
    forget(world, "READY")
    outcome.replay(world.container)
    assert world.states() == ["UNKNOWN"]
    placement.release(world.container, by="ann", second="bob")
    order(world)
    world.settle(until=lambda: len(world.states()) == 2, seconds=20)
    world.settle()
    assert world.states() == ["UNKNOWN", "READY"]
    assert len(world.created()) == 1


def test_what_another_one_holds_is_put_back_all_the_same(world: World) -> None:
    unclear(world)
    order(world)
    world.settle(until=lambda: len(world.states()) == 2, seconds=20)
    [mine, other] = [purchase.id for purchase in world.purchases()]
    with world.container.database.transaction() as session:
        goods = session.execute(sa.select(Interlock.account_id, Interlock.product_id, Interlock.sku_id)).all()
    forget(world, "READY")
    with world.container.database.transaction() as session:
        later = sa.func.now() + timedelta(hours=1)
        session.add_all(Interlock(**row._asdict(), purchase_id=other, release_at=later) for row in goods)
    outcome.replay(world.container)
    assert world.states() == ["UNKNOWN", "READY"]
    with world.container.database.transaction() as session:
        assert set(session.scalars(sa.select(Interlock.purchase_id))) == {other}
        assert session.scalars(sa.select(Purchase.id).where(Purchase.state == "UNKNOWN")).all() == [mine]
        assert session.scalars(sa.select(PlacementFreeze.frozen_by)).all() == ["journal"]
