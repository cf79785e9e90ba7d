"""Reading orders: one as it stands now, and those that have changed."""

from __future__ import annotations

from collections.abc import Mapping
from datetime import UTC, datetime, timedelta
from typing import Any

from app.ports.errors import Refused, TryLater
from app.ports.storefront import OrderPage, OrderRef, PlacedPage, StoreOrder
from connectors.woocommerce import fulfilment, payload, translate
from connectors.woocommerce.client import PAGE, VENDOR, ShopClient
from connectors.woocommerce.verdict import ORDER_GONE, Missing

#: `any` leaves the trash out; asking for both at once gives `any` alone, so there are two passes.
_PASSES = ("any", "trash")


def read(shop: ShopClient, order_id: str) -> StoreOrder | None:
    """The order with its refunds; None if there is none. Raises an outcome, `Refused` if it cannot be read."""
    raw = raw_order(shop, order_id)
    if raw is None:
        return None
    refunds = list(shop.pages("refunds.list", f"orders/{order_id}/refunds", {})) if raw.get("refunds") else []
    shipped = fulfilment.shipped(shop, order_id, raw)
    simple = frozenset(product for product in translate.doubtful_products(raw) if _is_simple(shop, product))
    try:
        return translate.order(raw, refunds, shop.settings, shipped, simple)
    except payload.Unreadable as error:
        raise Refused("unreadable_order", str(error), vendor=VENDOR, operation="orders.get") from error


def raw_order(shop: ShopClient, order_id: str) -> Mapping[str, Any] | None:
    """The order as the shop gives it, None if there is none or the id is not one of WooCommerce's."""
    if payload.identifier(order_id) is None:
        return None
    try:
        found = payload.mapping(shop.get("orders.get", f"orders/{order_id}").value)
    except Missing as missing:
        if str(missing) != ORDER_GONE:
            raise TryLater(f"strange_404: {missing}"[:100], vendor=VENDOR, operation="orders.get") from missing
        return None
    return found if payload.identifier(found.get("id")) == order_id else None


def _is_simple(shop: ShopClient, product_id: str) -> bool:
    try:
        found = payload.mapping(shop.get("products.get", f"products/{product_id}", {"_fields": "id,type"}).value)
    except Missing:
        return False
    return payload.text(found.get("type")) not in {"variable", "variation", ""}


def changed(shop: ShopClient, since: datetime, until: datetime, cursor: str | None) -> OrderPage:
    """Orders changed in [since, until]: first all but the trash, oldest first, then the trash likewise."""
    found, following = _walk(shop, ("modified", "modified_after", "date_modified_gmt"), since, until, cursor)
    return OrderPage(tuple(OrderRef(number, at) for number, at in found if at <= until), following)


def placed(shop: ShopClient, since: datetime, until: datetime, cursor: str | None) -> PlacedPage:
    """Orders placed in [since, until), both whole seconds, in the same two passes."""
    found, following = _walk(shop, ("date", "after", "date_created_gmt"), since, until, cursor)
    return PlacedPage(tuple(number for number, at in found if at < until), following)


def _walk(
    shop: ShopClient, by: tuple[str, str, str], since: datetime, until: datetime, cursor: str | None
) -> tuple[list[tuple[str, datetime]], str | None]:
    """(orders with their times, the next cursor). `by`: what is ordered by, the parameter of its start, its field.

    The cursor is a time, not a page number: an order that changes between two calls moves to the end of the list, and
    page numbers would then skip its neighbour. Orders of a page's last second come twice. Only when a whole page lies
    in one second the page number moves.
    """
    order_by, after, field = by
    status, start, page = _parse(cursor, since)
    asked = {
        "status": status,
        # "after" is strictly later, in whole seconds.
        after: _stamp(start - timedelta(seconds=1)),
        "dates_are_gmt": "true",
        "orderby": order_by,
        "order": "asc",
        "per_page": str(PAGE),
        "page": str(page),
        "_fields": f"id,status,{field}",
    }
    rows = payload.rows(shop.get("orders.list", "orders", asked).value)
    times = [at for row in rows if (at := payload.moment(row.get(field))) is not None]
    found = [each for row in rows if (each := _reference(row, field)) is not None]
    if len(rows) < PAGE or not times or times[-1] > until:
        following = _PASSES[_PASSES.index(status) + 1 :]
        return found, f"{following[0]}|{since.isoformat()}|1" if following else None
    if times[-1] > start:
        return found, f"{status}|{times[-1].isoformat()}|1"
    return found, f"{status}|{start.isoformat()}|{page + 1}"


def _reference(row: Mapping[str, Any], field: str) -> tuple[str, datetime] | None:
    number, at = payload.identifier(row.get("id")), payload.moment(row.get(field))
    return (number, at) if number and at else None


def _parse(cursor: str | None, since: datetime) -> tuple[str, datetime, int]:
    if cursor is None:
        return _PASSES[0], since, 1
    status, _, rest = cursor.partition("|")
    start, _, page = rest.partition("|")
    if status not in _PASSES or not page.isdigit():
        raise ValueError("not a cursor of ours")
    return status, datetime.fromisoformat(start), int(page)


def _stamp(at: datetime) -> str:
    return at.astimezone(UTC).replace(tzinfo=None).isoformat(timespec="seconds")
