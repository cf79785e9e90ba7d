"""The steps of a purchase are those of the lifecycle, section 4, and no other."""

from __future__ import annotations

import pytest

from app.domain.purchase_flow import FOLLOWED, LEGAL, PLACED, STATES, UNCLEAR, UNSENT, IllegalStep, check_step

SHIPPING = ["PLACED_PAID", "PART_SHIPPED", "SHIPPED", "DELIVERED"]
OVER = ["SUPPLIER_CANCELLED", "REFUNDED"]
BOUGHT = ["PLACED_UNPAID", "PAY_BLOCKED", *SHIPPING, "EXPIRED", *OVER]
TABLE = {
    "": ["DRAFT", "HELD", "READY"],
    "DRAFT": ["READY", "HELD", "CANCELLED"],
    "HELD": ["READY", "CANCELLED"],
    "READY": ["CLAIMED", "HELD", "CANCELLED"],
    "CLAIMED": ["SENDING", "READY", "HELD", "CANCELLED"],
    "SENDING": [*BOUGHT, "REJECTED", "READY", "HELD", "UNKNOWN", "HUMAN"],
    "UNKNOWN": [*BOUGHT, "REJECTED", "READY", "HELD", "HUMAN"],
    "HUMAN": [*BOUGHT, "REJECTED", "READY", "HELD", "VOID"],
    "VOID": [*BOUGHT, "CANCELLED"],
    "REJECTED": ["CANCELLED"],
    "PLACED_UNPAID": BOUGHT[1:],
    "PAY_BLOCKED": [state for state in BOUGHT if state != "PAY_BLOCKED"],
    "EXPIRED": ["CANCELLED"],
    "PLACED_PAID": [*SHIPPING[1:], *OVER],
    "PART_SHIPPED": [*SHIPPING[2:], *OVER],
    "SHIPPED": [*SHIPPING[3:], *OVER],
    "DELIVERED": OVER,
    "SUPPLIER_CANCELLED": ["CANCELLED"],
    "REFUNDED": ["CANCELLED"],
    "CANCELLED": [],
}
"""The table of the lifecycle, written down a second time by hand."""


@pytest.mark.parametrize("before", sorted(TABLE))
def test_each_state_leads_where_the_lifecycle_says(before: str) -> None:
    for after in STATES:
        if after in TABLE[before]:
            check_step(before, after)
        else:
            with pytest.raises(IllegalStep, match=f"from {before or 'nothing'} to {after}$"):
                check_step(before, after)


def test_there_is_no_state_that_nothing_is_said_about() -> None:
    assert set(LEGAL) == set(TABLE) == {"", *STATES}
    assert len(STATES) == len(set(STATES)) == 19


def test_a_purchase_is_unsent_unclear_placed_or_over() -> None:
    assert set(UNSENT) == {"DRAFT", "HELD", "READY", "CLAIMED"}
    assert set(UNCLEAR) == {"SENDING", "UNKNOWN", "HUMAN"}
    assert set(PLACED) == set(BOUGHT) - {"EXPIRED", *OVER}
    assert set(FOLLOWED) == {"VOID", "REJECTED", "EXPIRED", *OVER}
    assert set(STATES) == UNSENT | UNCLEAR | PLACED | FOLLOWED | {"CANCELLED"}
