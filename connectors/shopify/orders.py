"""Reading orders: one order with all its pages, and the list of changed ones."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from typing import Any

from app.ports.errors import MerchantMustAct, Refused
from app.ports.storefront import OrderPage, OrderRef, PlacedPage
from connectors.shopify import permissions
from connectors.shopify.addresses import gid, number_of
from connectors.shopify.client import GraphQLClient
from connectors.shopify.events import FULFILLMENT_ORDER
from connectors.shopify.translate import moment

_MOST_PAGES = 100


@dataclass(frozen=True, slots=True)
class OrderNode:
    """An order's data with every page of lines and fulfilment orders in it. `denied`: see `Result`."""

    order: dict[str, Any]
    denied: tuple[str, ...]


def order_gid(client: GraphQLClient, ref: str) -> str | None:
    """The order's global id for a number, a global id, or `fulfillment_order:<gid>`; None if this shop has no such."""
    if not ref.startswith(FULFILLMENT_ORDER):
        return gid("Order", ref)
    owner = client.run("fulfillment_order_owner", id=gid("FulfillmentOrder", ref.removeprefix(FULFILLMENT_ORDER)))
    found = owner.data.get("fulfillmentOrder")
    return str(found["orderId"]) if found else None


def read_order(client: GraphQLClient, ref: str) -> OrderNode | None:
    """The order as it stands now, None if this shop has none of that id, or shows none of that age to us.

    Raises `MerchantMustAct` if a permission is lacking without which the order looks other than it is.
    """
    try:
        order_id = order_gid(client, ref)
    except ValueError:
        return None
    if order_id is None:
        return None
    first = client.run("order", id=order_id)
    permissions.demand(first.data)
    order = first.data.get("order")
    if order is None:
        return None
    hidden = [path for path in first.denied if not path.startswith("order.shippingAddress")]
    if hidden:
        raise MerchantMustAct(permissions.LACKING, "ACCESS_DENIED", ", ".join(hidden)[:200])
    lines, routed = order["lineItems"], order["fulfillmentOrders"]
    lines["nodes"] += rest_of(lines, lambda after: _of_order(client, "line_items_page", order_id, after, "lineItems"))
    routed["nodes"] += rest_of(
        routed, lambda after: _of_order(client, "fulfillment_orders_page", order_id, after, "fulfillmentOrders")
    )
    complete_lines(client, routed["nodes"])
    return OrderNode(order, first.denied)


def read_fulfillment_orders(client: GraphQLClient, order_id: str) -> list[dict[str, Any]] | None:
    """All fulfilment orders of an order, with all their lines; None if the shop shows no such order."""
    first = client.run("fulfillment_orders_page", id=gid("Order", order_id), after=None).data.get("order")
    if first is None:
        return None
    connection = first["fulfillmentOrders"]
    found: list[dict[str, Any]] = connection["nodes"] + rest_of(
        connection,
        lambda after: _of_order(client, "fulfillment_orders_page", gid("Order", order_id), after, "fulfillmentOrders"),
    )
    complete_lines(client, found)
    return found


def complete_lines(client: GraphQLClient, fulfillment_orders: list[dict[str, Any]]) -> None:
    """Read the further pages of each fulfilment order's lines."""
    for found in fulfillment_orders:
        lines = found["lineItems"]

        def page(after: str, ref: str = found["id"]) -> dict[str, Any] | None:
            data = client.run("fulfillment_order_lines_page", id=ref, after=after).data.get("fulfillmentOrder")
            return data["lineItems"] if data else None

        lines["nodes"] += rest_of(lines, page)


def _of_order(client: GraphQLClient, file: str, order_id: str, after: str, name: str) -> dict[str, Any] | None:
    order = client.run(file, id=order_id, after=after).data.get("order")
    return order[name] if order else None


def rest_of(connection: dict[str, Any], page: Callable[[str], dict[str, Any] | None]) -> list[dict[str, Any]]:
    """The nodes behind the first page of a connection."""
    nodes: list[dict[str, Any]] = []
    for _ in range(_MOST_PAGES):
        if not connection["pageInfo"]["hasNextPage"]:
            return nodes
        following = page(connection["pageInfo"]["endCursor"])
        if following is None:
            return nodes
        nodes += following["nodes"]
        connection = following
    raise Refused("too_many_pages")


def changed_orders(client: GraphQLClient, since: datetime, until: datetime, cursor: str | None) -> OrderPage:
    """One page of the orders changed in [since, until], oldest change first.

    `updatedAt` has whole seconds, so `until` is widened to the end of its second.
    """
    upper = until.astimezone(UTC).replace(microsecond=0) + timedelta(seconds=1)
    found, following = _page(client, ("orders_changed", "updated_at", "updatedAt"), since, upper, cursor)
    return OrderPage(tuple(OrderRef(*each) for each in found), following)


def placed_orders(client: GraphQLClient, since: datetime, until: datetime, cursor: str | None) -> PlacedPage:
    """One page of the orders placed in [since, until), both whole seconds, oldest first."""
    found, following = _page(client, ("orders_placed", "created_at", "createdAt"), since, until, cursor)
    return PlacedPage(tuple(number for number, _ in found), following)


def _page(
    client: GraphQLClient, by: tuple[str, str, str], since: datetime, upper: datetime, cursor: str | None
) -> tuple[list[tuple[str, datetime]], str | None]:
    """(orders with their times, the next cursor). `by`: document, search term and field of the time to list by.

    A query can be paged through for 25,000 objects only (reference 3.2), so a new one begins at the last time seen
    after `RESTART` pages.
    """
    file, term, field = by
    start, after, pages = _place(cursor, since)
    query = f"{term}:>='{_text(start)}' AND {term}:<'{_text(upper)}'"
    orders = client.run(file, query=query, after=after).data["orders"]
    info = orders["pageInfo"]
    found = [each for node in orders["nodes"] if (each := _reference(node, field)) is not None]
    if not info["hasNextPage"]:
        return found, None
    last = found[-1][1] if found else start
    if pages >= RESTART and last > start:
        return found, f"{last.isoformat()}||0"
    return found, f"{start.isoformat()}|{info['endCursor']}|{pages + 1}"


def _reference(node: Mapping[str, Any], field: str) -> tuple[str, datetime] | None:
    """None for a node that is none of Shopify's: one odd order must not hide all others."""
    try:
        return number_of(node["id"]), moment(node[field])
    except ValueError:
        return None


RESTART = 100
"""Pages of 100 orders after which a query begins anew."""


def _place(cursor: str | None, since: datetime) -> tuple[datetime, str | None, int]:
    """Where the walk stands: from when on, after which of Shopify's cursors, how many pages of this query."""
    if cursor is None:
        return since, None, 1
    start, after, pages = cursor.split("|", 2)
    return datetime.fromisoformat(start), after or None, int(pages)


def _text(when: datetime) -> str:
    return when.astimezone(UTC).strftime("%Y-%m-%dT%H:%M:%SZ")
