"""A query of Shopify's can be paged through for 25,000 objects: longer lists are asked for in several queries."""

from __future__ import annotations

import re
from datetime import UTC, datetime, timedelta
from types import SimpleNamespace
from typing import Any, cast

from app.ports.errors import Refused
from connectors.shopify.client import GraphQLClient
from connectors.shopify.orders import changed_orders

MOST = 25_000
BEGIN = datetime(2026, 11, 1, tzinfo=UTC)


class ManyOrders:
    """A shop with an order changed every second, which refuses what Shopify refuses."""

    def __init__(self, count: int) -> None:
        self._count = count

    def run(self, _document: str, *, query: str, after: str | None) -> SimpleNamespace:
        since = datetime.fromisoformat(cast("re.Match[str]", re.search(r">='([^']*)'", query))[1])
        first, offset = int((since - BEGIN).total_seconds()), int(after or 0)
        if offset + 100 > MOST:
            raise Refused("MAX_PAGES", vendor="shopify")
        numbers = range(first + offset, min(first + offset + 100, self._count))
        nodes: list[dict[str, Any]] = [
            {"id": f"gid://shopify/Order/{1 + number}", "updatedAt": (BEGIN + timedelta(seconds=number)).isoformat()}
            for number in numbers
        ]
        info = {"hasNextPage": first + offset + 100 < self._count, "endCursor": str(offset + 100)}
        return SimpleNamespace(data={"orders": {"nodes": nodes, "pageInfo": info}})


def test_more_orders_than_one_query_gives_are_all_listed() -> None:
    client = cast("GraphQLClient", ManyOrders(MOST + 5_000))
    found, cursor = set[str](), None
    while True:
        page = changed_orders(client, BEGIN, BEGIN + timedelta(days=7), cursor)
        found |= {ref.id for ref in page.orders}
        cursor = page.next_cursor
        if cursor is None:
            break
    assert len(found) == MOST + 5_000
