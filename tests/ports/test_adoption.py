"""What of a parcel is in the shop, where others have its number."""

from __future__ import annotations

from collections.abc import Collection

import pytest

from app.ports.adoption import shown_already
from app.ports.storefront import Fulfilment, Parcel, ParcelLine

Row = tuple[str, int]
"""Id of a fulfilment, and pieces of the one line."""


def one(ref: str, pieces: int, number: str = "LP1") -> Fulfilment:
    return Fulfilment(ref, (number,), (ParcelLine("1", pieces),))


@pytest.mark.parametrize(
    ("found", "others", "marked", "first", "missing"),
    [
        ([("a", 1)], [], (), "a", 0),
        ([("a", 2)], [], (), "a", 0),
        ([("a", 1)], [("a", 1)], (), None, 1),
        ([("a", 2)], [("a", 1)], (), "a", 0),
        ([("b", 1), ("a", 1)], [("a", 1)], (), "b", 0),
        ([("a", 1), ("b", 1)], [("a", 2)], (), None, 1),
        ([("a", 1)], [("b", 1)], (), None, 1),
        ([("a", 2)], [], ("a",), None, 1),
        ([("b", 1), ("a", 1)], [("a", 1)], ("a",), "b", 0),
        ([("b", 1), ("a", 1)], [("a", 2)], ("a",), None, 1),
    ],
    ids=[
        "adopted", "larger than ours", "another one's", "holds both", "its own beside another one's",
        "another one's over two", "another one's that is gone", "marked", "marked, and one of somebody else",
        "marked, and the rest of it",
    ],
)  # fmt: skip
def test_pieces_that_other_parcels_hold_are_theirs(
    found: list[Row], others: list[Row], marked: Collection[str], first: str | None, missing: int
) -> None:
    parcel = Parcel("p", "LP1", "", "", (ParcelLine("1", 1),), others=tuple(one(*row) for row in others))
    adopted, left = shown_already(parcel, [one(*row) for row in found], marked=marked)
    assert (adopted.id if adopted else None, sum(line.quantity for line in left)) == (first, missing)


@pytest.mark.parametrize(("ref", "number", "theirs"), [("a", "LP0", True), ("z", "lp 1", True), ("z", "LP0", False)])
def test_another_parcel_is_known_by_its_fulfilment_or_by_its_number(ref: str, number: str, theirs: bool) -> None:
    """Its number may have been replaced in the shop, or here, just now."""
    parcel = Parcel("p", "LP1", "", "", (ParcelLine("1", 1),), others=(one(ref, 1, number),))
    adopted, _ = shown_already(parcel, [one("a", 1)])
    assert (adopted is None) is theirs
