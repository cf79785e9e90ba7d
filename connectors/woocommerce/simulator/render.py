"""Rows as WooCommerce's REST v3 shows them: its fields, its order, its formats."""

from __future__ import annotations

import json
from datetime import UTC, datetime
from decimal import Decimal
from typing import Any
from zoneinfo import ZoneInfo

from connectors.woocommerce.simulator import charges
from connectors.woocommerce.simulator.charges import money, number, shown, tax_of
from connectors.woocommerce.simulator.world import Row, Shop

_VARIATION = "variation"
_SYMBOLS = {"USD": "$", "EUR": "€", "GBP": "£", "JPY": "¥", "BRL": "&#82;&#36;"}


def dump(value: Any) -> bytes:
    """JSON as PHP writes it: ASCII, slashes escaped."""
    return json.dumps(value, separators=(",", ":")).replace("/", "\\/").encode("ascii")


def local(shop: Shop, gmt: str | None) -> str | None:
    """A GMT time in the shop's zone."""
    if gmt is None:
        return None
    at = datetime.fromisoformat(gmt).replace(tzinfo=UTC).astimezone(ZoneInfo(str(shop.setting("timezone"))))
    return at.replace(tzinfo=None).isoformat()


def links(shop: Shop, path: str, up: str | None = None) -> dict[str, Any]:
    """`_links` of a resource."""
    collection = path.rpartition("/")[0]
    base = f"{shop.rest_base}/wc/v3"
    found: dict[str, Any] = {
        "self": [
            {"href": f"{base}/{path}", "targetHints": {"allow": ["GET", "POST", "PUT", "PATCH", "DELETE"]}},
        ],
        "collection": [{"href": f"{base}/{collection}"}],
    }
    if up:
        found["up"] = [{"href": f"{base}/{up}"}]
    return found


def line_item(shop: Shop, line: Row, sign: int = 1) -> Row:
    """A line. It outlives its product: then its ids are 0 and its SKU is null or the parent's."""
    product = shop["products"].get(str(line["product_id"]))
    variation = shop["products"].get(str(line["variation_id"])) if line["variation_id"] else None
    sold = variation or product
    quantity = int(line["quantity"])
    total = Decimal(str(line["total"])) * sign
    return {
        "id": line["id"],
        "name": line["name"],
        "product_id": line["product_id"] if product else 0,
        "variation_id": line["variation_id"] if variation else 0,
        "quantity": quantity * sign,
        "tax_class": "",
        "subtotal": money(shop, Decimal(str(line["subtotal"])) * sign),
        "subtotal_tax": money(shop, Decimal(str(line.get("subtotal_tax", "0"))) * sign),
        "total": money(shop, total),
        "total_tax": money(shop, Decimal(str(line.get("total_tax", "0"))) * sign),
        "taxes": charges.taxes(shop, line),
        "meta_data": shown(line["meta_data"]),
        "sku": sold["sku"] if sold else None,
        "global_unique_id": "" if sold else None,
        "price": number(abs(total) / quantity) if quantity else 0,
        "image": {"id": "" if sold and not variation else 0, "src": ""},
        "parent_name": product["name"] if variation and product else None,
    }


def order_total(order: Row) -> Decimal:
    """What the buyer pays. A gift card lowers it and nothing else, as plugins do it."""
    lines = sum((Decimal(str(line["total"])) for line in order["line_items"]), Decimal(0))
    rest = sum((Decimal(str(x["total"])) for x in [*order["shipping_lines"], *order["fee_lines"]]), Decimal(0))
    return lines + rest + tax(order) - Decimal(str(order.get("gift_card", "0")))


def tax(order: Row) -> Decimal:
    """All taxes of the order."""
    return tax_of([*order["line_items"], *order["shipping_lines"], *order["fee_lines"]])


def order(shop: Shop, row: Row) -> Row:
    """`GET /orders/{id}` and the body of a webhook."""
    total, taxes = money(shop, order_total(row)), money(shop, tax(row))
    shipping_tax = tax_of(row["shipping_lines"])
    shipping = sum((Decimal(str(line["total"])) for line in row["shipping_lines"]), Decimal(0))
    discount = sum(
        (Decimal(str(line["subtotal"])) - Decimal(str(line["total"])) for line in row["line_items"]),
        Decimal(0),
    )
    zero = money(shop, 0)
    pending = row["status"] in {"pending", "failed", "checkout-draft"}
    return {
        "id": row["id"], "parent_id": 0, "status": row["status"], "currency": row["currency"],
        "version": shop.setting("version"), "prices_include_tax": False,
        "date_created": local(shop, row["date_created_gmt"]), "date_modified": local(shop, row["date_modified_gmt"]),
        "discount_total": money(shop, discount), "discount_tax": zero, "shipping_total": money(shop, shipping),
        "shipping_tax": money(shop, shipping_tax), "cart_tax": money(shop, tax(row) - shipping_tax),
        "total": total, "total_tax": taxes,
        "customer_id": row["customer_id"], "order_key": row["order_key"],
        "billing": row["billing"], "shipping": row["shipping"],
        "payment_method": row["payment_method"], "payment_method_title": row["payment_method_title"],
        "transaction_id": row["transaction_id"], "customer_ip_address": "", "customer_user_agent": "",
        "created_via": row["created_via"], "customer_note": row["customer_note"],
        "date_completed": local(shop, row["date_completed_gmt"]), "date_paid": local(shop, row["date_paid_gmt"]),
        "cart_hash": "", "number": row["number"], "meta_data": row["meta_data"],
        "line_items": [line_item(shop, line) for line in row["line_items"]],
        "tax_lines": charges.tax_lines(shop, row),
        "shipping_lines": [charges.shipping_line(shop, line) for line in row["shipping_lines"]],
        "fee_lines": [charges.fee_line(shop, line) for line in row["fee_lines"]],
        "coupon_lines": [charges.coupon_line(line) for line in row["coupon_lines"]],
        "refunds": [_refund_summary(shop, refund) for refund in refunds_of(shop, row["id"])],
        "payment_url": f"{shop.home}/checkout/order-pay/{row['id']}/?pay_for_order=true&key={row['order_key']}",
        "is_editable": row["status"] in {"pending", "on-hold", "auto-draft"}, "needs_payment": pending,
        "needs_processing": not _all_downloads(shop, row),
        "date_created_gmt": row["date_created_gmt"], "date_modified_gmt": row["date_modified_gmt"],
        "date_completed_gmt": row["date_completed_gmt"], "date_paid_gmt": row["date_paid_gmt"],
        "currency_symbol": _SYMBOLS.get(row["currency"], row["currency"]), "_links": _order_links(shop, row["id"]),
    }  # fmt: skip


def _order_links(shop: Shop, order_id: int) -> dict[str, Any]:
    path = f"orders/{order_id}"
    templates = {"embeddable": True, "href": f"{shop.rest_base}/wc/v3/{path}/actions/email_templates"}
    return {**links(shop, path), "email_templates": [templates]}


def _all_downloads(shop: Shop, row: Row) -> bool:
    sold = [shop["products"].get(str(line["variation_id"] or line["product_id"])) for line in row["line_items"]]
    return bool(sold) and all(product and product.get("virtual") and product.get("downloadable") for product in sold)


def refunds_of(shop: Shop, order_id: int) -> list[Row]:
    """Newest first."""
    return [row for row in reversed(shop["refunds"].values()) if row["order_id"] == order_id]


def _refund_summary(shop: Shop, row: Row) -> Row:
    amount = money(shop, row["amount"])
    return {"id": row["id"], "reason": row["reason"], "total": f"-{amount}", "total_tax": money(shop, 0)}


def refund(shop: Shop, row: Row) -> Row:
    """`GET /orders/{id}/refunds/{id}`: its lines carry negative quantities."""
    path = f"orders/{row['order_id']}"
    return {
        "id": row["id"], "date_created": local(shop, row["date_created_gmt"]),
        "date_created_gmt": row["date_created_gmt"], "amount": money(shop, row["amount"]), "reason": row["reason"],
        "refunded_by": 1, "refunded_payment": False, "meta_data": row["meta_data"],
        "line_items": [line_item(shop, line, -1) for line in row["line_items"]],
        "shipping_lines": [], "tax_lines": [], "fee_lines": [],
        "_links": links(shop, f"{path}/refunds/{row['id']}", path),
    }  # fmt: skip


def note(shop: Shop, row: Row) -> Row:
    """An order note."""
    path = f"orders/{row['order_id']}"
    return {
        "id": row["id"], "author": row["author"], "date_created": local(shop, row["date_created_gmt"]),
        "date_created_gmt": row["date_created_gmt"], "note": row["note"], "customer_note": row["customer_note"],
        "_links": links(shop, f"{path}/notes/{row['id']}", path),
    }  # fmt: skip


def fulfilment(row: Row, *, fresh: bool = False) -> Row:
    """A fulfilment; `is_fulfilled` is true when just made and "1" in lists."""
    done = row["status"] == "fulfilled"
    return {
        "id": row["id"], "entity_type": "WC_Order", "entity_id": str(row["order_id"]), "status": row["status"],
        "is_fulfilled": done if fresh else ("1" if done else ""), "date_updated": row["date_updated"],
        "date_deleted": None, "meta_data": row["meta_data"],
    }  # fmt: skip


def webhook(shop: Shop, row: Row) -> Row:
    """A webhook. The secret and the counter of failures are never shown."""
    resource, _, event = row["topic"].partition(".")
    return {
        "id": row["id"], "name": row["name"], "status": row["status"], "topic": row["topic"], "resource": resource,
        "event": event, "hooks": [], "delivery_url": row["delivery_url"],
        "date_created": local(shop, row["date_created_gmt"]), "date_created_gmt": row["date_created_gmt"],
        "date_modified": local(shop, row["date_modified_gmt"]), "date_modified_gmt": row["date_modified_gmt"],
        "_links": links(shop, f"webhooks/{row['id']}"),
    }  # fmt: skip


def product(shop: Shop, row: Row) -> Row:
    """A product, or a variation as `/products/{id}` shows it."""
    path = f"products/{row['id']}"
    managed = row["stock"] is not None
    variations = [other["id"] for other in shop["products"].values() if other["parent_id"] == row["id"]]
    prices = [shop["products"][str(number)]["price"] for number in variations]
    price = min(prices, key=Decimal, default="") if row["type"] == "variable" else row["price"]
    return {
        "id": row["id"], "name": row["name"], "slug": f"p{row['id']}", "permalink": f"{shop.home}/?p={row['id']}",
        "date_created": local(shop, row["date_created_gmt"]), "date_created_gmt": row["date_created_gmt"],
        "date_modified": local(shop, row["date_modified_gmt"]), "date_modified_gmt": row["date_modified_gmt"],
        "type": row["type"], "status": row["status"], "description": "", "sku": row["sku"], "price": price,
        "regular_price": "" if row["type"] == "variable" else row["price"], "sale_price": "",
        "purchasable": bool(price), "virtual": bool(row.get("virtual")), "downloadable": bool(row.get("downloadable")),
        "manage_stock": managed, "stock_quantity": row["stock"], "backorders": "no", "weight": "",
        "shipping_required": not row.get("virtual"), "parent_id": row["parent_id"], "images": [],
        "attributes": row["attributes"], "variations": variations if row["type"] != _VARIATION else [],
        "meta_data": row["meta_data"],
        "stock_status": "instock" if row["stock"] is None or row["stock"] > 0 else "outofstock",
        "_links": links(shop, path, f"products/{row['parent_id']}" if row["parent_id"] else None),
    }  # fmt: skip


def variation(shop: Shop, row: Row) -> Row:
    """A variation in its product's list: named by its options alone."""
    full = product(shop, row)
    for absent in ("variations", "slug"):
        full.pop(absent)
    return {**full, "name": ", ".join(choice["option"] for choice in row["attributes"])}


def only(value: Any, fields: str) -> Any:
    """`_fields=`: those fields alone."""
    if not fields:
        return value
    if isinstance(value, list):
        return [only(item, fields) for item in value]
    wanted = {name.strip().partition(".")[0] for name in fields.split(",")}
    return {key: item for key, item in value.items() if key in wanted} if isinstance(value, dict) else value
