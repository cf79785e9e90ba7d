"""A place order's address in AliExpress's fields. Rules per country live above us, in `address_fields`."""

from __future__ import annotations

import re
from typing import Any

from app.ports.storefront import Address
from app.ports.supplier import PlaceOrder
from connectors.aliexpress.countries import country_code

_IN_EXTENSION = frozenset({"nat_addr", "birthday"})
_FIELDS = (
    (re.compile(r"country code|phone number|mobile|phone", re.IGNORECASE), "mobile_no"),
    (re.compile(r"national address", re.IGNORECASE), "nat_addr"),
    (re.compile(r"birth", re.IGNORECASE), "birthday"),
    (re.compile(r"state|province|county", re.IGNORECASE), "province"),
    (re.compile(r"\bcity\b", re.IGNORECASE), "city"),
    (re.compile(r"zip|postal|postcode", re.IGNORECASE), "zip"),
    (re.compile(r"between 2 - 32|full name|contact name", re.IGNORECASE), "full_name"),
    (re.compile(r"between 2 - 128", re.IGNORECASE), "full_name"),
    (re.compile(r"passport|tax id|tax number|customs", re.IGNORECASE), "passport_no"),
    (re.compile(r"address|street", re.IGNORECASE), "address"),
)


def guess_field(message: str) -> str:
    """Which field a validation message is about, by AliExpress's field names; empty if it does not tell."""
    return next((field for pattern, field in _FIELDS if pattern.search(message)), "")


def _derived(address: Address) -> dict[str, str]:
    """What can be said without any country rule; `address_fields` overrides each of it."""
    digits = re.sub(r"\D", "", address.phone)
    return {
        "contact_person": address.name,
        "full_name": address.name,
        "address": address.line1,
        "address2": address.line2,
        "city": address.city,
        "province": address.province,
        "country": address.country,
        "zip": address.postal_code,
        "mobile_no": digits,
        "locale": "en_US",
    }


def compose_address(order: PlaceOrder) -> tuple[dict[str, str], dict[str, str]]:
    """`logistics_address` and the address-like part of `trade_extra_param`, in this order.

    Empty values are left out.
    """
    fields = {**_derived(order.address), **dict(order.address_fields)}
    fields["country"] = country_code(fields["country"])
    filled = {key: value for key, value in fields.items() if value}
    extra = {key: value for key, value in filled.items() if key in _IN_EXTENSION}
    return {key: value for key, value in filled.items() if key not in _IN_EXTENSION}, extra


def compose_request(order: PlaceOrder) -> tuple[dict[str, Any], dict[str, Any]]:
    """`param_place_order_request4_open_api_d_t_o` and `ds_extend_request`.

    Raises ValueError on an id that is no number.
    """
    address, extra = compose_address(order)
    items = [
        {
            "product_id": int(item.product_id),
            "product_count": item.quantity,
            "sku_attr": item.sku_attributes,
            "logistics_service_name": item.service,
            "order_memo": order.memo,
        }
        for item in order.items
    ]
    request = {"out_order_id": order.out_order_id, "logistics_address": address, "product_items": items}
    payment = {"pay_currency": "USD", "try_to_pay": "true" if order.autopay else "false"}
    return request, {"payment": payment, "trade_extra_param": {"business_model": "retail", **extra}}
