"""Where an order's lines are to be fulfilled from, and whether we were asked to: its fulfilment orders.

Source: Shopify reference 4.3. An order may have several, with different owners; moved or split ones leave closed ones
behind, which do not count.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import Any

from connectors.shopify.addresses import number_of

Node = Mapping[str, Any]

OPEN = frozenset(("OPEN", "IN_PROGRESS", "SCHEDULED", "ON_HOLD"))
_REQUEST = {
    "UNSUBMITTED": "none",
    "SUBMITTED": "submitted",
    "ACCEPTED": "accepted",
    "REJECTED": "rejected",
    "CANCELLATION_REQUESTED": "cancel_requested",
    "CANCELLATION_REJECTED": "cancel_rejected",
    "CANCELLATION_ACCEPTED": "cancelled",
    "CLOSED": "none",
}
# If the pieces of a line are in several fulfilment orders, the state that needs us first speaks for the line.
_URGENCY = ("cancel_requested", "submitted", "accepted", "cancel_rejected", "rejected", "cancelled", "none")
_ASKED = frozenset(("cancel_requested", "submitted", "accepted", "cancel_rejected"))


@dataclass(frozen=True, slots=True)
class Place:
    """One line's place: open pieces, whether our location holds it, and what is asked of it there, for how many."""

    ours: bool
    request: str
    remaining: int
    requested: int
    kept_back: int


def is_ours(fulfillment_order: Node, handle: str) -> bool:
    """Whether the location of our own fulfilment service holds it."""
    location = (fulfillment_order.get("assignedLocation") or {}).get("location") or {}
    return (location.get("fulfillmentService") or {}).get("handle") == handle


def request_state(fulfillment_order: Node) -> str:
    """The state of the merchant's request, in our word."""
    return _REQUEST.get(str(fulfillment_order.get("requestStatus")), "none")


class Routing:
    """All fulfilment orders of one order."""

    def __init__(self, fulfillment_orders: Iterable[Node], handle: str) -> None:
        self._all = tuple(fulfillment_orders)
        self._handle = handle
        self.known = bool(self._all)
        """False until Shopify has routed the order, which it does some time after its creation."""

    def hold(self) -> str | None:
        """The first hold on an open fulfilment order."""
        for found in self._all:
            if found["status"] not in OPEN:
                continue
            holds = [str(hold["reason"]).lower() for hold in found.get("fulfillmentHolds") or []]
            if holds or found["status"] == "ON_HOLD":
                return f"on_hold:{holds[0] if holds else 'other'}"
            if found["status"] == "SCHEDULED":
                return "scheduled"
        return None

    def line(self, line_id: str) -> Place:
        """The place of the line with this number."""
        pieces = [
            (found, int(item["remainingQuantity"]))
            for found in self._all
            for item in found["lineItems"]["nodes"]
            if number_of(item["lineItem"]["id"]) == line_id
        ]
        live = [(found, left) for found, left in pieces if found["status"] in OPEN]
        ours = [(found, left) for found, left in live or pieces if is_ours(found, self._handle)]
        states = {request_state(found) for found, _ in ours}
        # What is asked back is not to be shipped unless the answer is no.
        asked = [(found, left) for found, left in ours if request_state(found) in _ASKED - {"cancel_requested"}]
        kept = [(found, left) for found, left in asked if request_state(found) == "cancel_rejected"]
        wished = [one for one in asked if one not in kept]
        if not live:
            wished = kept = []
        elif states & _ASKED:
            # A partial request splits the fulfilment order: only the pieces asked for are ours to ship.
            live = asked + [(found, left) for found, left in live if not is_ours(found, self._handle)]
        counts = (sum(left for _, left in some) for some in (live, wished, kept))
        request = next((state for state in _URGENCY if state in states), "none")
        return Place(bool(ours), request, *counts)
