"""A database that forgot a send, as after the restore of an older backup, must not buy again."""

from __future__ import annotations

import contextlib
import os
import shutil
import time
from concurrent.futures import ThreadPoolExecutor
from datetime import timedelta
from pathlib import Path
from typing import Any

import pytest
import sqlalchemy as sa

from app import boot
from app.errors import Conflict
from app.journal import Entry
from app.models import (
    Alert,
    Attempt,
    Evidence,
    Interlock,
    PlacementFreeze,
    Purchase,
    Shop,
    Spend,
    SupplierOrder,
    SupplierOrderItem,
    Task,
)
from app.pipeline import evidence, forgotten, numbers
from app.pipeline.buy import outcome
from app.pipeline.record import alert
from app.services import orphans, paylist, placement, purchases
from tests.flow.test_unclear import order
from tests.flow.world import World


def forget(world: World, state: str) -> None:
    """Take the database back to before the send."""
    with world.container.database.transaction() as session:
        for model in (Interlock, Spend, Evidence, SupplierOrderItem, SupplierOrder):
            session.execute(sa.delete(model))
        session.execute(sa.text("DELETE FROM call WHERE purchase_id IS NOT NULL"))
        session.execute(sa.delete(Attempt))
        later = sa.func.now() + timedelta(hours=1)
        reason = "margin" if state == "HELD" else ""
        session.execute(sa.update(Purchase).values(state=state, reason=reason, sent_at=None, run_at=later))


def due(world: World) -> None:
    """Make every waiting purchase due."""
    with world.container.database.transaction() as session:
        session.execute(sa.update(Purchase).values(run_at=sa.func.now()))


def freezes(world: World) -> list[int | None]:
    """Accounts of the open freezes."""
    with world.container.database.transaction() as session:
        query = sa.select(PlacementFreeze.account_id).where(PlacementFreeze.released_at.is_(None))
        return list(session.scalars(query))


def test_an_order_like_one_about_to_be_bought_freezes_the_account(world: World) -> None:
    world.aliexpress.control("push", {"lost": 1000})
    order(world)
    world.settle(until=lambda: world.states() == ["PLACED_UNPAID"])
    made, account = world.created()[0]["order_id"], world.purchases()[0].account_id or 0
    forget(world, "READY")
    shutil.rmtree(world.folder / "state" / "journal")
    evidence.look_up(world.container, account, made, source="push")
    assert freezes(world) == [account]
    due(world)
    world.settle()
    assert world.states() == ["READY"]
    placement.release(world.container, by="ann", second="bob", despite=True)
    due(world)
    world.settle(until=lambda: world.states() == ["HELD"], seconds=20)
    assert world.reasons() == ["late_evidence"], "released, but that very order still waits for a word"
    assert len(world.created()) == 1
    orphans.dismiss(world.container, made, by="staff:ann")
    world.retry(world.purchases()[0].id)
    world.settle(until=lambda: world.states() == ["PLACED_UNPAID"], seconds=20)
    assert len(world.created()) == 2


def test_an_order_like_a_held_purchase_is_asked_about_and_stops_nobody_else(world: World) -> None:
    world.aliexpress.control("push", {"lost": 1000})
    order(world)
    world.settle(until=lambda: world.states() == ["PLACED_UNPAID"])
    made, account = world.created()[0]["order_id"], world.purchases()[0].account_id or 0
    forget(world, "HELD")
    shutil.rmtree(world.folder / "state" / "journal")
    evidence.look_up(world.container, account, made, source="push")
    assert freezes(world) == []
    assert "stray_order" in world.tasks()
    assert [one["supplier_order"] for one in orphans.listed(world.container)] == [made]
    world.retry(world.purchases()[0].id)
    world.settle(until=lambda: world.reasons() == ["late_evidence"], seconds=20)
    assert len(world.created()) == 1


def test_answers_in_the_journal_that_the_database_lacks_freeze_once(world: World) -> None:
    order(world)
    world.settle(until=lambda: world.states() == ["PLACED_UNPAID"])
    world.container.journal.append(Entry(987654, 987654, "123456789012345678", {"outcome": "PLACED"}))
    outcome.replay(world.container)
    assert freezes(world) == [None]
    order(world)
    world.settle(until=lambda: len(world.states()) == 2, seconds=20)
    assert world.states() == ["PLACED_UNPAID", "READY"]
    placement.release(world.container, by="ann", second="bob", despite=True)
    outcome.replay(world.container)
    assert freezes(world) == []
    world.settle(until=lambda: world.states() == ["PLACED_UNPAID", "PLACED_UNPAID"], seconds=20)


def test_an_order_that_fits_an_unclear_purchase_is_not_given_to_one_that_was_never_sent(world: World) -> None:
    """Two customers, one SKU: the second waits for the first, whose order somebody names for the second."""
    world.aliexpress.control("push", {"lost": 1000})
    world.aliexpress.control("faults", [{"op": "order.create", "kind": "drop_after", "times": 1}])
    order(world)
    world.settle(until=lambda: world.states() == ["UNKNOWN"], seconds=20)
    order(world)
    world.settle(until=lambda: world.states()[1:] == ["READY"], seconds=20)
    first, second = (purchase.id for purchase in world.purchases())
    made = str(world.created()[0]["order_id"])
    with pytest.raises(Conflict, match=f"purchase {first}"):
        purchases.resolve_found(world.container, second, [made], by="merchant:1")
    assert world.states()[1] == "READY"
    purchases.resolve_found(world.container, first, [made], by="merchant:1")
    assert world.states()[0] == "PLACED_UNPAID"


def test_a_person_names_the_order_of_a_purchase_that_the_database_takes_for_unsent(world: World) -> None:
    world.aliexpress.control("push", {"lost": 1000})
    order(world)
    world.settle(until=lambda: world.states() == ["PLACED_UNPAID"])
    order(world)
    world.settle(until=lambda: world.states() == ["PLACED_UNPAID"] * 2, seconds=20)
    [made, _] = [str(line["order_id"]) for line in world.created()]
    forget(world, "HELD")
    first, second = world.purchases()
    purchases.resolve_found(world.container, first.id, [made], by="merchant:1")
    world.settle(until=lambda: world.states() == ["PLACED_UNPAID", "HELD"], seconds=20)
    with pytest.raises(Conflict, match="belongs to purchase"):
        purchases.resolve_found(world.container, second.id, [made], by="merchant:1")
    with world.container.database.transaction() as session:
        [spend] = session.scalars(sa.select(Spend))
        assert (spend.state, spend.settled) == ("SETTLED", spend.quoted)
        assert session.scalars(sa.select(Attempt.outcome)).all() == ["PLACED"]
    assert len(world.created()) == 2


def test_an_order_that_is_older_than_the_buyers_or_of_something_else_is_refused(world: World) -> None:
    world.aliexpress.control("push", {"lost": 1000})
    order(world)
    world.settle(until=lambda: world.states() == ["PLACED_UNPAID"])
    made = str(world.created()[0]["order_id"])
    forget(world, "HELD")
    [purchase] = world.purchases()
    for change in (
        "UPDATE store_order SET placed_at = now() + interval '1 hour'",
        "UPDATE purchase_item SET quantity = 2",
    ):
        with world.container.database.transaction() as session:
            session.execute(sa.text(change))
        with pytest.raises(Conflict):
            purchases.resolve_found(world.container, purchase.id, [made], by="merchant:1")
        assert world.states() == ["HELD"], "nothing of it stays"
        with world.container.database.transaction() as session:
            session.execute(sa.text("UPDATE store_order SET placed_at = now() - interval '1 hour'"))
            assert session.scalars(sa.select(Attempt.id)).all() == []


def test_an_answer_in_the_journal_puts_its_purchase_back_as_sent(world: World) -> None:
    world.aliexpress.control("push", {"lost": 1000})
    order(world)
    world.settle(until=lambda: world.states() == ["PLACED_UNPAID"])
    forget(world, "READY")
    outcome.replay(world.container)
    assert world.states() == ["PLACED_UNPAID"]
    assert freezes(world) == [None]
    outcome.replay(world.container)
    assert world.states() == ["PLACED_UNPAID"], "once"
    placement.release(world.container, by="ann", second="bob")
    due(world)
    world.settle()
    assert len(world.created()) == 1


def test_an_answer_that_nothing_was_bought_puts_nothing_back(world: World) -> None:
    order(world)
    world.settle(until=lambda: world.states() == ["PLACED_UNPAID"])
    number = world.purchases()[0].out_order_id
    forget(world, "READY")
    shutil.rmtree(world.folder / "state" / "journal")
    nothing = {"outcome": "NOT_EXECUTED", "pay": "not_asked", "order_ids": []}
    world.container.journal.append(Entry(987654, 987654, number, nothing))
    outcome.replay(world.container)
    assert world.states() == ["READY"]


def test_a_worker_that_runs_on_sends_again_after_the_release(world: World) -> None:
    """It has seen higher epochs than the restored database has; the count goes on above them."""
    for _ in range(5):
        boot.advance(world.container)
    order(world)
    world.settle(until=lambda: world.states() == ["PLACED_UNPAID"])
    with world.container.database.transaction() as session:
        session.execute(sa.text("UPDATE instance SET epoch = 1"))
    boot.advance(world.container)
    assert freezes(world) == [None]
    with world.container.database.transaction() as session:
        session.execute(sa.update(Shop).values(poll_cursor=sa.func.now()))
    placement.release(world.container, by="ann", second="bob")
    order(world)
    world.settle(until=lambda: world.states() == ["PLACED_UNPAID"] * 2, seconds=20)


def test_a_database_that_lost_its_epoch_freezes_and_keeps_its_numbers(world: World) -> None:
    order(world)
    world.settle(until=lambda: world.states() == ["PLACED_UNPAID"])
    with world.container.database.transaction() as session:
        key = numbers.instance_key(world.container, session)
        session.execute(sa.text("DELETE FROM instance"))
    boot.advance(world.container)
    assert freezes(world) == [None]
    numbers._KEYS.clear()
    with world.container.database.transaction() as session:
        assert numbers.instance_key(world.container, session) == key


def test_a_freeze_of_its_own_is_released_only_when_all_is_cleared_up(world: World) -> None:
    order(world)
    world.settle(until=lambda: world.states() == ["PLACED_UNPAID"])
    world.container.journal.append(Entry(987654, 987654, "123456789012345678", {"outcome": "PLACED"}))
    outcome.replay(world.container)
    assert placement.status(world.container)["to_clear_up"] == placement.open_questions(world.container) != []
    with pytest.raises(Conflict, match="123456789012345678"):
        placement.release(world.container, by="ann", second="bob")
    assert freezes(world) == [None]
    assert placement.release(world.container, by="ann", second="bob", despite=True) == 1


def test_a_freeze_that_is_made_during_a_release_stays(world: World, monkeypatch: pytest.MonkeyPatch) -> None:
    """The two people knew nothing of it."""
    placement.freeze(world.container, "a look at the prices", by="ann")
    asked = placement._questions

    def asks(*arguments: Any) -> list[str]:
        world.container.journal.append(Entry(987654, 987654, "123456789012345678", {"outcome": "PLACED"}))
        with ThreadPoolExecutor(1) as another:
            another.submit(outcome.replay, world.container).result()
        return asked(*arguments)

    with monkeypatch.context() as patched:
        patched.setattr(placement, "_questions", asks)
        with contextlib.suppress(Conflict):
            placement.release(world.container, by="ann", second="bob")
    assert freezes(world) != []
    with world.container.database.transaction() as session:
        [ended] = session.scalars(sa.select(Alert.ended_at).where(Alert.kind == "placement_frozen"))
    assert ended is None, "it is still told"


def test_an_order_that_finds_its_owner_is_no_question_any_more(world: World) -> None:
    """Given by a person to the purchase that bought the goods, it is told as its second one; the question is over."""
    world.aliexpress.control("push", {"lost": 1000})
    order(world)
    world.settle(until=lambda: world.states() == ["PLACED_UNPAID"])
    made, account = str(world.created()[0]["order_id"]), world.purchases()[0].account_id or 0
    forget(world, "HELD")
    evidence.look_up(world.container, account, made, source="push")
    assert "stray_order" in world.tasks()
    mine = world.purchases()[0].id
    with world.container.database.transaction() as session:
        stray = session.scalars(sa.select(SupplierOrder.id)).one()
        alert(session, f"stray:{stray}:{mine}", "duplicate", "perhaps bought twice")
    purchases.resolve_found(world.container, mine, [made], by="staff:ann")
    assert "stray_order" not in world.tasks()
    with world.container.database.transaction() as session:
        assert session.scalars(sa.select(Alert.ended_at).where(Alert.kind == "duplicate")).one() is not None
        assert session.scalars(sa.select(Task.done_by).where(Task.kind == "stray_order")).one() == "staff:ann"


def test_a_forgotten_order_that_turns_up_after_the_goods_were_bought_again_is_told(world: World) -> None:
    """Released too early, nobody had compared: it cannot be undone, but it is not silent."""
    world.aliexpress.control("push", {"lost": 1000})
    order(world)
    world.settle(until=lambda: world.states() == ["PLACED_UNPAID"])
    made, account = str(world.created()[0]["order_id"]), world.purchases()[0].account_id or 0
    with world.container.database.transaction() as session:
        session.execute(sa.text("UPDATE store_order SET placed_at = placed_at - interval '1 hour'"))
    forget(world, "READY")
    shutil.rmtree(world.folder / "state" / "journal")
    time.sleep(2.5)  # the supplier tells whole seconds
    due(world)
    world.settle(until=lambda: world.states() == ["PLACED_UNPAID"], seconds=20)
    assert len(world.created()) == 2
    evidence.look_up(world.container, account, made, source="push")
    assert "stray_order" in world.tasks()
    with world.container.database.transaction() as session:
        [told] = session.scalars(sa.select(Alert.text).where(Alert.kind == "duplicate"))
    assert made in told
    assert made in [row["supplier_order"] for row in paylist.listed(world.container)["do_not_pay"]]
    orphans.dismiss(world.container, made, by="staff:ann")
    assert "stray_order" not in world.tasks()
    with world.container.database.transaction() as session:
        assert session.scalars(sa.select(Alert.ended_at).where(Alert.kind == "duplicate")).one() is not None


@pytest.mark.parametrize("same_id", [True, False])
def test_an_old_answer_that_nothing_was_bought_does_not_free_a_send_on_its_way(world: World, same_id: bool) -> None:
    """The same purchase, released and sent again after a restore: its number is the same, its attempt's id may be."""
    order(world)
    world.settle(until=lambda: world.states() == ["PLACED_UNPAID"])
    number = world.purchases()[0].out_order_id
    shutil.rmtree(world.folder / "state" / "journal")
    with world.container.database.transaction() as session:
        attempt = session.scalars(sa.select(Attempt).where(Attempt.outcome == "PLACED")).one()
        attempt.outcome = "OPEN"
        session.execute(sa.update(Purchase).values(state="SENDING", sent_deadline=sa.func.now() + timedelta(hours=1)))
        former = attempt.id if same_id else attempt.id + 100
        answered = (attempt.sent_at - timedelta(hours=3)).timestamp()
    nothing = {"outcome": "NOT_EXECUTED", "pay": "not_asked", "order_ids": []}
    world.container.journal.append(Entry(former, 1, number, nothing, answered))
    outcome.replay(world.container)
    assert world.states() == ["SENDING"], "a READY one would be sent a second time"


def test_an_old_answer_that_nothing_was_bought_stands_in_no_release_and_a_settled_rest_freezes_no_more(
    world: World,
) -> None:
    order(world)
    world.settle(until=lambda: world.states() == ["PLACED_UNPAID"])
    shutil.rmtree(world.folder / "state" / "journal")
    for number, what in (("1" * 18, "NOT_EXECUTED"), ("2" * 18, "PLACED")):
        result = {"outcome": what, "pay": "not_asked", "order_ids": ["8123"] if what == "PLACED" else []}
        world.container.journal.append(Entry(987654, 987654, number, result))
    outcome.replay(world.container)
    asked = placement.open_questions(world.container)[-1]
    assert f"{'2' * 18}, supplier order 8123" in asked
    assert "1" * 18 not in asked
    placement.release(world.container, by="ann", second="bob", despite=True)
    with world.container.database.transaction() as session:
        session.execute(sa.update(Attempt).where(Attempt.outcome == "PLACED").values(out_order_id="2" * 18))
    outcome.replay(world.container)
    assert freezes(world) == [], "who released it knew of the other one too"


def test_what_is_put_back_is_not_to_be_paid_above_the_limit(world: World) -> None:
    """The limit was forgotten with the send: it is reckoned anew, from the money that the shop has."""
    order(world)
    world.settle(until=lambda: world.states() == ["PLACED_UNPAID"])
    before = world.purchases()[0].limit_minor
    forget(world, "READY")
    with world.container.database.transaction() as session:
        session.execute(sa.update(Purchase).values(limit_minor=None, quote_minor=None, quote_currency=""))
    outcome.replay(world.container)
    assert world.purchases()[0].limit_minor == before
    forget(world, "READY")
    with world.container.database.transaction() as session:
        session.execute(sa.text("UPDATE store_order SET kept = 100"))
    outcome.replay(world.container)
    world.settle(until=lambda: world.states() == ["PAY_BLOCKED"], seconds=10)
    assert world.reasons() == ["price_over_limit"]


def test_other_answers_of_which_the_first_five_are_known_freeze_again(world: World) -> None:
    """Only five numbers stand in the reason; which others there are tells it apart all the same."""
    for rest in ("6", "7"):
        with world.container.database.transaction() as session:
            forgotten.journal_knows_more(session, ["1", "2", "3", "4", "5", rest])
        assert freezes(world) == [None], rest
        placement.release(world.container, by="ann", second="bob", despite=True)


def test_a_freeze_that_came_with_the_backup_asks_what_was_read_since_now(world: World) -> None:
    """It was open when the backup was taken: what was read after that is not in the database any more."""
    for _ in range(5):
        boot.advance(world.container)
    world.shopify_shop()
    with world.container.database.transaction() as session:
        session.execute(sa.text("UPDATE instance SET epoch = 1"))
    boot.advance(world.container)
    with world.container.database.transaction() as session:
        session.execute(sa.update(PlacementFreeze).values(frozen_at=sa.text("now() - interval '2 hours'")))
        session.execute(sa.update(Shop).values(poll_cursor=sa.text("now() - interval '1 hour'")))
        session.execute(sa.text("UPDATE instance SET epoch = 1"))
    assert placement.open_questions(world.container) == []
    boot.advance(world.container)
    with pytest.raises(Conflict, match="have not been read since"):
        placement.release(world.container, by="ann", second="bob")


def test_a_freeze_by_hand_in_the_same_words_becomes_one_that_asks(world: World) -> None:
    world.shopify_shop()
    with world.container.database.transaction() as session:
        session.execute(sa.text("UPDATE instance SET system = 'another'"))
    placement.freeze(world.container, "another database than at the last start", by="ann")
    boot.advance(world.container)
    with pytest.raises(Conflict, match="have not been read since"):
        placement.release(world.container, by="ann", second="bob")


def test_what_is_remembered_of_the_database_outlasts_a_power_cut(world: World, monkeypatch: pytest.MonkeyPatch) -> None:
    """The file's text is on the disk before it has its name, and the name before the next step."""
    done, folder = [], world.folder / "state"
    fsync, replace = os.fsync, Path.replace

    def synced(handle: int) -> None:
        done.append("folder" if os.path.samestat(os.fstat(handle), folder.stat()) else "file")
        fsync(handle)

    def named(self: Path, target: Path) -> Path:
        done.append("name")
        return replace(self, target)

    monkeypatch.setattr(os, "fsync", synced)
    monkeypatch.setattr(Path, "replace", named)
    boot.advance(world.container)
    assert done == ["file", "name", "folder"]
