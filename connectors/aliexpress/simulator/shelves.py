"""Answers of the methods that read products and freight. Source: reference, sections 7.5, 7.8 and 7.11."""

from __future__ import annotations

import json
from decimal import Decimal
from typing import Any

from connectors.aliexpress.simulator.answers import listed, missing
from connectors.aliexpress.simulator.records import SKU, Account, Product
from connectors.aliexpress.simulator.world import World

Params = dict[str, str]
_RATES = {
    "USD": "1",
    "EUR": "0.92",
    "GBP": "0.79",
    "CAD": "1.36",
    "BRL": "5.40",
    "MXN": "18.20",
    "PLN": "3.95",
}


def _currency(wanted: str | None) -> str:
    """Unknown currencies are ignored and USD is answered, as was reported for AUD."""
    return wanted if wanted in _RATES else "USD"


def _price(usd: Decimal, currency: str) -> str:
    return f"{usd * Decimal(_RATES[currency]):.2f}"


def product_get(world: World, _account: Account, params: Params) -> dict[str, Any]:
    """`aliexpress.ds.product.get`."""
    for name in ("product_id", "ship_to_country"):
        if not params.get(name):
            raise missing(name)
    with world.lock:
        product = world.find_product(params["product_id"])
        if product is None:
            return {"rsp_code": 605, "rsp_msg": "ITEM_ID_NOT_FOUND"}
        if params["ship_to_country"] in product.not_for:
            return {"rsp_code": 602, "rsp_msg": "Item is not allowed to this country"}
        result = _product(product, params["ship_to_country"], _currency(params.get("target_currency")))
    return {"result": result, "rsp_code": 200, "rsp_msg": "Call succeeds"}


def _product(product: Product, country: str, currency: str) -> dict[str, Any]:
    sub = json.dumps({"US": int(product.us_id)}, separators=(",", ":")) if product.us_id else None
    return {
        "ae_item_base_info_dto": {
            "product_id": int(product.product_id),
            "subject": product.title,
            "product_status_type": "onSelling" if product.on_sale else "offline",
            "currency_code": product.currency,
            "detail": "<div><p>Simulated product.</p></div>",
            "sales_count": "1000+",
        },
        "ae_item_sku_info_dtos": listed("ae_item_sku_info_d_t_o", [_sku(sku, currency) for sku in product.skus]),
        "ae_multimedia_info_dto": {"image_urls": ""},
        "logistics_info_dto": {"delivery_time": 7, "ship_to_country": country},
        "product_id_converter_result": {"main_product_id": int(product.product_id), "sub_product_id": sub},
        "ae_store_info": {
            "store_id": int(product.seller_id),
            "store_name": f"Store {product.seller_id}",
            "store_country_code": "CN",
        },
        "has_whole_sale": False,
    }


def _sku(sku: SKU, currency: str) -> dict[str, Any]:
    price = _price(sku.price, currency)
    properties = [
        {
            "sku_property_name": "Variant",
            "sku_property_value": part,
            "property_value_definition_name": part.strip(),
        }
        for part in sku.title.split(",")
        if part.strip()
    ]
    row = {
        "sku_id": sku.sku_id,
        "sku_attr": sku.sku_attr,
        "id": sku.sku_attr or "<none>",
        "offer_sale_price": price,
        "sku_price": _price(sku.normal, currency),
        "currency_code": currency,
        "price_include_tax": not sku.tax,
        "sku_available_stock": sku.stock,
        "ae_sku_property_dtos": listed("ae_sku_property_d_t_o", properties),
    }
    if sku.tax:
        row |= {"tax_amount": _price(sku.tax, currency), "tax_currency_code": currency}
    if sku.promotion_limit is not None:
        row["buy_amount_limit_set_by_promotion"] = str(sku.promotion_limit)
    return row | ({"limit_strategy": sku.limit_strategy} if sku.limit_strategy else {})


def freight_query(world: World, _account: Account, params: Params) -> dict[str, Any]:
    """`aliexpress.ds.freight.query`.

    Answers 501 for a wrong SKU, 505 for no delivery, no fee fields on a free option.
    """
    if not params.get("queryDeliveryReq"):
        raise missing("queryDeliveryReq")
    try:
        query = json.loads(params["queryDeliveryReq"])
    except ValueError:
        raise missing("queryDeliveryReq") from None
    names = ("quantity", "productId", "selectedSkuId", "shipToCountry", "language", "locale", "currency")
    absent = next((name for name in names if not query.get(name)), None)
    if absent:
        raise missing(absent)
    with world.lock:
        product = world.find_product(str(query["productId"]))
        sku = product.sku(str(query["selectedSkuId"])) if product else None
        if product is None or sku is None:
            return {"result": {"success": False, "code": 501, "msg": "DELIVERY_INFO_EMPTY"}}
        country = str(query["shipToCountry"])
        options = [] if country in product.not_for else product.options_for(country)
        currency = _currency(str(query["currency"]))
        found = [_option(option, sku, currency) for option in options]
    if not found:
        return {"result": {"success": False, "code": 505, "msg": "DELIVERY_NOT_AVAILABLE_TO_YOUR_ADDRESS"}}
    rows = listed("delivery_option_d_t_o", found)
    return {"result": {"success": True, "code": 200, "msg": "Call succeeds", "delivery_options": rows}}


def _option(option: dict[str, Any], sku: SKU, currency: str) -> dict[str, Any]:
    fee = Decimal(str(option["fee"]))
    row: dict[str, Any] = {
        "code": option["service"],
        "company": option.get("company", option["service"]),
        "free_shipping": fee == 0,
        "mayHavePFS": bool(option.get("pfs")),
        "min_delivery_days": option.get("min_days", 7),
        "max_delivery_days": option.get("max_days", 14),
        "guaranteed_delivery_days": "60",
        "tracking": option.get("tracking", True),
        "ship_from_country": option.get("ships_from", "CN"),
        "available_stock": str(sku.stock),
    }
    if fee:
        told = _price(fee, currency)
        row |= {
            "shipping_fee_cent": told,
            "shipping_fee_currency": currency,
            "shipping_fee_format": f"{told} {currency}",
            "free_shipping_threshold": option.get("pfs"),
        }
    return row


def text_search(world: World, _account: Account, params: Params) -> dict[str, Any]:
    """`aliexpress.ds.text.search`, over titles."""
    for name in ("local", "countryCode", "currency"):
        if not params.get(name):
            raise missing(name)
    words = params.get("keyWord", "").lower()
    currency = _currency(params["currency"])
    with world.lock:
        unique = {id(p): p for p in world.products.values() if words in p.title.lower() and p.skus}
        rows = [
            {
                "itemId": product.product_id,
                "title": product.title,
                "targetSalePrice": _price(min(sku.price for sku in product.skus), currency),
                "targetOriginalPriceCurrency": currency,
                "itemUrl": f"//www.aliexpress.com/item/{product.product_id}.html",
                "type": "search",
            }
            for product in unique.values()
        ]
    products = listed("selection_search_product", rows)
    return {
        "code": "00",
        "data": {"totalCount": len(rows), "pageIndex": 1, "pageSize": 50, "products": products},
    }


def address_get(_world: World, _account: Account, params: Params) -> dict[str, Any]:
    """`aliexpress.ds.address.get` with one made-up province; `children` is JSON text."""
    if not params.get("countryCode"):
        raise missing("countryCode")
    city = {"name": "Sample City", "type": "CITY"}
    children = json.dumps([{"name": "Sample Province", "type": "PROVINCE", "hasChildren": True, "children": [city]}])
    return {
        "result": {
            "ret": True,
            "data": {"country": params["countryCode"], "type": "country", "children": children},
        }
    }
