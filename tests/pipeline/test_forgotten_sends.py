"""What outside knows of a send that the database lacks freezes buying, once for each sign, and asks a person."""

from __future__ import annotations

from concurrent.futures import ThreadPoolExecutor
from datetime import timedelta
from typing import Any

import pytest
import sqlalchemy as sa

from app.models import Alert, Audit, PlacementFreeze, Purchase, SupplierOrder, Task
from app.pipeline import evidence, forgotten
from tests.pipeline.stage import ONE, TWO, Items, Stage

HOUR = timedelta(hours=1)


def freezes(stage: Stage) -> list[PlacementFreeze]:
    return list(stage.session.scalars(sa.select(PlacementFreeze).order_by(PlacementFreeze.id)))


def test_a_freeze_is_made_once_for_each_reason_also_after_a_release(stage: Stage) -> None:
    freeze = forgotten.freeze
    assert freeze(stage.session, "one", by="x", account_id=stage.account.id, detail={"more": 1})
    assert not freeze(stage.session, "one", by="x")
    (made,) = freezes(stage)
    assert (made.reason, made.account_id, made.frozen_by, made.released_at) == ("one", stage.account.id, "x", None)
    assert stage.alerts() == ["frozen:one"]
    kept = stage.session.scalars(sa.select(Audit).where(Audit.action == "frozen")).one()
    assert (kept.entity, kept.entity_id, kept.to_state, kept.actor) == ("placement", made.id, "FROZEN", "x")
    assert kept.detail == {"reason": "one", "account": stage.account.id, "more": 1}
    made.released_at = stage.now
    stage.session.flush()
    assert not freeze(stage.session, "one", by="x")
    assert freeze(stage.session, "two", by="x")
    assert len(freezes(stage)) == 2


def test_of_two_that_freeze_at_once_for_one_reason_the_second_hears_that_it_is_known(stage: Stage) -> None:
    insert = sa.text(
        "INSERT INTO placement_freeze (reason, frozen_by, released_by, second) VALUES ('one', 'x', '', '')"
    )
    waiting = sa.text("SELECT count(*) FROM pg_stat_activity WHERE wait_event_type = 'Lock'")
    engine = stage.container.database.engine
    with ThreadPoolExecutor(1) as pool, engine.connect() as first, engine.connect() as looking:
        first.execute(insert)
        second = pool.submit(forgotten.freeze, stage.session, "one", by="y")
        while not looking.scalar(waiting) and not second.done():
            looking.rollback()
        first.commit()
        assert second.result() is False
    assert stage.alerts() == []
    assert [one.frozen_by for one in freezes(stage)] == ["x"]


def test_the_journals_numbers_are_named_five_of_them_and_told_once(stage: Stage) -> None:
    numbers = {str(number) for number in range(11, 18)}
    forgotten.journal_knows_more(stage.session, numbers)
    (made,) = freezes(stage)
    assert "(11, 12, 13, 14, 15 and 2 more, list " in made.reason
    assert (made.frozen_by, made.account_id) == ("journal", None)
    forgotten.journal_knows_more(stage.session, {"13", "17"})
    assert len(freezes(stage)) == 1, "whoever released that knew of them"
    forgotten.journal_knows_more(stage.session, {"13", "99"})
    assert "(13, 99)" in freezes(stage)[1].reason


def test_five_numbers_are_named_all(stage: Stage) -> None:
    forgotten.journal_knows_more(stage.session, {"1", "2", "3", "4", "5"})
    assert "(1, 2, 3, 4, 5)" in freezes(stage)[0].reason


def unknown(stage: Stage, items: Items = ONE, **more: Any) -> Any:
    """An order of nobody's turned up."""
    order = stage.supplier_order("81")
    forgotten.unknown_order(stage.container, stage.session, order, stage.read("81", items, **more))
    return order


@pytest.mark.parametrize(
    ("state", "asked", "frozen"),
    [
        ("READY", True, True),
        ("CLAIMED", True, True),
        ("HELD", True, False),
        ("DRAFT", False, False),
        ("VOID", False, False),
    ],
)
def test_one_that_holds_what_is_about_to_be_ordered_stops_its_account(
    stage: Stage, state: str, asked: bool, frozen: bool
) -> None:
    mine = stage.purchase(state)
    order = unknown(stage)
    assert stage.tasks() == ([f"stray:{order.id}:{mine.id}"] if asked else [])
    assert [one.account_id for one in freezes(stage)] == ([stage.account.id] if frozen else [])
    if asked:
        task = stage.session.scalars(sa.select(Task)).one()
        assert (task.kind, task.turn, task.purchase_id, task.order_id) == ("stray_order", "us", mine.id, mine.order_id)


@pytest.mark.parametrize("outcome", ["OPEN", "UNKNOWN", "VOID", "NOT_SENT", "NOT_EXECUTED"])
def test_what_may_have_been_sent_is_not_forgotten(stage: Stage, outcome: str) -> None:
    stage.purchase("READY", outcome=outcome)
    unknown(stage)
    assert bool(stage.tasks()) is (outcome in {"NOT_SENT", "NOT_EXECUTED"})


@pytest.mark.parametrize(
    ("items", "alike"),
    [
        (TWO, True),
        ((*TWO[::-1],), True),
        ((("P1", "S1", 1), ("P1", "S1", 1), ("P2", "S2", 1)), True),
        (ONE, False),
        ((*TWO, ("P3", "S3", 1)), False),
        ((("P1", "S1", 1), ("P2", "S2", 1)), False),
        ((("linked P1", "S1", 2), ("linked P2", "S2", 1)), True),
        ((("linked P1", "S1", 2), ("P2", "S2", 1)), False),
    ],
)
def test_alike_is_exactly_the_same_items_by_either_name_of_the_products(
    stage: Stage, items: Items, alike: bool
) -> None:
    mine = stage.purchase("READY", TWO)
    for item in stage.items(mine):
        item.product_id = f"linked {item.product_id}"
    gone = stage.purchase("READY", (*TWO, ("P3", "S3", 1)))
    stage.items(gone)[0].quantity = 0
    stage.session.flush()
    order = unknown(stage, items)
    assert stage.tasks() == ([f"stray:{order.id}:{mine.id}"] if alike else [])


def test_a_purchase_that_was_never_checked_is_known_by_its_link(stage: Stage) -> None:
    mine = stage.purchase("HELD")
    stage.items(mine)[0].order_product_id = ""
    stage.session.flush()
    order = unknown(stage)
    assert stage.tasks() == [f"stray:{order.id}:{mine.id}"]


def test_pieces_that_nobody_wants_any_more_do_not_count(stage: Stage) -> None:
    mine = stage.purchase("READY", TWO)
    stage.items(mine)[1].quantity = 0
    stage.session.flush()
    order = unknown(stage, ONE)
    assert stage.tasks() == [f"stray:{order.id}:{mine.id}"]


@pytest.mark.parametrize("how", ["another account", "before the buyer ordered", "at an unknown time"])
def test_others_are_not_asked_about(stage: Stage, how: str) -> None:
    stage.purchase("READY", account_id=stage.new_account().id if how == "another account" else stage.account.id)
    made = {"another account": stage.now, "before the buyer ordered": stage.now - HOUR - timedelta(seconds=1)}.get(how)
    unknown(stage, created_at=made)
    assert (stage.tasks(), stage.alerts(), freezes(stage)) == ([], [], [])


def bought(stage: Stage, items: Items = ONE, *, state: str = "PLACED_PAID", **more: Any) -> Purchase:
    """What the supplier's answer named an order for, which was read and holds everything."""
    mine = stage.purchase(state, items, outcome="PLACED", **more)
    stage.supplier_order(f"80{mine.id}", mine, items)
    return mine


def found(
    stage: Stage, items: Items = ONE, *, timely: bool = True, number: str = "81", **more: Any
) -> tuple[bool, str]:
    """An order of nobody's turned up: (whether it is not clear yet whose it is, what staff are told)."""
    order = stage.supplier_order(number)
    made = {"created_at": stage.now, **more}
    undecided = forgotten.unknown_order(
        stage.container, stage.session, order, stage.read(number, items, **made), timely=timely
    )
    told = stage.session.scalars(sa.select(Alert).where(Alert.dedupe_key == f"stray:{order.id}:twice")).one_or_none()
    assert freezes(stage) == []
    assert stage.tasks() == stage.alerts() == ([] if told is None else [told.dedupe_key])
    if told is not None:
        assert told.kind == "duplicate"
    return undecided, told.text if told is not None else ""


@pytest.mark.parametrize(
    ("state", "told"),
    [("PLACED_PAID", True), ("PLACED_UNPAID", True), ("SHIPPED", True), ("EXPIRED", False), ("VOID", False)],
)
@pytest.mark.parametrize(
    ("minutes", "how"), [(-61, ""), (-59, "one call"), (0, "one call"), (1, "one call"), (3, "backup")]
)
def test_one_that_holds_what_was_bought_was_perhaps_bought_twice(
    stage: Stage, state: str, told: bool, minutes: int, how: str
) -> None:
    """The supplier made two orders of one call; or it was bought again later, after a backup was restored."""
    bought(stage, state=state, sent_at=stage.now + timedelta(minutes=minutes))
    undecided, text = found(stage)
    assert (undecided, bool(text)) == (False, told and bool(how))
    if text:
        assert how in text


@pytest.mark.parametrize(
    ("items", "told"),
    [
        (TWO, True),
        ((("P2", "S2", 1),), True),
        ((("P1", "S1", 1),), True),
        ((("P1", "S1", 3),), False),
        ((*TWO, ("P3", "S3", 1)), False),
    ],
)
def test_a_part_of_what_was_bought_is_enough(stage: Stage, items: Items, told: bool) -> None:
    bought(stage, TWO)
    assert bool(found(stage, items)[1]) is told


def test_of_many_who_bought_the_same_staff_are_told_once(stage: Stage) -> None:
    for _ in range(3):
        last = bought(stage)
    text = found(stage)[1]
    assert f"purchase {last.id} (or what 2 other purchases bought)" in text


@pytest.mark.parametrize("lacks", ["a piece", "a read", "an answer"])
def test_while_it_may_be_one_s_own_nobody_is_told_of_another_s(stage: Stage, lacks: str) -> None:
    """A is whole, and B, who wants the same, is not known whole yet: it is B's, perhaps."""
    bought(stage)
    other = bought(stage, state="UNKNOWN" if lacks == "an answer" else "PLACED_UNPAID")
    first = stage.session.scalars(sa.select(SupplierOrder).where(SupplierOrder.purchase_id == other.id)).one()
    if lacks == "a piece":
        stage.stored(first)[0].quantity = 1
    elif lacks == "a read":
        first.read_at = None
    stage.session.flush()
    assert found(stage, (("P1", "S1", 1),)) == (True, "")


def test_what_was_sent_long_after_it_cannot_be_its_owner(stage: Stage) -> None:
    """Not even if it lacks something: then the order was certainly bought before."""
    mine = bought(stage, sent_at=stage.now + timedelta(minutes=3))
    stage.session.execute(sa.update(SupplierOrder).values(read_at=None))
    assert "backup" in found(stage)[1]
    assert mine.state == "PLACED_PAID"


def test_what_is_short_of_something_else_has_it_twice_all_the_same(stage: Stage) -> None:
    mine = stage.purchase("PLACED_PAID", TWO, outcome="PLACED")
    stage.supplier_order("80", mine, ONE)
    assert found(stage, TWO[1:]) == (True, "")
    assert f"purchase {mine.id} " in found(stage, number="82")[1]


def test_after_an_hour_it_is_told_though_it_may_be_another_s(stage: Stage) -> None:
    mine, other = bought(stage), bought(stage, state="HUMAN")
    order = stage.supplier_order("81", recorded_at=stage.now - HOUR - timedelta(minutes=1))
    read = stage.read("81", created_at=stage.now)
    assert not forgotten.unknown_order(stage.container, stage.session, order, read)
    text = stage.session.scalars(sa.select(Alert.text)).one()
    assert f"purchase {mine.id} " in text
    assert f"If it is the one of purchase {other.id}, which is not clear" in text


@pytest.mark.parametrize("why", ["closed", "times read wrong", "about to be ordered"])
def test_others_are_not_told_of(stage: Stage, why: str) -> None:
    bought(stage)
    if why == "about to be ordered":
        stage.purchase("HELD")
        order = unknown(stage)
        assert [key.startswith(f"stray:{order.id}:") for key in stage.tasks()] == [True]
        assert stage.alerts() == []
    else:
        assert found(stage, timely=why == "closed", closed=why == "closed") == (why != "closed", "")


def test_a_closed_one_asks_nothing_and_freezes_all_the_same(stage: Stage) -> None:
    """It holds nothing up any more; but the database forgot its send."""
    stage.purchase("READY")
    unknown(stage, closed=True)
    assert (stage.tasks(), len(freezes(stage))) == ([], 1)


def test_what_was_told_ends_when_it_is_closed_whatever_became_of_the_purchase(stage: Stage) -> None:
    mine = bought(stage)
    order = stage.supplier_order("81")

    def attach(**more: Any) -> None:
        read = stage.read("81", created_at=stage.now, **more)
        evidence.attach(stage.container, stage.session, order, read, [], source="lookup")

    attach()
    assert stage.alerts() == stage.tasks() == [f"stray:{order.id}:twice"]
    mine.state, order.closed = "EXPIRED", True
    attach(closed=True)
    assert (stage.alerts(), stage.tasks()) == ([], [])


def test_what_is_undecided_is_read_again_soon(stage: Stage) -> None:
    bought(stage, state="UNKNOWN")
    order = stage.supplier_order("81")
    for tracks, least, most in ((0, 5, 15), (2, 25, 35), (9, 3500, 3700)):
        order.tracks = tracks
        evidence.attach(
            stage.container, stage.session, order, stage.read("81", created_at=stage.now), [], source="lookup"
        )
        stage.session.flush()
        assert least < stage.soon(stage.again(order).track_run_at) < most
