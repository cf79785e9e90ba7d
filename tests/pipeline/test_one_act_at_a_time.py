"""Acts on one order go one after another, whoever waits, stops, or claims in the same instant."""

from __future__ import annotations

from datetime import timedelta

import pytest
import sqlalchemy as sa

from app.container import Container
from app.models import Outbox, StoreOrder
from app.pipeline import acts
from app.pipeline.record import outbox
from app.ports.errors import MerchantMustAct, TryLater
from tests.pipeline.stage import Stage


@pytest.fixture
def done(monkeypatch: pytest.MonkeyPatch) -> list[str]:
    """Keys of the acts that were carried out; those whose payload names a fault are not."""
    found: list[str] = []

    def act(_: Container, row: Outbox) -> str:
        if row.payload.get("fault") == "later":
            raise TryLater("busy")
        if row.payload.get("fault"):
            raise MerchantMustAct(str(row.payload["fault"]), "X", "lacking")
        found.append(row.dedupe_key)
        return "done"

    monkeypatch.setitem(acts.ACTS, "fulfil", act)
    return found


def ask(stage: Stage, order: StoreOrder, *keys: str, fault: str = "") -> None:
    for key in keys:
        payload = {"fault": fault} if fault else {}
        outbox(stage.session, key, "fulfil", shop_id=order.shop_id, order_id=order.id, payload=payload)


def row(stage: Stage, key: str) -> Outbox:
    query = sa.select(Outbox).where(Outbox.dedupe_key == key)
    return stage.session.scalars(query, execution_options={"populate_existing": True}).one()


def due_again(stage: Stage, key: str) -> None:
    stage.session.execute(sa.update(Outbox).where(Outbox.dedupe_key == key).values(run_at=sa.func.now()))


def work(stage: Stage) -> None:
    with stage.outside():
        for claimed in acts.due(stage.container, 9):
            acts.run(stage.container, claimed)


def keys(stage: Stage) -> list[str]:
    """What can be claimed now; it is claimed."""
    with stage.outside():
        claimed = acts.due(stage.container, 9)
    return [stage.session.get_one(Outbox, one.id).dedupe_key for one in claimed]


def test_one_after_another_and_those_of_other_orders_beside_them(stage: Stage, done: list[str]) -> None:
    (first, _), (second, _) = stage.new_order(1), stage.new_order(1)
    ask(stage, first, "a", "b")
    ask(stage, second, "c")
    work(stage)
    assert done == ["a", "c"]
    work(stage)
    assert done == ["a", "c", "b"]


def test_what_is_tried_later_keeps_its_place(stage: Stage, done: list[str]) -> None:
    order, _ = stage.new_order(1)
    ask(stage, order, "a", fault="later")
    ask(stage, order, "b")
    work(stage)
    work(stage)
    assert (done, row(stage, "a").waits, row(stage, "a").result) == ([], False, "later: busy")


@pytest.mark.parametrize(
    ("fault", "told"),
    [
        ("fulfilment_not_requested", "shop_waits"),
        ("fulfilment_on_hold", "shop_waits"),
        ("shop_permission", "shop_permission"),
        ("shop_token_dead", ""),
    ],
)
def test_what_waits_for_the_merchant_is_told_and_lets_others_go_before_it(
    stage: Stage, done: list[str], fault: str, told: str
) -> None:
    order, _ = stage.new_order(1)
    ask(stage, order, "a", fault=fault)
    ask(stage, order, "b")
    work(stage)
    work(stage)
    assert done == ["b"]
    assert row(stage, "a").waits
    kinds = {"shop_waits": [f"outbox:{row(stage, 'a').id}"], "shop_permission": [f"permission:{order.shop_id}"], "": []}
    assert stage.tasks() == kinds[told]
    due_again(stage, "a")
    stage.session.execute(sa.update(Outbox).values(payload={}))
    work(stage)
    assert done == ["b", "a"]
    assert stage.tasks() == []


def test_what_waited_does_not_come_back_into_the_middle_of_another(stage: Stage, done: list[str]) -> None:
    order, _ = stage.new_order(1)
    ask(stage, order, "a", fault="fulfilment_on_hold")
    ask(stage, order, "b")
    work(stage)
    assert keys(stage) == ["b"]
    due_again(stage, "a")
    assert keys(stage) == [], "b is under way"
    stage.session.execute(sa.update(Outbox).values(lease_until=stage.now - timedelta(seconds=1)))
    assert keys(stage) == ["a"], "whoever had b was stopped"
    assert keys(stage) == []


def test_of_two_that_were_claimed_in_one_instant_the_later_look_gives_its_own_back(
    stage: Stage, done: list[str]
) -> None:
    order, _ = stage.new_order(1)
    ask(stage, order, "a", "b")
    with stage.outside():
        (first,) = acts.due(stage.container, 9)
    until = row(stage, "a").lease_until
    stage.session.execute(sa.update(Outbox).where(Outbox.dedupe_key == "b").values(lease_until=until))
    with stage.outside():
        acts.run(stage.container, first)
    assert (done, row(stage, "a").lease_until, row(stage, "a").state) == ([], None, "DUE")
    assert row(stage, "a").run_at > stage.now


def test_whoever_was_stopped_right_after_its_claim_leaves_it_to_the_next(stage: Stage, done: list[str]) -> None:
    order, _ = stage.new_order(1)
    ask(stage, order, "a")
    with stage.outside():
        (stopped,) = acts.due(stage.container, 9)
    stage.session.execute(sa.update(Outbox).values(lease_until=stage.now - timedelta(seconds=1)))
    with stage.outside():
        (other,) = acts.due(stage.container, 9)
        acts.run(stage.container, stopped)
    assert (done, row(stage, "a").lease_until) == ([], other.lease_until)
    with stage.outside():
        acts.run(stage.container, other)
        acts.run(stage.container, stopped)
    assert (done, row(stage, "a").state) == (["a"], "DONE")


def test_whoever_lost_its_lease_neither_puts_it_off_nor_asks_anybody(stage: Stage, done: list[str]) -> None:
    order, _ = stage.new_order(1)
    ask(stage, order, "a", fault="fulfilment_on_hold")
    with stage.outside():
        (claimed,) = acts.due(stage.container, 9)
    mine = row(stage, "a")
    lease = acts._Lease(stage.container, mine)
    later = stage.now + timedelta(hours=1)
    with stage.outside():
        assert lease.renew()
    stage.session.execute(sa.update(Outbox).values(lease_until=later))
    with stage.outside():
        assert not lease.renew()
        error = MerchantMustAct("fulfilment_on_hold", "X")
        with stage.container.calls.story() as story:
            acts._wait(stage.container, mine, lease, error, story)
    assert claimed.id == mine.id
    assert (row(stage, "a").lease_until, row(stage, "a").waits, stage.tasks()) == (later, False, [])


def test_what_was_asked_for_again_leaves_the_lease_of_the_next_one_alone(stage: Stage, done: list[str]) -> None:
    order, _ = stage.new_order(1)
    ask(stage, order, "a")
    with stage.outside():
        acts.due(stage.container, 9)
    mine = row(stage, "a")
    stage.session.expunge(mine)
    lease, later = acts._Lease(stage.container, mine), stage.now + timedelta(hours=1)
    anew = {"lease_until": later, "run_at": stage.now - timedelta(minutes=1)}
    stage.session.execute(sa.update(Outbox).values(**anew))
    with stage.outside(), stage.container.calls.story() as story:
        assert not acts._done(stage.container, mine, lease, "DONE", "done", story)
    assert (row(stage, "a").state, row(stage, "a").lease_until) == ("DUE", later)


def test_what_is_asked_for_anew_while_it_fails_is_due_as_it_was_asked(
    stage: Stage, monkeypatch: pytest.MonkeyPatch
) -> None:
    order, _ = stage.new_order(1)
    ask(stage, order, "a", "b")

    def act(container: Container, mine: Outbox) -> str:
        if mine.dedupe_key == "a":
            with container.database.transaction() as session:
                outbox(session, "a", "fulfil", shop_id=order.shop_id, order_id=order.id, payload={}, repeat=True)
        raise MerchantMustAct("fulfilment_on_hold", "X", "lacking")

    monkeypatch.setitem(acts.ACTS, "fulfil", act)
    work(stage)
    assert stage.soon(row(stage, "a").run_at) < 20
    stage.session.execute(sa.update(Outbox).where(Outbox.dedupe_key == "a").values(state="DONE", done_at=sa.func.now()))
    work(stage)
    assert stage.soon(row(stage, "b").run_at) > 20
