"""REST: products, variations, webhooks, settings and the status report."""

from __future__ import annotations

import secrets
from typing import Any

from connectors.woocommerce.simulator import catalogue, deliveries, render
from connectors.woocommerce.simulator.refusal import Refusal
from connectors.woocommerce.simulator.routes import Call, Reply, listing, route
from connectors.woocommerce.simulator.world import Row, now_gmt

_EVENTS = frozenset(["created", "updated", "deleted"])
_STATUSES = frozenset({"active", "paused", "disabled"})


@route("GET", "products", "products.list")
def _products(call: Call) -> Reply:
    """`sku=A,B` takes several SKUs and finds variations too; without it only products are listed."""
    wanted = [sku.strip() for sku in call.params.get("sku", "").split(",") if sku.strip()]
    rows = [
        row
        for row in list(call.shop["products"].values())
        if row["status"] != "trash" and (row["sku"] in wanted if wanted else row["type"] != "variation")
    ]
    return listing(call, rows[::-1], lambda row: render.product(call.shop, row))


@route("POST", "products", "products.create")
def _create(call: Call) -> Reply:
    return Reply(render.product(call.shop, catalogue.create(call.shop, {**call.body, "variations": []})), 201)


@route("GET", "products/N", "products.get")
def _product(call: Call) -> Reply:
    return Reply(render.product(call.shop, catalogue.find(call.shop, call.ids[0])))


@route("edit", "products/N", "products.update")
def _update(call: Call) -> Reply:
    return Reply(render.product(call.shop, catalogue.update(call.shop, call.ids[0], call.body)))


@route("DELETE", "products/N", "products.delete")
def _delete(call: Call) -> Reply:
    row = catalogue.remove(call.shop, call.ids[0], force=call.truth("force"))
    return Reply(render.product(call.shop, row))


@route("GET", "products/N/variations", "variations.list")
def _variations(call: Call) -> Reply:
    parent = catalogue.find(call.shop, call.ids[0])
    rows = [row for row in reversed(call.shop["products"].values()) if row["parent_id"] == parent["id"]]
    return listing(call, rows, lambda row: render.variation(call.shop, row))


@route("GET", "products/N/variations/N", "variations.get")
def _variation(call: Call) -> Reply:
    return Reply(render.variation(call.shop, catalogue.find(call.shop, call.ids[1])))


@route("edit", "products/N/variations/N", "variations.update")
def _edit_variation(call: Call) -> Reply:
    return Reply(render.variation(call.shop, catalogue.update(call.shop, call.ids[1], call.body)))


def _hook(call: Call) -> Row:
    row: Row | None = call.shop["webhooks"].get(call.ids[0])
    if row is None:
        raise Refusal(404, "woocommerce_rest_shop_webhook_invalid_id", "Invalid ID.")
    return row


@route("GET", "webhooks", "webhooks.list")
def _hooks(call: Call) -> Reply:
    return listing(call, list(call.shop["webhooks"].values())[::-1], lambda row: render.webhook(call.shop, row))


@route("GET", "webhooks/N", "webhooks.get")
def _one_hook(call: Call) -> Reply:
    return Reply(render.webhook(call.shop, _hook(call)))


def _topic(value: Any) -> str:
    resource, _, event = str(value or "").partition(".")
    restorable = event == "restored" and resource in {"order", "product", "coupon"}
    known = resource in {"order", "product", "customer", "coupon"} and (event in _EVENTS or restorable)
    if (
        not known
        and value != "product.published"
        and not (resource == "action" and event.startswith(("woocommerce_", "wc_")))
    ):
        code = "woocommerce_rest_shop_webhook_invalid_topic"
        raise Refusal(400, code, "Webhook topic is required and must be valid.")
    return str(value)


def _url(value: Any) -> str:
    if not str(value or "").startswith(("http://", "https://")):
        message = "Webhook delivery URL must be a valid URL starting with http:// or https://."
        raise Refusal(400, "woocommerce_rest_shop_webhook_invalid_delivery_url", message)
    return str(value)


@route("POST", "webhooks", "webhooks.create")
def _create_hook(call: Call) -> Reply:
    """Doubles are not noticed. The ping goes out inside this call; a failed one does not fail it."""
    at, topic, url = now_gmt(), _topic(call.body.get("topic")), _url(call.body.get("delivery_url"))
    with call.shop.lock:
        row = {
            "id": call.shop.next_id("webhook", 41), "name": str(call.body.get("name") or f"Webhook {topic}"),
            "status": "active", "topic": topic, "delivery_url": url, "failures": 0, "pending": True,
            "secret": str(call.body.get("secret") or secrets.token_urlsafe(24)), "date_created_gmt": at,
            "date_modified_gmt": None,
        }  # fmt: skip
        call.shop.commit(
            "webhook_created", {"webhooks": {str(row["id"]): row}}, webhook=row["id"], topic=topic, url=url
        )
    deliveries.ping(call.shop, row)
    location = {"Location": f"{call.shop.rest_base}/wc/v3/webhooks/{row['id']}"}
    return Reply(render.webhook(call.shop, row), 201, location)


@route("edit", "webhooks/N", "webhooks.update")
def _update_hook(call: Call) -> Reply:
    """Re-enabling neither resets the counter of failures nor sends what was missed; only a new URL pings."""
    with call.shop.lock:
        row = _hook(call)
        moved = "delivery_url" in call.body and call.body["delivery_url"] != row["delivery_url"]
        if "topic" in call.body:
            row["topic"] = _topic(call.body["topic"])
        if moved:
            row["delivery_url"] = _url(call.body["delivery_url"])
        for name in ("name", "secret"):
            if call.body.get(name):
                row[name] = str(call.body[name])
        if call.body.get("status") in _STATUSES:
            row["status"] = call.body["status"]
        row["date_modified_gmt"] = now_gmt()
        facts = {"webhook": row["id"], "topic": row["topic"], "status": row["status"]}
        call.shop.commit("webhook_updated", {"webhooks": {str(row["id"]): row}}, **facts)
    if moved or row["pending"]:
        deliveries.ping(call.shop, row)
    return Reply(render.webhook(call.shop, row))


@route("DELETE", "webhooks/N", "webhooks.delete")
def _delete_hook(call: Call) -> Reply:
    row = _hook(call)
    if not call.truth("force"):
        raise Refusal(501, "woocommerce_rest_trash_not_supported", "Webhooks do not support trashing.")
    with call.shop.lock:
        call.shop.commit("webhook_deleted", {"webhooks": {str(row["id"]): None}}, webhook=row["id"], topic=row["topic"])
    return Reply(render.webhook(call.shop, row))


def _settings(call: Call) -> dict[str, str]:
    shop = call.shop
    return {
        "woocommerce_default_country": str(shop.setting("country")),
        "woocommerce_currency": str(shop.setting("currency")),
        "woocommerce_price_thousand_sep": ",",
        "woocommerce_price_decimal_sep": ".",
        "woocommerce_price_num_decimals": str(shop.setting("decimals")),
    }


@route("GET", "settings/general", "settings")
def _general(call: Call) -> Reply:
    return Reply([{"id": name, "type": "text", "value": value} for name, value in _settings(call).items()])


@route("GET", "system_status", "system_status")
def _status(call: Call) -> Reply:
    shop = call.shop
    environment = {
        "home_url": shop.home,
        "site_url": shop.home,
        "version": shop.setting("version"),
        "wp_version": "7.0.4",
    }
    settings = {
        "currency": shop.setting("currency"), "number_of_decimals": shop.setting("decimals"), "thousand_separator": ",",
        "HPOS_enabled": True,
    }  # fmt: skip
    return Reply({"environment": environment, "settings": settings})
