"""What is ordered again: once, as the order is by then, and held where something has to be mended first."""

from __future__ import annotations

from typing import Any

import pytest
import sqlalchemy as sa

from app.errors import Conflict
from app.models import Purchase
from app.pipeline import generation, reconcile
from app.pipeline.record import task
from tests.pipeline.stage import Stage


@pytest.mark.parametrize("state", ["EXPIRED", "SUPPLIER_CANCELLED", "REFUNDED"])
def test_what_ended_is_ordered_again_once(stage: Stage, state: str) -> None:
    mine, other = stage.purchase(state, outcome="PLACED"), stage.purchase(state, outcome="PLACED")
    for one in (mine, other):
        for key in ("closed", "expired"):
            task(stage.session, f"{key}:{one.id}", "x", turn="merchant", text="?")
    with stage.outside():
        made = reconcile.buy_again(stage.container, mine.id, by="Ada")
        with pytest.raises(Conflict) as refused:
            reconcile.buy_again(stage.container, mine.id, by="Ada")
    assert refused.value.code == "not_finished"
    assert (made.previous_id, made.generation, made.order_id) == (mine.id, 2, mine.order_id)
    assert stage.tasks() == [f"closed:{other.id}", f"expired:{other.id}"]


@pytest.mark.parametrize("state", ["UNKNOWN", "READY", "CANCELLED", "VOID", "REJECTED"])
def test_nothing_else_is_ordered_again(stage: Stage, state: str) -> None:
    mine = stage.purchase(state)
    with stage.outside(), pytest.raises(Conflict) as refused:
        reconcile.buy_again(stage.container, mine.id, by="Ada")
    assert refused.value.code == "not_finished"


def test_what_the_shop_no_longer_wants_is_not(stage: Stage) -> None:
    mine = stage.purchase("EXPIRED", cancel_requested_at=stage.now)
    with stage.outside(), pytest.raises(Conflict) as refused:
        reconcile.buy_again(stage.container, mine.id, by="Ada")
    assert refused.value.code == "nothing_left"


def heir(stage: Stage, mine: Purchase, **more: Any) -> Purchase | None:
    return generation.next_generation(stage.container, stage.session, mine, **more)


def test_a_generation_is_derived_from_the_order_as_it_is_now(stage: Stage) -> None:
    mine = stage.purchase("VOID", (("P1", "S1", 3), ("P2", "S2", 1), ("P3", "S3", 2)), part=2)
    first, second, third = stage.items(mine)
    stage.session.execute(sa.text("UPDATE source_line SET to_ship = 2 WHERE id = :id"), {"id": first.source_line_id})
    stage.session.execute(sa.text("UPDATE source_line SET to_ship = 0 WHERE id = :id"), {"id": second.source_line_id})
    third.position = 2
    stage.session.flush()
    stage.session.expire_all()
    made = heir(stage, mine)
    assert made is not None
    assert (made.previous_id, made.generation, made.part, made.state, made.reason) == (
        mine.id,
        2,
        2,
        "HELD",
        "address_missing",
    )
    assert (made.merchant_id, made.shop_id, made.order_id) == (mine.merchant_id, mine.shop_id, mine.order_id)
    assert (made.account_id, made.supplier, made.tries, made.checks, made.fence) == (
        stage.account.id,
        "aliexpress",
        0,
        0,
        0,
    )
    items = [
        (item.source_line_id, item.quantity, item.part, item.generation, item.position) for item in stage.items(made)
    ]
    assert items == [(first.source_line_id, 2, 2, 2, 1)]
    assert made.out_order_id != mine.out_order_id
    assert len(made.out_order_id) == 18


def test_one_for_repair_is_held_with_its_reason_since_now(stage: Stage) -> None:
    mine = stage.purchase("REJECTED")
    made = heir(stage, mine, reason="address_refused", facts={"field": "city"})
    assert made is not None
    stage.session.refresh(made)
    assert (made.state, made.reason, made.held_for, made.facts) == (
        "HELD",
        "address_refused",
        "address_refused",
        {"field": "city"},
    )
    assert -60 < stage.soon(made.held_since) <= 0


@pytest.mark.parametrize("how", ["cancelled", "gone", "asked", "shipped", "lines away"])
def test_there_is_none_where_nothing_is_left_to_buy(stage: Stage, how: str) -> None:
    mine = stage.purchase("VOID", cancel_requested_at=stage.now if how == "asked" else None)
    if how in {"cancelled", "gone"}:
        stage.session.execute(sa.text(f"UPDATE store_order SET {how} = true"))
    if how == "shipped":
        stage.session.execute(sa.text("UPDATE source_line SET to_ship = 0"))
    if how == "lines away":
        (item,), (theirs,) = stage.items(mine), stage.items(stage.purchase("READY"))
        item.source_line_id, item.generation = theirs.source_line_id, 9
        stage.session.flush()
    stage.session.expire_all()
    assert heir(stage, mine) is None
    assert stage.session.scalar(sa.select(Purchase.id).where(Purchase.previous_id == mine.id)) is None


def test_a_request_is_turned_down_where_one_was_made_and_every_time_anew(stage: Stage) -> None:
    mine, other = stage.purchase("HELD"), stage.purchase("HELD")
    count = sa.text("SELECT dedupe_key, state, payload FROM outbox")
    for at_ours, request in ((False, "submitted"), (True, "none"), (True, "accepted")):
        stage.session.execute(
            sa.text("UPDATE source_line SET at_our_location = :a, request = :r WHERE id = :id"),
            {"a": at_ours, "r": request, "id": stage.items(mine)[0].source_line_id},
        )
        generation.reject_request(stage.session, mine, "out_of_stock")
        assert stage.session.execute(count).all() == []
    stage.session.execute(
        sa.text("UPDATE source_line SET request = 'submitted' WHERE id = :id"),
        {"id": stage.items(mine)[0].source_line_id},
    )
    generation.reject_request(stage.session, other, "out_of_stock")
    assert stage.session.execute(count).all() == []
    for reason in ("out_of_stock", "undeliverable"):
        generation.reject_request(stage.session, mine, reason)
        row = stage.session.execute(count).one()
        assert (row.dedupe_key, row.state) == (f"request:{mine.id}:reject", "DUE")
        assert row.payload == {"purchase_id": mine.id, "reason": reason}
        stage.session.execute(sa.text("UPDATE outbox SET state = 'DONE'"))
