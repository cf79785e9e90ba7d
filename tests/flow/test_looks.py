"""Looking at an unclear purchase, and at orders that turn up: what is found, what is not, and who is told when."""

from __future__ import annotations

from datetime import datetime, timedelta
from types import SimpleNamespace
from typing import Any

import pytest
import sqlalchemy as sa

from app.errors import Conflict
from app.models import Audit, Breaker, Call, Evidence, Inbox, Purchase, SupplierOrder
from app.pipeline import evidence, reconcile
from app.ports.inbound import Hint, HintKind
from app.services import todo
from connectors.aliexpress.supplier import AliExpressSession
from tests.flow.test_unclear import fault, order
from tests.flow.test_unreadable_account import die
from tests.flow.world import World


@pytest.fixture
def unclear(world: World) -> str:
    """An executed send of which nobody heard; gives the number at the supplier."""
    world.aliexpress.control("push", {"lost": 1000})
    fault(world, "drop_after")
    order(world)
    world.settle(until=lambda: world.states() == ["UNKNOWN"], seconds=20)
    return str(world.created()[0]["order_id"])


def kinds(world: World) -> set[str]:
    """Kinds of open alerts."""
    return {row["kind"] for row in todo.alerts(world.container)}


def sent_ago(world: World, ago: timedelta) -> None:
    """As if it had been sent so long ago."""
    with world.container.database.transaction() as session:
        session.execute(sa.update(Purchase).values(sent_at=sa.func.clock_timestamp() - ago, checks=0))


def test_what_the_merchant_paid_there_is_found_in_the_list_of_paid_orders(
    world: World, unclear: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    asked = list[tuple[datetime, datetime]]()

    def paid_orders(_: Any, since: datetime, until: datetime) -> list[Any]:
        asked.append((since, until))
        return [SimpleNamespace(order_id=unclear)]

    monkeypatch.setattr(AliExpressSession, "paid_orders", paid_orders)
    reconcile.run(world.container, 1)
    sent_at = world.purchases()[0].sent_at
    assert sent_at is not None
    assert [(since, until > sent_at) for since, until in asked] == [(sent_at, True)], "since the send"
    assert world.states() == ["PLACED_UNPAID"]
    with world.container.database.transaction() as session:
        calls = session.scalars(sa.select(Call.operation).where(Call.purchase_id == 1)).all()
    assert "aliexpress.trade.ds.order.get" in calls, "the call that found it stands in its story"


def test_an_order_that_turned_up_earlier_is_compared_again(world: World, unclear: str) -> None:
    with world.container.database.transaction() as session:
        session.add(_orphan(unclear))
    reconcile.run(world.container, 1)
    assert world.states() == ["PLACED_UNPAID"]
    with world.container.database.transaction() as session:
        looked = session.scalars(sa.select(Audit.detail).where(Audit.action == "looked").order_by(Audit.id)).all()
    assert looked[-1]["seen"] == 1


def test_a_look_that_fails_is_not_the_end_of_it(world: World, unclear: str) -> None:
    with world.container.database.transaction() as session:
        session.add(_orphan(unclear))
    world.aliexpress.control("faults", [{"op": "*", "kind": "outage", "times": -1}])
    reconcile.run(world.container, 1)
    assert world.states() == ["UNKNOWN"]
    world.aliexpress.control("faults", [])
    reconcile.run(world.container, 1)
    assert world.states() == ["PLACED_UNPAID"]


def test_what_is_clear_by_now_is_not_looked_at(world: World, unclear: str) -> None:
    evidence.confirm(world.container, 1, unclear, by="merchant:1")
    checks = world.purchases()[0].checks
    reconcile.run(world.container, 1)
    assert (world.states(), world.purchases()[0].checks) == (["PLACED_UNPAID"], checks)


def test_each_clock_rings_at_its_time_and_once(world: World, unclear: str) -> None:
    timers = world.container.timers
    grain = timedelta(seconds=1)

    def look(ago: timedelta) -> tuple[str, set[str]]:
        sent_ago(world, ago)
        reconcile.run(world.container, 1)
        return world.states()[0], kinds(world) & {"outcome_unknown", "outcome_unknown_old"}

    with world.container.database.transaction() as session:
        session.execute(sa.update(Purchase).values(alerted_at=None))
        session.execute(sa.text("UPDATE alert SET ended_at = now()"))
    assert timers.alert_after < timers.human_after < timers.escalate_after
    assert look(timers.alert_after - min(grain, timers.alert_after / 2)) == ("UNKNOWN", set())
    assert look(timers.alert_after) == ("UNKNOWN", {"outcome_unknown"})
    assert look(timers.human_after - grain) == ("UNKNOWN", {"outcome_unknown"})
    assert look(timers.human_after) == ("HUMAN", {"outcome_unknown"})
    assert look(timers.escalate_after - grain) == ("HUMAN", {"outcome_unknown"})
    assert look(timers.escalate_after) == ("HUMAN", {"outcome_unknown", "outcome_unknown_old"})
    assert world.tasks() == ["resolve_unclear"]


def test_out_of_stock_comes_to_a_person_earlier(world: World, unclear: str) -> None:
    timers = world.container.timers
    with world.container.database.transaction() as session:
        session.execute(sa.update(Purchase).values(facts={"hint": "out_of_stock"}))
    sent_ago(world, timers.stock_human_after)
    reconcile.run(world.container, 1)
    assert world.states() == ["HUMAN"]


def test_a_send_past_its_deadline_is_unclear_and_counts_for_the_breaker(world: World, unclear: str) -> None:
    with world.container.database.transaction() as session:
        session.execute(sa.update(Purchase).values(state="SENDING"))
        before = session.get_one(Breaker, "supplier:aliexpress").unclear_in_a_row
    reconcile.run(world.container, 1)
    assert world.states() == ["UNKNOWN"]
    with world.container.database.transaction() as session:
        assert session.get_one(Breaker, "supplier:aliexpress").unclear_in_a_row == before + 1


@pytest.mark.parametrize(
    ("state", "passed", "taken"), [("SENDING", False, 0), ("SENDING", True, 1), ("HUMAN", False, 1)]
)
def test_a_check_is_due_by_its_clock_and_a_send_only_after_its_deadline(
    world: World, unclear: str, state: str, passed: bool, taken: int
) -> None:
    now = sa.func.clock_timestamp()
    deadline = now + timedelta(seconds=-1 if passed else 60)
    with world.container.database.transaction() as session:
        session.execute(sa.update(Purchase).values(state=state, sent_deadline=deadline, check_at=now))
    assert len(reconcile.claim(world.container, 10)) == taken
    assert len(reconcile.claim(world.container, 10)) == 0, "the next one has to wait"


def push(world: World, ref: str, *, attempts: int = 1, buyer: str | None = None, **more: Any) -> tuple[Any, ...]:
    """A push about this order, tried for the n-th time."""
    event = Inbox(source="aliexpress", topic="t", dedupe=b"x", body=b"", attempts=attempts, verified=True)
    event.received_at = world.container.clock.now() - more.get("ago", timedelta(0))
    hint = Hint(HintKind.SUPPLIER_ORDER, ref=ref, account_ref=buyer, status="OrderCreated")
    return evidence.push(world.container, event, hint)


def test_a_push_is_followed_at_once_where_it_is_ours_and_kept_where_it_may_be(world: World, unclear: str) -> None:
    retries = world.container.timers.push_retries
    said, order_id, again = push(world, "8199999999999999")
    assert (said, order_id) == ("not readable yet, kept", None)
    assert again == retries[0] * world.container.settings.time_scale
    assert push(world, "8199999999999999", attempts=len(retries))[2] is not None
    assert push(world, "8199999999999999", attempts=len(retries) + 1)[1:] == (None, None)
    with world.container.database.transaction() as session:
        kept = session.scalars(sa.select(Evidence).where(Evidence.kind == "push")).all()
    assert [one.supplier_order_ref for one in kept] == ["8199999999999999"], "kept once, not at each try"
    assert push(world, unclear) == ("attached to purchase 1", 1, None)
    with world.container.database.transaction() as session:
        session.execute(sa.update(SupplierOrder).values(track_run_at=None))
    assert push(world, unclear) == ("known order, read again", 1, None)
    with world.container.database.transaction() as session:
        assert session.scalars(sa.select(SupplierOrder.track_run_at)).one() is not None


def test_a_push_for_a_dead_account_waits_for_a_month_and_no_longer(world: World, unclear: str) -> None:
    die(world)
    told, _, again = push(world, unclear, attempts=2)
    assert (told, again) == ("an account that it may belong to cannot be read", timedelta(minutes=30))
    assert push(world, unclear, attempts=100)[2] == timedelta(hours=6)
    assert push(world, unclear, attempts=100, ago=timedelta(days=31))[2] is None


def test_an_order_that_fits_two_purchases_is_for_a_person(
    world: World, unclear: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    whole = evidence.fit.fitting

    def twice(*given: Any) -> list[Any]:
        return whole(*given) * 2

    monkeypatch.setattr(evidence.fit, "fitting", twice)
    assert evidence.look_up(world.container, 1, unclear, source="push") == "fits several purchases: 1, 1"
    assert (world.states(), world.tasks()) == (["UNKNOWN"], ["several_purchases_fit"])
    with world.container.database.transaction() as session:
        found = session.scalars(sa.select(SupplierOrder)).one()
    assert (found.purchase_id, found.role) == (None, "orphan")


def test_an_order_that_was_said_to_be_foreign_stays_it(world: World, unclear: str) -> None:
    """Also where it is the only one that a purchase may be: a person said that it is not."""
    with world.container.database.transaction() as session:
        session.add(_orphan(unclear, role="foreign"))
    assert evidence.look_up(world.container, 1, unclear, source="push") == "belongs to no purchase of ours"
    with world.container.database.transaction() as session:
        found = session.scalars(sa.select(SupplierOrder)).one()
    assert (found.role, found.track_run_at) == ("foreign", None)


def test_nobody_may_say_whose_it_is_while_what_it_fits_is_being_sent(world: World, unclear: str) -> None:
    with world.container.database.transaction() as session:
        session.execute(sa.update(Purchase).values(state="SENDING"))
        other = sa.select(Purchase.order_id, Purchase.account_id, Purchase.shop_id, Purchase.merchant_id)
        of = session.execute(other).one()._asdict()
        second = Purchase(**of, supplier="aliexpress", state="UNKNOWN", part=9, generation=1, out_order_id="W-other")
        session.add(second)
        session.flush()
        second_id = second.id
    with pytest.raises(Conflict) as refused:
        evidence.confirm(world.container, second_id, unclear, by="merchant:1")
    assert refused.value.code == "being_sent"


def test_an_order_that_fits_a_send_on_its_way_is_looked_at_after_it(world: World, unclear: str) -> None:
    """Its answer may come any moment, and another send of the same thing cannot be under way."""
    with world.container.database.transaction() as session:
        later = sa.func.clock_timestamp() + timedelta(seconds=60)
        session.execute(sa.update(Purchase).values(state="SENDING", sent_deadline=later))
    said = evidence.look_up(world.container, 1, unclear, source="push")
    assert said == "a send is on its way, looked at again after it"
    assert world.states() == ["SENDING"]
    with world.container.database.transaction() as session:
        session.execute(sa.update(Purchase).values(sent_deadline=sa.func.clock_timestamp()))
    assert evidence.look_up(world.container, 1, unclear, source="push") == "attached to purchase 1"


def test_an_account_that_is_gone_finds_nothing(world: World, unclear: str) -> None:
    assert evidence.look_up(world.container, 999, unclear, source="push") is None
    assert world.states() == ["UNKNOWN"]


def _orphan(ref: str, role: str = "orphan") -> SupplierOrder:
    made = SupplierOrder(account_id=1, external_id=ref, role=role, source="push", status="", currency="")
    made.payment, made.shipping, made.pay_failed, made.closed = "checking", "none", False, False
    made.closed_seen = made.reminders = made.tracks = 0
    return made
