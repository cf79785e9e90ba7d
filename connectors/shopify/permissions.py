"""What the shop has granted to the app, and what is lacking. Source: Shopify reference 1.8 and 3.3, appendix B."""

from __future__ import annotations

from collections.abc import Collection, Mapping
from datetime import timedelta
from typing import Any

from app.ports.errors import MerchantMustAct

LACKING = "shop_permission"
ALL_ORDERS = "read_all_orders"
READ_FOR = timedelta(days=59)
"""A day less than Shopify says: an order of this age may be hidden by the time the answer is made."""
FOR_ORDERS = (
    "read_orders",
    "read_products",
    "read_locations",
    "read_assigned_fulfillment_orders",
    "read_merchant_managed_fulfillment_orders",
    "read_third_party_fulfillment_orders",
)
"""Without one of these an order looks other than it is: fulfilment orders are left out without an error."""


def granted(data: Mapping[str, Any]) -> frozenset[str] | None:
    """The scopes in an answer that holds `currentAppInstallation`, None if it tells none."""
    installation = data.get("currentAppInstallation")
    if not isinstance(installation, Mapping):
        return None
    return frozenset(str(scope["handle"]) for scope in installation["accessScopes"])


def covers(scopes: Collection[str], scope: str) -> bool:
    """Whether the scopes hold this one; the right to write includes that to read."""
    return scope in scopes or scope.replace("read_", "write_", 1) in scopes


def demand(data: Mapping[str, Any]) -> None:
    """Raise `MerchantMustAct` naming what is lacking to read an order as it is."""
    scopes = granted(data)
    lacking = [] if scopes is None else [scope for scope in FOR_ORDERS if not covers(scopes, scope)]
    if lacking:
        raise MerchantMustAct(LACKING, "ACCESS_DENIED", ", ".join(lacking))
