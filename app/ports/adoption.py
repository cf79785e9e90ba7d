"""What of a parcel a shop shows already, where other parcels may have the same tracking number."""

from __future__ import annotations

from collections import Counter
from collections.abc import Collection, Sequence

from app.ports.storefront import Fulfilment, Parcel, ParcelLine


def shown_already(
    parcel: Parcel, found: Sequence[Fulfilment], *, marked: Collection[str] = ()
) -> tuple[Fulfilment | None, tuple[ParcelLine, ...]]:
    """The first of these, all with the parcel's number, that shows a piece of it, and what none shows yet.

    Pieces that the order's other parcels hold are theirs, and are looked for in their own fulfilments first. `marked`:
    ids of those that are another parcel's for certain.
    """
    refs = {one.id for one in parcel.others}
    there = {one.id for one in found}
    number = plain(parcel.tracking_number)
    theirs = Counter[str]()
    for other in parcel.others:
        if other.id in there or number in {plain(text) for text in other.tracking_numbers}:
            theirs.update({line.line_id: line.quantity for line in other.lines})
    missing = Counter[str]()
    for line in parcel.lines:
        missing[line.line_id] += line.quantity
    first: Fulfilment | None = None
    for one in sorted(found, key=lambda one: (one.id not in marked, one.id not in refs)):
        for line in one.lines:
            spent = min(line.quantity, theirs[line.line_id])
            theirs[line.line_id] -= spent
            free = 0 if one.id in marked else min(line.quantity - spent, missing[line.line_id])
            if free:
                missing[line.line_id] -= free
                first = first or one
    return first, tuple(ParcelLine(line_id, quantity) for line_id, quantity in missing.items() if quantity)


def plain(number: str) -> str:
    """A tracking number as it can be compared: people put spaces into it."""
    return "".join(number.split()).upper()
