"""What the shops' ledgers say about orders that were cancelled or refunded in part."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

from tests.soak.books import SHOPIFY, WOOCOMMERCE, Books

SHOP = "one.myshopify.com"


def shopify(event: str, at: float, *current: int, **more: Any) -> dict[str, Any]:
    """A line of Shopify's ledger about an order of two lines, of which so many pieces are left."""
    lines = [{"id": 11 + place, "variant_id": 5 + place, "current": pieces} for place, pieces in enumerate(current)]
    row = {"number": 1001, "lines": lines, "address": {"firstName": "Ada", "lastName": "Buyer"}}
    return {"event": event, "at": at, "shop_domain": SHOP, "order_id": "9", "state": {"orders": [row]}, **more}


def woocommerce(event: str, second: int, **more: Any) -> dict[str, Any]:
    """A line of WooCommerce's."""
    return {"event": event, "at": f"1970-01-01T00:00:{second:02}+00:00", "shop": "two", "order": 71, **more}


def books(folder: Path, kind: str, *lines: dict[str, Any]) -> Books:
    """Ledgers with these lines."""
    (folder / f"{kind}.jsonl").write_text("".join(json.dumps(line) + "\n" for line in lines))
    made = Books(folder, {(SHOP, "5"): "red", (SHOP, "6"): "blue", ("two", "5"): "red", ("two", "6"): "blue"})
    made.read()
    return made


def test_shopify(tmp_path: Path) -> None:
    sold_lines = [{"line_id": "11", "quantity": 2}, {"line_id": "12", "quantity": 1}]
    made = shopify("order_created", 1.0, 2, 1, lines=sold_lines)
    less, gone = shopify("order_refunded", 2.0, 1, 1), shopify("order_cancelled", 3.0, 0, 0)
    (sold,) = books(tmp_path, SHOPIFY, made, less, gone).sold.values()
    assert [dict(sold.wanted(at)) for at in (1.0, 2.0)] == [{"red": 2, "blue": 1}, {"red": 1, "blue": 1}]
    assert not +sold.wanted(3.0)


def test_woocommerce(tmp_path: Path) -> None:
    items = [{"id": 1, "product_id": 5, "quantity": 2}, {"id": 2, "product_id": 6, "quantity": 1}]
    row = {"number": "71", "billing": {"first_name": "Ada", "last_name": "Buyer"}, "line_items": items}
    back = {"id": 3, "quantity": 1, "meta_data": [{"key": "_refunded_item_id", "value": "1"}]}
    less = {"put": {"refunds": {"80": {"line_items": [back]}}}, "status": "processing"}
    lines = [
        woocommerce("order_created", 1, put={"orders": {"71": row}}),
        woocommerce("refund_created", 2, **less),
        woocommerce("order_status_changed", 3, to="completed"),
        woocommerce("order_status_changed", 4, to="cancelled"),
    ]
    (sold,) = books(tmp_path, WOOCOMMERCE, *lines).sold.values()
    assert [dict(sold.wanted(at)) for at in (1, 3)] == [{"red": 2, "blue": 1}, {"red": 1, "blue": 1}]
    assert not +sold.wanted(4)
