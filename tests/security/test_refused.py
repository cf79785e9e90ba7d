"""S16: a bad signature costs a hash. Seen at the driver, since the receiver does not ask through SQLAlchemy."""

from __future__ import annotations

from typing import Any

import psycopg
import pytest

from tests.flow.world import World
from tests.security.sending import order_body, push_headers, shopify, woo_shop
from tests.security.test_webhooks_in import ALIEXPRESS, SHOP, SHOPIFY, send


@pytest.mark.security("S16")
def test_s16_what_is_refused_is_neither_parsed_nor_looked_up_on_any_path(
    world: World, monkeypatch: pytest.MonkeyPatch
) -> None:
    world.shopify_shop(SHOP)
    world.woocommerce_shop("socks")
    woo = woo_shop(world, f"{world.woocommerce.url}/socks")
    good, other = order_body(7), order_body(8)
    ways = [
        (SHOPIFY, shopify(good)),
        (woo.path, woo.headers(good)),
        (ALIEXPRESS, push_headers(good)),
    ]
    statements: list[str] = []
    execute = psycopg.Cursor.execute

    def noted(self: Any, query: Any, *rest: Any, **more: Any) -> Any:
        statements.append(str(query))
        return execute(self, query, *rest, **more)

    def parsed(*_: object, **__: object) -> None:
        pytest.fail("a refused body was parsed")

    monkeypatch.setattr(psycopg.Cursor, "execute", noted)
    for path, headers in ways:
        assert send(world, good, headers, path) == 200
    assert [one for one in statements if "INSERT INTO inbox" in one]  # whatever the receiver asks is seen here
    statements.clear()
    monkeypatch.setattr("json.loads", parsed)
    for path, headers in ways:
        assert send(world, other, headers, path) == 401
    assert statements == []  # WooCommerce's URL was looked up a moment ago: that is remembered
