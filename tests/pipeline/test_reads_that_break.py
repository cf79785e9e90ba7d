"""Reads of supplier orders that break in ways nobody foresaw, and what ends by a read that works."""

from __future__ import annotations

from datetime import timedelta
from typing import Any

import psycopg
import pytest
import sqlalchemy as sa

from app.models import SupplierOrder
from app.pipeline import track
from app.pipeline.due import Claim
from app.pipeline.record import alert, task
from app.ports.supplier import OrderPayment
from tests.pipeline.stage import ONE, Stage
from tests.pipeline.test_parcels_read import bought, read

BREAKS = f"step_failed:{track.KIND}:"


def ordered(stage: Stage, **more: Any) -> SupplierOrder:
    """A paid order as it stands in the database."""
    order = bought(stage)
    for name, value in more.items():
        setattr(order, name, value)
    stage.session.flush()
    return order


def broken(stage: Stage, orders: int) -> list[SupplierOrder]:
    """Orders whose reads broke once, none of them told yet."""
    return [ordered(stage, track_error="ValueError", track_run_at=stage.now) for _ in range(orders)]


def run(stage: Stage, order: SupplierOrder) -> None:
    """A read that is due."""
    number = order.id
    with stage.outside():
        track.run(stage.container, Claim(number, stage.now))


def test_of_many_that_break_no_more_than_ten_are_told_one_by_one(stage: Stage, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(track, "with_account", lambda *_: {}["nobody foresaw this"])
    orders = broken(stage, track.MOST_TOLD + 1)
    for order in orders:
        with pytest.raises(KeyError):
            run(stage, stage.again(order))
    *singly, last = (f"{BREAKS}{order.external_id}" for order in map(stage.again, orders))
    assert stage.alerts() == [*singly, f"{BREAKS}many"]
    track.reads_again(stage.session, stage.again(orders[0]))
    with pytest.raises(KeyError):
        run(stage, stage.again(orders[-1]))
    assert stage.alerts() == [*singly[1:], last], "few enough to be told one by one"


def test_while_more_than_ten_others_break_staff_hear_that_many_do(stage: Stage) -> None:
    orders = broken(stage, track.MOST_TOLD + 2)
    alert(stage.session, f"{BREAKS}many", "step_failed", "?")
    track.reads_again(stage.session, orders[0])
    stage.session.flush()
    assert stage.alerts() == [f"{BREAKS}many"]
    track.reads_again(stage.session, orders[1])
    stage.session.flush()
    assert stage.alerts() == []


def test_a_database_that_is_away_is_no_fault_of_the_order(stage: Stage, monkeypatch: pytest.MonkeyPatch) -> None:
    def away(*_: Any) -> None:
        raise sa.exc.OperationalError("SELECT 1", {}, psycopg.OperationalError("the server closed the connection"))

    order = ordered(stage, track_run_at=stage.now)
    monkeypatch.setattr(track, "with_account", away)
    with pytest.raises(sa.exc.OperationalError):
        run(stage, order)
    order = stage.again(order)
    assert (order.track_error, order.track_run_at) == ("", stage.now)


def test_an_order_that_can_be_read_at_last_is_no_longer_asked_for(stage: Stage) -> None:
    order = ordered(stage, read_at=None, tracks=5)
    alert(stage.session, f"unread:{order.id}", "order_unread", "?")
    task(stage.session, f"unread:{order.id}", "order_unread", turn="merchant", text="?")
    read(stage, order)
    assert (stage.tasks(), stage.alerts()) == ([], [])


def test_a_duplicate_that_the_supplier_closed_need_not_be_closed_by_anybody(stage: Stage) -> None:
    mine = stage.purchase("PLACED_PAID", outcome="PLACED")
    stage.supplier_order("81", mine, ONE, payment="paid")
    order = stage.supplier_order("82", mine, ONE, role="duplicate")
    for one in (order.id, order.id + 1):
        alert(stage.session, f"duplicate:{one}", "duplicate", "?")
        task(stage.session, f"duplicate:{one}", "duplicate", turn="merchant", text="?")
    stage.session.flush()
    read(stage, order, closed=True, payment=OrderPayment.UNPAID)
    assert len(stage.tasks()) == len(stage.alerts()) == 2, "one look alone does not close an order"
    order.read_at = stage.now - timedelta(hours=1)
    read(stage, order, closed=True, payment=OrderPayment.UNPAID)
    others = [f"duplicate:{order.id + 1}"]
    assert (stage.tasks(), stage.alerts()) == (others, others)


def test_of_two_that_one_answer_named_the_second_read_tells_which_is_too_many(stage: Stage) -> None:
    mine = stage.purchase("PLACED_UNPAID", outcome="PLACED")
    stage.supplier_order("81", mine, ONE, payment="paid")
    other = stage.supplier_order("82", mine, ONE, read_at=None)
    read(stage, other, payment=OrderPayment.UNPAID)
    assert (stage.again(other).role, stage.again(mine).state) == ("duplicate", "PLACED_PAID")


@pytest.mark.parametrize("tracks", [1, 3])
def test_what_cannot_be_read_yet_is_asked_for_less_and_less_often(
    stage: Stage, monkeypatch: pytest.MonkeyPatch, tracks: int
) -> None:
    monkeypatch.setattr(track, "with_account", lambda *_: None)
    order = ordered(stage, track_run_at=stage.now, tracks=tracks, read_at=None)
    run(stage, order)
    order = stage.again(order)
    wanted = stage.container.timers.push_retries[order.tracks - 1].total_seconds()
    assert wanted - 5 < stage.soon(order.track_run_at) < wanted + 5
