"""The merchant's requests at our location: accept or reject them. Source: Shopify reference 4.3."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from app.ports.errors import OutcomeUnknown, OutsideError, Refused, TryLater
from app.ports.storefront import Request
from connectors.shopify.addresses import number_of
from connectors.shopify.client import GraphQLClient
from connectors.shopify.orders import read_fulfillment_orders
from connectors.shopify.routing import is_ours

REASONS = {
    "out_of_stock": "INVENTORY_OUT_OF_STOCK",
    "undeliverable": "UNDELIVERABLE_DESTINATION",
    "incorrect_address": "INCORRECT_ADDRESS",
    "invalid_sku": "INVALID_SKU",
    "other": "OTHER",
}
_OPEN: dict[Request, str] = {"fulfilment": "SUBMITTED", "cancellation": "CANCELLATION_REQUESTED"}
_MUTATIONS = {
    ("SUBMITTED", True): ("accept_request", "fulfillmentOrderAcceptFulfillmentRequest"),
    ("SUBMITTED", False): ("reject_request", "fulfillmentOrderRejectFulfillmentRequest"),
    ("CANCELLATION_REQUESTED", True): ("accept_cancellation", "fulfillmentOrderAcceptCancellationRequest"),
    ("CANCELLATION_REQUESTED", False): ("reject_cancellation", "fulfillmentOrderRejectCancellationRequest"),
}
_LONGEST = 255


def answer_request(
    client: GraphQLClient,
    handle: str,
    order_id: str,
    line_ids: Sequence[str],
    *,
    about: Request,
    accept: bool,
    reason: str,
    message: str,
) -> None:
    """Answer every open request of this kind at our location that holds one of these lines.

    A request is answered as a whole: Shopify knows no acceptance of single lines.
    """
    wanted = {number_of(line_id) for line_id in line_ids}
    for found in read_fulfillment_orders(client, order_id) or ():
        lines = {number_of(item["lineItem"]["id"]) for item in found["lineItems"]["nodes"]}
        if is_ours(found, handle) and found["requestStatus"] == _OPEN[about] and lines & wanted:
            _answer(client, found, accept=accept, reason=reason, message=message)


def accept_open_request(client: GraphQLClient, fulfillment_order_id: str) -> None:
    """Accept one submitted request, for a parcel that is on its way already."""
    node = {"id": fulfillment_order_id, "requestStatus": "SUBMITTED"}
    _answer(client, node, accept=True, reason="other", message="")


def reject_open_cancellation(client: GraphQLClient, fulfillment_order_id: str) -> None:
    """Reject one cancellation request, for a parcel that is on its way already."""
    node = {"id": fulfillment_order_id, "requestStatus": "CANCELLATION_REQUESTED"}
    _answer(client, node, accept=False, reason="other", message="The parcel is on its way already.")


def _answer(client: GraphQLClient, found: Mapping[str, Any], *, accept: bool, reason: str, message: str) -> None:
    file, root = _MUTATIONS[found["requestStatus"], accept]
    variables: dict[str, Any] = {"id": found["id"], "message": message[:_LONGEST] or None}
    if file == "reject_request":
        variables["reason"] = REASONS.get(reason, "OTHER")
    try:
        payload = client.run(file, **variables).data[root] or {}
    except OutcomeUnknown as error:
        # The state is read before each answer, so a second try cannot answer twice.
        raise TryLater(error.code, vendor=error.vendor, operation=error.operation) from error
    errors = payload.get("userErrors") or []
    if errors:
        raise _refused(errors)


def _refused(errors: Sequence[Mapping[str, Any]]) -> OutsideError:
    return Refused("user_error", "; ".join(str(error.get("message", "")) for error in errors)[:300])
