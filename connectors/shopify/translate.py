"""A Shopify order in our words. Pure functions over the data of `graphql/order.graphql`."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from datetime import UTC, datetime
from typing import Any

from app.ports.storefront import Address, StoreLine, StoreOrder
from connectors.shopify import money
from connectors.shopify.addresses import number_of
from connectors.shopify.identifiers import identifiers
from connectors.shopify.routing import Routing

Node = Mapping[str, Any]


def store_order(
    order: Node, *, handle: str, denied: Sequence[str] = (), partly_refunded_is_paid: bool = False
) -> StoreOrder:
    """The order. `handle`: of our fulfilment service. `denied`: dotted paths that we may not see (protected data).

    `lines` and `fulfillmentOrders` must be complete: the caller has read all their pages.
    """
    cancelled = order.get("cancelledAt") is not None
    unpaid = unpaid_reason(order, partly_refunded_is_paid=partly_refunded_is_paid)
    updated = moment(order["updatedAt"])
    routing = Routing(order["fulfillmentOrders"]["nodes"], handle)
    address, problem = shipping_address(order, denied)
    return StoreOrder(
        id=number_of(order["id"]),
        number=str(order.get("name") or ""),
        created_at=moment(order["createdAt"]),
        updated_at=updated,
        version=round(updated.timestamp() * 1000),
        currency=order["currencyCode"],
        paid=not unpaid,
        unpaid_reason=unpaid,
        cancelled=cancelled,
        gone=False,
        hold=_risk(order) or routing.hold(),
        test=bool(order.get("test")),
        total=money.shop_money(order["currentTotalPriceSet"]),
        shipping_paid=money.shipping_paid(order),
        kept=money.kept(order),
        lines=tuple(store_line(line, routing) for line in order["lineItems"]["nodes"]),
        address=address,
        address_problem=problem,
    )


def unpaid_reason(order: Node, *, partly_refunded_is_paid: bool) -> str:
    """Why the order must not be bought for, "" if it is paid (lifecycle, section 4: PAID and not cancelled)."""
    status = str(order.get("displayFinancialStatus") or "unknown")
    if order.get("cancelledAt") is not None:
        return "cancelled"
    if status == "PAID" or (partly_refunded_is_paid and status == "PARTIALLY_REFUNDED"):
        return ""
    return status.lower()


def _risk(order: Node) -> str | None:
    risk = order.get("risk") or {}
    levels = {assessment.get("riskLevel") for assessment in risk.get("assessments") or []}
    recommendation = risk.get("recommendation")
    if recommendation == "CANCEL" or ("HIGH" in levels and recommendation != "ACCEPT"):
        return "high_risk"
    return None


def store_line(line: Node, routing: Routing) -> StoreLine:
    """One line. What is left to ship is what open fulfilment orders say; before they exist, what is unfulfilled."""
    quantity, current = int(line["quantity"]), int(line["currentQuantity"])
    line_id = number_of(line["id"])
    place = routing.line(line_id)
    left = int(line["unfulfilledQuantity"]) if not routing.known else place.remaining
    variant, product = line.get("variant") or {}, line.get("product") or {}
    return StoreLine(
        id=line_id,
        product_id=number_of(product["id"]) if product else None,
        variant_id=number_of(variant["id"]) if variant else None,
        sku=str(line.get("sku") or variant.get("sku") or ""),
        title=str(line.get("name") or ""),
        quantity=quantity,
        to_ship=max(0, min(left, current)),
        refunded=max(0, quantity - current),
        paid=money.line_paid(line),
        requires_shipping=bool(line.get("requiresShipping")),
        attributes=pairs(line.get("customAttributes")),
        at_our_location=place.ours,
        request=place.request,
        requested=place.requested,
        kept_back=place.kept_back,
    )


def shipping_address(order: Node, denied: Sequence[str]) -> tuple[Address | None, str]:
    """The address and "", or None and why: `not_permitted` (protected data) or `not_supplied`."""
    given = order.get("shippingAddress")
    hidden = any(path.startswith("order.shippingAddress") for path in denied)
    if given is None:
        return None, "not_permitted" if hidden else "not_supplied"
    name = given.get("name") or " ".join(part for part in (given.get("firstName"), given.get("lastName")) if part)
    if hidden or not (name or given.get("address1")):
        # Redacted fields are null: an address without them is never taken for an empty one.
        return None, "not_permitted"
    attributes = pairs(order.get("customAttributes"))
    localized = (order.get("localizedFields") or {}).get("nodes") or []
    address = Address(
        name=str(name or "").strip(),
        line1=str(given.get("address1") or ""),
        line2=str(given.get("address2") or ""),
        city=str(given.get("city") or ""),
        province=str(given.get("province") or ""),
        province_code=str(given.get("provinceCode") or ""),
        postal_code=str(given.get("zip") or ""),
        country=str(given.get("countryCodeV2") or ""),
        phone=str(given.get("phone") or ""),
        company=str(given.get("company") or ""),
        identifiers=identifiers(localized, attributes),
    )
    return address, ""


def pairs(attributes: Iterable[Node] | None) -> tuple[tuple[str, str], ...]:
    """Custom attributes as pairs of texts."""
    return tuple((str(item.get("key") or ""), str(item.get("value") or "")) for item in attributes or ())


def moment(text: str) -> datetime:
    """A DateTime of the API, in UTC."""
    found = datetime.fromisoformat(text)
    return found.replace(tzinfo=UTC) if found.tzinfo is None else found.astimezone(UTC)
