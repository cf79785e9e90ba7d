"""Parcels in the shop: by the fulfilments endpoint where the shop has it, else by note, meta and status.

Every step looks first whether it has been done, because neither notes nor fulfilments are idempotent: a parcel is
known by its key in our meta, a note by its tracking number. A fulfilment of somebody else with that number counts for
the pieces that it names and that no other parcel of ours holds; one of ours with another key is another parcel, whose
number may be the same. Nothing is written when nothing is missing, so the `order.updated` that our own writes cause
finds nothing left to do.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import replace
from typing import Any

from app.ports.adoption import shown_already
from app.ports.errors import Refused
from app.ports.storefront import Fulfilment, Parcel, ParcelLine
from connectors.woocommerce import notes, payload
from connectors.woocommerce.client import VENDOR, ShopClient
from connectors.woocommerce.verdict import NO_ROUTE, Missing

CAPABILITY = "fulfilments"


def endpoint_there(shop: ShopClient) -> bool:
    """Whether the shop has the fulfilments endpoint. An order that does not exist still tells a missing route."""
    return _listed(shop, "0") is not None


def _listed(shop: ShopClient, order_id: str) -> list[Mapping[str, Any]] | None:
    """The order's fulfilments, None where the shop has no such endpoint."""
    try:
        found = shop.get("fulfilments.list", f"orders/{order_id}/fulfillments").value
    except Missing:
        return []
    except Refused as error:
        if error.code == NO_ROUTE:
            return None
        if order_id == "0":
            return []
        raise
    if isinstance(found, dict):
        found = found.get("fulfillments", [])
    return [row for row in payload.rows(found) if not row.get("date_deleted")]


def _existing(shop: ShopClient, order_id: str) -> list[Mapping[str, Any]] | None:
    return None if shop.access.capabilities.get(CAPABILITY) == "no" else _listed(shop, order_id)


def shipped(shop: ShopClient, order_id: str, raw: Mapping[str, Any]) -> dict[str, int]:
    """Pieces per line that the shop shows as shipped, by us or anyone. Asked only when the order's meta says so."""
    found = list(notes.kept(shop, raw))
    if "_fulfillment_status" in payload.meta(raw.get("meta_data")):
        rows = _existing(shop, order_id) or []
        found += [_read(row) for row in rows if payload.text(row.get("status")) == "fulfilled"]
    pieces: dict[str, int] = {}
    for fulfilment in found:
        for line in fulfilment.lines:
            pieces[line.line_id] = pieces.get(line.line_id, 0) + line.quantity
    return pieces


def _marker(shop: ShopClient) -> str:
    return f"{shop.settings.woocommerce_meta_prefix}parcel"


def _read(row: Mapping[str, Any]) -> Fulfilment:
    extra = payload.meta(row.get("meta_data"))
    number = payload.text(extra.get("_tracking_number"))
    lines = (
        (payload.identifier(item.get("item_id")), payload.whole(item.get("qty")))
        for item in payload.rows(extra.get("_items"))
    )
    return Fulfilment(
        id=payload.text(row.get("id")),
        tracking_numbers=(number,) if number else (),
        lines=tuple(ParcelLine(line, count) for line, count in lines if line and count),
    )


def listed(shop: ShopClient, order_id: str) -> tuple[Fulfilment, ...]:
    """What the shop shows for the order; empty for an order that does not exist."""
    rows = _existing(shop, order_id)
    return notes.listed(shop, order_id) if rows is None else tuple(_read(row) for row in rows)


def fulfil(shop: ShopClient, order_id: str, parcel: Parcel) -> Fulfilment:
    """Show the parcel. Adopts what an earlier call has left. Raises `Refused` if the order is gone, or an outcome."""
    rows = _existing(shop, order_id)
    if rows is None:
        return notes.show(shop, order_id, parcel)
    marks = [payload.text(payload.meta(row.get("meta_data")).get(_marker(shop))) for row in rows]
    if parcel.key in marks:
        return _read(rows[marks.index(parcel.key)])
    found = [(_read(row), mark) for row, mark in zip(rows, marks, strict=True)]
    with_it = [one for one, _ in found if parcel.tracking_number in one.tracking_numbers]
    theirs, missing = shown_already(parcel, with_it, marked={one.id for one, mark in found if mark})
    if theirs is not None and not missing:
        return theirs
    body = {"status": "fulfilled", "meta_data": _meta(shop, replace(parcel, lines=missing))}
    return _write(shop, "fulfilments.create", "POST", f"orders/{order_id}/fulfillments", body)


def update_tracking(shop: ShopClient, order_id: str, fulfilment_id: str, parcel: Parcel) -> Fulfilment:
    """Replace number, carrier and link, not the pieces; writes nothing if they are there already."""
    rows = _existing(shop, order_id)
    if rows is None:
        return notes.renumber(shop, order_id, fulfilment_id, parcel)
    row = next((row for row in rows if payload.text(row.get("id")) == fulfilment_id), None)
    if row is None:
        raise Refused("fulfilment_gone", vendor=VENDOR, operation="fulfilments.update")
    present = payload.meta(row.get("meta_data"))
    wanted = _meta(shop, replace(parcel, lines=_read(row).lines or parcel.lines))
    if all(present.get(entry["key"]) == entry["value"] for entry in wanted):
        return _read(row)
    ids = {entry.get("key"): entry.get("id") for entry in payload.rows(row.get("meta_data"))}
    body = {
        "status": "fulfilled",
        "meta_data": [{**entry, **({"id": ids[entry["key"]]} if ids.get(entry["key"]) else {})} for entry in wanted],
    }
    path = f"orders/{order_id}/fulfillments/{fulfilment_id}"
    return _write(shop, "fulfilments.update", "PUT", path, body)


def _write(shop: ShopClient, operation: str, method: str, path: str, body: Mapping[str, Any]) -> Fulfilment:
    try:
        return _read(payload.mapping(shop.write(operation, method, path, body).value))
    except Missing as error:
        raise Refused("order_gone", vendor=VENDOR, operation=operation) from error


def _meta(shop: ShopClient, parcel: Parcel) -> list[dict[str, Any]]:
    return [
        {"key": "_items", "value": _items(parcel.lines)},
        {"key": "_tracking_number", "value": parcel.tracking_number},
        {"key": "_shipping_provider", "value": "other"},
        {"key": "_provider_name", "value": parcel.carrier},
        {"key": "_tracking_url", "value": parcel.tracking_url},
        {"key": _marker(shop), "value": parcel.key},
    ]


def _items(lines: Sequence[ParcelLine]) -> list[dict[str, int]]:
    return [{"item_id": int(line.line_id), "qty": line.quantity} for line in lines]
