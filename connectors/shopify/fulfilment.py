"""Showing parcels: read what is there, adopt it or create it once, and read again when the answer was lost.

`fulfillmentCreate` has no idempotency key (Shopify reference 3.4). What bounds it is the remaining quantity; what makes
it repeatable here is the tracking number, looked for before each write.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any

from app.ports.adoption import plain, shown_already
from app.ports.errors import MerchantMustAct, OutcomeUnknown, OutsideError, Refused, TryLater
from app.ports.storefront import Fulfilment, Parcel, ParcelLine
from connectors.shopify.addresses import gid, number_of
from connectors.shopify.allocation import Allocation, allocate
from connectors.shopify.carriers import tracking_input
from connectors.shopify.client import GraphQLClient
from connectors.shopify.orders import read_fulfillment_orders, rest_of
from connectors.shopify.request_answers import accept_open_request, reject_open_cancellation

Node = Mapping[str, Any]

_DEAD = frozenset(("CANCELLED", "ERROR", "FAILURE"))


def fulfilments(client: GraphQLClient, order_id: str) -> tuple[Fulfilment, ...]:
    """Fulfilments that the order shows; cancelled and failed ones are left out."""
    order = client.run("fulfillments", id=gid("Order", order_id)).data.get("order")
    found = [node for node in (order["fulfillments"] if order else []) if node["status"] not in _DEAD]
    return tuple(_fulfilment(client, node) for node in found)


def _fulfilment(client: GraphQLClient, node: Node) -> Fulfilment:
    def page(after: str) -> dict[str, Any] | None:
        data = client.run("fulfillment_lines_page", id=node["id"], after=after).data.get("fulfillment")
        return data["fulfillmentLineItems"] if data else None

    lines = node["fulfillmentLineItems"]
    return Fulfilment(
        id=number_of(node["id"]),
        tracking_numbers=tuple(str(info["number"]) for info in node["trackingInfo"] if info.get("number")),
        lines=tuple(
            ParcelLine(number_of(item["lineItem"]["id"]), int(item["quantity"] or 0))
            for item in [*lines["nodes"], *rest_of(lines, page)]
        ),
    )


def fulfil(client: GraphQLClient, order_id: str, parcel: Parcel, handle: str) -> Fulfilment:
    """Show the parcel. One `fulfillmentCreate` per location that holds a part of it; each is looked for first.

    Whoever is refused looks again: another worker may have shown it between our reading and our writing.
    """
    try:
        return _show(client, order_id, parcel, handle)
    except Refused:
        shown = _look(client, order_id, parcel)
        if shown.first is None or shown.missing:
            raise
        return shown.first


def _show(client: GraphQLClient, order_id: str, parcel: Parcel, handle: str) -> Fulfilment:
    shown = _look(client, order_id, parcel)
    for _ in range(1 + len(parcel.lines)):
        if not shown.missing:
            break
        routed = read_fulfillment_orders(client, order_id)
        if routed is None:
            raise Refused("order_not_shown", "the shop shows no such order: deleted, or older than 60 days")
        shares = allocate(routed, shown.missing, handle)
        if not shares:
            break
        share = _ready(client, shares[0])
        created = _create(client, order_id, parcel, share, shown)
        if share.pieces >= sum(shown.missing.values()):
            return shown.first or created
        shown = _look(client, order_id, parcel)
    if shown.first is None:
        raise Refused("nothing_to_fulfil", "no open quantity is left for these lines")
    return shown.first


@dataclass(frozen=True, slots=True)
class _Shown:
    """`first`: a fulfilment that carries the parcel's number and shows it; `missing`: pieces that none such covers."""

    first: Fulfilment | None
    missing: dict[str, int]


def _look(client: GraphQLClient, order_id: str, parcel: Parcel) -> _Shown:
    wanted = replace(parcel, lines=tuple(replace(line, line_id=number_of(line.line_id)) for line in parcel.lines))
    number = plain(parcel.tracking_number)
    with_it = [one for one in fulfilments(client, order_id) if number in {plain(text) for text in one.tracking_numbers}]
    first, missing = shown_already(wanted, with_it)
    return _Shown(first, {line.line_id: line.quantity for line in missing})


def _ready(client: GraphQLClient, share: Allocation) -> Allocation:
    """See that Shopify will let these fulfilment orders be fulfilled; accept a request that is still open."""
    for found in share.fulfillment_orders:
        actions = {action["action"] for action in found.get("supportedActions") or []}
        if "CREATE_FULFILLMENT" in actions:
            continue
        if found["status"] == "ON_HOLD":
            raise MerchantMustAct("fulfilment_on_hold", "ON_HOLD", "the fulfilment order is on hold")
        if found["requestStatus"] == "SUBMITTED":
            accept_open_request(client, found["id"])
            continue
        if found["requestStatus"] == "CANCELLATION_REQUESTED":
            reject_open_cancellation(client, found["id"])
            continue
        if found["requestStatus"] in ("UNSUBMITTED", "REJECTED", "CANCELLATION_ACCEPTED"):
            raise MerchantMustAct("fulfilment_not_requested", found["requestStatus"])
        raise Refused("fulfilment_not_possible", f"{found['status']} {found['requestStatus']}")
    return share


def _create(client: GraphQLClient, order_id: str, parcel: Parcel, share: Allocation, shown: _Shown) -> Fulfilment:
    fulfillment = {
        "lineItemsByFulfillmentOrder": share.line_items(),
        "trackingInfo": tracking_input(parcel),
        "notifyCustomer": parcel.notify,
    }
    try:
        payload = client.run("fulfill", fulfillment=fulfillment).data["fulfillmentCreate"]
    except OutcomeUnknown as error:
        return _appeared(client, order_id, parcel, shown, error)
    if payload and payload.get("fulfillment"):
        return _fulfilment(client, payload["fulfillment"])
    # Somebody may have fulfilled, split or moved it between our reading and our writing. No code tells: read again.
    return _appeared(client, order_id, parcel, shown, Refused("user_error", user_errors(payload)))


def _appeared(client: GraphQLClient, order_id: str, parcel: Parcel, before: _Shown, error: OutsideError) -> Fulfilment:
    """The fulfilment that appeared since `before`, else the error: a lost call may still be running."""
    try:
        now = _look(client, order_id, parcel)
    except (TryLater, MerchantMustAct):
        raise error from None
    if now.first is None or now.missing == before.missing:
        raise error
    return now.first


def update_tracking(client: GraphQLClient, order_id: str, fulfilment_id: str, parcel: Parcel) -> Fulfilment:
    """Replace number, carrier and link, unless the number is there already: the buyer may be told with each write."""
    there = _with_number(client, order_id, fulfilment_id, parcel)
    if there is not None:
        return there
    wanted = tracking_input(parcel)
    try:
        payload = client.run("track", id=gid("Fulfillment", fulfilment_id), tracking=wanted, notify=parcel.notify).data[
            "fulfillmentTrackingInfoUpdate"
        ]
    except OutcomeUnknown as error:
        there = _with_number(client, order_id, fulfilment_id, parcel)
        if there is not None:
            return there
        if parcel.notify:
            raise
        raise TryLater(error.code, vendor=error.vendor, operation=error.operation) from error
    if payload and payload.get("fulfillment"):
        return _fulfilment(client, payload["fulfillment"])
    raise Refused("user_error", user_errors(payload))


def _with_number(client: GraphQLClient, order_id: str, fulfilment_id: str, parcel: Parcel) -> Fulfilment | None:
    """This fulfilment, if it has the parcel's number and no other."""
    wanted = (tracking_input(parcel)["number"],)
    found = (one for one in fulfilments(client, order_id) if one.id == number_of(fulfilment_id))
    return next((one for one in found if one.tracking_numbers == wanted), None)


def user_errors(payload: Mapping[str, Any] | None) -> str:
    """The texts of `userErrors`; they name fields and states of the API."""
    errors: Sequence[Mapping[str, Any]] = (payload or {}).get("userErrors") or []
    return "; ".join(str(error.get("message", "")) for error in errors)[:300] or "no fulfillment in the answer"
