"""The last look for orders of unknown origin, and duplicates, that hold what is about to be sent."""

from __future__ import annotations

from datetime import timedelta
from typing import Any

import pytest
import sqlalchemy as sa

from app.models import Attempt
from app.pipeline.buy import commit
from tests.pipeline.stage import ONE, Stage
from tests.pipeline.test_last_checks import claimed, passed, plan, whole


def stray(stage: Stage, **more: Any) -> None:
    """An order at the supplier that belongs to nobody and holds P1/S1."""
    usual = {"created_at_supplier": stage.now, "recorded_at": stage.now, "items": ONE}
    stage.supplier_order("99", **{**usual, **more})


@pytest.mark.parametrize(
    ("more", "stops"),
    [
        ({}, True),
        ({"items": (("P1", "", 2),)}, True),
        ({"items": (("to P1", "S1", 2),)}, True),
        ({"items": (("P1", "S9", 2),)}, False),
        ({"items": (("P9", "S1", 2),)}, False),
        ({"closed": True}, False),
        ({"role": "foreign"}, False),
    ],
)
def test_an_order_that_belongs_to_nobody_and_holds_one_of_its_items_stops_it(
    stage: Stage, more: dict[str, Any], stops: bool
) -> None:
    mine = claimed(stage)
    stage.items(mine)[0].order_product_id = "to P1"
    stray(stage, **more)
    found = passed(stage, mine)
    assert found == ("HELD", "late_evidence") if stops else isinstance(found, Attempt)


def test_neither_one_from_before_the_buyer_ordered_nor_one_of_another_account_does(stage: Stage) -> None:
    mine = claimed(stage)
    before = stage.now - timedelta(hours=1, seconds=1)
    stray(stage, created_at_supplier=before)
    stage.supplier_order("98", items=ONE, account_id=stage.new_account().id)
    assert isinstance(passed(stage, mine), Attempt)


@pytest.mark.parametrize(("made", "recorded", "stops"), [(-121, -121, False), (-119, -121, True), (-121, -119, True)])
@pytest.mark.parametrize("account", ["same", "given up"])
def test_after_a_send_that_was_given_up_what_turned_up_since_does(
    stage: Stage, made: int, recorded: int, stops: bool, account: str
) -> None:
    mine = claimed(stage)
    sent = stage.now - timedelta(minutes=30)
    given_up = stage.purchase("VOID", outcome="VOID", sent_at=sent, order_id=mine.order_id, part=2)
    stage.purchase("VOID", outcome="VOID", sent_at=stage.now - timedelta(days=9))
    where = stage.account.id
    if account == "given up":
        where = stage.new_account().id
        stage.session.execute(sa.update(Attempt).where(Attempt.purchase_id == given_up.id).values(account_id=where))
    stray(
        stage,
        account_id=where,
        created_at_supplier=sent + timedelta(seconds=made),
        recorded_at=sent + timedelta(seconds=recorded),
    )
    found = passed(stage, mine)
    assert found == ("HELD", "late_evidence") if stops else isinstance(found, Attempt)


@pytest.mark.parametrize("ours", [True, False])
def test_a_duplicate_of_the_same_order_that_may_still_be_paid_stops_it(stage: Stage, ours: bool) -> None:
    mine, other = claimed(stage), stage.purchase("VOID", outcome="REJECTED")
    if ours:
        other.order_id = mine.order_id
    made = stage.supplier_order("99", other, ONE, role="duplicate")
    found = passed(stage, mine)
    assert found == ("HELD", "late_evidence") if ours else isinstance(found, Attempt)
    assert made.role == "duplicate"


@pytest.mark.parametrize(
    ("more", "ours", "stops"),
    [
        ({}, True, True),
        ({"closed": True}, True, False),
        ({"role": "bought"}, True, False),
        ({}, False, False),
    ],
)
def test_a_duplicate_that_was_never_read_stops_all_of_its_order(
    stage: Stage, more: dict[str, Any], ours: bool, stops: bool
) -> None:
    """Nobody knows yet what it holds."""
    mine, other = claimed(stage), stage.purchase("VOID", outcome="VOID")
    if ours:
        other.order_id = mine.order_id
    stage.supplier_order("99", other, **{"role": "duplicate", "read_at": None, **more})
    found = passed(stage, mine)
    assert found == ("HELD", "late_evidence") if stops else isinstance(found, Attempt)


@pytest.mark.parametrize(
    ("same_line", "mapped", "stops"), [(True, True, True), (False, True, False), (False, False, True)]
)
def test_a_duplicate_stops_its_line_whatever_that_is_linked_to_by_now(
    stage: Stage, same_line: bool, mapped: bool, stops: bool
) -> None:
    mine, before = claimed(stage, (("P9", "S9", 2),), generation=2), stage.purchase("VOID", outcome="VOID")
    before.order_id = mine.order_id
    if same_line:
        stage.items(before)[0].source_line_id = stage.items(mine)[0].source_line_id
    made = stage.supplier_order("99", before, ONE, role="duplicate", track_run_at=stage.now + timedelta(hours=6))
    if not mapped:
        stage.stored(made)[0].purchase_item_id = None
    stage.session.flush()
    found = passed(stage, mine)
    assert found == ("HELD", "late_evidence") if stops else isinstance(found, Attempt)


def test_a_duplicate_stops_its_order_in_whichever_account_it_is(stage: Stage) -> None:
    mine, before = claimed(stage), stage.purchase("PLACED_PAID", outcome="PLACED")
    before.order_id = mine.order_id
    stage.supplier_order("99", before, role="duplicate", account_id=stage.new_account().id)
    stage.session.flush()
    assert passed(stage, mine) == ("HELD", "late_evidence")


def test_a_duplicate_that_stops_a_send_is_read_now(stage: Stage) -> None:
    mine, before = claimed(stage), stage.purchase("VOID", outcome="VOID")
    before.order_id = mine.order_id
    made = stage.supplier_order("99", before, ONE, role="duplicate", track_run_at=stage.now + timedelta(hours=6))
    assert whole(stage, mine, plan(stage, mine))[0] is None
    assert (stage.again(mine).state, stage.again(mine).reason) == ("HELD", "late_evidence")
    assert stage.soon(stage.again(made).track_run_at) < 60


def test_one_bought_order_of_a_sibling_is_no_stray(stage: Stage) -> None:
    mine, other = claimed(stage), stage.purchase("PLACED_PAID", outcome="PLACED")
    other.order_id = mine.order_id
    stage.supplier_order("99", other, ONE)
    assert isinstance(passed(stage, mine), Attempt)


def test_the_look_for_stray_orders_reads_none_but_those(stage: Stage) -> None:
    """It is made with the order locked, before each send: an account has a million others."""
    mine = claimed(stage)
    asked: list[tuple[str, Any]] = []

    def note(_connection: Any, _cursor: Any, statement: str, given: Any, *_: Any) -> None:
        asked.append((statement, given))

    connection = stage.session.connection()
    sa.event.listen(connection, "before_cursor_execute", note)
    commit._no_stray_order(stage.session, mine, stage.items(mine))
    sa.event.remove(connection, "before_cursor_execute", note)
    statement, given = asked[-1]
    connection.exec_driver_sql("SET LOCAL enable_seqscan = off")
    plan_of_it = "\n".join(line for (line,) in connection.exec_driver_sql(f"EXPLAIN {statement}", given))
    assert "Index Scan using ix_supplier_order_stray on supplier_order" in plan_of_it
