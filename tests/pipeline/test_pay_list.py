"""What may be paid never costs more together than the limit of its purchase."""

from __future__ import annotations

from datetime import timedelta

import pytest
import sqlalchemy as sa

from app.models import Task
from app.pipeline import track
from app.pipeline.record import task
from app.services import paylist
from tests.pipeline.stage import ONE, TWO, Stage


@pytest.mark.parametrize(
    ("late", "more", "payable"),
    [
        (500, {}, ["82"]),
        (501, {}, []),
        (800, {"approved_minor": 1800, "approved_currency": "USD"}, ["82"]),
        (801, {"approved_minor": 1800, "approved_currency": "USD"}, []),
    ],
)
def test_an_order_that_turned_up_later_counts_together_with_what_is_paid(
    stage: Stage, late: int, more: dict[str, object], payable: list[str]
) -> None:
    mine = stage.purchase("PLACED_PAID", TWO, outcome="PLACED", **more)
    stage.supplier_order("81", mine, ONE, payment="paid", total=1000)
    stage.supplier_order("82", mine, TWO[1:], total=late)
    with stage.outside():
        found = paylist.listed(stage.container)
    assert [one["supplier_order"] for one in found["pay"]] == payable
    blocked = [one["supplier_order"] for one in found["do_not_pay"]]
    assert blocked == ([] if payable else ["82"])


def test_a_closed_one_and_a_duplicate_count_nothing(stage: Stage) -> None:
    mine = stage.purchase("PLACED_PAID", TWO, outcome="PLACED")
    stage.supplier_order("81", mine, ONE, closed=True, total=1400)
    stage.supplier_order("82", mine, ONE, role="duplicate", total=1400)
    stage.supplier_order("83", mine, TWO[1:], total=900)
    with stage.outside():
        found = paylist.listed(stage.container)
    assert [one["supplier_order"] for one in found["pay"]] == ["83"]


def test_what_holds_pieces_too_many_says_so_and_is_not_paid_with_the_others(stage: Stage) -> None:
    """Until its merchant has decided: to cancel it there, or to pay it and have the seller leave something out."""
    mine, other = stage.purchase("PLACED_UNPAID", TWO), stage.purchase("PLACED_UNPAID", ONE)
    for number, purchase in (("81", mine), ("82", other)):
        stage.supplier_order(number, purchase, ONE, total=900)
    for key, purchase in (("too-much:7:1", mine), ("too-mucha:8:1", other)):
        task(stage.session, key, "ask_supplier_to_cancel", turn="merchant", text=f"{key}?", purchase_id=purchase.id)
    for note, together in (("too-much:7:1?", {"82"}), ("", {"81", "82"})):
        with stage.outside():
            found = paylist.listed(stage.container)
        assert {one["supplier_order"]: one["note"] for one in found["pay"]} == {"81": note, "82": ""}
        [url] = found["pay_all_urls"].values()
        assert {number for number in ("81", "82") if number in url} == together
        stage.session.execute(sa.update(Task).values(done_at=stage.now, done_by="merchant:1"))


@pytest.mark.parametrize(
    ("more", "words"),
    [
        ({"limit_minor": 1400}, "pay it there, unless it costs more than 14.00 USD"),
        ({"limit_minor": 1400, "approved_minor": 1800, "approved_currency": "USD"}, "more than 18.00 USD"),
        ({"limit_minor": None}, "look at its price before you pay it"),
        ({"limit_minor": 1400, "cancel_requested_at": sa.func.now()}, "do not pay it"),
    ],
)
def test_what_nobody_can_read_is_not_to_be_paid_above_its_limit(
    stage: Stage, more: dict[str, object], words: str
) -> None:
    mine = stage.purchase("PLACED_UNPAID", ONE, outcome="PLACED", **{"quote_currency": "USD", **more})
    order = stage.supplier_order("81", mine, read_at=None, recorded_at=stage.now - timedelta(hours=2))
    track._unreadable(stage.container, stage.session, order)
    [text] = stage.session.scalars(sa.select(Task.text).where(Task.kind == "order_unread"))
    assert words in text
