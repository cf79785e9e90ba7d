"""Supplier orders that stand still: what lasts too long is told, and what a reader must not stop or put off."""

from __future__ import annotations

from datetime import timedelta
from typing import Any

import pytest
import sqlalchemy as sa

from app.jobs import sweep
from app.models import Alert, Credential, ShippedParcel, ShopAccount, SupplierOrder, Task
from app.pipeline import track
from app.pipeline.due import Claim
from app.ports.errors import MerchantMustAct
from app.ports.supplier import OrderPayment, OrderShipping
from tests.pipeline.stage import ONE, TWO, Stage
from tests.pipeline.test_parcels_read import BAG, bought, parcel, read

DELIVERED = {"shipping": OrderShipping.DELIVERED}
CHECKING = {"payment": OrderPayment.CHECKING, "shipping": OrderShipping.NONE}


def later(stage: Stage, order: SupplierOrder, **ago: float) -> SupplierOrder:
    """As if what is known of the order had been known for so long."""
    order = stage.again(order)
    past = timedelta(**ago)
    order.standing_since = order.standing_since and order.standing_since - past
    order.read_at = order.read_at and order.read_at - past
    stage.session.flush()
    return order


def asked(stage: Stage, kind: str) -> list[str]:
    """What merchants are asked, of this kind."""
    return list(stage.session.scalars(sa.select(Task.text).where(~Task.over, Task.kind == kind).order_by(Task.id)))


def test_what_arrived_in_parcels_is_read_no_more(stage: Stage) -> None:
    order = bought(stage)
    read(stage, order, parcel("CN1", ONE, delivered=True), **DELIVERED)
    assert stage.again(order).track_run_at is None
    assert asked(stage, "arrived_unseen") == []


def test_what_is_said_to_have_arrived_in_no_parcel_is_told_and_read_on_for_a_while(stage: Stage) -> None:
    order = bought(stage)
    read(stage, order, parcel("CN1", BAG, delivered=True), **DELIVERED)
    order = stage.again(order)
    assert 6 * 3500 < stage.soon(order.track_run_at) < 6 * 3700
    (text,) = asked(stage, "arrived_unseen")
    assert order.external_id in text
    assert " 1 of " in text
    read(stage, later(stage, order, days=31), parcel("CN1", BAG, delivered=True), **DELIVERED)
    assert stage.again(order).track_run_at is None
    assert len(asked(stage, "arrived_unseen")) == 1


def test_the_parcel_that_was_missing_ends_the_task(stage: Stage) -> None:
    order = bought(stage)
    read(stage, order, parcel("CN1", BAG, delivered=True), **DELIVERED)
    both = (parcel("CN1", BAG, delivered=True), parcel("CN2", BAG, delivered=True))
    read(stage, stage.again(order), *both, **DELIVERED)
    assert asked(stage, "arrived_unseen") == []
    assert stage.again(order).track_run_at is None


def test_a_parcel_that_is_never_said_to_have_arrived_is_not_read_for_ever(stage: Stage) -> None:
    order = bought(stage)
    read(stage, order, parcel("CN1", ONE), **DELIVERED)
    assert stage.again(order).track_run_at is not None
    read(stage, later(stage, order, days=31), parcel("CN1", ONE), **DELIVERED)
    assert stage.again(order).track_run_at is None
    assert asked(stage, "arrived_unseen") == []


def test_pieces_that_were_closed_are_not_waited_for(stage: Stage) -> None:
    order = bought(stage, TWO)
    stage.stored(order)[1].closed = True
    read(stage, order, parcel("CN1", ONE, delivered=True), items=ONE, **DELIVERED)
    assert stage.again(order).track_run_at is None


def test_shipped_for_days_without_a_number_is_told_until_one_comes(stage: Stage) -> None:
    order = bought(stage)
    read(stage, order)
    read(stage, later(stage, order, days=2))
    assert asked(stage, "no_tracking") == []
    read(stage, later(stage, order, days=2))
    (text,) = asked(stage, "no_tracking")
    assert order.external_id in text
    read(stage, stage.again(order), parcel("CN1"))
    assert asked(stage, "no_tracking") == []


def test_what_is_checked_for_a_day_is_told_until_it_changes(stage: Stage) -> None:
    order = bought(stage)
    order.payment = "checking"
    read(stage, order, status="RISK_CONTROL", **CHECKING)
    assert asked(stage, "payment_checked") == []
    read(stage, later(stage, order, days=2), status="RISK_CONTROL", **CHECKING)
    read(stage, stage.again(order), status="RISK_CONTROL", **CHECKING)
    (text,) = asked(stage, "payment_checked")
    assert "RISK_CONTROL" in text
    read(stage, stage.again(order), status="RISK_CONTROL_HOLD", **CHECKING)
    (text,) = asked(stage, "payment_checked")
    assert "RISK_CONTROL_HOLD" in text
    read(stage, stage.again(order), status="WAIT_SELLER_SEND_GOODS", shipping=OrderShipping.NONE)
    assert asked(stage, "payment_checked") == []


def test_a_duplicate_is_told_as_such_and_not_again(stage: Stage) -> None:
    order = bought(stage)
    order.payment, order.role = "checking", "duplicate"
    read(stage, order, **CHECKING)
    read(stage, later(stage, order, days=2), **CHECKING)
    assert asked(stage, "payment_checked") == []


def unpaid(stage: Stage) -> SupplierOrder:
    """An order that waits to be paid."""
    purchase = stage.purchase("PLACED_UNPAID", outcome="PLACED")
    return stage.supplier_order("81", purchase, ONE)


@pytest.mark.parametrize(("days", "reminders"), [(4, 0), (6, 1), (19, 4)])
def test_where_no_end_is_told_the_merchant_is_reminded_as_if_there_were_twenty_days(
    stage: Stage, days: int, reminders: int
) -> None:
    order = unpaid(stage)
    made = {"created_at": stage.now - timedelta(days=days), "payment": OrderPayment.UNPAID}
    read(stage, order, shipping=OrderShipping.NONE, **made)
    assert stage.again(order).reminders == reminders
    assert len(asked(stage, "pay_reminder")) == (1 if reminders else 0)
    assert stage.again(order).pay_until is None


def open_alerts(stage: Stage) -> list[str]:
    """Kinds of alerts that last."""
    return list(stage.session.scalars(sa.select(Alert.kind).where(Alert.ended_at.is_(None))))


@pytest.mark.parametrize("how", ["refused", "not there"])
def test_an_order_that_cannot_be_read_any_more_is_told_after_a_day(stage: Stage, how: str) -> None:
    order = bought(stage)

    def fail(order: SupplierOrder) -> None:
        if how == "refused":
            with stage.outside():
                track._again(stage.container, order, timedelta(minutes=15))
        else:
            track._store(stage.container, stage.session, order, None, ())

    fail(later(stage, order, hours=20))
    assert open_alerts(stage) == []
    fail(later(stage, order, hours=8))
    assert open_alerts(stage) == ["order_unread"]
    read(stage, stage.again(order), parcel("CN1", ONE))
    assert open_alerts(stage) == []


def test_a_dead_account_is_told_once_and_not_for_each_of_its_orders(stage: Stage) -> None:
    one, two = bought(stage), bought(stage)

    def fail(order: SupplierOrder) -> None:
        with stage.outside():
            track._again(stage.container, order, timedelta(minutes=15))

    later(stage, two, hours=19)  # each is read in its turn
    fail(later(stage, one, hours=25))
    fail(later(stage, two, hours=6))
    keys = list(stage.session.scalars(sa.select(Alert.dedupe_key).where(Alert.ended_at.is_(None))))
    assert keys == [f"unread-account:{one.account_id}"]
    for _ in range(3):
        for order in (one, two):
            fail(stage.again(order))
    assert len(open_alerts(stage)) == 1
    read(stage, stage.again(two), parcel("CN1", ONE))
    assert open_alerts(stage) == []
    fail(stage.again(one))
    keys = list(stage.session.scalars(sa.select(Alert.dedupe_key).where(Alert.ended_at.is_(None))))
    assert keys == [f"unread:{one.id}"]


def test_a_push_during_the_read_is_not_put_off(stage: Stage, monkeypatch: pytest.MonkeyPatch) -> None:
    """Three ways in which a read ends; meanwhile somebody asks for another one."""
    order = bought(stage)
    seen = stage.read(order.external_id, payment=OrderPayment.PAID, shipping=OrderShipping.NONE)
    number = order.id

    def answer(*_: Any) -> Any:
        with stage.container.database.transaction() as session:
            session.get_one(SupplierOrder, number).track_run_at = sa.func.clock_timestamp()
        if how == "refused":
            raise MerchantMustAct("token_dead", "")
        return seen if how == "read" else None

    monkeypatch.setattr(track, "with_account", answer)
    for how in ("read", "refused", "not there"):
        with stage.outside():
            track.run(stage.container, Claim(number, stage.now))
        order = stage.again(order)
        assert order.track_lease_until is None
        assert order.track_run_at is not None
        assert order.track_run_at <= stage.session.scalar(sa.select(sa.func.clock_timestamp())), how  # type: ignore[operator]


def token_tasks(stage: Stage) -> list[str]:
    """Keys of what is asked because of dead accounts."""
    return [key for key in stage.tasks() if key.startswith("token-dead:")]


@pytest.mark.parametrize(("followed", "told"), [(True, 1), (False, 0)])
def test_an_account_that_is_no_longer_used_is_asked_for_while_its_orders_are_followed(
    stage: Stage, *, followed: bool, told: int
) -> None:
    order = bought(stage)
    bought(stage)
    former = stage.new_account("DEAD")
    order.account_id = former.id
    order.track_run_at = stage.now if followed else None
    stage.add(ShopAccount(shop_id=stage.shop.id, account_id=former.id, is_default=False))
    stage.session.flush()
    sweep._watch_tokens(stage.session)
    assert len(token_tasks(stage)) == told
    if followed:
        its = sa.select(Credential.id, Credential.version).where(Credential.account_id == former.id)
        credential, version = stage.session.execute(its).one()
        assert token_tasks(stage) == [f"token-dead:{credential}:{version}:{stage.shop.id}"]
        order.track_run_at = None
        stage.session.flush()
        sweep._watch_tokens(stage.session)
        assert token_tasks(stage) == []


def test_a_dead_account_in_use_is_asked_for_once(stage: Stage) -> None:
    bought(stage)
    stage.session.execute(sa.update(Credential).values(state="DEAD"))
    for _ in range(2):
        sweep._watch_tokens(stage.session)
    assert len(token_tasks(stage)) == 1


def test_an_order_of_nobody_is_no_reason_to_connect_an_account(stage: Stage) -> None:
    former = stage.new_account("DEAD")
    stage.supplier_order("81", account_id=former.id)
    sweep._watch_tokens(stage.session)
    assert token_tasks(stage) == []


def test_what_is_shown_by_hand_counts_as_a_parcel(stage: Stage) -> None:
    order = bought(stage)
    stage.add(ShippedParcel(supplier_order_id=order.id, tracking_number="HAND", items=[]))
    read(stage, later(stage, order, days=9))
    read(stage, later(stage, order, days=9))
    assert asked(stage, "no_tracking") == []
