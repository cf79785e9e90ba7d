"""What was closed, and ordering just that again: a new part, the old purchase keeps what it has."""

from __future__ import annotations

import pytest
import sqlalchemy as sa

from app.errors import Conflict
from app.models import Purchase, Task
from app.pipeline import closing
from app.pipeline.record import task
from tests.pipeline.stage import ONE, TWO, Stage


def test_lost_are_the_closed_pieces_of_its_bought_orders_and_no_others(stage: Stage) -> None:
    mine, other = stage.purchase("PLACED_PAID", TWO, outcome="PLACED"), stage.purchase("PLACED_PAID", TWO)
    first, second = stage.items(mine)
    stage.supplier_order("70", other, TWO, closed=True)
    stage.supplier_order("71", mine, TWO, closed=True, role="duplicate")
    living = stage.supplier_order("72", mine, TWO)
    assert closing.lost(stage.session, mine) == {}
    gone = stage.supplier_order("73", mine, (*ONE, ("P9", "S9", 7)), closed=True)
    assert closing.lost(stage.session, mine) == {first.id: 2}
    stage.stored(living)[1].closed = True
    stage.session.flush()
    assert closing.lost(stage.session, mine) == {first.id: 2, second.id: 1}
    stage.stored(gone)[0].given_up = True
    stage.session.flush()
    assert closing.lost(stage.session, mine) == {second.id: 1}


def test_the_merchant_is_asked_about_lost_pieces_and_about_nothing_else(stage: Stage) -> None:
    mine = stage.purchase("PLACED_PAID", TWO, outcome="PLACED")
    order = stage.supplier_order("72", mine, TWO)
    closing.note(stage.session, mine)
    assert stage.tasks() == []
    stage.stored(order)[0].closed = True
    stage.session.flush()
    closing.note(stage.session, mine)
    asked = stage.session.scalars(sa.select(Task)).one()
    assert (asked.dedupe_key, asked.kind, asked.turn) == (f"partly-closed:{mine.id}:2", "partly_closed", "merchant")
    assert (asked.order_id, asked.purchase_id, asked.shop_id) == (mine.order_id, mine.id, mine.shop_id)


def test_closed_as_a_whole_takes_the_place_of_closed_in_part(stage: Stage) -> None:
    mine = stage.purchase("SUPPLIER_CANCELLED", outcome="PLACED")
    task(stage.session, f"partly-closed:{mine.id}:1", "partly_closed", turn="merchant", text="?")
    closing.whole(stage.session, mine)
    assert stage.tasks() == [f"closed:{mine.id}"]


def test_a_bundle_is_a_line_that_is_bought_as_several_items(stage: Stage) -> None:
    mine, other = stage.purchase("PLACED_PAID", TWO), stage.purchase("PLACED_PAID", TWO)
    stage.items(other)[1].position = 2
    stage.session.flush()
    assert closing.bundled(stage.session, other)
    assert not closing.bundled(stage.session, mine)


@pytest.mark.parametrize(
    ("state", "closed", "bundle", "code"),
    [
        ("PLACED_PAID", False, False, "nothing_lost"),
        ("UNKNOWN", True, False, "nothing_lost"),
        ("EXPIRED", True, False, "nothing_lost"),
        ("PLACED_PAID", True, True, "bundle"),
        ("PLACED_PAID", True, False, ""),
    ],
)
def test_only_lost_pieces_of_a_placed_purchase_are_ordered_again(
    stage: Stage, state: str, closed: bool, bundle: bool, code: str
) -> None:
    mine = stage.purchase(state, TWO, outcome="PLACED")
    order = stage.supplier_order("72", mine, TWO)
    stage.stored(order)[0].closed = closed
    stage.items(mine)[1].position = 2 if bundle else 1
    stage.session.flush()
    if not code:
        closing._refuse(stage.session, mine)
        return
    with pytest.raises(Conflict) as refused:
        closing._refuse(stage.session, mine)
    assert refused.value.code == code


def test_the_orders_concerned_are_those_with_a_closed_child_that_nobody_gave_up(stage: Stage) -> None:
    mine, other = stage.purchase("PLACED_PAID", TWO), stage.purchase("PLACED_PAID", TWO)
    stage.supplier_order("70", other, ONE, closed=True)
    stage.supplier_order("71", mine, ONE, closed=True, role="duplicate")
    stage.supplier_order("72", mine, TWO, closed=True)
    part = stage.supplier_order("73", mine, TWO)
    stage.stored(part)[1].closed = True
    done = stage.supplier_order("74", mine, ONE, closed=True)
    stage.stored(done)[0].given_up = True
    stage.session.flush()
    assert closing._concerned(stage.session, mine) == {"72": {("P1", "S1"), ("P2", "S2")}, "73": {("P2", "S2")}}


def split(stage: Stage, mine: Purchase) -> Purchase:
    return closing._split_off(stage.container, stage.session, mine, "Ada")


def test_the_rest_becomes_a_part_of_its_own_and_the_old_one_keeps_what_it_has(stage: Stage) -> None:
    mine = stage.purchase("PLACED_PAID", (("P1", "S1", 4), ("P2", "S2", 1)), outcome="PLACED")
    other = stage.purchase("PLACED_PAID", TWO, outcome="PLACED")
    living = stage.supplier_order("72", mine, (("P1", "S1", 1), ("P2", "S2", 1)))
    closed = stage.supplier_order("73", mine, (("P1", "S1", 3),), closed=True)
    theirs = stage.supplier_order("74", other, ONE, closed=True)
    task(stage.session, f"partly-closed:{mine.id}:3", "partly_closed", turn="merchant", text="?")
    version = mine.version
    made = split(stage, mine)
    assert [item.quantity for item in stage.items(mine)] == [1, 1]
    assert [item.quantity for item in stage.items(made)] == [3]
    assert (made.order_id, made.part, made.generation) == (mine.order_id, 2, 1)
    assert mine.version == version + 1
    assert [item.given_up for item in (*stage.stored(living), *stage.stored(closed))] == [False, False, True]
    assert [item.given_up for item in stage.stored(theirs)] == [False]
    assert [item.quantity for item in stage.items(other)] == [2, 1]
    assert stage.tasks() == []


def test_a_storefront_piece_of_which_a_part_was_closed_is_bought_again_as_a_whole(stage: Stage) -> None:
    mine = stage.purchase("PLACED_PAID", (("P1", "S1", 2),), outcome="PLACED")
    item = stage.items(mine)[0]
    item.units = 3
    stage.supplier_order("73", mine, (("P1", "S1", 2),), closed=True)
    made = split(stage, mine)
    assert [one.quantity for one in stage.items(mine)] == [1]
    assert [one.quantity for one in stage.items(made)] == [1]


def test_what_the_shop_no_longer_wants_is_not_ordered_again(stage: Stage) -> None:
    mine = stage.purchase("PLACED_PAID", outcome="PLACED")
    stage.supplier_order("73", mine, ONE, closed=True)
    stage.session.execute(sa.text("UPDATE source_line SET to_ship = 0, refunded = quantity"))
    with pytest.raises(Conflict) as refused:
        split(stage, mine)
    assert refused.value.code == "nothing_left"
