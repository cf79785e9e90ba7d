"""What may be paid never costs more together than the limit of its purchase."""

from __future__ import annotations

import pytest

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
