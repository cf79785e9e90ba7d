"""The simulator's orders look like the recorded ones: each recorded order is made again and compared key by key."""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping
from typing import Any

import pytest

from tests.connectors.woocommerce.harness import DATA, Shop, Simulated

Shape = dict[str, set[str]]
EXCEPTIONS = {
    ".meta_data[].value": "whatever a plugin keeps there",
    ".line_items[].image.id": "a number, or a text, for products with a picture",
}
"""Paths whose types, and everything below, may differ; with the reason."""
_JSON = {bool: "boolean", int: "number", float: "number", str: "string", type(None): "null", list: "list", dict: "map"}
_VIA = {"store-api": "checkout", "rest-api": "rest", "admin": "admin"}
_SAME = (
    "status", "currency", "customer_id", "billing", "shipping", "payment_method", "transaction_id", "customer_note",
    "shipping_lines", "fee_lines", "coupon_lines",
)  # fmt: skip


def recorded_orders() -> Iterator[Any]:
    """Every whole order in the samples."""
    for file in sorted(DATA.glob("*.json")):
        found = json.loads(file.read_text(encoding="utf-8"))
        for number, part in enumerate(found if isinstance(found, list) else [found]):
            raw = part.get("body_raw") or (part.get("response") or {}).get("body_raw") or ""
            body = json.loads(raw) if raw.startswith(("{", "[")) else []
            for order in body if isinstance(body, list) else [body]:
                if {"order_key", "created_via"} <= order.keys():
                    yield pytest.param(order, id=f"{file.stem}-{number}")


def shape_of(value: Any) -> Shape:
    """Path → JSON types; the entries of a list count together."""
    found: Shape = {}

    def walk(part: Any, path: str) -> None:
        found.setdefault(path, set()).add(_JSON[type(part)])
        if path in EXCEPTIONS:
            return
        for key, inner in part.items() if isinstance(part, dict) else ():
            walk(inner, f"{path}.{key}")
        for inner in part if isinstance(part, list) else ():
            walk(inner, f"{path}[]")

    walk(value, "")
    return found


ORDERS = list(recorded_orders())
KNOWN = {path for case in ORDERS for path in shape_of(case.values[0])}


def products_of(simulated: Simulated, shop: Shop, order: Mapping[str, Any]) -> dict[tuple[int, int], dict[str, int]]:
    """Products like those that the order's lines name, by the recorded ids."""
    made: dict[tuple[int, int], dict[str, int]] = {}
    for number, line in enumerate(order["line_items"]):
        key = (line["product_id"], line["variation_id"])
        if not key[0] or key in made:
            continue
        product: dict[str, Any] = {"shop": shop.slug, "name": "Thing", "price": "9.00", "stock": 9}
        if key[1]:
            choice = {"sku": f"RECORDED-{number}", "price": "9.00", "attributes": {"Color": "Red"}, "stock": 9}
            product |= {"type": "variable", "variations": [choice]}
        elif line["sku"]:
            product["sku"] = f"RECORDED-{number}"
        found = simulated.control("products", product)
        made[key] = {"product_id": found["id"]}
        if key[1]:
            made[key]["variation_id"] = found["variation_rows"][0]["id"]
    return made


def again(simulated: Simulated, shop: Shop, order: Mapping[str, Any]) -> dict[str, Any]:
    """The recorded order, made in the simulator in the same way."""
    goods = products_of(simulated, shop, order)
    names = ("name", "quantity", "subtotal", "total", "total_tax", "taxes")
    lines = [
        {
            **goods.get((line["product_id"], line["variation_id"]), {}),
            **{name: line[name] for name in names},
            "meta_data": [
                {"key": entry["key"], "value": entry["value"]}
                for entry in line["meta_data"]
                if entry["key"] in {"_reduced_stock", "_restock_refunded_items"}
            ],
        }
        for line in order["line_items"]
    ]
    wish = {
        **{name: order[name] for name in _SAME},
        "via": _VIA[order["created_via"]],
        "meta_data": [{"key": entry["key"], "value": entry["value"]} for entry in order["meta_data"]],
        "set_paid": order["date_paid"] is not None,
    }
    made = shop.order(lines=lines, **wish)
    for refund in order["refunds"]:
        made = shop.act(made["id"], "refund", amount=refund["total"].lstrip("-"), reason=refund["reason"])
    return made


@pytest.mark.parametrize("order", ORDERS)
def test_an_order_has_the_keys_and_types_of_a_recorded_one(simulated: Simulated, order: dict[str, Any]) -> None:
    recorded, made = shape_of(order), shape_of(again(simulated, simulated.shop(), order))
    assert sorted(recorded.keys() - made.keys()) == []
    assert {
        path: (types, made[path]) for path, types in recorded.items() if path not in EXCEPTIONS and types != made[path]
    } == {}
    assert made.keys() - KNOWN == set()


def test_every_status_that_counts_was_recorded() -> None:
    assert {case.values[0]["status"] for case in ORDERS} >= {"processing", "completed", "on-hold"}


def test_keys_come_in_the_recorded_order(simulated: Simulated) -> None:
    order = ORDERS[0].values[0]
    assert list(again(simulated, simulated.shop(), order)) == list(order)


def test_taxes_add_up(simulated: Simulated) -> None:
    shop = simulated.shop()
    made = shop.order(
        lines=[{"product_id": shop.mug, "quantity": 2, "total_tax": "2.00"}],
        shipping_lines=[{"total": "5.00", "total_tax": "0.43"}],
        fee_lines=[{"name": "Gift wrap", "total": "2.50", "total_tax": "0.25"}],
        coupon_lines=[{"code": "save10", "discount": "1.5"}],
    )
    assert (made["cart_tax"], made["shipping_tax"], made["total_tax"], made["total"]) == (
        "2.25", "0.43", "2.68", "35.18",
    )  # fmt: skip
    (rate,) = made["tax_lines"]
    assert (rate["tax_total"], rate["shipping_tax_total"]) == ("2.25", "0.43")
    assert made["coupon_lines"][0]["discount"] == "1.5"
    assert made["fee_lines"][0]["name"] == "Gift wrap"
