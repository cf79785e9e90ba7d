"""The root fields that read: shop, orders, fulfilment orders, variants, locations."""

from __future__ import annotations

import re
from collections.abc import Mapping
from datetime import UTC, datetime
from typing import Any

from connectors.shopify.simulator import scopes
from connectors.shopify.simulator.engine import DeniedError, Resolver, Run
from connectors.shopify.simulator.views import FIELDS, OPEN, gid, location, number, page, visible

Record = dict[str, Any]
Arguments = Mapping[str, Any]

_TERM = re.compile(r"(updated_at|created_at):(>=|<=|>|<)?'?([0-9T:.Z+-]+)'?")
_ASSIGNMENT = {
    "FULFILLMENT_REQUESTED": ("SUBMITTED",),
    "FULFILLMENT_ACCEPTED": ("ACCEPTED", "CANCELLATION_REJECTED"),
    "CANCELLATION_REQUESTED": ("CANCELLATION_REQUESTED",),
    "FULFILLMENT_UNSUBMITTED": ("UNSUBMITTED",),
}


def order_of(run: Run, ref: str) -> Record | None:
    """The order, if it is this shop's."""
    found: Record | None = run.world.orders.get(number("Order", ref))
    return found if found and found["shop"] == run.shop["domain"] and _shown(run, found) else None


def _shown(run: Run, order: Record) -> bool:
    return not order["deleted"] and scopes.shows_order(run.shop, order, run.world.now())


def fulfillment_order_of(run: Run, ref: str) -> tuple[Record, Record] | None:
    """(order, fulfilment order), if they are this shop's and exist by now."""
    wanted = number("FulfillmentOrder", ref)
    order = run.world.orders.get(run.world.by_fulfillment_order.get(wanted))
    if order is None or order["shop"] != run.shop["domain"]:
        return None
    for routed in visible(run, order):
        if routed["id"] == wanted:
            return order, routed
    return None


def fulfillment_of(run: Run, ref: str) -> tuple[Record, Record] | None:
    """(order, fulfilment), if they are this shop's."""
    wanted = number("Fulfillment", ref)
    order = run.world.orders.get(run.world.by_fulfillment.get(wanted))
    if order is None or order["shop"] != run.shop["domain"]:
        return None
    return next(((order, found) for found in order["fulfillments"] if found["id"] == wanted), None)


def _orders(run: Run, _source: Any, arguments: Arguments) -> Record:
    found = [
        order
        for order in run.world.orders.values()
        if order["shop"] == run.shop["domain"] and _shown(run, order) and _matches(order, arguments.get("query"))
    ]
    by = "updated_at" if arguments.get("sortKey") == "UPDATED_AT" else "created_at"
    found.sort(key=lambda order: (order[by], order["id"]), reverse=bool(arguments.get("reverse")))
    after = arguments.get("after")
    if after and int(after) + 1 >= run.world.options.page_limit:
        # That it ends there is sure (reference 3.2); the words and the code are not.
        raise DeniedError(f"Pagination ends at {run.world.options.page_limit:g} objects.", "PAGINATION_LIMIT")
    return page(found, arguments)


def _matches(order: Record, query: str | None) -> bool:
    for name, relation, text in _TERM.findall(query or ""):
        bound = datetime.fromisoformat(text)
        limit = (bound if bound.tzinfo else bound.replace(tzinfo=UTC)).timestamp()
        value = order[name]
        if not {
            ">=": value >= limit,
            ">": value > limit,
            "<=": value <= limit,
            "<": value < limit,
            "": value == limit,
        }[relation]:
            return False
    return True


def _fulfillment_order(run: Run, _source: Any, arguments: Arguments) -> Record | None:
    found = fulfillment_order_of(run, arguments["id"])
    return found[1] | {"order": found[0]} if found else None


def _fulfillment(run: Run, _source: Any, arguments: Arguments) -> Record | None:
    found = fulfillment_of(run, arguments["id"])
    return found[1] | {"order": found[0]} if found else None


def _assigned(run: Run, _source: Any, arguments: Arguments) -> Record:
    states = _ASSIGNMENT.get(str(arguments.get("assignmentStatus")))
    found = [
        routed | {"order": order}
        for order in run.world.orders.values()
        if order["shop"] == run.shop["domain"] and not order["deleted"]
        for routed in visible(run, order)
        if routed["location"] == "ours" and routed["status"] in OPEN and (states is None or routed["request"] in states)
    ]
    return page(found, arguments)


def _variant(run: Run, _source: Any, arguments: Arguments) -> Record | None:
    found: Record | None = run.world.variants.get(number("ProductVariant", arguments["id"]))
    return found if found and found["product"]["shop"] == run.shop["domain"] else None


def _variants(run: Run, _source: Any, arguments: Arguments) -> Record:
    match = re.fullmatch(r"sku:'((?:[^'\\]|\\.)*)'", arguments.get("query") or "")
    wanted = re.sub(r"\\(.)", r"\1", match[1]).lower() if match else None
    found = [
        variant
        for variant in run.world.variants.values()
        if variant["product"]["shop"] == run.shop["domain"]
        # The real search ignores case and finds beginnings too; callers must compare for themselves.
        and (wanted is None or str(variant["sku"] or "").lower().startswith(wanted))
    ]
    return page(found, arguments)


def _shop(run: Run, _source: Any, _arguments: Arguments) -> Record:
    shop = run.shop
    return {
        "id": gid("Shop", shop["id"]),
        "name": shop["name"],
        "myshopifyDomain": shop["domain"],
        "currencyCode": shop["currency"],
        "ianaTimezone": shop["timezone"],
        "email": f"owner@{shop['domain']}",
        "shopAddress": {"id": gid("ShopAddress", shop["id"]), "countryCodeV2": shop["country"]},
        "plan": {"partnerDevelopment": True, "publicDisplayName": "Basic", "shopifyPlus": False},
    }


def _installation(run: Run, _source: Any, _arguments: Arguments) -> Record:
    handles = [{"handle": scope} for scope in run.shop["scopes"]]
    return {"id": gid("AppInstallation", run.shop["id"]), "accessScopes": handles}


READS: dict[tuple[str, str], Resolver] = {
    **FIELDS,
    ("QueryRoot", "shop"): _shop,
    ("QueryRoot", "currentAppInstallation"): _installation,
    ("QueryRoot", "order"): lambda run, _source, arguments: order_of(run, arguments["id"]),
    ("QueryRoot", "orders"): _orders,
    ("QueryRoot", "fulfillment"): _fulfillment,
    ("QueryRoot", "fulfillmentOrder"): _fulfillment_order,
    ("QueryRoot", "assignedFulfillmentOrders"): _assigned,
    ("QueryRoot", "productVariant"): _variant,
    ("QueryRoot", "productVariants"): _variants,
    ("QueryRoot", "locations"): lambda run, _source, arguments: page(
        [location(run, name) for name in ("merchant", *(["ours"] if run.shop["our_location"] else []))], arguments
    ),
    ("Product", "id"): lambda _run, product, _arguments: gid("Product", product["id"]),
    ("ProductVariant", "id"): lambda _run, variant, _arguments: gid("ProductVariant", variant["id"]),
    ("ProductVariant", "displayName"): lambda _run, variant, _arguments: (
        f"{variant['product']['title']} - {variant['title']}"
    ),
}
