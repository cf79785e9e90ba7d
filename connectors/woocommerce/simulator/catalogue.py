"""Products and variations: made, changed, trashed, deleted."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from connectors.woocommerce.simulator.deliveries import emit
from connectors.woocommerce.simulator.refusal import Refusal, invalid_param
from connectors.woocommerce.simulator.world import Row, Shop, now_gmt


def find(shop: Shop, product_id: object) -> Row:
    """The row of a product or variation. Raises the real one's 404."""
    row: Row | None = shop["products"].get(str(product_id))
    if row is None:
        raise Refusal(404, "woocommerce_rest_product_invalid_id", "Invalid ID.")
    return row


def create(shop: Shop, wish: Mapping[str, Any]) -> Row:
    """A product with its `variations` (each `{sku, price, attributes: {Color: Red}}`)."""
    with shop.lock:
        product = _row(shop, wish, str(wish.get("type") or "simple"), 0)
        made = [product]
        for part in wish.get("variations", []):
            row = _row(shop, {"name": product["name"], **part}, "variation", product["id"])
            row["name"] = f"{product['name']} - {', '.join(one['option'] for one in row['attributes'])}"
            made.append(row)
        put = {"products": {str(row["id"]): row for row in made}}
        queue = emit(shop, "product.created", product["id"])
        shop.commit("product_created", {**put, "queue": queue}, product=product["id"], sku=product["sku"])
        return product


def _row(shop: Shop, wish: Mapping[str, Any], kind: str, parent: int) -> Row:
    sku = str(wish.get("sku") or "")
    other = next((row for row in shop["products"].values() if sku and row["sku"] == sku), None)
    if other is not None:
        data = {"status": 400, "resource_id": other["id"], "unique_sku": f"{sku}-1"}
        raise Refusal(400, "product_invalid_sku", "Invalid or duplicated SKU.", data)
    attributes = wish.get("attributes") or {}
    if isinstance(attributes, Mapping):
        attributes = [
            {"id": 0, "name": name, "slug": name.lower(), "option": option} for name, option in attributes.items()
        ]
    at = now_gmt()
    stock = wish.get("stock", wish.get("stock_quantity"))
    return {
        "id": shop.next_id("post"), "type": kind, "parent_id": parent, "sku": sku,
        "name": str(wish.get("name") or "Product").replace("&", "&amp;"),
        "status": str(wish.get("status") or "publish"),
        "price": _price(wish.get("price", wish.get("regular_price", ""))),
        "stock": None if stock is None else int(stock),
        "virtual": bool(wish.get("virtual")), "downloadable": bool(wish.get("downloadable")), "attributes": attributes,
        "meta_data": [], "date_created_gmt": at, "date_modified_gmt": at,
    }  # fmt: skip


def _price(value: object) -> str:
    if not isinstance(value, str):
        raise invalid_param(regular_price="regular_price is not of type string.")
    # A comma is dropped without a word: "13,50" becomes 1350.
    return value.replace(",", "")


def update(shop: Shop, product_id: object, wish: Mapping[str, Any]) -> Row:
    """Price, stock, SKU or name."""
    with shop.lock:
        row = find(shop, product_id)
        if "price" in wish or "regular_price" in wish:
            row["price"] = _price(wish.get("regular_price", wish.get("price")))
        for name in ("sku", "name", "status"):
            if name in wish:
                row[name] = str(wish[name])
        if "stock" in wish or "stock_quantity" in wish:
            stock = wish.get("stock", wish.get("stock_quantity"))
            row["stock"] = None if stock is None else int(stock)
        row["date_modified_gmt"] = now_gmt()
        put = {"products": {str(row["id"]): row}, "queue": emit(shop, "product.updated", row["id"])}
        shop.commit("product_updated", put, product=row["id"])
        return row


def remove(shop: Shop, product_id: object, *, force: bool) -> Row:
    """To the trash, or away for good: lines then point at nothing, those of a variation at its parent."""
    with shop.lock:
        row = find(shop, product_id)
        trashed = row["status"] == "trash"
        if not force:
            row |= {"status": "trash", "date_modified_gmt": now_gmt()}
        queue = {} if trashed or (force and row["type"] == "variation") else emit(shop, "product.deleted", row["id"])
        put: dict[str, dict[str, Any]] = {
            "products": {str(row["id"]): None if force else row},
            "queue": queue,
        }
        shop.commit("product_deleted" if force else "product_trashed", put, product=row["id"])
        return row
