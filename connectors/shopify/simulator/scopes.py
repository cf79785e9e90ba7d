"""Which access scopes the fields of the Admin API ask for, and what one sees without them.

Source: Shopify reference 1.8 and appendix B. That objects hanging below an order (variant, product, location) ask for
the scope of their own kind is unconfirmed; the simulator is strict.
"""

from __future__ import annotations

from collections.abc import Collection
from typing import Any

Record = dict[str, Any]

ALL_ORDERS = "read_all_orders"
RECENT = 60 * 86_400
"""Seconds: older orders are shown with `read_all_orders` only."""
_MANAGED = ("assigned", "merchant_managed", "third_party")
_ANY_READ = tuple(f"read_{kind}_fulfillment_orders" for kind in _MANAGED)
_ANY_WRITE = tuple(f"write_{kind}_fulfillment_orders" for kind in _MANAGED)
_ANSWER = ("write_assigned_fulfillment_orders",)
_SEEN_WITH = {"ours": "read_assigned_fulfillment_orders", "merchant": "read_merchant_managed_fulfillment_orders"}

NEEDS: dict[tuple[str, str], tuple[str, ...]] = {
    ("QueryRoot", "order"): ("read_orders",),
    ("QueryRoot", "orders"): ("read_orders",),
    ("QueryRoot", "fulfillment"): ("read_orders", *_ANY_READ),
    ("QueryRoot", "fulfillmentOrder"): _ANY_READ,
    ("QueryRoot", "assignedFulfillmentOrders"): ("read_assigned_fulfillment_orders",),
    ("QueryRoot", "productVariant"): ("read_products",),
    ("QueryRoot", "productVariants"): ("read_products",),
    ("QueryRoot", "locations"): ("read_locations",),
    ("LineItem", "product"): ("read_products",),
    ("LineItem", "variant"): ("read_products",),
    ("FulfillmentOrderAssignedLocation", "location"): ("read_locations",),
    ("Mutation", "fulfillmentCreate"): _ANY_WRITE,
    ("Mutation", "fulfillmentTrackingInfoUpdate"): _ANY_WRITE,
    ("Mutation", "fulfillmentCancel"): _ANY_WRITE,
    ("Mutation", "fulfillmentOrderAcceptFulfillmentRequest"): _ANSWER,
    ("Mutation", "fulfillmentOrderRejectFulfillmentRequest"): _ANSWER,
    ("Mutation", "fulfillmentOrderAcceptCancellationRequest"): _ANSWER,
    ("Mutation", "fulfillmentOrderRejectCancellationRequest"): _ANSWER,
}
"""Type and field to the scopes of which any one is enough."""


def covers(granted: Collection[str], scope: str) -> bool:
    """Whether the grants hold the scope; the right to write includes that to read."""
    return scope in granted or scope.replace("read_", "write_", 1) in granted


def error(field: str, needed: tuple[str, ...], path: list[Any]) -> Record:
    """The entry in `errors` for a field whose scope was not granted."""
    access = " or ".join(f"`{scope}` access scope" for scope in needed)
    return {
        "message": f"Access denied for {field} field. Required access: {access}.",
        "path": path,
        "extensions": {
            "code": "ACCESS_DENIED",
            "documentation": "https://shopify.dev/api/usage/access-scopes",
            "requiredAccess": f"{access}.",
        },
    }


def shows_order(shop: Record, order: Record, now: float) -> bool:
    """Whether an order is recent enough for the grants; an older one is null, without an error."""
    return now - order["created_at"] <= RECENT or ALL_ORDERS in shop["scopes"]


def shows_routed(shop: Record, routed: Record) -> bool:
    """Whether the grants cover a fulfilment order; the others are left out, without an error."""
    return covers(shop["scopes"], _SEEN_WITH[routed["location"]])
