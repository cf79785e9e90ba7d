"""Acts that fail for ever and parcels that nobody sees are told to staff, who can have them tried again."""

from __future__ import annotations

from collections import Counter
from datetime import timedelta
from typing import Any

import pytest
import sqlalchemy as sa

from app.db import Database
from app.errors import Conflict, NotFound, WaybillError
from app.jobs import sweep
from app.models import Alert, Audit, Outbox, ShippedParcel, Shop, Task
from app.pipeline import acts
from app.pipeline.record import alert, task
from app.ports.errors import MerchantMustAct, Refused, TryLater
from app.services import metrics, outbox, todo
from tests.flow.test_order_changes import order, shop
from tests.flow.world import World


def told(world: World, kind: str = "outbox_late") -> list[str]:
    """Open alerts of this kind, after a look."""
    sweep.watch(world.container)
    with world.container.database.transaction() as session:
        query = sa.select(Alert.text).where(Alert.kind == kind, Alert.ended_at.is_(None)).order_by(Alert.id)
        return list(session.scalars(query))


def ago(world: World, **time: float) -> Any:
    return sa.func.now() - timedelta(**time) / world.container.settings.time_scale


def act(world: World, key: str, **more: Any) -> int:
    """An act that has failed five times within an hour and a bit, unless told otherwise."""
    given = {"kind": "fulfil", "shop_id": 1, "payload": {}, "state": "DUE", "attempts": 5, "result": "later: try_later"}
    asked = {"created_at": ago(world, minutes=70), "run_at": sa.func.now() + timedelta(hours=1)}
    with world.container.database.transaction() as session:
        row = Outbox(dedupe_key=key, **{**given, **asked, **more})
        session.add(row)
        session.flush()
        return row.id


def changed(world: World, act_id: int, **values: Any) -> None:
    with world.container.database.transaction() as session:
        session.execute(sa.update(Outbox).where(Outbox.id == act_id).values(**values))


def numbers(world: World) -> dict[str, float]:
    lines = metrics.render(world.container, Counter()).splitlines()
    found = (line.removeprefix("waybill_outbox_").split() for line in lines if line.startswith("waybill_outbox_"))
    return {name: float(value) for name, value in found}


def test_acts_that_fail_for_long_are_told_and_end(world: World) -> None:
    world.shopify_shop()
    first = act(world, "a", created_at=ago(world, hours=3))
    act(world, "b", kind="reject_request")
    act(world, "young", created_at=ago(world, minutes=50))
    act(world, "seldom", attempts=3)
    [text] = told(world)
    assert "in shop bottles" in text
    assert "1 fulfil, 1 reject_request" in text
    assert f"The oldest, {first}, was asked for" in text
    assert "later: try_later" in text
    assert numbers(world) == {"due": 4, "failing": 3, "stuck": 0}
    changed(world, first, state="DONE")
    [text] = told(world)
    assert "1 reject_request." in text, "it says how it is now"
    with world.container.database.transaction() as session:
        session.execute(sa.update(Outbox).values(state="DONE"))
    assert told(world) == []


@pytest.mark.parametrize(
    ("result", "due", "alerts"),
    [
        ("waits for the merchant: fulfilment_on_hold", timedelta(hours=1), 0),
        ("waits for the merchant: shop_permission", timedelta(hours=1), 1),
        ("waits for the merchant: fulfilment_on_hold", timedelta(hours=-2), 1),
        ("", timedelta(hours=-2), 1),
    ],
    ids=["told to the merchant", "told to nobody", "breaks off since then", "breaks off always"],
)
def test_what_waits_for_its_merchant_is_told_elsewhere(world: World, result: str, due: timedelta, alerts: int) -> None:
    world.shopify_shop()
    made = act(world, "a", result=result, run_at=sa.func.now() + due / world.container.settings.time_scale)
    assert len(told(world)) == alerts
    with world.container.database.transaction() as session:
        session.execute(sa.update(Shop).values(state="UNINSTALLED"))
    assert told(world) == []
    assert made


def test_mails_are_told_once_for_all_shops(world: World) -> None:
    world.shopify_shop()
    world.woocommerce_shop()
    for shop_id in (1, 2, None):
        act(world, f"mail{shop_id}", kind="mail", shop_id=shop_id)
    act(world, "b", shop_id=2)
    mails, other = told(world)
    assert "by mail cannot be done: 3 mail." in mails
    assert "1 fulfil" in other


def stuck(world: World, monkeypatch: pytest.MonkeyPatch, error: Exception | None) -> int:
    """An act that was worked once, and raised this."""

    def raising(*_: Any) -> str:
        if error is not None:
            raise error
        return "done at last"

    monkeypatch.setitem(acts.ACTS, "fulfil", raising)
    with world.container.database.transaction() as session:
        found = session.scalar(sa.select(Outbox.id).where(Outbox.dedupe_key == "a"))
    made = found or act(world, "a", attempts=0, run_at=sa.func.now())
    world.settle()
    return made


def state(world: World, act_id: int) -> str:
    with world.container.database.transaction() as session:
        return session.get_one(Outbox, act_id).state


def test_what_a_shop_refused_is_told_until_it_is_done(world: World, monkeypatch: pytest.MonkeyPatch) -> None:
    world.shopify_shop()
    made = stuck(world, monkeypatch, Refused("no_such_order"))
    assert state(world, made) == "STUCK"
    [text] = told(world)
    assert "1 fulfil" in text
    assert "refused: no_such_order" in text
    assert numbers(world) == {"due": 0, "failing": 0, "stuck": 1}
    assert "due again" in outbox.retry(world.container, made, actor="ann")
    assert (state(world, made), told(world)) == ("DUE", [])
    stuck(world, monkeypatch, Refused("no_such_order"))
    assert len(told(world)) == 1
    outbox.retry(world.container, made, actor="ann")
    stuck(world, monkeypatch, None)
    assert (state(world, made), told(world), world.tasks()) == ("DONE", [], [])
    with pytest.raises(Conflict, match="done at last"):
        outbox.retry(world.container, made, actor="ann")
    with world.container.database.transaction() as session:
        retried = session.execute(sa.select(Audit.actor, Audit.from_state).where(Audit.action == "retry")).all()
    assert [tuple(row) for row in retried] == [("ann", "STUCK")] * 2


def test_a_person_who_did_it_by_hand_ends_it(world: World, monkeypatch: pytest.MonkeyPatch) -> None:
    world.shopify_shop()
    stuck(world, monkeypatch, Refused("no_such_order"))
    assert len(told(world)) == 1
    [open_task] = todo.tasks(world.container)
    todo.finish(world.container, open_task["id"], actor="ann")
    assert told(world) == []
    assert numbers(world)["stuck"] == 0


def test_one_that_waits_is_tried_at_once(world: World, monkeypatch: pytest.MonkeyPatch) -> None:
    world.shopify_shop()
    made = stuck(world, monkeypatch, TryLater("try_later", retry_after=36_000))
    assert "at once" in outbox.retry(world.container, made, actor="ann")
    with world.container.database.transaction() as session:
        row = session.get_one(Outbox, made)
        assert (row.attempts, row.run_at <= world.container.clock.now()) == (0, True)
    stuck(world, monkeypatch, None)
    assert state(world, made) == "DONE"


def test_a_worker_that_is_at_it_keeps_it(world: World) -> None:
    world.shopify_shop()
    until = world.container.clock.now() + timedelta(minutes=1)
    made = act(world, "a", lease_until=until)
    outbox.retry(world.container, made, actor="ann")
    with world.container.database.transaction() as session:
        assert session.get_one(Outbox, made).lease_until == until


def test_the_list_is_asked_for_by_state_and_shop(world: World) -> None:
    world.shopify_shop()
    world.woocommerce_shop()
    act(world, "a")
    act(world, "b", shop_id=2, state="DONE")
    assert [row["shop_id"] for row in outbox.listed(world.container)] == [2, 1]
    assert [row["shop_id"] for row in outbox.listed(world.container, state="due")] == [1]
    assert [row["state"] for row in outbox.listed(world.container, shop_id=2)] == ["DONE"]
    with pytest.raises(WaybillError, match="STUCK"):
        outbox.listed(world.container, state="ODD")
    with pytest.raises(NotFound, match="flask outbox list"):
        outbox.retry(world.container, 99, actor="ann")


@pytest.fixture
def shown(world: World) -> int:
    """A parcel that its shop shows; gives its id."""
    made, variant = shop(world)
    order(world, variant)
    world.settle(until=lambda: world.states() == ["PLACED_UNPAID"], seconds=20)
    created = world.created()[0]["order_id"]
    world.aliexpress.control("pay", {"order_ids": [created]})
    world.settle(until=lambda: world.states() == ["PLACED_PAID"], seconds=20)
    world.aliexpress.control("ship", {"order_id": created})
    world.settle(
        until=lambda: bool(world.shown_numbers()) and world.shown_numbers() == world.parcel_numbers(), seconds=20
    )
    assert made
    return 1


def test_a_parcel_that_nobody_sees_is_told_and_ends(world: World, shown: int) -> None:
    assert told(world, "parcel_unshown") == []

    def hide(number: str = "", **asked: Any) -> None:
        with world.container.database.transaction() as session:
            session.execute(sa.update(ShippedParcel).values(shown_number=number, seen_at=ago(world, hours=9)))
            if asked:
                session.execute(sa.update(Outbox).where(Outbox.kind == "fulfil").values(**asked))

    hide(created_at=ago(world, minutes=50))
    assert told(world, "parcel_unshown") == [], "asked for not long ago"
    hide(created_at=ago(world, minutes=70))
    [text] = told(world, "parcel_unshown")
    assert "Parcels of shop bottles are not shown there since" in text
    assert "order(s) #1001." in text
    with world.container.database.transaction() as session:
        session.execute(sa.update(Shop).values(state="UNINSTALLED"))
    assert told(world, "parcel_unshown") == [], "a shop that left"
    with world.container.database.transaction() as session:
        session.execute(sa.update(Shop).values(state="ACTIVE"))
    assert len(told(world, "parcel_unshown")) == 1
    hide(world.parcel_numbers()[0])
    assert told(world, "parcel_unshown") == []


def test_parcels_that_are_not_shown_are_read_from_an_index_of_their_own(database_url: str) -> None:
    """They are looked for each minute, among those of years."""
    database = Database(database_url)
    with database.transaction() as session:
        session.execute(sa.text("SET LOCAL enable_seqscan = off"))
        query = outbox._not_shown(sa.literal("")).where(ShippedParcel.shown_number != ShippedParcel.tracking_number)
        text = str(query.compile(database.engine, compile_kwargs={"literal_binds": True}))
        plan = session.scalars(sa.text(f"EXPLAIN {text}")).all()
    database.dispose()
    assert "Index Scan using ix_shipped_parcel_unshown" in "\n".join(plan)


def test_a_parcel_whose_act_was_lost_is_told_and_one_that_waits_or_holds_nothing_is_not(
    world: World, shown: int
) -> None:
    with world.container.database.transaction() as session:
        session.execute(sa.update(ShippedParcel).values(shown_number="", seen_at=ago(world, minutes=70)))
    later = sa.func.now() + timedelta(hours=1)
    for values, alerts in (
        ({"created_at": ago(world, minutes=70)}, 1),
        ({"state": "DUE", "run_at": later, "result": "waits for the merchant: fulfilment_on_hold"}, 0),
        ({"state": "DUE", "run_at": later, "result": "waits for the merchant: shop_permission"}, 1),
        ({"state": "STUCK"}, 0),
        ({"dedupe_key": "another"}, 1),
    ):
        with world.container.database.transaction() as session:
            session.execute(sa.update(Outbox).where(Outbox.kind == "fulfil").values(**values))
        assert len(told(world, "parcel_unshown")) == alerts, values
    with world.container.database.transaction() as session:
        session.execute(sa.text("DELETE FROM parcel_item"))
    assert told(world, "parcel_unshown") == []


def test_a_provisional_number_that_was_replaced_is_as_old_as_its_act(world: World, shown: int) -> None:
    with world.container.database.transaction() as session:
        session.execute(sa.update(ShippedParcel).values(tracking_number="UA1", seen_at=ago(world, hours=9)))
        session.add(
            Outbox(dedupe_key=f"fulfil:{shown}:UA1", kind="fulfil", shop_id=1, payload={}, run_at=sa.func.now())
        )
    assert told(world, "parcel_unshown") == []


def test_a_lasting_wait_is_no_new_alert(world: World) -> None:
    """Told once while it lasts, whatever else comes in that shop."""
    world.shopify_shop()
    act(world, "a")
    told(world)
    with world.container.database.transaction() as session:
        before = session.execute(sa.select(Alert.id, Alert.raised_at, Alert.mailed_at)).all()
        alert(session, "other", "other", "Of something else.")
        task(session, "outbox:4711", "shop_waits", turn="merchant", text="No act is stuck for that.", shop_id=1)
    act(world, "b")
    assert len(told(world)) == 1
    with world.container.database.transaction() as session:
        same = sa.select(Alert.id, Alert.raised_at, Alert.mailed_at).where(Alert.kind == "outbox_late")
        assert session.execute(same).all() == before
        assert session.scalar(sa.select(Alert.ended_at).where(Alert.dedupe_key == "other")) is None
        assert session.scalar(sa.select(sa.func.count()).select_from(Task)) == 1


def test_an_act_that_waits_for_a_permission_is_kept_as_the_watch_reads_it(
    world: World, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Two files know how it is written."""
    world.shopify_shop()
    made = stuck(world, monkeypatch, MerchantMustAct("shop_permission", "ACCESS_DENIED"))
    changed(world, made, attempts=5, created_at=ago(world, minutes=70))
    [text] = told(world)
    assert "waits for the merchant: shop_permission" in text
    assert numbers(world)["failing"] == 1
