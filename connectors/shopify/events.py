"""What a stored delivery asks us to look at. Source: Shopify reference 2.5 and 2.6."""

from __future__ import annotations

import re
from typing import Any

from app.ports.inbound import Hint, HintKind
from connectors.shopify.payloads import OddPayloadError, read_object

FULFILLMENT_ORDER = "fulfillment_order:"
"""Prefix of an order reference that names a fulfilment order; `ShopifySession.order` resolves it."""

TOPICS = (
    "orders/create",
    "orders/paid",
    "orders/updated",
    "orders/edited",
    "orders/cancelled",
    "orders/delete",
    "refunds/create",
    "orders/risk_assessment_changed",
    "products/update",
    "products/delete",
    "fulfillment_orders/fulfillment_request_submitted",
    "fulfillment_orders/cancellation_request_submitted",
    "fulfillment_orders/order_routing_complete",
    "fulfillment_orders/moved",
    "fulfillment_orders/split",
    "fulfillment_orders/merged",
    "fulfillment_orders/placed_on_hold",
    "fulfillment_orders/hold_released",
    "fulfillment_orders/cancelled",
    "fulfillments/create",
    "fulfillments/update",
    "app/uninstalled",
    "app/scopes_update",
)
PRIVACY_TOPICS = ("customers/data_request", "customers/redact", "shop/redact")

_FULFILLMENT_ORDER_GID = re.compile(r"gid://shopify/FulfillmentOrder/\d{1,30}")
_ORDER_GID = re.compile(r"gid://shopify/Order/(\d{1,30})")
_LONGEST_ID = 30
# The first name that the payload has is used: a moved or merged fulfilment order lives on under its new id.
_FULFILLMENT_ORDER_NAMES = (
    "submitted_fulfillment_order",
    "moved_fulfillment_order",
    "replacement_fulfillment_order",
    "fulfillment_order",
    "original_fulfillment_order",
    "remaining_fulfillment_order",
)


def read_event(topic: str, body: bytes) -> Hint:
    """The hint in a delivery. Never raises: what cannot be read is NOTHING with a detail."""
    try:
        payload = read_object(body)
    except OddPayloadError as error:
        return Hint(HintKind.NOTHING, detail=f"payload_{error}", odd=True)
    return _hint(topic, payload)


def _hint(topic: str, payload: dict[str, Any]) -> Hint:
    subject, _, verb = topic.partition("/")
    if topic in PRIVACY_TOPICS:
        return _privacy(payload)
    if subject == "app":
        return _app(verb, payload)
    if subject in ("orders", "refunds", "fulfillments"):
        return _order(subject, verb, payload)
    if subject == "fulfillment_orders":
        return _fulfillment_order(payload)
    if subject == "products":
        return _found(HintKind.PRODUCT, _id(payload.get("id")))
    return Hint(HintKind.NOTHING, detail="unknown_topic")


def _app(verb: str, payload: dict[str, Any]) -> Hint:
    if verb == "uninstalled":
        return Hint(HintKind.UNINSTALLED)
    if verb == "scopes_update":
        return Hint(HintKind.SCOPES, extra={"scopes": " ".join(_texts(payload.get("current")))})
    return Hint(HintKind.NOTHING, detail="unknown_topic")


def _found(kind: HintKind, ref: str | None) -> Hint:
    return Hint(kind, ref=ref) if ref else Hint(HintKind.NOTHING, detail="no_id", odd=True)


def _order(subject: str, verb: str, payload: dict[str, Any]) -> Hint:
    if subject in ("refunds", "fulfillments"):
        return _found(HintKind.ORDER, _id(payload.get("order_id")))
    if verb == "delete":
        return _found(HintKind.ORDER_GONE, _id(payload.get("id")))
    if verb == "edited":
        edit = payload.get("order_edit")
        return _found(HintKind.ORDER, _id(edit.get("order_id")) if isinstance(edit, dict) else None)
    if verb == "risk_assessment_changed":
        # Its payload is not among the recorded ones; the order is named by number or by global id.
        ref = payload.get("order_id") or payload.get("admin_graphql_api_order_id") or payload.get("id")
        return _found(HintKind.ORDER, _id(ref))
    return _found(HintKind.ORDER, _id(payload.get("id")))


def _fulfillment_order(payload: dict[str, Any]) -> Hint:
    places = [payload, payload.get("fulfillment_order_merges")]
    for place in places:
        for name in _FULFILLMENT_ORDER_NAMES:
            part = place.get(name) if isinstance(place, dict) else None
            ref = part.get("id") if isinstance(part, dict) else None
            if isinstance(ref, str) and _FULFILLMENT_ORDER_GID.fullmatch(ref):
                return Hint(HintKind.ORDER, ref=FULFILLMENT_ORDER + ref, extra={"fulfillment_order": ref})
    return Hint(HintKind.NOTHING, detail="no_id", odd=True)


def _privacy(payload: dict[str, Any]) -> Hint:
    customer = payload.get("customer")
    ids = payload.get("orders_to_redact") or payload.get("orders_requested") or []
    extra = {
        "shop_domain": str(payload.get("shop_domain") or "")[:200].lower(),
        "orders": " ".join(ref for ref in map(_id, ids if isinstance(ids, list) else []) if ref),
    }
    customer_id = _id(customer.get("id")) if isinstance(customer, dict) else None
    return Hint(HintKind.PRIVACY, ref=customer_id, extra=extra)


def _texts(value: Any) -> list[str]:
    return [item[:100] for item in value if isinstance(item, str)] if isinstance(value, list) else []


def _id(value: Any) -> str | None:
    """An id as text; a number with a fraction or an exponent is no id."""
    if isinstance(value, bool):
        return None
    if isinstance(value, int) and value > 0:
        return str(value)
    if isinstance(value, str):
        match = _ORDER_GID.fullmatch(value)
        if match:
            return match[1]
        return value if value.isascii() and value.isdigit() and len(value) <= _LONGEST_ID else None
    return None
