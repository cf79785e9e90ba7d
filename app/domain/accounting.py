"""Where each order of a day stands: placed, held, refused or not ours, or in none of them, which is a gap.

What is here knows no database: it judges plain facts, so that it can be tested as a table.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import date
from enum import StrEnum

from app.domain.purchase_flow import FOLLOWED, PLACED, UNCLEAR, UNSENT

EARLIEST = date(2000, 1, 1)
"""Days before it are not counted: no shop is as old, and clocks and zones do not reach back to the year 1."""


class Share(StrEnum):
    """The column of the account in which an order stands."""

    PLACED = "placed"
    HELD = "held"
    REFUSED = "refused"
    NOT_OURS = "not_ours"
    GAP = "gap"


class Gap(StrEnum):
    """Why an order is in no column."""

    MISSING = "missing"
    """The shop has it and we do not."""
    UNCOVERED = "uncovered"
    """Pieces that the shop expects from us are in no purchase."""
    UNKNOWN_TO_SHOP = "unknown_to_shop"
    """We have it, not as deleted, and the shop does not list it."""


GAPS = {
    Gap.MISSING: "the shop has this order and we have not read it yet",
    Gap.UNCOVERED: "pieces of it are in no purchase",
    Gap.UNKNOWN_TO_SHOP: "the shop does not list this order any more",
}


@dataclass(frozen=True, slots=True)
class Line:
    """Pieces of one line: `expected` by the shop from us, `covered` by purchases that are alive or were refused."""

    expected: int
    covered: int


@dataclass(frozen=True, slots=True)
class OrderFacts:
    """What is known of an order. `states`: those of its purchases that no later generation replaced."""

    listed: bool
    gone: bool
    cancelled: bool
    lines: Sequence[Line]
    states: Sequence[str]


def judge(order: OrderFacts) -> tuple[Share, Gap | None]:
    """The column of an order that we know: a gap goes before what waits, that before a refusal, that before a buy."""
    if not order.listed and not order.gone:
        return Share.GAP, Gap.UNKNOWN_TO_SHOP
    if any(line.covered < line.expected for line in order.lines):
        return Share.GAP, Gap.UNCOVERED
    present = set(order.states)
    if present & (UNSENT | UNCLEAR):
        return Share.HELD, None
    if present & FOLLOWED:
        return Share.REFUSED, None
    return (Share.PLACED if present & PLACED else Share.NOT_OURS), None


def why_not_ours(order: OrderFacts) -> str:
    """For people: why nothing of an order is bought."""
    if order.gone:
        return "deleted in the shop"
    if order.cancelled:
        return "cancelled in the shop"
    return "nothing of it is to be shipped by us"
