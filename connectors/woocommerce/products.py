"""Variants that can be linked: simple products and variations."""

from __future__ import annotations

import html
from collections.abc import Mapping
from typing import Any

from app.ports.money import Money
from app.ports.storefront import VariantInfo
from connectors.woocommerce import payload
from connectors.woocommerce.client import ShopClient
from connectors.woocommerce.verdict import Missing

_FIELDS = "id,type,parent_id,sku,name,price,status"


def by_sku(shop: ShopClient, sku: str) -> tuple[VariantInfo, ...]:
    """Variants with exactly this SKU. The shop takes a comma for a list, so its answer is compared again."""
    wanted = sku.strip()
    if not wanted:
        return ()
    found = shop.pages("products.list", "products", {"sku": wanted, "_fields": _FIELDS})
    return tuple(info for row in found if (info := _info(shop, row)) is not None and info.sku == wanted)


def by_id(shop: ShopClient, variant_id: str) -> tuple[VariantInfo, ...]:
    """The simple product or variation with this id; all variations if it is a variable product's id."""
    if payload.identifier(variant_id) is None:
        return ()
    try:
        row = payload.mapping(shop.get("products.get", f"products/{variant_id}").value)
    except Missing:
        return ()
    if payload.text(row.get("type")) != "variable":
        info = _info(shop, row)
        return (info,) if info else ()
    title = payload.text(row.get("name"))
    return tuple(
        info
        for found in shop.pages("variations.list", f"products/{variant_id}/variations", {})
        if (info := _info(shop, {**found, "type": "variation", "parent_id": variant_id}, title)) is not None
    )


def _info(shop: ShopClient, row: Mapping[str, Any], parent_title: str = "") -> VariantInfo | None:
    """None for what cannot be bought as such: variable and grouped products, the trash."""
    number, kind = payload.identifier(row.get("id")), payload.text(row.get("type"))
    if number is None or kind in {"variable", "grouped"} or payload.text(row.get("status")) == "trash":
        return None
    return VariantInfo(
        product_id=payload.identifier(row.get("parent_id")) or number,
        variant_id=number,
        sku=html.unescape(payload.text(row.get("sku"))),
        title=html.unescape(_title(row, parent_title)),
        price=_price(shop, row),
    )


def _title(row: Mapping[str, Any], parent_title: str) -> str:
    """A variation in its product's list is named by its options alone, or not at all."""
    own = payload.text(row.get("name"))
    if not parent_title or own.startswith(parent_title):
        return own
    options = ", ".join(payload.text(choice.get("option")) for choice in payload.rows(row.get("attributes")))
    return f"{parent_title} - {options or own}"


def _price(shop: ShopClient, row: Mapping[str, Any]) -> Money:
    """Products carry no currency: it is the shop's. An empty price (not for sale) is shown as zero."""
    currency = shop.access.capabilities.get("currency", "USD")
    try:
        return Money.parse(payload.text(row.get("price")) or "0", currency)
    except ValueError:
        return Money.zero("USD")
