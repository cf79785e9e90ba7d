"""Parcels in shops without the fulfilments endpoint: a note for people, meta for ourselves, the status at the end."""

from __future__ import annotations

import html
import re
from collections.abc import Mapping
from typing import Any

from app.ports.errors import Refused
from app.ports.storefront import Fulfilment, Parcel, ParcelLine
from connectors.woocommerce import payload, translate
from connectors.woocommerce.client import VENDOR, ShopClient
from connectors.woocommerce.verdict import Missing

_COMPLETED = "completed"


def _key(shop: ShopClient) -> str:
    return f"{shop.settings.woocommerce_meta_prefix}parcels"


def _order(shop: ShopClient, order_id: str) -> Mapping[str, Any]:
    try:
        return payload.mapping(shop.get("orders.get", f"orders/{order_id}").value)
    except Missing as error:
        raise Refused("order_gone", vendor=VENDOR, operation="orders.get") from error


def _parcels(shop: ShopClient, raw: Mapping[str, Any]) -> list[Mapping[str, Any]]:
    return payload.rows(payload.meta(raw.get("meta_data")).get(_key(shop)))


def kept(shop: ShopClient, raw: Mapping[str, Any]) -> tuple[Fulfilment, ...]:
    """Our parcels in the meta of an order that was read already."""
    return tuple(_read(entry) for entry in _parcels(shop, raw))


def listed(shop: ShopClient, order_id: str) -> tuple[Fulfilment, ...]:
    """Our parcels as kept in the order's meta; the id is the parcel's key. Nobody else's can be told."""
    try:
        raw = payload.mapping(shop.get("orders.get", f"orders/{order_id}").value)
    except Missing:
        return ()
    return kept(shop, raw)


def _read(entry: Mapping[str, Any]) -> Fulfilment:
    number = payload.text(entry.get("number"))
    lines = (
        (payload.identifier(line.get("line_id")), payload.whole(line.get("quantity")))
        for line in payload.rows(entry.get("lines"))
    )
    return Fulfilment(
        id=payload.text(entry.get("key")),
        tracking_numbers=(number,) if number else (),
        lines=tuple(ParcelLine(line, count) for line, count in lines if line and count),
    )


def _entry(parcel: Parcel) -> dict[str, Any]:
    return {
        "key": parcel.key,
        "number": parcel.tracking_number,
        "carrier": parcel.carrier,
        "url": parcel.tracking_url,
        "lines": [{"line_id": line.line_id, "quantity": line.quantity} for line in parcel.lines],
    }


def show(shop: ShopClient, order_id: str, parcel: Parcel) -> Fulfilment:
    """Note first, then meta and status in one PUT.

    Each only if it is missing, so a repeated call mends a broken one.
    """
    raw = _order(shop, order_id)
    parcels = _parcels(shop, raw)
    known = next((entry for entry in parcels if entry.get("key") == parcel.key), None)
    if known is not None:
        # Its number may have been replaced since; that is not undone here. The PUT comes last, so it had its
        # note.
        return _finish(shop, order_id, raw, parcels, known)
    _tell(shop, order_id, parcel, "Shipped")
    entry = _entry(parcel)
    return _finish(shop, order_id, raw, [*parcels, entry], entry)


def _finish(
    shop: ShopClient,
    order_id: str,
    raw: Mapping[str, Any],
    parcels: list[Mapping[str, Any]],
    entry: Mapping[str, Any],
) -> Fulfilment:
    body: dict[str, Any] = {}
    if len(parcels) != len(_parcels(shop, raw)):
        body["meta_data"] = [{"key": _key(shop), "value": parcels}]
        if _ready(shop, raw) and _all_shipped(shop, order_id, raw, parcels):
            body["status"] = _COMPLETED
    if body:
        _put(shop, order_id, body)
    return _read(entry)


def _ready(shop: ShopClient, raw: Mapping[str, Any]) -> bool:
    """Only a paid order may be completed; a cancelled or refunded one must not come back to life."""
    status = payload.text(raw.get("status"))
    return status != _COMPLETED and status in shop.settings.paid_statuses


def _all_shipped(shop: ShopClient, order_id: str, raw: Mapping[str, Any], parcels: list[Mapping[str, Any]]) -> bool:
    refunds = list(shop.pages("refunds.list", f"orders/{order_id}/refunds", {})) if raw.get("refunds") else []
    left = {line.id: line.to_ship for line in translate.order(raw, refunds, shop.settings).lines}
    for entry in parcels:
        for line in _read(entry).lines:
            left[line.line_id] = left.get(line.line_id, 0) - line.quantity
    return all(pieces <= 0 for pieces in left.values())


def _put(shop: ShopClient, order_id: str, body: Mapping[str, Any]) -> None:
    try:
        shop.write("orders.update", "PUT", f"orders/{order_id}", body)
    except Missing as error:
        raise Refused("order_gone", vendor=VENDOR, operation="orders.update") from error


def renumber(shop: ShopClient, order_id: str, key: str, parcel: Parcel) -> Fulfilment:
    """A parcel got another number: a new note, and the meta entry replaced."""
    parcels = _parcels(shop, _order(shop, order_id))
    old = next((entry for entry in parcels if entry.get("key") == key), None)
    if old is None:
        raise Refused("fulfilment_gone", vendor=VENDOR, operation="orders.update")
    entry = {**_entry(parcel), "key": key}
    if dict(old) != entry:
        if old.get("number") != parcel.tracking_number:
            _tell(shop, order_id, parcel, "New tracking number")
        replaced = [entry if one is old else one for one in parcels]
        _put(shop, order_id, {"meta_data": [{"key": _key(shop), "value": replaced}]})
    return _read(entry)


def _tell(shop: ShopClient, order_id: str, parcel: Parcel, what: str) -> None:
    """One note per tracking number, whoever wrote it; a customer note (which the shop mails) only if asked for."""
    number = re.compile(rf"(?<![A-Za-z0-9]){re.escape(html.escape(parcel.tracking_number))}(?![A-Za-z0-9])")
    try:
        found = payload.rows(shop.get("notes.list", f"orders/{order_id}/notes").value)
        if any(number.search(payload.text(note.get("note"))) for note in found):
            return
        body = {"note": _note(parcel, what), "customer_note": parcel.notify}
        shop.write("notes.create", "POST", f"orders/{order_id}/notes", body)
    except Missing as error:
        raise Refused("order_gone", vendor=VENDOR, operation="notes.create") from error


def _note(parcel: Parcel, what: str) -> str:
    """Texts of the supplier are escaped: the shop keeps simple HTML and shows it."""
    carrier = f" with {html.escape(parcel.carrier)}" if parcel.carrier else ""
    link = f" {html.escape(parcel.tracking_url)}" if parcel.tracking_url.startswith(("https://", "http://")) else ""
    return f"{what}{carrier}: {html.escape(parcel.tracking_number)}{link}"
