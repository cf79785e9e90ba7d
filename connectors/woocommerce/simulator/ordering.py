"""What happens to orders, and the events that follow each act. Source: reference, section 2."""

from __future__ import annotations

import secrets
from collections.abc import Iterable, Mapping
from decimal import Decimal
from typing import Any

from connectors.woocommerce.simulator import charges
from connectors.woocommerce.simulator.charges import amount
from connectors.woocommerce.simulator.deliveries import emit
from connectors.woocommerce.simulator.refusal import Refusal, invalid_param, no_order
from connectors.woocommerce.simulator.render import order_total, refunds_of
from connectors.woocommerce.simulator.world import Row, Shop

STATUSES = (
    "pending",
    "processing",
    "on-hold",
    "completed",
    "cancelled",
    "refunded",
    "failed",
    "checkout-draft",
)
PAID = frozenset({"processing", "completed"})
_BLOCK = (
    "first_name",
    "last_name",
    "company",
    "address_1",
    "address_2",
    "city",
    "state",
    "postcode",
    "country",
)


def find(shop: Shop, order_id: object) -> Row:
    """The order's row. Raises the real one's 404."""
    row: Row | None = shop["orders"].get(str(order_id))
    if row is None:
        raise no_order()
    return row


def block(raw: object, *, billing: bool) -> Row:
    """An address block with all its fields; nothing is checked or trimmed."""
    given: Mapping[str, Any] = raw if isinstance(raw, Mapping) else {}
    names = (*_BLOCK, "email", "phone") if billing else (*_BLOCK, "phone")
    return {name: str(given.get(name) or "") for name in names}


def meta(shop: Shop, present: list[Row], given: Iterable[Mapping[str, Any]]) -> list[Row]:
    """`meta_data` merged: by id, else by key; a null value with an id removes."""
    entries = [dict(entry) for entry in present]
    for wish in given:
        fits = [
            e
            for e in entries
            if ("id" in wish and e["id"] == wish["id"]) or ("id" not in wish and e["key"] == wish["key"])
        ]
        if wish.get("value") is None:
            entries = [entry for entry in entries if entry not in fits or "id" not in wish]
        elif fits:
            fits[0]["value"] = wish["value"]
        else:
            entries.append({"id": shop.next_id("meta"), "key": str(wish["key"]), "value": wish["value"]})
    return entries


def new_line(shop: Shop, wish: Mapping[str, Any]) -> Row:
    """A line from REST or checkout. An unknown product makes a line with product 0 and an empty name."""
    sold = _sold(shop, wish)
    quantity = wish.get("quantity", 1)
    if isinstance(quantity, float) or not str(quantity).isdigit():
        raise invalid_param(line_items="line_items[0][quantity] is not of type integer.")
    if int(quantity) == 0:
        raise Refusal(500, "internal_server_error", "<p>There has been a critical error on this website.</p>")
    variation = sold["id"] if sold and sold["type"] == "variation" else 0
    product = sold["parent_id"] if sold and variation else (sold["id"] if sold else 0)
    total = str(wish.get("total") or Decimal(str((sold or {}).get("price") or 0)) * int(quantity))
    choices = [{"key": choice["slug"], "value": choice["option"]} for choice in (sold or {}).get("attributes", [])]
    line_meta = meta(shop, [], [*(choices if variation else []), *wish.get("meta_data", [])])
    return {
        "id": shop.next_id("item"), "name": str(wish.get("name") or (sold or {}).get("name", "")),
        "product_id": product, "variation_id": variation, "quantity": int(quantity), "total": amount(total, "total"),
        "subtotal": amount(wish.get("subtotal") or total, "subtotal"), "total_tax": str(wish.get("total_tax") or "0"),
        "taxes": list(wish.get("taxes") or ()), "meta_data": line_meta,
    }  # fmt: skip


def _sold(shop: Shop, wish: Mapping[str, Any]) -> Row | None:
    if wish.get("sku"):
        return next((row for row in shop["products"].values() if row["sku"] == wish["sku"]), None)
    found: Row | None = shop["products"].get(str(wish.get("variation_id") or wish.get("product_id") or ""))
    return found


def create(shop: Shop, wish: Mapping[str, Any], via: str, gift_card: object = "0") -> Row:
    """A new order. `via`: `store-api` (checkout), `rest-api`, `admin`; decides the order of the events.

    `gift_card`: what a plugin of the shop takes off the total.
    """
    with shop.lock:
        row = _build(shop, wish, via) | {"gift_card": amount(gift_card, "gift_card")}
        topics = {"store-api": ("order.updated", "order.created"), "admin": ("order.created",)}
        if row["status"] == "checkout-draft":
            topics["store-api"] = ("order.updated",)
        queue: dict[str, Row] = {}
        for topic in topics.get(via, ("order.created", "order.updated")):
            queue |= emit(shop, topic, row["id"])
        put: dict[str, dict[str, Any]] = {"orders": {str(row["id"]): row}}
        if via == "store-api" and row["status"] != "checkout-draft":
            put["products"], touched = _take_stock(shop, row)
            for number in touched:
                queue |= emit(shop, "product.updated", number)
        event = "order_created"
        shop.commit(
            event,
            {**put, "queue": queue},
            order=row["id"],
            status=row["status"],
            paid=bool(row["date_paid_gmt"]),
        )
        return row


def _build(shop: Shop, wish: Mapping[str, Any], via: str) -> Row:
    number, at = shop.next_id("post"), shop.now_gmt()
    method = str(wish.get("payment_method") or "")
    status = str(wish.get("status") or _first_status(method, via))
    lines = [new_line(shop, line) for line in wish.get("line_items", [])]
    paid = bool(wish.get("set_paid")) or (status in PAID and not (method == "cod" and via == "store-api"))
    if wish.get("set_paid") and status in {"pending", "failed"}:
        status = "processing"
    contents = ", ".join(f"{line['name']} &times; {line['quantity']}" for line in lines) if via == "store-api" else ""
    return {
        "id": number, "number": str(wish.get("number") or number), "status": status,
        "currency": str(wish.get("currency") or shop.setting("currency")),
        "customer_id": int(wish.get("customer_id") or 0),
        "order_key": f"wc_order_{secrets.token_hex(7)}", "billing": block(wish.get("billing"), billing=True),
        "shipping": block(wish.get("shipping"), billing=False), "payment_method": method,
        "payment_method_title": method.title(), "transaction_id": str(wish.get("transaction_id") or ""),
        "created_via": via, "customer_note": str(wish.get("customer_note") or ""),
        "date_created_gmt": at, "date_modified_gmt": at, "date_completed_gmt": at if status == "completed" else None,
        "date_paid_gmt": at if paid and status in PAID else None,
        "meta_data": meta(shop, [], [*(_checkout_notes() if contents else []), *wish.get("meta_data", [])]),
        "line_items": lines,
        "shipping_lines": [charges.new_shipping(shop, line, contents) for line in wish.get("shipping_lines", [])],
        "fee_lines": [charges.new_fee(shop, line) for line in wish.get("fee_lines", [])],
        "coupon_lines": [charges.new_coupon(shop, line) for line in wish.get("coupon_lines", [])],
    }  # fmt: skip


def _checkout_notes() -> list[Row]:
    """What checkout keeps for itself in the order's meta; readers must pass over it."""
    keys = ("_shipping_hash", "_coupons_hash", "_fees_hash", "_taxes_hash")
    return [{"key": key, "value": secrets.token_hex(16)} for key in keys] + [{"key": "is_vat_exempt", "value": "no"}]


def _first_status(method: str, via: str) -> str:
    """What checkout makes of a payment method: bank transfer waits, cash on delivery and cards do not."""
    if via != "store-api":
        return "pending"
    return "on-hold" if method in {"bacs", "cheque"} else "processing"


def _take_stock(shop: Shop, row: Row) -> tuple[dict[str, Row], list[int]]:
    changed: dict[str, Row] = {}
    for line in row["line_items"]:
        product = shop["products"].get(str(line["variation_id"] or line["product_id"]))
        if product and product["stock"] is not None:
            product["stock"] -= line["quantity"]
            reduced = {"key": "_reduced_stock", "value": str(line["quantity"])}
            line["meta_data"] = meta(shop, line["meta_data"], [reduced])
            product["date_modified_gmt"] = shop.now_gmt()
            changed[str(product["id"])] = product
    return changed, [int(number) for number in changed]


def update(shop: Shop, order_id: object, wish: Mapping[str, Any]) -> Row:
    """`PUT /orders/{id}`: merges.

    Every PUT moves `date_modified` and causes `order.updated`, even an empty one.
    """
    with shop.lock:
        row = find(shop, order_id)
        before = row["status"]
        if "status" in wish:
            set_status(shop, row, str(wish["status"]))
        if wish.get("set_paid") and row["status"] in {"pending", "failed"}:
            set_status(shop, row, "processing")
        for name in ("customer_note", "transaction_id", "payment_method"):
            if name in wish:
                row[name] = str(wish[name])
        for name in ("billing", "shipping"):
            if isinstance(wish.get(name), Mapping):
                row[name] = {
                    **row[name],
                    **{key: str(value) for key, value in wish[name].items() if key in row[name]},
                }
        row["meta_data"] = meta(shop, row["meta_data"], wish.get("meta_data", []))
        for line in wish.get("line_items", []):
            _edit_line(shop, row, line)
        row["date_modified_gmt"] = shop.now_gmt()
        queue = {} if before == "trash" else emit(shop, "order.updated", row["id"])
        event = (
            "order_status_changed"
            if row["status"] != before
            else "meta_written"
            if "meta_data" in wish
            else "order_edited"
        )
        keys = [entry.get("key") for entry in wish.get("meta_data", [])]
        facts = {"order": row["id"], "from": before, "to": row["status"], "meta": keys}
        shop.commit(event, {"orders": {str(row["id"]): row}, "queue": queue}, **facts)
        return row


def statuses(shop: Shop) -> tuple[str, ...]:
    """WooCommerce's own statuses and those of the shop's plugins (the setting `more_statuses`)."""
    return (*STATUSES, *(shop.setting("more_statuses") or ()))


def set_status(shop: Shop, row: Row, status: str) -> None:
    """A new status with its times. `processing` sets the time of payment, unless it is there."""
    status = status.removeprefix("wc-")
    if status not in statuses(shop):
        raise invalid_param(status=f"status is not one of {', '.join(statuses(shop))}.")
    if (
        status in PAID
        and row["date_paid_gmt"] is None
        and not (row["payment_method"] == "cod" and status == "processing")
    ):
        row["date_paid_gmt"] = shop.now_gmt()
    if status == "completed":
        row["date_completed_gmt"] = shop.now_gmt()
    row["status"] = status


def _edit_line(shop: Shop, row: Row, wish: Mapping[str, Any]) -> None:
    if "id" not in wish:
        row["line_items"].append(new_line(shop, wish))
        return
    line = next((line for line in row["line_items"] if line["id"] == wish["id"]), None)
    if line is None:
        raise Refusal(400, "woocommerce_rest_invalid_item_id", "Order item ID provided is not associated with order.")
    if wish.get("quantity") == 0 or ("product_id" in wish and wish["product_id"] is None):
        row["line_items"].remove(line)
        return
    if "quantity" in wish:
        # The money stays as it was: quantity and totals are independent.
        line["quantity"] = int(wish["quantity"])
    for name in ("subtotal", "total"):
        if name in wish:
            line[name] = amount(wish[name], name)
    line["meta_data"] = meta(shop, line["meta_data"], wish.get("meta_data", []))


def trash(shop: Shop, order_id: object, *, force: bool) -> Row:
    """To the trash (`order.deleted`), or away for good (which of an untrashed order tells nobody)."""
    with shop.lock:
        row = find(shop, order_id)
        if force:
            shop.commit("order_deleted", {"orders": {str(row["id"]): None}}, order=row["id"])
            return row
        if row["status"] == "trash":
            raise Refusal(410, "woocommerce_rest_already_trashed", "The Order has already been deleted.")
        row |= {"trashed_from": row["status"], "status": "trash", "date_modified_gmt": shop.now_gmt()}
        put = {"orders": {str(row["id"]): row}, "queue": emit(shop, "order.deleted", row["id"])}
        shop.commit("order_trashed", put, order=row["id"])
        return row


def restore(shop: Shop, order_id: object) -> Row:
    """Back out of the trash, as the admin does it."""
    with shop.lock:
        row = find(shop, order_id)
        row["status"] = row.pop("trashed_from", row["status"])
        row["date_modified_gmt"] = shop.now_gmt()
        put = {"orders": {str(row["id"]): row}, "queue": emit(shop, "order.restored", row["id"])}
        shop.commit("order_restored", put, order=row["id"])
        return row


def refund(shop: Shop, order_id: object, wish: Mapping[str, Any]) -> Row:
    """A refund. When all is refunded the status becomes `refunded` by itself."""
    with shop.lock:
        row = find(shop, order_id)
        total = order_total(row)
        before = sum((Decimal(str(one["amount"])) for one in refunds_of(shop, row["id"])), Decimal(0))
        lines = [_refund_line(shop, row, line) for line in wish.get("line_items", [])]
        sums = sum(Decimal(str(line[name])) for line in lines for name in ("total", "total_tax"))
        value = Decimal(amount(wish.get("amount") or sums, "amount"))
        if value < 0 or value > total - before:
            raise Refusal(500, "woocommerce_rest_cannot_create_order_refund", "Invalid refund amount.", 500)
        if wish.get("api_refund", True) and row["payment_method"] in {"bacs", "cod", "cheque", ""}:
            text = "The payment gateway for this order does not support automatic refunds."
            raise Refusal(500, "woocommerce_rest_cannot_create_order_refund", text, 500)
        made = {
            "id": shop.next_id("post"), "order_id": row["id"], "amount": str(value), "date_created_gmt": shop.now_gmt(),
            "reason": str(wish.get("reason") or ""), "line_items": lines, "meta_data": [],
        }  # fmt: skip
        if value + before == total:
            row["status"] = "refunded"
        row["date_modified_gmt"] = shop.now_gmt()
        put = {"refunds": {str(made["id"]): made}, "orders": {str(row["id"]): row}}
        facts = {"order": row["id"], "refund": made["id"], "amount": str(value), "status": row["status"]}
        shop.commit("refund_created", {**put, "queue": emit(shop, "order.updated", row["id"])}, **facts)
        return made


def _refund_line(shop: Shop, row: Row, wish: Mapping[str, Any]) -> Row:
    line = next((line for line in row["line_items"] if line["id"] == wish.get("id")), None)
    if line is None:
        raise Refusal(400, "woocommerce_rest_invalid_item_id", "Order item ID provided is not associated with order.")
    total = amount(wish.get("refund_total") or "0", "refund_total")
    taxes = (amount(one.get("refund_total") or "0", "refund_tax") for one in wish.get("refund_tax", []))
    tax = str(sum(map(Decimal, taxes), Decimal(0)))
    of = [{"id": shop.next_id("meta"), "key": "_refunded_item_id", "value": str(line["id"])}]
    return {**line, "id": shop.next_id("item"), "quantity": int(wish.get("quantity") or 0), "total": total,
            "subtotal": total, "total_tax": tax, "taxes": [], "meta_data": of}  # fmt: skip
