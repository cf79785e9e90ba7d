"""The shop as it describes itself, and what it can do."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from typing import Any

from app.ports.errors import OutsideError, Refused
from app.ports.storefront import ShopProfile
from connectors.woocommerce import discovery, fulfilment, payload
from connectors.woocommerce.client import VENDOR, ShopClient
from connectors.woocommerce.verdict import Missing


def read(shop: ShopClient) -> ShopProfile:
    """Find the REST base, prove the keys, read currency, decimals, country, time zone, version and features.

    The key is the shop's own address (the front page that owns the REST base), path included.
    """
    site = discovery.discover(shop.http, shop.access.address)
    found = replace(shop, base=site.base, access=replace(shop.access, capabilities={}))
    general = _general(found)
    version = _version(found)
    currency = general.get("woocommerce_currency", "")
    country = general.get("woocommerce_default_country", "").partition(":")[0]
    if not currency:
        raise Refused("unreadable_settings", vendor=VENDOR, operation="settings")
    capabilities = {
        "rest_base": site.base,
        fulfilment.CAPABILITY: "yes" if fulfilment.endpoint_there(found) else "no",
        "decimals": general.get("woocommerce_price_num_decimals", ""),
        "currency": currency,
        "timezone": site.timezone,
        "version": version,
    }
    return ShopProfile(
        key=site.home,
        name=site.name,
        currency=currency,
        timezone=site.timezone,
        country=country,
        api_version=version,
        capabilities=tuple(capabilities.items()),
    )


def _general(shop: ShopClient) -> Mapping[str, str]:
    rows = payload.rows(shop.get("settings", "settings/general", {"_fields": "id,value"}).value)
    return {payload.text(row.get("id")): payload.text(row.get("value")) for row in rows}


def _version(shop: ShopClient) -> str:
    """WooCommerce's version; "" where the status report is withheld, which is no reason to refuse a shop."""
    try:
        answer = shop.get("system_status", "system_status", {"_fields": "environment"})
    except (Missing, OutsideError):
        # The report is the slowest page that WooCommerce has; a time-out must not keep a shop from connecting.
        return ""
    environment: Mapping[str, Any] = payload.mapping(payload.mapping(answer.value).get("environment"))
    return payload.text(environment.get("version"))[:40]
