"""Parcels, and the list of paid orders. Source: reference, sections 7.10 and 7.13."""

from __future__ import annotations

import re
from collections.abc import Iterator
from datetime import datetime
from typing import Any

from app.ports.errors import OutcomeUnknown
from app.ports.supplier import PaidOrderRow, SupplierParcel, SupplierParcelItem
from connectors.aliexpress import commissions, wire
from connectors.aliexpress.client import VENDOR, Client
from connectors.aliexpress.instants import local_instants, millis_instant, write_local

_TRACKING = "aliexpress.ds.order.tracking.get"
_NOTHING_YET = "1001"
_DELIVERED = re.compile(r"\bdelivered\b", re.IGNORECASE)
_NOT_DELIVERED = re.compile(r"\b(not|un|cannot|could|fail|attempt|will|to be|being|soon|out for)", re.IGNORECASE)
_PAGES = 40


def parcels(client: Client, token: str, order_id: str) -> tuple[SupplierParcel, ...]:
    """Parcels so far; empty before shipment (and for an unknown order: the answer is the same)."""
    params = {"ae_order_id": order_id, "language": "en_US"}
    answer = client.read(_TRACKING, params, token, about=f"order_id={order_id}", missing_ok=True)
    if answer.error is not None:
        return ()
    result = wire.mapping(answer.payload.get("result"))
    code = wire.text(result.get("code"))
    if wire.truth(result.get("ret")) is not True:
        if code == _NOTHING_YET:
            return ()
        raise OutcomeUnknown(code or "no_code", wire.text(result.get("msg"))[:200], vendor=VENDOR, operation=_TRACKING)
    prefixes = tuple(client.settings.listed(client.settings.aliexpress_provisional_prefixes))
    return read_parcels(result, prefixes)


def read_parcels(result: dict[str, Any], provisional: tuple[str, ...]) -> tuple[SupplierParcel, ...]:
    """The parcels of a tracking answer, one for each tracking number.

    `provisional`: prefixes of numbers that will be replaced.
    """
    lines = wire.rows(wire.mapping(result.get("data")).get("tracking_detail_line_list"))
    found: dict[str, SupplierParcel] = {}
    for line in map(wire.mapping, lines):
        number = wire.text(line.get("mail_no"))
        if number:
            parcel = _parcel(number, line, provisional)
            found[number] = _joined(found[number], parcel) if number in found else parcel
    return tuple(found.values())


def _parcel(number: str, line: dict[str, Any], provisional: tuple[str, ...]) -> SupplierParcel:
    nodes = [wire.mapping(node) for node in wire.rows(line.get("detail_node_list"))]
    newest = max(nodes, key=lambda node: wire.number(node.get("time_stamp")) or 0, default={})
    words = wire.text(newest.get("tracking_detail_desc")) or wire.text(newest.get("tracking_name"))
    link = wire.text(line.get("cp_website_url"))
    return SupplierParcel(
        tracking_number=number,
        carrier=wire.text(line.get("cp_name")) or wire.text(line.get("carrier_name")),
        tracking_url=link if re.fullmatch(r"https?://[^\s<>\"']{1,500}", link) else "",
        items=tuple(_items(line)),
        last_event=words[:200],
        last_event_at=millis_instant(newest.get("time_stamp")),
        delivered=bool(_DELIVERED.search(words)) and not _NOT_DELIVERED.search(words),
        provisional=bool(provisional) and number.upper().startswith(provisional),
    )


def _items(line: dict[str, Any]) -> Iterator[SupplierParcelItem]:
    for row in map(wire.mapping, wire.rows(line.get("package_item_list"))):
        product_id = wire.identity(row.get("item_id"))
        if product_id:
            yield SupplierParcelItem(
                product_id, wire.identity(row.get("sku_id")), wire.number(row.get("quantity")) or 0
            )


def _joined(first: SupplierParcel, second: SupplierParcel) -> SupplierParcel:
    """Two lines with one number are one parcel."""
    return SupplierParcel(
        first.tracking_number,
        first.carrier or second.carrier,
        first.tracking_url or second.tracking_url,
        first.items + second.items,
        first.last_event or second.last_event,
        first.last_event_at or second.last_event_at,
        delivered=first.delivered and second.delivered,
        provisional=first.provisional,
    )


def paid_orders(client: Client, token: str, since: datetime, until: datetime) -> tuple[PaidOrderRow, ...]:
    """Paid orders of the window, if the setting says that the list is there.

    Evidence, never proof of absence.
    """
    if client.settings.aliexpress_paid_orders == "off":
        return ()
    zone = client.settings.aliexpress_gmt_create_zone
    params = {
        "start_time": write_local(since, zone),
        "end_time": write_local(until, zone),
        "status": commissions.PAID,
        "page_size": str(commissions.PAGE_SIZE),
        "page_no": "1",
    }
    found: dict[tuple[str, str], PaidOrderRow] = {}
    for _page in range(_PAGES):
        result = commissions.page(client, token, params)
        page = [wire.mapping(row) for row in wire.rows(result.get("orders"))]
        for row in page:
            paid = read_paid_row(row, zone)
            found[paid.order_id, paid.product_id] = paid
        cursor = wire.text(result.get("max_query_index_id"))
        if len(page) < commissions.PAGE_SIZE or not cursor or cursor == params.get("start_query_index_id"):
            break
        params["start_query_index_id"] = cursor
    return tuple(row for row in found.values() if row.order_id)


def read_paid_row(row: dict[str, Any], zone: str) -> PaidOrderRow:
    """A row of the list; the order number is that of the whole order, not of a child."""
    paid = local_instants(row.get("paid_time"), zone)
    return PaidOrderRow(commissions.whole_order(row), wire.identity(row.get("item_id")), paid[0] if paid else None)
