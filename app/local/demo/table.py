"""The end: what Waybill believes, compared with what the simulators' ledgers say really happened."""

from __future__ import annotations

import textwrap
from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass

from app.local.demo import ledgers
from app.local.demo.cast import BOUGHT, DO_NOT_PAY, HELD, KINDS, Case
from app.local.demo.ledgers import Bought
from app.local.demo.view import Stand, View
from app.local.world import World

STATES = {
    BOUGHT: frozenset(("SHIPPED", "DELIVERED")),
    HELD: frozenset(("HELD",)),
    DO_NOT_PAY: frozenset(("PAY_BLOCKED",)),
}
_WORDS = {"SHIPPED": "shipped", "DELIVERED": "delivered", "PAY_BLOCKED": "do not pay", "PLACED_PAID": "paid"}
_WHY, _SCENE = 46, 14


@dataclass(frozen=True, slots=True)
class Row:
    """A line of the table. The numbers come from the ledgers alone."""

    case: Case
    stand: Stand | None
    created: int
    paid: int
    do_not_pay: int
    times: str


class Result:
    """The table and its differences."""

    def __init__(self, world: World, view: View, cases: Mapping[str, Case], *, undisturbed: bool) -> None:
        """`undisturbed`: nobody killed anything, so every order must also have gone the way that was planned."""
        self._world = world
        self._orders = ledgers.bought(world)
        self._undisturbed = undisturbed
        self.rows = [self._row(case, view.stand(case.external_id, case.shop)) for case in cases.values()]
        self.differences = list(self._differences(cases, view))

    def _mine(self, case: Case) -> list[Bought]:
        return [order for order in self._orders.values() if order.name_hash == case.name_hash]

    def _row(self, case: Case, stand: Stand | None) -> Row:
        mine = self._mine(case)
        unpaid = [order for order in mine if not order.paid and not order.closed]
        return Row(case, stand, len(mine), sum(order.paid for order in mine), len(unpaid), _times(case, mine))

    def _differences(self, cases: Mapping[str, Case], view: View) -> Iterator[str]:
        for row in self.rows:
            for text in self._of_case(row):
                yield f"{row.case.name}: {text}"
        hashes = {case.name_hash for case in cases.values()}
        for order in self._orders.values():
            if order.name_hash not in hashes:
                yield f"AliExpress order {order.order_id} is for nobody of the demo"
        yield from view.troubles()
        if self._undisturbed:
            yield from self._faults()

    def _faults(self) -> Iterator[str]:
        """Unexpected faults that a process logged: it survived them, but they are no part of the plan."""
        for process in self._world.processes.values():
            count = process.log.read_text(encoding="utf-8", errors="replace").count("Traceback (most recent call last)")
            if count:
                yield f"{process.name} logged unexpected faults ({count}), see {process.log}"

    def _of_case(self, row: Row) -> Iterator[str]:
        case, stand, mine = row.case, row.stand, self._mine(row.case)
        if stand is None:
            yield "Waybill does not know it"
            return
        yield from _as_wanted(case, stand, mine)
        yield from _believed(stand, mine)
        yield from self._parcels(case, mine)
        if self._undisturbed:
            missing = [mark for mark in case.path if mark not in stand.path]
            if missing:
                yield f"it never went through {', '.join(missing)}"
            if ("HUMAN" in stand.path) is not ("HUMAN" in case.path):
                yield "a person was asked without need" if "HUMAN" in stand.path else "no person was asked"
            if "CANCELLED" in stand.path and "CANCELLED" not in case.path:
                yield "a purchase was made that nobody wanted, and given up"

    def _parcels(self, case: Case, mine: Sequence[Bought]) -> Iterator[str]:
        sent = {number: pieces for order in mine for number, pieces in order.parcels.items()}
        shown = ledgers.shown(self._world, case)
        if sent != shown:
            yield f"AliExpress shipped {_told(sent)}, the shop shows {_told(shown)}"

    def text(self) -> str:
        """The table for people."""
        heads = ("Order", "Scene", "Where it stands", "Why", "Created", "Paid", "Don't pay", "Times ordered")
        cells: list[tuple[list[str], ...]] = [tuple([head] for head in heads)]
        for row in self.rows:
            stand = row.stand
            states = ", ".join(dict.fromkeys(_WORDS.get(s, s.lower()) for s in stand.states)) if stand else "unknown"
            why = textwrap.wrap(stand.why.replace("Aliexpress", "AliExpress") if stand else "", _WHY) or [""]
            numbers = [str(row.created), str(row.paid), str(row.do_not_pay), row.times]
            who = [row.case.number, KINDS[row.case.shop]]
            cells.append((who, textwrap.wrap(row.case.scene, _SCENE), [states], why, *([n] for n in numbers)))
        widths = [max(len(line) for cell in column for line in cell) for column in zip(*cells, strict=True)]
        lines = []
        for place, row_cells in enumerate(cells):
            lines += _lines(row_cells, widths)
            if place == 0:
                lines.append("  ".join("-" * width for width in widths))
        return "\n".join(lines)


def _lines(cells: Sequence[list[str]], widths: Sequence[int]) -> list[str]:
    height = max(map(len, cells))
    return [
        "  ".join(
            (cell[place] if place < len(cell) else "").ljust(width) for cell, width in zip(cells, widths, strict=True)
        ).rstrip()
        for place in range(height)
    ]


def _times(case: Case, mine: Sequence[Bought]) -> str:
    """How often each line was ordered: one number if it is the same for all."""
    times = {item: sum(item in order.items for order in mine if not order.closed) for item in case.wanted}
    return "/".join(map(str, dict.fromkeys(times.values())))


def _as_wanted(case: Case, stand: Stand, mine: Sequence[Bought]) -> Iterator[str]:
    """The order's end, and every line exactly once (or not at all)."""
    if not stand.states or not set(stand.states) <= STATES[case.end]:
        yield f"it should end as “{case.end}”, but stands at {', '.join(stand.states) or 'nothing'}"
    ordered: Counter[tuple[str, str]] = Counter()
    for order in mine:
        ordered += order.items if not order.closed else Counter()
    wanted: Counter[tuple[str, str]] = Counter() if case.end == HELD else case.wanted
    if ordered != wanted:
        yield f"AliExpress has {dict(ordered)} for it, not {dict(wanted)}"
    paid = [order for order in mine if order.paid]
    if case.end == BOUGHT and len(paid) != len(mine):
        yield "not everything is paid"
    if case.end == DO_NOT_PAY and paid:
        yield f"{', '.join(order.order_id for order in paid)} was paid, and should not have been"


def _believed(stand: Stand, mine: Sequence[Bought]) -> Iterator[str]:
    """Waybill's own view must be the ledger's."""
    real = {order.order_id: order.paid for order in mine}
    believed = {one.order_id: one.paid for one in stand.supplier_orders}
    if real != believed:
        yield f"AliExpress says {real} (order: paid), Waybill believes {believed}"
    odd = [one.order_id for one in stand.supplier_orders if one.role != "bought"]
    if odd:
        yield f"Waybill takes {', '.join(odd)} for something else than its purchase"


def _told(parcels: Mapping[str, Counter[str]]) -> str:
    return "; ".join(f"{number}: {dict(pieces)}" for number, pieces in sorted(parcels.items())) or "nothing"
