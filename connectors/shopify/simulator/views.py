"""What the GraphQL fields of orders show of the records."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from datetime import UTC, datetime
from decimal import Decimal
from typing import Any

from connectors.shopify.simulator import amounts, scopes
from connectors.shopify.simulator.engine import DeniedError, Resolver, Run

Record = dict[str, Any]
Arguments = Mapping[str, Any]

_LARGEST_PAGE = 250
OPEN = ("OPEN", "IN_PROGRESS", "ON_HOLD", "SCHEDULED")


def gid(kind: str, number: int) -> str:
    """A global id."""
    return f"gid://shopify/{kind}/{number}"


def number(kind: str, ref: str) -> int | None:
    """The number in a global id of that kind."""
    prefix = f"gid://shopify/{kind}/"
    rest = ref.removeprefix(prefix)
    return int(rest) if ref.startswith(prefix) and rest.isascii() and rest.isdigit() else None


def iso(seconds: float | None) -> str | None:
    """A DateTime: whole seconds, UTC."""
    return None if seconds is None else datetime.fromtimestamp(int(seconds), UTC).strftime("%Y-%m-%dT%H:%M:%SZ")


def page(nodes: list[Any], arguments: Arguments) -> Record:
    """A connection. Cursors are positions."""
    first = arguments.get("first")
    if first is None or first < 1 or first > _LARGEST_PAGE:
        raise DeniedError("you must provide one of first or last, between 1 and 250", "BAD_REQUEST")
    after = arguments.get("after")
    start = int(after) + 1 if after else 0
    found = nodes[start : start + first]
    return {
        "nodes": found,
        "pageInfo": {
            "endCursor": str(start + len(found) - 1) if found else None,
            "startCursor": str(start) if found else None,
            "hasNextPage": start + first < len(nodes),
            "hasPreviousPage": start > 0,
        },
    }


def line_of(order: Record, line_id: int) -> Record:
    """The order's line with this number."""
    found: Record = next(line for line in order["lines"] if line["id"] == line_id)
    return found


def visible(run: Run, order: Record) -> list[Record]:
    """Fulfilment orders that exist by now, as far as the app may see them."""
    now = run.world.now()
    return [
        routed
        for routed in order["fulfillment_orders"]
        if routed["visible_at"] <= now and scopes.shows_routed(run.shop, routed)
    ]


def actions(run: Run, routed: Record) -> list[str]:
    """What a fulfilment order supports in its state. For our location this is partly a mode (unconfirmed)."""
    if routed["status"] == "ON_HOLD":
        return ["RELEASE_HOLD"]
    if routed["status"] not in ("OPEN", "IN_PROGRESS"):
        return []
    if routed["location"] == "merchant":
        return ["CREATE_FULFILLMENT", "REPORT_PROGRESS", "HOLD", "MOVE", "SPLIT"]
    requested = {
        "ACCEPTED": ["CREATE_FULFILLMENT", "REQUEST_CANCELLATION"],
        "CANCELLATION_REJECTED": ["CREATE_FULFILLMENT", "REQUEST_CANCELLATION"],
        "CANCELLATION_REQUESTED": ["CREATE_FULFILLMENT"],
        "SUBMITTED": ["CANCEL_FULFILLMENT_ORDER"],
    }.get(routed["request"], ["REQUEST_FULFILLMENT", "HOLD", "MOVE", "SPLIT"])
    if run.world.options.own_location == "open" and "CREATE_FULFILLMENT" not in requested:
        requested = [*requested, "CREATE_FULFILLMENT"]
    return requested


def _bag(amount: Callable[[Record], Decimal]) -> Resolver:
    return lambda run, source, _arguments: amounts.bag(amount(source), run.shop["currency"])


def _get(key: str) -> Resolver:
    return lambda _run, source, _arguments: source[key]


def _id(kind: str) -> Resolver:
    return lambda _run, source, _arguments: gid(kind, source["id"])


def _time(key: str) -> Resolver:
    return lambda _run, source, _arguments: iso(source[key])


def _constant(value: Any) -> Resolver:
    return lambda _run, _source, _arguments: value


def _attributes(_run: Run, source: Record, _arguments: Arguments) -> list[Record]:
    return [{"key": key, "value": value} for key, value in source["attributes"]]


def _fulfillment_status(_run: Run, order: Record, _arguments: Arguments) -> str:
    open_pieces = sum(line["current"] - line["fulfilled"] for line in order["lines"])
    done = sum(line["fulfilled"] for line in order["lines"])
    if any(routed["status"] == "ON_HOLD" for routed in order["fulfillment_orders"]):
        return "ON_HOLD"
    if open_pieces <= 0:
        return "FULFILLED"
    return "PARTIALLY_FULFILLED" if done else "UNFULFILLED"


def _protected(field: str) -> Resolver:
    def resolve(run: Run, source: Record, _arguments: Arguments) -> Any:
        if not run.shop["approved"]:
            raise DeniedError(f"This app is not approved to use the {field} field.")
        return source.get(field)

    return resolve


def _name(run: Run, source: Record, _arguments: Arguments) -> str | None:
    if not run.shop["approved"]:
        raise DeniedError("This app is not approved to use the name field.")
    return source.get("name") or " ".join(part for part in (source["firstName"], source["lastName"]) if part) or None


def _address(_run: Run, order: Record, _arguments: Arguments) -> Record | None:
    return order["address"] and {**order["address"], "order": order["id"]}


def _localized(_run: Run, order: Record, arguments: Arguments) -> Record:
    fields = [{"purpose": "SHIPPING", "title": field["key"].lower(), **field} for field in order["localized"]]
    return page(fields, arguments)


def _shipping(run: Run, order: Record, arguments: Arguments) -> Record:
    currency = run.shop["currency"]
    shipping = order["shipping"]
    price = amounts.bag(Decimal(shipping["amount"]), currency)
    tax = {"title": "Tax", "priceSet": amounts.bag(Decimal(shipping["tax"]), currency)}
    line = {
        "title": shipping["title"],
        "originalPriceSet": price,
        "discountedPriceSet": price,
        "currentDiscountedPriceSet": price,
        "taxLines": [tax] if Decimal(shipping["tax"]) else [],
    }
    return page([line], arguments)


def _transactions(_run: Run, order: Record, arguments: Arguments) -> list[Record]:
    shown: list[Record] = order["transactions"]
    return shown[: arguments.get("first") or None]


def _lines(_run: Run, order: Record, arguments: Arguments) -> Record:
    return page([line | {"order": order} for line in order["lines"]], arguments)


def _fulfillment_orders(run: Run, order: Record, arguments: Arguments) -> Record:
    return page([routed | {"order": order} for routed in visible(run, order)], arguments)


def _fulfillments(_run: Run, order: Record, arguments: Arguments) -> list[Record]:
    shown = [fulfillment | {"order": order} for fulfillment in order["fulfillments"]]
    return shown[: arguments.get("first") or None]


def _line_variant(run: Run, line: Record, _arguments: Arguments) -> Record | None:
    return run.world.variants.get(line["variant_id"]) if line["variant_id"] else None


def _line_product(run: Run, line: Record, _arguments: Arguments) -> Record | None:
    return run.world.products.get(line["product_id"]) if line["product_id"] else None


def _line_net(line: Record) -> Decimal:
    net = amounts.line_net(line, taxes_included=line["order"]["taxes_included"])
    return net * amounts.current_share(line)


def _line_taxes(run: Run, line: Record, _arguments: Arguments) -> list[Record]:
    tax = Decimal(line["tax"])
    return [{"title": "Tax", "priceSet": amounts.bag(tax, run.shop["currency"])}] if tax else []


def _assigned(run: Run, routed: Record, _arguments: Arguments) -> Record:
    return {
        "name": "Waybill" if routed["location"] == "ours" else "Main warehouse",
        "countryCode": run.shop["country"],
        "location": location(run, routed["location"]),
    }


def location(run: Run, name: str) -> Record:
    """A Location: `ours` belongs to the fulfilment service."""
    ours = name == "ours"
    handle = run.world.options.service_handle
    service = {"id": gid("FulfillmentService", run.shop["locations"]["service"]), "handle": handle}
    return {
        "id": gid("Location", run.shop["locations"][name]),
        "name": "Waybill" if ours else "Main warehouse",
        "isActive": True,
        "isFulfillmentService": ours,
        "fulfillmentService": {**service, "serviceName": "Waybill"} if ours else None,
    }


def _routed_lines(_run: Run, routed: Record, arguments: Arguments) -> Record:
    return page([item | {"order": routed["order"]} for item in routed["lines"]], arguments)


def _item_line(_run: Run, item: Record, _arguments: Arguments) -> Record:
    return line_of(item["order"], item["line"]) | {"order": item["order"]}


def _holds(_run: Run, routed: Record, _arguments: Arguments) -> list[Record]:
    return [
        {"id": gid("FulfillmentHold", hold["id"]), "reason": hold["reason"], "displayReason": hold["reason"].title()}
        for hold in routed["holds"]
    ]


def _tracking(_run: Run, fulfillment: Record, _arguments: Arguments) -> list[Record]:
    return [dict(info) for info in fulfillment["tracking"]]


def _shipped_lines(_run: Run, fulfillment: Record, arguments: Arguments) -> Record:
    items = [item | {"order": fulfillment["order"]} for item in fulfillment["lines"]]
    return page(items, arguments)


FIELDS: dict[tuple[str, str], Resolver] = {
    ("Order", "id"): _id("Order"),
    ("Order", "legacyResourceId"): lambda _run, order, _arguments: str(order["id"]),
    ("Order", "name"): lambda _run, order, _arguments: f"#{order['number']}",
    ("Order", "createdAt"): _time("created_at"),
    ("Order", "updatedAt"): _time("updated_at"),
    ("Order", "processedAt"): _time("created_at"),
    ("Order", "cancelledAt"): _time("cancelled_at"),
    ("Order", "cancelReason"): _get("cancel_reason"),
    ("Order", "closedAt"): _constant(None),
    ("Order", "email"): _constant(None),
    ("Order", "phone"): _constant(None),
    ("Order", "currencyCode"): lambda run, _order, _arguments: run.shop["currency"],
    ("Order", "presentmentCurrencyCode"): lambda run, _order, _arguments: run.shop["currency"],
    ("Order", "displayFinancialStatus"): _get("financial"),
    ("Order", "displayFulfillmentStatus"): _fulfillment_status,
    ("Order", "fullyPaid"): lambda _run, order, _arguments: order["financial"] == "PAID",
    ("Order", "unpaid"): lambda _run, order, _arguments: order["financial"] in ("PENDING", "AUTHORIZED"),
    ("Order", "taxesIncluded"): _get("taxes_included"),
    ("Order", "customAttributes"): _attributes,
    ("Order", "localizedFields"): _localized,
    ("Order", "risk"): lambda _run, order, _arguments: {
        "recommendation": order["risk"]["recommendation"],
        "assessments": [{"riskLevel": level} for level in order["risk"]["levels"]],
    },
    ("Order", "totalPriceSet"): _bag(lambda order: amounts.order_total(order, current=False)),
    ("Order", "currentTotalPriceSet"): _bag(lambda order: amounts.order_total(order, current=True)),
    ("Order", "currentTotalTaxSet"): _bag(amounts.tax_now),
    ("Order", "transactions"): _transactions,
    ("Order", "shippingLines"): _shipping,
    ("Order", "shippingAddress"): _address,
    ("Order", "lineItems"): _lines,
    ("Order", "fulfillmentOrders"): _fulfillment_orders,
    ("Order", "fulfillments"): _fulfillments,
    ("OrderTransaction", "id"): _id("OrderTransaction"),
    ("OrderTransaction", "amountSet"): _bag(lambda made: Decimal(made["amount"])),
    ("MailingAddress", "id"): lambda _run, address, _arguments: gid("MailingAddress", address["order"]),
    ("MailingAddress", "name"): _name,
    **{
        ("MailingAddress", field): _protected(field)
        for field in ("firstName", "lastName", "address1", "address2", "zip", "phone")
    },
    ("LineItem", "id"): _id("LineItem"),
    ("LineItem", "name"): _get("title"),
    ("LineItem", "currentQuantity"): _get("current"),
    ("LineItem", "refundableQuantity"): _get("current"),
    ("LineItem", "unfulfilledQuantity"): lambda _run, line, _a: max(0, line["current"] - line["fulfilled"]),
    ("LineItem", "requiresShipping"): _get("requires_shipping"),
    ("LineItem", "product"): _line_product,
    ("LineItem", "variant"): _line_variant,
    ("LineItem", "customAttributes"): _attributes,
    ("LineItem", "taxLines"): _line_taxes,
    ("LineItem", "originalUnitPriceSet"): _bag(lambda line: Decimal(line["price"])),
    ("LineItem", "discountedTotalSet"): _bag(amounts.line_gross),
    ("LineItem", "discountedUnitPriceAfterAllDiscountsSet"): _bag(
        lambda line: amounts.line_gross(line) / line["quantity"]
    ),
    ("LineItem", "priceAfterAllDiscountsBeforeTaxesSet"): _bag(_line_net),
    ("FulfillmentOrder", "id"): _id("FulfillmentOrder"),
    ("FulfillmentOrder", "orderId"): lambda _run, routed, _arguments: gid("Order", routed["order"]["id"]),
    ("FulfillmentOrder", "orderName"): lambda _run, routed, _arguments: f"#{routed['order']['number']}",
    ("FulfillmentOrder", "requestStatus"): _get("request"),
    ("FulfillmentOrder", "createdAt"): _time("created_at"),
    ("FulfillmentOrder", "updatedAt"): _time("updated_at"),
    ("FulfillmentOrder", "fulfillAt"): _constant(None),
    ("FulfillmentOrder", "assignedLocation"): _assigned,
    ("FulfillmentOrder", "supportedActions"): lambda run, routed, _arguments: [
        {"action": action} for action in actions(run, routed)
    ],
    ("FulfillmentOrder", "fulfillmentHolds"): _holds,
    ("FulfillmentOrder", "lineItems"): _routed_lines,
    ("FulfillmentOrderLineItem", "id"): _id("FulfillmentOrderLineItem"),
    ("FulfillmentOrderLineItem", "sku"): lambda _run, item, _a: line_of(item["order"], item["line"])["sku"],
    ("FulfillmentOrderLineItem", "totalQuantity"): _get("total"),
    ("FulfillmentOrderLineItem", "remainingQuantity"): _get("remaining"),
    ("FulfillmentOrderLineItem", "lineItem"): _item_line,
    ("Fulfillment", "id"): _id("Fulfillment"),
    ("Fulfillment", "name"): lambda _run, found, _arguments: f"#{found['order']['number']}-F{found['position']}",
    ("Fulfillment", "displayStatus"): _constant("FULFILLED"),
    ("Fulfillment", "createdAt"): _time("created_at"),
    ("Fulfillment", "updatedAt"): _time("updated_at"),
    ("Fulfillment", "totalQuantity"): lambda _run, found, _a: sum(item["quantity"] for item in found["lines"]),
    ("Fulfillment", "trackingInfo"): _tracking,
    ("Fulfillment", "fulfillmentLineItems"): _shipped_lines,
    ("FulfillmentLineItem", "id"): _id("FulfillmentLineItem"),
    ("FulfillmentLineItem", "lineItem"): _item_line,
}
