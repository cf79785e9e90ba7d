"""An answer counts once, whatever its way: from the worker, from its journal, late, twice, or not understood."""

from __future__ import annotations

from typing import Any

import pytest
import sqlalchemy as sa

from app.journal import Entry
from app.models import Alert, Attempt, Breaker, Evidence, Interlock, Purchase, Spend, SupplierOrder
from app.pipeline import follow, not_there
from app.pipeline.buy import outcome
from app.ports.supplier import PayResult, PlaceOutcome, PlaceResult
from tests.flow.test_unclear import fault, order
from tests.flow.world import World


@pytest.fixture
def unclear(world: World) -> Attempt:
    """A send of which nobody knows what became of it."""
    world.aliexpress.control("push", {"lost": 1000})
    fault(world, "drop_after")
    order(world)
    world.settle(until=lambda: world.states() == ["UNKNOWN"], seconds=20)
    with world.container.database.transaction() as session:
        return session.scalars(sa.select(Attempt).where(Attempt.outcome == "UNKNOWN")).one()


def say(world: World, attempt: Attempt, what: PlaceOutcome, *ids: str, source: str = "answer", **more: Any) -> bool:
    """This answer to the send arrives."""
    result = PlaceResult(what, order_ids=ids, **more)
    with world.container.calls.story() as story:
        return outcome.record(
            world.container,
            attempt.id,
            attempt.purchase_id,
            result,
            sent_at=attempt.sent_at,
            story=story,
            source=source,
            number=attempt.out_order_id,
        )


def stands(world: World) -> tuple[str, str, str]:
    """State, reason, and the outcome of the send."""
    purchase = world.purchases()[0]
    return purchase.state, purchase.reason, world.outcomes()[-1]


def kept(world: World) -> tuple[int, list[str]]:
    """How many items are kept for it, and the states of the reservations of its latest send."""
    with world.container.database.transaction() as session:
        locks = session.scalar(sa.select(sa.func.count()).select_from(Interlock)) or 0
        latest = sa.select(sa.func.max(Attempt.id)).scalar_subquery()  # on a slow machine an earlier one came too late
        return locks, list(session.scalars(sa.select(Spend.state).where(Spend.attempt_id == latest)))


def alerts(world: World) -> list[str]:
    """Kinds of open alerts."""
    with world.container.database.transaction() as session:
        return sorted(session.scalars(sa.select(Alert.kind).where(Alert.ended_at.is_(None))))


def test_unknown_once_more_says_nothing_new(world: World, unclear: Attempt) -> None:
    assert not say(world, unclear, PlaceOutcome.UNKNOWN, code="again")
    assert stands(world) == ("UNKNOWN", "outcome_unknown", "UNKNOWN")


def test_a_definite_no_gives_back_what_was_kept(world: World, unclear: Attempt) -> None:
    world.pause_shop()
    assert kept(world) == (1, ["RESERVED"])
    assert say(world, unclear, PlaceOutcome.REJECTED, code="A003", field="cpf")
    assert kept(world) == (0, ["RELEASED"])
    before, heir = world.purchases()
    assert (before.state, before.reason) == ("REJECTED", "needs_person")
    assert before.facts == {"code": "A003", "field": "cpf"}
    assert (heir.state, heir.reason, heir.generation) == ("HELD", "needs_person", 2)


def test_a_no_to_what_the_shop_cancelled_meanwhile_ends_it(world: World, unclear: Attempt) -> None:
    cancel(world)
    assert say(world, unclear, PlaceOutcome.REJECTED, code="A003")
    assert world.states() == ["CANCELLED"]


@pytest.mark.parametrize("what", [PlaceOutcome.NOT_SENT, PlaceOutcome.NOT_EXECUTED])
def test_what_was_not_executed_and_is_not_wanted_any_more_is_cancelled(
    world: World, unclear: Attempt, what: PlaceOutcome
) -> None:
    cancel(world)
    assert say(world, unclear, what)
    assert (world.states(), world.reasons()) == (["CANCELLED"], ["cancelled_by_shop"])
    assert kept(world) == (0, ["RELEASED"])


@pytest.mark.parametrize("reason", ["token_dead", "config", "account_blocked", "ds_center"])
def test_what_a_person_has_to_mend_first_is_held(world: World, unclear: Attempt, reason: str) -> None:
    assert say(world, unclear, PlaceOutcome.NOT_EXECUTED, reason=reason, code="IncompleteSignature", message="x" * 300)
    assert stands(world) == ("HELD", reason, "NOT_EXECUTED")
    assert ("config" in alerts(world)) == (reason == "config")
    assert world.purchases()[0].facts == {"code": "IncompleteSignature", "message": "x" * 200}


@pytest.mark.parametrize(("after", "reason"), [(None, ""), (120.0, "call_limit")])
def test_what_was_not_executed_is_sent_again_after_a_pause(
    world: World, unclear: Attempt, after: float | None, reason: str
) -> None:
    world.pause_shop()
    assert say(world, unclear, PlaceOutcome.NOT_EXECUTED, reason=reason, retry_after=after)
    purchase = world.purchases()[0]
    assert (purchase.state, purchase.reason) == ("READY", reason or "supplier_down")
    wait = (purchase.run_at - purchase.state_since).total_seconds() * world.container.settings.time_scale
    assert wait >= (after or 2.0) - 0.01
    assert kept(world) == (0, ["RELEASED"])


def test_numbers_that_come_late_are_never_thrown_away(world: World, unclear: Attempt) -> None:
    """The send was settled otherwise meanwhile; its orders are attached all the same."""
    made = str(world.created()[0]["order_id"])
    assert say(world, unclear, PlaceOutcome.PLACED, made)
    assert not say(world, unclear, PlaceOutcome.PLACED, made, "8199999999999999")
    assert not say(world, unclear, PlaceOutcome.UNKNOWN)
    with world.container.database.transaction() as session:
        refs = session.scalars(sa.select(SupplierOrder.external_id).where(SupplierOrder.purchase_id == 1)).all()
    assert sorted(refs) == sorted([made, "8199999999999999"])
    assert world.states() == ["PLACED_UNPAID"]


def test_numbers_in_the_journal_are_kept_though_the_send_was_settled_by_what_was_found(
    world: World, unclear: Attempt
) -> None:
    made, late = str(world.created()[0]["order_id"]), "8199999999999999"
    assert say(world, unclear, PlaceOutcome.PLACED, made)
    answer = outcome.plain(PlaceResult(PlaceOutcome.PLACED, order_ids=(made, late)))
    at = unclear.sent_at.timestamp()
    world.container.journal.append(Entry(unclear.id, unclear.purchase_id, unclear.out_order_id, answer, at))
    for _ in range(2):
        assert outcome.replay(world.container) == 0
        with world.container.database.transaction() as session:
            found = session.scalars(sa.select(SupplierOrder).where(SupplierOrder.external_id == late)).one()
            kept = session.scalars(sa.select(Evidence.id).where(Evidence.supplier_order_ref == late)).all()
        assert (found.purchase_id, len(kept)) == (unclear.purchase_id, 1)


def belongs(world: World, made: str, purchase_id: int) -> None:
    """This order at the supplier is a purchase's."""
    with world.container.database.transaction() as session:
        session.add(SupplierOrder(account_id=1, external_id=made, purchase_id=purchase_id, role="bought"))


def test_a_number_that_belongs_to_another_purchase_stays_there_and_is_told(world: World, unclear: Attempt) -> None:
    made = str(world.created()[0]["order_id"])
    order(world)
    world.settle(until=lambda: len(world.states()) == 2, seconds=20)
    belongs(world, made, 2)
    assert say(world, unclear, PlaceOutcome.UNKNOWN, made) is False, "unknown as before"
    with world.container.database.transaction() as session:
        session.get_one(Attempt, unclear.id).outcome = "OPEN"
    assert say(world, unclear, PlaceOutcome.UNKNOWN, made, code="ids_with_message")
    assert "attribution" in alerts(world)
    with world.container.database.transaction() as session:
        assert session.scalars(sa.select(SupplierOrder.purchase_id)).all() == [2]


def test_a_failed_payment_is_remembered_of_the_order(world: World, unclear: Attempt) -> None:
    made = str(world.created()[0]["order_id"])
    assert say(world, unclear, PlaceOutcome.PLACED, made, pay=PayResult.FAILED)
    with world.container.database.transaction() as session:
        assert session.scalars(sa.select(SupplierOrder.pay_failed)).all() == [True]


def test_a_journal_that_cannot_be_written_is_told_and_the_answer_recorded(
    world: World, unclear: Attempt, monkeypatch: pytest.MonkeyPatch
) -> None:
    def full(_: Entry) -> None:
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(world.container.journal, "append", full)
    made = str(world.created()[0]["order_id"])
    assert say(world, unclear, PlaceOutcome.PLACED, made)
    assert "journal_not_written" in alerts(world)
    assert stands(world) == ("PLACED_UNPAID", "", "PLACED")


def test_an_entry_that_is_not_understood_is_told_and_stays(world: World, unclear: Attempt) -> None:
    journal = world.container.journal
    sent_at = unclear.sent_at.timestamp()
    journal.append(Entry(unclear.id, unclear.purchase_id, unclear.out_order_id, {"outcome": "SOMETHING_NEW"}, sent_at))
    with world.container.database.transaction() as session:
        session.get_one(Attempt, unclear.id).outcome = "OPEN"
    assert outcome.replay(world.container) == 0
    assert "journal_strange" in alerts(world)
    assert [entry.result for entry in journal.entries()][-1] == {"outcome": "SOMETHING_NEW"}


@pytest.mark.parametrize("readable", [True, False])
def test_an_answer_to_what_a_person_gave_up_is_late_evidence(world: World, unclear: Attempt, readable: bool) -> None:
    made = str(world.created()[0]["order_id"])
    world.pause_shop()
    with world.container.database.transaction() as session:
        session.get_one(Attempt, unclear.id).outcome = "VOID"
        session.execute(sa.update(Purchase).values(state="VOID"))
    if not readable:
        world.aliexpress.control("faults", [{"op": "*", "kind": "outage", "times": -1}])
    answer = outcome.plain(PlaceResult(PlaceOutcome.PLACED, order_ids=(made,)))
    world.container.journal.append(Entry(unclear.id, unclear.purchase_id, unclear.out_order_id, answer))
    assert outcome.replay(world.container) == 0
    assert world.states() == (["PLACED_UNPAID"] if readable else ["VOID"])
    if not readable:
        world.aliexpress.control("faults", [])
        outcome.replay(world.container)
        assert world.states() == ["PLACED_UNPAID"], "tried again until it can be read"


@pytest.mark.parametrize(("owner", "readable"), [(2, True), (2, False), (1, True)])
def test_a_journals_number_that_another_purchase_has_is_told_though_the_send_was_given_up(
    world: World, unclear: Attempt, owner: int, readable: bool
) -> None:
    made = str(world.created()[0]["order_id"])
    order(world)
    world.settle(until=lambda: len(world.states()) == 2, seconds=20)
    world.pause_shop()
    with world.container.database.transaction() as session:
        session.get_one(Attempt, unclear.id).outcome = "VOID"
        session.execute(sa.update(Purchase).where(Purchase.id == 1).values(state="VOID"))
    belongs(world, made, owner)
    if not readable:
        world.aliexpress.control("faults", [{"op": "*", "kind": "outage", "times": -1}])
    answer = outcome.plain(PlaceResult(PlaceOutcome.PLACED, order_ids=(made,)))
    world.container.journal.append(Entry(unclear.id, unclear.purchase_id, unclear.out_order_id, answer))
    for _ in range(2):
        assert outcome.replay(world.container) == 0
    with world.container.database.transaction() as session:
        keys = session.scalars(sa.select(Alert.dedupe_key).where(Alert.kind == "attribution")).all()
        order_id = session.scalars(sa.select(SupplierOrder.id).where(SupplierOrder.external_id == made)).one()
    assert keys == ([f"two-purchases:{order_id}:1"] if owner == 2 else [])


def test_silence_and_the_unclear_answer_after_it_count_once_for_the_breaker(world: World, unclear: Attempt) -> None:
    def count() -> int:
        with world.container.database.transaction() as session:
            return session.get_one(Breaker, "supplier:aliexpress").unclear_in_a_row

    def again(state: str) -> None:
        with world.container.database.transaction() as session:
            session.get_one(Attempt, unclear.id).outcome = "OPEN"
            session.execute(sa.update(Purchase).values(state=state))

    before = count()
    again("UNKNOWN")
    assert say(world, unclear, PlaceOutcome.UNKNOWN)
    assert count() == before, "its silence was counted when it was over"
    again("SENDING")
    assert say(world, unclear, PlaceOutcome.UNKNOWN)
    assert count() == before + 1
    again("SENDING")
    assert say(world, unclear, PlaceOutcome.PLACED, str(world.created()[0]["order_id"]))
    assert count() == 0, "a clear one ends the row"


@pytest.mark.parametrize("state", ["VOID", "CANCELLED", "REJECTED", "EXPIRED", "SUPPLIER_CANCELLED", "REFUNDED"])
def test_what_is_over_does_not_follow_its_orders_any_more(world: World, unclear: Attempt, state: str) -> None:
    made = str(world.created()[0]["order_id"])
    assert say(world, unclear, PlaceOutcome.PLACED, made)
    with world.container.database.transaction() as session:
        session.execute(sa.update(Purchase).values(state=state))
        follow.follow(world.container, session, session.get_one(Purchase, 1, with_for_update=True))
    assert world.states() == [state]


def test_a_result_survives_the_journal_and_fields_of_another_release() -> None:
    result = PlaceResult(PlaceOutcome.PLACED, ("1", "2"), PayResult.FAILED, code="c", message="m", retry_after=1.5)
    assert outcome.from_plain({**outcome.plain(result), "new_field": 1}) == result
    with pytest.raises(ValueError, match="SOMETHING"):
        outcome.from_plain({**outcome.plain(result), "outcome": "SOMETHING"})


def cancel(world: World) -> None:
    """The shop cancels the order."""
    number = world.orders()[0].external_id
    world.shopify.control(f"orders/{number}/cancel", {})
    world.settle(until=lambda: world.purchases()[0].cancel_requested_at is not None, seconds=20)


def test_an_answer_that_comes_after_not_there_stops_the_successor(world: World, unclear: Attempt) -> None:
    """Between the look at the journal's entry and its recording a person gave the send up."""
    world.pause_shop()
    world.pass_time("quarantine")
    not_there.give_up(world.container, unclear.purchase_id, newest_seen="none", by="merchant:1", confirm_by="ann")
    assert world.states() == ["VOID", "HELD"]
    made = world.created()[0]["order_id"]
    for _ in range(2):
        assert not say(world, unclear, PlaceOutcome.PLACED, made, source="journal")
        assert world.states() == ["PLACED_UNPAID", "CANCELLED"]
    world.settle(until=lambda: kept(world) == (0, ["SETTLED"]), seconds=20)
    assert alerts(world) == []


def test_an_answer_that_comes_after_it_was_ordered_again_is_told_as_a_duplicate(world: World, unclear: Attempt) -> None:
    world.pass_time("quarantine")
    not_there.give_up(world.container, unclear.purchase_id, newest_seen="none", by="merchant:1", confirm_by="ann")
    world.settle(until=lambda: world.states() == ["VOID", "PLACED_UNPAID"], seconds=20)
    for _ in range(2):
        assert not say(world, unclear, PlaceOutcome.PLACED, world.created()[0]["order_id"], source="journal")
    assert world.states() == ["VOID", "PLACED_UNPAID"]
    assert (alerts(world), world.tasks()) == (["duplicate"], ["duplicate"])
