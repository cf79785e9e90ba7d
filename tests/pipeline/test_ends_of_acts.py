"""What became of an act is told once, by whoever has it, and what was told before does not hide it."""

from __future__ import annotations

from datetime import timedelta

import pytest
import sqlalchemy as sa

from app.calls import Story
from app.container import Container
from app.models import Outbox, Purchase, Task
from app.pipeline import acts, permission
from app.pipeline.record import outbox, task
from app.ports.errors import MerchantMustAct, OutsideError, Refused, TryLater
from app.ports.http import CallRecord
from app.services import todo
from tests.pipeline.stage import Stage

LACKING = MerchantMustAct("shop_permission", "ACCESS_DENIED", "write_orders")


class Shops:
    """Answers of the shop to the next acts; done when none is left."""

    def __init__(self, stage: Stage) -> None:
        self.stage = stage
        self.answers: list[OutsideError] = []

    def act(self, container: Container, _: Outbox) -> str:
        """One act, which calls the shop."""
        container.calls(CallRecord("shop", "write", "ok", 0.1))
        if self.answers:
            raise self.answers.pop(0)
        return "shown"

    def work(self, *answers: OutsideError) -> None:
        """Everything is due at once, and is answered by these."""
        self.answers = list(answers)
        self.stage.session.execute(sa.update(Outbox).where(Outbox.state == "DUE").values(run_at=sa.func.now()))
        with self.stage.outside():
            for claimed in acts.due(self.stage.container, 9):
                acts.run(self.stage.container, claimed)


@pytest.fixture
def shops(stage: Stage, monkeypatch: pytest.MonkeyPatch) -> Shops:
    made = Shops(stage)
    monkeypatch.setitem(acts.ACTS, "fulfil", made.act)
    return made


def ask(stage: Stage, key: str = "a") -> int:
    """An act of an order of its own; gives its id."""
    order, _ = stage.new_order(1)
    outbox(stage.session, key, "fulfil", shop_id=order.shop_id, order_id=order.id)
    return stage.session.scalars(sa.select(Outbox.id).where(Outbox.dedupe_key == key)).one()


def open_tasks(stage: Stage) -> list[str]:
    """Kinds of the tasks that somebody still has to do."""
    query = sa.select(Task.kind).where(~Task.over, Task.done_at.is_(None)).order_by(Task.id)
    return list(stage.session.scalars(query))


@pytest.mark.parametrize("by_hand", [False, True])
@pytest.mark.parametrize("fault", ["fulfilment_on_hold", "shop_token_dead"])
def test_the_merchant_is_told_what_it_waits_for_though_the_shop_refused_it_before(
    stage: Stage, shops: Shops, by_hand: bool, fault: str
) -> None:
    made = ask(stage)
    shops.work(Refused("no_such_order"))
    assert open_tasks(stage) == ["shop_refused"]
    if by_hand:
        its = stage.session.scalars(sa.select(Task.id)).one()
        with stage.outside():
            todo.finish(stage.container, its, actor="ann")
    stage.session.execute(sa.update(Outbox).where(Outbox.id == made).values(state="DUE", done_at=None))
    for _ in range(2):
        shops.work(MerchantMustAct(fault, "X"))
        assert open_tasks(stage) == (["shop_waits"] if fault == "fulfilment_on_hold" else [])


def test_a_permission_is_known_to_be_granted_whatever_came_between(stage: Stage, shops: Shops) -> None:
    ask(stage)
    shops.work(LACKING)
    shops.work(TryLater("status_503"))
    assert open_tasks(stage) == ["shop_permission"]
    shops.work()
    assert open_tasks(stage) == []


def test_another_act_that_is_done_tells_it_as_well(stage: Stage, shops: Shops) -> None:
    ask(stage)
    shops.work(LACKING)
    stage.session.execute(sa.update(Outbox).values(state="DONE"))
    ask(stage, "b")
    shops.work()
    assert open_tasks(stage) == []


def test_what_another_act_still_lacks_is_not_ended_but_tried_at_once(stage: Stage, shops: Shops) -> None:
    """One act needs a permission that the other one does not need."""
    waits = ask(stage)
    shops.work(LACKING)
    later = stage.now + timedelta(minutes=15)
    stage.session.execute(sa.update(Outbox).values(run_at=later))
    done = ask(stage, "b")
    with stage.outside():
        for claimed in acts.due(stage.container, 9):
            assert claimed.id == done
            acts.run(stage.container, claimed)
    assert open_tasks(stage) == ["shop_permission"]
    assert stage.session.scalars(sa.select(Outbox.run_at).where(Outbox.id == waits)).one() < later
    shops.work()
    assert open_tasks(stage) == []


def test_what_only_reading_lacks_is_not_ended_by_an_act(stage: Stage, shops: Shops) -> None:
    permission.told(stage.session, stage.shop.id, LACKING)
    ask(stage)
    shops.work()
    assert open_tasks(stage) == ["shop_permission"]


def test_whoever_stops_before_the_act_is_recorded_has_ended_the_task(
    stage: Stage, shops: Shops, monkeypatch: pytest.MonkeyPatch
) -> None:
    ask(stage)
    shops.work(LACKING)

    def stops(*_: object) -> None:
        raise SystemExit

    monkeypatch.setattr(acts, "_done", stops)
    with pytest.raises(SystemExit):
        shops.work()
    assert open_tasks(stage) == []


def test_of_many_that_waited_only_the_first_wakes_what_is_held(
    stage: Stage, shops: Shops, monkeypatch: pytest.MonkeyPatch
) -> None:
    for key in "abc":
        ask(stage, key)
    shops.work(*[LACKING] * 3)
    woken = list[str]()
    whole = permission.granted

    def granted(session: sa.orm.Session, shop_id: int, by: str) -> None:
        woken.append(by)
        whole(session, shop_id, by)

    monkeypatch.setattr(permission, "granted", granted)
    shops.work()
    assert woken == ["outbox"]


def test_purchases_are_taken_before_acts(stage: Stage) -> None:
    """Whoever derives an order anew holds its purchases, and may ask for an act."""
    held = [stage.purchase("HELD", reason="shop_permission") for _ in range(2)]
    ask(stage)
    stage.session.execute(sa.update(Outbox).values(run_at=stage.now + timedelta(hours=1)))
    order = list[str]()

    def note(*given: object) -> None:
        order.append(str(given[2]).split(maxsplit=2)[1 if str(given[2]).startswith("UPDATE") else 0])

    with stage.outside():
        engine = stage.container.database.engine
        sa.event.listen(engine, "before_cursor_execute", note)
        try:
            with stage.container.database.transaction() as session:
                permission.granted(session, stage.shop.id, "test")
        finally:
            sa.event.remove(engine, "before_cursor_execute", note)
    assert [name for name in order if name in {"purchase", "outbox"}] == ["purchase", "outbox"]
    assert all(stage.soon(stage.again(one).run_at) < 1 for one in held if isinstance(one, Purchase))


@pytest.mark.parametrize("by", ["done by another", "another is at it"])
def test_what_another_worker_has_by_now_is_not_given_up(stage: Stage, by: str) -> None:
    made = ask(stage)
    with stage.outside():
        acts.due(stage.container, 9)
    mine = stage.session.get_one(Outbox, made)
    stage.session.expunge(mine)
    lease, later = acts._Lease(stage.container, mine), stage.now + timedelta(hours=1)
    theirs = {"state": "DONE", "lease_until": None} if by == "done by another" else {"lease_until": later}
    stage.session.execute(sa.update(Outbox).values(**theirs))
    with stage.outside():
        assert not acts._done(stage.container, mine, lease, "STUCK", "refused: nothing_to_fulfil", Story())
    after = stage.session.get_one(Outbox, made)
    assert (after.state, after.lease_until) == (theirs.get("state", "DUE"), theirs["lease_until"])
    assert stage.tasks() == []


def test_what_was_done_is_done_though_another_gave_it_up(stage: Stage) -> None:
    made = ask(stage)
    with stage.outside():
        acts.due(stage.container, 9)
    mine = stage.session.get_one(Outbox, made)
    stage.session.expunge(mine)
    lease = acts._Lease(stage.container, mine)
    stage.session.execute(sa.update(Outbox).values(state="STUCK", lease_until=None))
    task(stage.session, f"outbox:{made}", "shop_refused", turn="us", text="?")
    with stage.outside():
        assert acts._done(stage.container, mine, lease, "DONE", "shown", Story())
    assert (stage.session.get_one(Outbox, made).state, stage.tasks()) == ("DONE", [])
