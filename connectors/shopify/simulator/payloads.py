"""Bodies of webhooks: the shape of the per-topic examples, with the names and values of the simulated order."""

from __future__ import annotations

from decimal import Decimal
from typing import Any

from connectors.shopify.simulator import amounts
from connectors.shopify.simulator.views import gid, iso

Record = dict[str, Any]

_PERSONAL = ("first_name", "last_name", "name", "address1", "address2", "zip", "phone", "company")


def body_for(topic: str, shop: Record, order: Record | None, **parts: Any) -> Record:
    """The body of a delivery."""
    subject = topic.partition("/")[0]
    if order is not None and subject in ("orders", "refunds", "fulfillments"):
        return _about_order(topic, shop, order, parts)
    if subject == "fulfillment_orders":
        return _fulfillment_order_body(topic, parts["fulfillment_order"], parts.get("other"))
    if subject == "products":
        return {"id": parts["product"]["id"], "title": parts["product"]["title"]}
    if subject == "app":
        return _app_body(topic, shop, parts)
    return {"shop_id": shop["id"], "shop_domain": shop["domain"], **parts}


def _about_order(topic: str, shop: Record, order: Record, parts: Record) -> Record:
    number = order["id"]
    if topic == "refunds/create":
        return {"id": number + 2, "order_id": number, "created_at": iso(order["updated_at"]), **parts}
    if topic.startswith("fulfillments/"):
        return _fulfillment_body(order, parts["fulfillment"])
    if topic == "orders/delete":
        return {"id": number}
    if topic == "orders/edited":
        return {"order_edit": {"id": number + 1, "order_id": number, "line_items": parts["changes"]}}
    if topic == "orders/risk_assessment_changed":
        return {"order_id": number, "admin_graphql_api_order_id": gid("Order", number)}
    return order_body(shop, order)


def _app_body(topic: str, shop: Record, parts: Record) -> Record:
    if topic == "app/scopes_update":
        scopes = {"previous": parts["previous"], "current": shop["scopes"]}
        return {"id": 1, "shop_id": gid("Shop", shop["id"]), **scopes}
    return {"id": shop["id"], "name": shop["name"], "myshopify_domain": shop["domain"], "currency": shop["currency"]}


def order_body(shop: Record, order: Record) -> Record:
    """An order in the REST shape. Redacted where the app is not approved for protected data."""
    currency = shop["currency"]
    total = amounts.text(amounts.order_total(order, current=False), currency)
    current = amounts.text(amounts.order_total(order, current=True), currency)
    return {
        "id": order["id"],
        "admin_graphql_api_id": gid("Order", order["id"]),
        "name": f"#{order['number']}",
        "order_number": order["number"],
        "created_at": iso(order["created_at"]),
        "updated_at": iso(order["updated_at"]),
        "cancelled_at": iso(order["cancelled_at"]),
        "cancel_reason": order["cancel_reason"],
        "currency": currency,
        "financial_status": order["financial"].lower(),
        "fulfillment_status": None,
        "test": order["test"],
        "total_price": total,
        "current_total_price": current,
        "total_price_set": _set(total, currency),
        "taxes_included": order["taxes_included"],
        "note": order["note"],
        "tags": ", ".join(order["tags"]),
        "note_attributes": [{"name": key, "value": value} for key, value in order["attributes"]],
        "shipping_address": _address(shop, order["address"]),
        "line_items": [_line(line, currency) for line in order["lines"]],
        "shipping_lines": [{"title": order["shipping"]["title"], "price": order["shipping"]["amount"]}],
        "refunds": order["refunds"],
    }


def _set(amount: str, currency: str) -> Record:
    money = {"amount": amount, "currency_code": currency}
    return {"shop_money": money, "presentment_money": money}


def _address(shop: Record, address: Record | None) -> Record | None:
    if address is None:
        return None
    shown = {
        "first_name": address["firstName"],
        "last_name": address["lastName"],
        "name": f"{address['firstName'] or ''} {address['lastName'] or ''}".strip(),
        "company": address["company"],
        "address1": address["address1"],
        "address2": address["address2"],
        "city": address["city"],
        "province": address["province"],
        "province_code": address["provinceCode"],
        "zip": address["zip"],
        "country_code": address["countryCodeV2"],
        "phone": address["phone"],
    }
    return shown if shop["approved"] else {key: None if key in _PERSONAL else value for key, value in shown.items()}


def _line(line: Record, currency: str) -> Record:
    price = amounts.text(Decimal(line["price"]), currency)
    return {
        "id": line["id"],
        "admin_graphql_api_id": gid("LineItem", line["id"]),
        "variant_id": line["variant_id"],
        "product_id": line["product_id"],
        "sku": line["sku"],
        "title": line["title"],
        "name": line["title"],
        "quantity": line["quantity"],
        "current_quantity": line["current"],
        "fulfillable_quantity": max(0, line["current"] - line["fulfilled"]),
        "price": price,
        "price_set": _set(price, currency),
        "requires_shipping": line["requires_shipping"],
        "properties": [{"name": key, "value": value} for key, value in line["attributes"]],
    }


def _fulfillment_body(order: Record, fulfillment: Record) -> Record:
    numbers = [info["number"] for info in fulfillment["tracking"]]
    return {
        "id": fulfillment["id"],
        "order_id": order["id"],
        "status": fulfillment["status"].lower(),
        "created_at": iso(fulfillment["created_at"]),
        "updated_at": iso(fulfillment["updated_at"]),
        "tracking_company": fulfillment["tracking"][0]["company"] if fulfillment["tracking"] else None,
        "tracking_number": numbers[0] if numbers else None,
        "tracking_numbers": numbers,
        "line_items": [{"id": item["line"], "quantity": item["quantity"]} for item in fulfillment["lines"]],
    }


def _fulfillment_order_body(topic: str, routed: Record, other: Record | None) -> Record:
    shown = {"id": gid("FulfillmentOrder", routed["id"]), "status": routed["status"].lower()}
    if topic.endswith("fulfillment_request_submitted"):
        asked = {**shown, "request_status": routed["request"].lower()}
        return {"original_fulfillment_order": asked, "submitted_fulfillment_order": asked}
    if topic.endswith("moved") and other:
        moved = {"id": gid("FulfillmentOrder", other["id"]), "status": other["status"].lower()}
        return {"original_fulfillment_order": shown, "moved_fulfillment_order": moved}
    if topic.endswith("split") and other:
        rest = {"id": gid("FulfillmentOrder", other["id"]), "status": other["status"].lower()}
        return {"fulfillment_order": shown, "remaining_fulfillment_order": rest}
    return {"fulfillment_order": shown}
