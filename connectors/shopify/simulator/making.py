"""New shops, products and orders, as control calls ask for them."""

from __future__ import annotations

from collections.abc import Mapping
from decimal import Decimal
from typing import Any

from connectors.shopify.simulator import amounts, paying, tokens
from connectors.shopify.simulator.options import shop_domain
from connectors.shopify.simulator.world import ProblemError, Record, World

SCOPES = (
    "read_locations,read_orders,write_assigned_fulfillment_orders,write_fulfillments,write_inventory,"
    "write_merchant_managed_fulfillment_orders,write_products,write_third_party_fulfillment_orders"
)
_ADDRESS = {
    "firstName": "Ada",
    "lastName": "Example",
    "company": None,
    "address1": "1 Sample Street",
    "address2": None,
    "city": "Springfield",
    "province": "Illinois",
    "provinceCode": "IL",
    "zip": "62701",
    "country": "United States",
    "countryCodeV2": "US",
    "phone": "+1 217 555 0100",
}


def make_shop(world: World, asked: Mapping[str, Any]) -> dict[str, Any]:
    """A shop with the app installed; gives its first tokens. Asking again for a known shop gives it new ones."""
    domain = shop_domain(str(asked.get("domain", "")))
    if not domain:
        raise ProblemError("domain must be a myshopify.com name")
    shop = world.shops.get(domain) or {
        "domain": domain,
        "id": world.new_id(),
        "name": asked.get("name") or domain.partition(".")[0],
        "currency": asked.get("currency", "USD"),
        "timezone": asked.get("timezone", "America/New_York"),
        "country": asked.get("country", "US"),
        "approved": bool(asked.get("protected_data_approved", True)),
        "our_location": bool(asked.get("our_location", False)),
        "auto_request": bool(asked.get("auto_request", False)),
        "status": "active",
        "scopes": scope_list(asked.get("scopes", SCOPES)),
        "throttle": None,
        "installed": True,
        "locations": {"merchant": world.new_id(), "ours": world.new_id(), "service": world.new_id()},
        "last_number": 1000,
        "access_tokens": [],
        "refresh_tokens": [],
    }
    shop["installed"] = True
    grant = tokens.issue(world, shop)
    world.commit("shop_connected", shop=shop, shop_domain=domain)
    return {"domain": domain, "shop_id": shop["id"], "locations": shop["locations"], **grant}


def scope_list(given: Any) -> list[str]:
    """Granted scopes from a list or a text with commas."""
    names = given.split(",") if isinstance(given, str) else given
    return [str(name).strip() for name in names if str(name).strip()]


def make_product(world: World, asked: Mapping[str, Any]) -> dict[str, Any]:
    """A product with its variants."""
    shop = world.shop(shop_domain(str(asked.get("shop", ""))))
    product: Record = {"id": world.new_id(), "shop": shop["domain"], "title": asked.get("title", "Sample product")}
    product["variants"] = [
        {
            "id": int(variant.get("id") or world.new_id()),
            "sku": variant.get("sku"),
            "title": variant.get("title", "Default Title"),
            "price": str(variant.get("price", "10.00")),
            "location": variant.get("location"),
        }
        for variant in asked.get("variants") or [{}]
    ]
    world.commit("product_created", product=product, shop_domain=shop["domain"], product_id=product["id"])
    variants = [{"id": str(item["id"]), "sku": item["sku"], "price": item["price"]} for item in product["variants"]]
    return {"product_id": str(product["id"]), "variants": variants}


def make_order(world: World, asked: Mapping[str, Any]) -> Record:
    """An order. The caller sends the webhooks.

    `payments`: see `paying.receive`; unless given, a paid order was paid in one. An empty list is an import.
    """
    shop = world.shop(shop_domain(str(asked.get("shop", ""))))
    now = int(world.now())
    shop["last_number"] += 1
    status = str(asked.get("financial_status", "paid")).upper()
    shipping = asked.get("shipping") or {}
    order: Record = {
        "id": int(asked.get("id") or world.new_id()),
        "shop": shop["domain"],
        "number": shop["last_number"],
        "created_at": int(asked.get("created_at", now)),
        "updated_at": int(asked.get("updated_at", now)),
        "cancelled_at": None,
        "cancel_reason": None,
        "test": bool(asked.get("test", False)),
        "deleted": False,
        "financial": status,
        "taxes_included": bool(asked.get("taxes_included", False)),
        "note": asked.get("note"),
        "tags": list(asked.get("tags") or []),
        "attributes": _pairs(asked.get("attributes")),
        "localized": list(asked.get("localized_fields") or []),
        "risk": {"recommendation": "NONE", "levels": [], **(asked.get("risk") or {})},
        "address": _address(asked),
        "shipping": {
            "title": shipping.get("title", "Standard"),
            "amount": str(shipping.get("amount", "0.00")),
            "tax": str(shipping.get("tax", "0.00")),
        },
        "lines": [make_line(world, shop, line) for line in asked.get("lines") or []],
        "fulfillment_orders": [],
        "fulfillments": [],
        "refunds": [],
        "transactions": [],
    }
    if not order["lines"]:
        raise ProblemError("an order needs lines")
    paid = status in ("PAID", "PARTIALLY_REFUNDED", "REFUNDED") and amounts.order_total(order, current=True) > 0
    paying.receive(world, order, asked.get("payments", [{}] if paid else []))
    route(world, shop, order, asked)
    world.commit(
        "order_created",
        shop=shop,
        order=order,
        shop_domain=shop["domain"],
        order_id=str(order["id"]),
        financial_status=status,
        lines=[{"line_id": str(line["id"]), "quantity": line["quantity"]} for line in order["lines"]],
    )
    return order


def _address(asked: Mapping[str, Any]) -> Record | None:
    if "address" in asked and asked["address"] is None:
        return None
    return {**_ADDRESS, **(asked.get("address") or {})}


def _pairs(given: Any) -> list[list[str]]:
    if isinstance(given, Mapping):
        return [[str(key), str(value)] for key, value in given.items()]
    return [[str(item["key"]), str(item["value"])] for item in given or []]


def make_line(world: World, shop: Record, asked: Mapping[str, Any]) -> Record:
    """One line, by variant id or SKU, or a free one by its title."""
    variant = _variant(world, shop, asked)
    quantity = int(asked.get("quantity", 1))
    if quantity < 1:
        raise ProblemError("quantity must be above zero")
    product = variant["product"] if variant else None
    return {
        "id": world.new_id(),
        "variant_id": variant["id"] if variant else None,
        "product_id": product["id"] if product else None,
        "sku": asked.get("sku") or (variant["sku"] if variant else None),
        "title": asked.get("title") or (product["title"] if product else "Sample item"),
        "price": str(Decimal(str(asked.get("price") or (variant["price"] if variant else "10.00")))),
        "discount": str(asked.get("discount", "0.00")),
        "tax": str(asked.get("tax", "0.00")),
        "quantity": quantity,
        "current": quantity,
        "fulfilled": 0,
        "requires_shipping": bool(asked.get("requires_shipping", True)),
        "attributes": _pairs(asked.get("attributes")),
        "location": asked.get("location") or (variant["location"] if variant else None),
    }


def _variant(world: World, shop: Record, asked: Mapping[str, Any]) -> Record | None:
    if asked.get("variant_id"):
        found = world.variants.get(int(asked["variant_id"]))
        if found is None or found["product"]["shop"] != shop["domain"]:
            raise ProblemError(f"no variant {asked['variant_id']} in this shop")
        return found
    for variant in world.variants.values() if asked.get("sku") else ():
        if variant["sku"] == asked["sku"] and variant["product"]["shop"] == shop["domain"]:
            return variant
    return None


def route(world: World, shop: Record, order: Record, asked: Mapping[str, Any]) -> None:
    """Fulfilment orders, one per location, visible after the delay that the real service takes."""
    default = asked.get("location") or ("ours" if shop["our_location"] else "merchant")
    groups: dict[str, list[Record]] = {}
    for line in order["lines"]:
        if line["requires_shipping"]:
            groups.setdefault(line["location"] or default, []).append(line)
    for location, lines in groups.items():
        routed = new_fulfillment_order(world, location, [(line["id"], line["quantity"]) for line in lines])
        routed["visible_at"] = world.now() + world.scaled(world.options.fo_delay)
        if asked.get("hold"):
            routed["status"] = "ON_HOLD"
            routed["holds"] = [{"id": world.new_id(), "reason": str(asked["hold"]).upper()}]
        if location == "ours" and shop["auto_request"]:
            routed["request"] = "SUBMITTED"
        order["fulfillment_orders"].append(routed)


def new_fulfillment_order(world: World, location: str, lines: list[tuple[int, int]]) -> Record:
    """An open fulfilment order over (line id, quantity)."""
    if location not in ("ours", "merchant"):
        raise ProblemError("location is ours or merchant")
    now = int(world.now())
    return {
        "id": world.new_id(),
        "status": "OPEN",
        "request": "UNSUBMITTED",
        "location": location,
        "visible_at": 0.0,
        "created_at": now,
        "updated_at": now,
        "holds": [],
        "lines": [
            {"id": world.new_id(), "line": line, "total": quantity, "remaining": quantity} for line, quantity in lines
        ],
    }
