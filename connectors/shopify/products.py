"""Variants that can be linked."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from app.ports.money import Money
from app.ports.storefront import VariantInfo
from connectors.shopify.addresses import gid, number_of
from connectors.shopify.client import GraphQLClient

_MOST_PAGES = 4


def by_id(client: GraphQLClient, variant_id: str) -> tuple[VariantInfo, ...]:
    """The variant with this number or global id, if there is one."""
    try:
        ref = gid("ProductVariant", variant_id)
    except ValueError:
        return ()
    data = client.run("variant_by_id", id=ref).data
    found = data.get("productVariant")
    return (_variant(found, data["shop"]["currencyCode"]),) if found else ()


def by_sku(client: GraphQLClient, sku: str) -> tuple[VariantInfo, ...]:
    """The variants whose SKU is exactly this one; the search itself also finds similar ones."""
    escaped = sku.replace("\\", "\\\\").replace("'", "\\'").replace('"', '\\"')
    found: list[VariantInfo] = []
    after: str | None = None
    for _ in range(_MOST_PAGES):
        data = client.run("variants_by_sku", query=f"sku:'{escaped}'", after=after).data
        currency = data["shop"]["currencyCode"]
        found += [_variant(node, currency) for node in data["productVariants"]["nodes"] if node.get("sku") == sku]
        if not data["productVariants"]["pageInfo"]["hasNextPage"]:
            break
        after = data["productVariants"]["pageInfo"]["endCursor"]
    return tuple(found)


def _variant(node: Mapping[str, Any], currency: str) -> VariantInfo:
    return VariantInfo(
        product_id=number_of(node["product"]["id"]),
        variant_id=number_of(node["id"]),
        sku=str(node.get("sku") or ""),
        title=str(node.get("displayName") or ""),
        price=Money.parse(str(node["price"]), currency),
    )
