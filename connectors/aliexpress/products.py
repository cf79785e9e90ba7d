"""Products and ways to ship them. Source: reference, sections 7.5 and 7.8."""

from __future__ import annotations

from typing import Any

from app.ports.errors import OutcomeUnknown, TryLater
from app.ports.inbound import storable
from app.ports.money import Money
from app.ports.supplier import FreightOption, SupplierProduct, SupplierSKU
from connectors.aliexpress import wire
from connectors.aliexpress.client import VENDOR, Client
from connectors.aliexpress.countries import country_code, locale

_PRODUCT_GET = "aliexpress.ds.product.get"
_FREIGHT = "aliexpress.ds.freight.query"
_OK, _NOT_HERE, _GONE, _SYSTEM = "200", "602", "605", "404"
_NO_DELIVERY = frozenset({"505", "501"})
_NORMAL_PRICE_ABOVE = frozenset({"back_to_normal_price", ""})
"""Above a promotion's limit the normal price applies. Any other strategy, known or not, means that ordering fails."""


def product(
    client: Client, token: str, product_id: str, *, country: str, currency: str, language: str
) -> SupplierProduct | None:
    """The product for one destination; None if it is gone, without SKUs if it is not sold there."""
    params = {
        "product_id": product_id,
        "ship_to_country": country_code(country),
        "target_currency": currency,
        "target_language": locale(language),
    }
    answer = client.read(_PRODUCT_GET, params, token, about=f"product_id={product_id} to {country} in {currency}")
    code = wire.text(answer.payload.get("rsp_code")) or _OK
    result = wire.mapping(answer.payload.get("result"))
    if code == _GONE:
        return None
    if code == _NOT_HERE:
        return SupplierProduct(product_id, product_id, "", on_sale=False, seller_id="", skus=())
    if code == _SYSTEM:
        raise TryLater(code, "System Error", vendor=VENDOR, operation=_PRODUCT_GET)
    if code != _OK or not result:
        raise OutcomeUnknown(
            code, wire.text(answer.payload.get("rsp_msg"))[:200], vendor=VENDOR, operation=_PRODUCT_GET
        )
    charges = client.settings.aliexpress_import_charges == "add"
    return read_product(product_id, result, country=country, with_charges=charges)


def read_product(product_id: str, result: dict[str, Any], *, country: str, with_charges: bool) -> SupplierProduct:
    """A `product.get` result in our words.

    `with_charges`: import charges that the price leaves out are added.
    """
    base = wire.mapping(result.get("ae_item_base_info_dto"))
    listed = (wire.mapping(row) for row in wire.rows(result.get("ae_item_sku_info_dtos")))
    skus = tuple(sku for row in listed if (sku := _sku(row, with_charges=with_charges)) is not None)
    status = wire.text(base.get("product_status_type"))
    return SupplierProduct(
        product_id=product_id,
        order_product_id=_order_id(result, country) or product_id,
        title=wire.text(base.get("subject")),
        on_sale=bool(skus) and status in {"", "onSelling"},
        seller_id=wire.text(wire.mapping(result.get("ae_store_info")).get("store_id")),
        skus=skus,
    )


def _order_id(result: dict[str, Any], country: str) -> str:
    """For US destinations the id to order is another one; it comes as JSON text or as an object."""
    if country.upper() != "US":
        return ""
    raw = wire.mapping(result.get("product_id_converter_result")).get("sub_product_id")
    try:
        found = wire.parse(raw) if isinstance(raw, str) and raw else raw
    except wire.Malformed:
        return ""
    return wire.identity(wire.mapping(found).get("US"))


def _sku(row: dict[str, Any], *, with_charges: bool) -> SupplierSKU | None:
    """One SKU; None if it has no id or no readable price (it cannot be ordered safely)."""
    sku_id, currency = wire.identity(row.get("sku_id")), wire.text(row.get("currency_code"))
    offered, normal = wire.amount_text(row.get("offer_sale_price")), wire.amount_text(row.get("sku_price"))
    try:
        extra = _on_top(row, currency, with_charges=with_charges)
        price = Money.parse(offered or normal, currency) + extra
        limit = _promotion_limit(row)
        above = None
        if limit is not None and normal and wire.text(row.get("limit_strategy")) in _NORMAL_PRICE_ABOVE:
            above = max(price, Money.parse(normal, currency) + extra)
    except ValueError:
        return None
    names = (wire.mapping(part) for part in wire.rows(row.get("ae_sku_property_dtos")))
    title = ", ".join(
        name
        for part in names
        if (name := wire.text(part.get("property_value_definition_name")) or wire.text(part.get("sku_property_value")))
    )
    attributes = row.get("sku_attr")
    exact = storable(attributes) if isinstance(attributes, str) else ""
    stock = wire.number(row.get("sku_available_stock"))
    return SupplierSKU(sku_id, exact, price, stock, title, limit, above) if sku_id else None


def _on_top(row: dict[str, Any], currency: str, *, with_charges: bool) -> Money:
    """What each piece costs beyond its price: import charges that are named at all, a tax that is said to be left out.

    Raises ValueError for a tax in another currency: then nobody knows the price.
    """
    extra = Money.zero(currency)
    charges = wire.amount_text(row.get("estimated_import_charges"))
    if with_charges and charges:
        extra += Money.parse(charges, currency)
    tax = wire.amount_text(row.get("tax_amount"))
    if wire.truth(row.get("price_include_tax")) is False and tax:
        extra += Money.parse(tax, wire.text(row.get("tax_currency_code")) or currency)
    return extra


def _promotion_limit(row: dict[str, Any]) -> int | None:
    """How many pieces of one order the offered price is for. Nothing, or none at all: no limit."""
    limit = wire.number(row.get("buy_amount_limit_set_by_promotion"))
    return limit if limit is not None and limit > 0 else None


def freight(
    client: Client,
    token: str,
    product_id: str,
    sku_id: str,
    quantity: int,
    *,
    country: str,
    currency: str,
    language: str,
) -> tuple[FreightOption, ...]:
    """Ways to ship that quantity; empty if there is no delivery or no such SKU."""
    query = {
        "quantity": str(quantity),
        "productId": product_id,
        "selectedSkuId": sku_id,
        "shipToCountry": country_code(country),
        "language": locale(language),
        "locale": locale(language),
        "currency": currency,
    }
    about = f"product_id={product_id} sku_id={sku_id} quantity={quantity} to {country}"
    answer = client.read(_FREIGHT, {"queryDeliveryReq": wire.compose(query)}, token, about=about)
    result = wire.mapping(answer.payload.get("result"))
    code = wire.text(result.get("code"))
    if wire.truth(result.get("success")) is False and code in _NO_DELIVERY:
        return ()
    if wire.truth(result.get("success")) is not True or code not in {_OK, ""}:
        raise OutcomeUnknown(code or "no_code", wire.text(result.get("msg"))[:200], vendor=VENDOR, operation=_FREIGHT)
    official = client.settings.aliexpress_free_shipping_rule == "official"
    found = (
        read_option(wire.mapping(row), currency, official=official) for row in wire.rows(result.get("delivery_options"))
    )
    return tuple(option for option in found if option is not None)


def read_option(row: dict[str, Any], currency: str, *, official: bool) -> FreightOption | None:
    """One delivery option; None if it has no code or an unreadable fee."""
    service, fee = wire.text(row.get("code")), _fee(row, currency, official=official)
    if not service or fee is None:
        return None
    return FreightOption(
        service=service,
        title=wire.text(row.get("company")) or service,
        fee=fee,
        min_days=wire.number(row.get("min_delivery_days")),
        max_days=wire.number(row.get("max_delivery_days")),
        tracked=wire.truth(row.get("tracking")) is True,
        ships_from=wire.text(row.get("ship_from_country")),
        stock=wire.number(row.get("available_stock")),
    )


def _fee(row: dict[str, Any], currency: str, *, official: bool) -> Money | None:
    """The fee, a decimal in spite of its name `shipping_fee_cent`.

    A threshold of zero means free by the official rule, yet such options were reported as charged: only with
    `official` is it believed. A threshold above zero needs the order's value, which a quote for one SKU does
    not have.
    """
    if wire.truth(row.get("free_shipping")) is True:
        return Money.zero(currency)
    threshold = wire.text(row.get("free_shipping_threshold"))
    digits = [character for character in threshold if character.isdigit()]
    if official and wire.truth(row.get("mayHavePFS")) is True and digits and set(digits) == {"0"}:
        return Money.zero(currency)
    told = wire.amount_text(row.get("shipping_fee_cent"))
    try:
        return Money.parse(told, wire.text(row.get("shipping_fee_currency")) or currency)
    except ValueError:
        return None
