"""Which pieces of which fulfilment orders make up a parcel."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from typing import Any

from connectors.shopify.addresses import number_of
from connectors.shopify.routing import OPEN, is_ours, request_state

Node = Mapping[str, Any]

_UNWANTED = frozenset(("rejected", "cancelled", "cancel_requested"))


@dataclass(slots=True)
class Allocation:
    """What one `fulfillmentCreate` takes: fulfilment orders of one location. `pieces`: how many of the parcel."""

    fulfillment_orders: list[Node] = field(default_factory=list)
    lines: list[tuple[str, str, int]] = field(default_factory=list)

    @property
    def pieces(self) -> int:
        """Pieces taken."""
        return sum(quantity for _, _, quantity in self.lines)

    def line_items(self) -> list[dict[str, Any]]:
        """`lineItemsByFulfillmentOrder`."""
        return [
            {
                "fulfillmentOrderId": found["id"],
                "fulfillmentOrderLineItems": [
                    {"id": line, "quantity": quantity} for owner, line, quantity in self.lines if owner == found["id"]
                ],
            }
            for found in self.fulfillment_orders
        ]


def allocate(fulfillment_orders: Iterable[Node], wanted: Mapping[str, int], handle: str) -> list[Allocation]:
    """The parcel's pieces spread over the open quantities, never more than remain; one allocation per location.

    Our own location is used up first, and there what was accepted. If one location can supply everything, it does.
    """
    open_ones = [found for found in fulfillment_orders if found["status"] in OPEN]
    open_ones.sort(key=lambda found: _preference(found, handle))
    by_location: dict[str, list[Node]] = {}
    for found in open_ones:
        by_location.setdefault(_location(found), []).append(found)
    total = sum(wanted.values())
    for group in by_location.values():
        whole = _take(group, dict(wanted))
        if whole.pieces == total:
            return [whole]
    left = dict(wanted)
    shares = [_take(group, left) for group in by_location.values()]
    return [share for share in shares if share.pieces]


def _take(group: Iterable[Node], left: dict[str, int]) -> Allocation:
    """Pieces of one location; `left` is reduced by what was taken."""
    share = Allocation()
    for found in group:
        for item in found["lineItems"]["nodes"]:
            line_id = number_of(item["lineItem"]["id"])
            quantity = min(left.get(line_id, 0), int(item["remainingQuantity"]))
            if quantity > 0:
                left[line_id] -= quantity
                share.lines.append((found["id"], item["id"], quantity))
                if found not in share.fulfillment_orders:
                    share.fulfillment_orders.append(found)
    return share


def _preference(found: Node, handle: str) -> tuple[bool, bool, bool, bool]:
    state = request_state(found)
    return (
        found["status"] == "ON_HOLD",
        not is_ours(found, handle),
        state in _UNWANTED,
        state not in ("accepted", "cancel_rejected"),
    )


def _location(found: Node) -> str:
    location = (found.get("assignedLocation") or {}).get("location") or {}
    # A location that was deleted is null; such fulfilment orders are never taken together.
    return str(location.get("id") or found["id"])
