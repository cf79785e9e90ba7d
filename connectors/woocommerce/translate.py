"""WooCommerce's orders in our words. Pure: no I/O, no clock. Source: woocommerce reference, section 4 "Orders"."""

from __future__ import annotations

import html
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from app.ports.storefront import UNKNOWN_STATUS, Address, StoreLine, StoreOrder
from connectors.woocommerce import money, payload, states
from connectors.woocommerce.payload import Unreadable
from connectors.woocommerce.settings import WooCommerceSettings
from connectors.woocommerce.webhooks import DRAFTS

_OWN = frozenset(("pending", "processing", "on-hold", "completed", "cancelled", "refunded", "failed", "trash")) | DRAFTS
"""WooCommerce's own statuses; plugins add theirs."""
_WHO_AND_WHERE = ("first_name", "last_name", "company", "address_1", "address_2", "city", "state", "postcode")


def order(
    raw: Mapping[str, Any],
    refunds: Sequence[Mapping[str, Any]],
    settings: WooCommerceSettings,
    shipped: Mapping[str, int] | None = None,
    simple_products: frozenset[str] = frozenset(),
) -> StoreOrder:
    """An order from `GET /orders/{id}` and `GET /orders/{id}/refunds`.

    `shipped`: pieces per line that the shop shows as shipped. `simple_products`: those of
    `doubtful_products` which turned out to be simple ones. `version` has the shop's resolution of one
    second: an equal version may carry other content and must be processed all the same. Raises `Unreadable`.
    """
    number = payload.identifier(raw.get("id"))
    created = payload.moment(raw.get("date_created_gmt"))
    updated = payload.moment(raw.get("date_modified_gmt")) or created
    if number is None or updated is None:
        raise Unreadable("id or date_modified_gmt")
    status = payload.text(raw.get("status"))
    currency = payload.text(raw.get("currency")).upper()
    hold = _hold(raw, status, settings)
    unpaid = "" if hold else _unpaid_reason(raw, status, settings)
    address = _address(raw, settings)
    return StoreOrder(
        id=number,
        number=payload.text(raw.get("number")) or number,
        created_at=created or updated,
        updated_at=updated,
        version=int(updated.timestamp()) * 1000,
        currency=currency,
        paid=not unpaid,
        unpaid_reason=unpaid,
        cancelled=status in {"cancelled", "refunded"},
        gone=status == "trash",
        hold=hold,
        test=False,
        total=money.amount(raw, "total", currency),
        shipping_paid=money.amount(raw, "shipping_total", currency),
        kept=money.kept(raw, refunds, currency),
        lines=_lines(raw, currency, _Pieces(refunded_pieces(refunds), shipped or {}), simple_products),
        address=address,
        address_problem="" if address else "not_supplied",
        ignored=status if status in DRAFTS else "",
    )


def _hold(raw: Mapping[str, Any], status: str, settings: WooCommerceSettings) -> str | None:
    """What holds up an order whose money is there: somebody, often a fraud plugin, or a status that a plugin made."""
    if status in settings.paid_statuses or _no_money(raw, settings):
        return None
    if status == "on-hold":
        return status
    return f"{UNKNOWN_STATUS}{status[:40]}" if status and status not in _OWN else None


def _unpaid_reason(raw: Mapping[str, Any], status: str, settings: WooCommerceSettings) -> str:
    if status not in settings.paid_statuses:
        return f"status is {status[:40] or 'unknown'}"
    return _no_money(raw, settings)


def _no_money(raw: Mapping[str, Any], settings: WooCommerceSettings) -> str:
    """Why nothing shows that the buyer has paid, whatever the status; "" if something does."""
    if payload.text(raw.get("payment_method")) == "cod":
        return "" if settings.woocommerce_allow_cod else "cash on delivery"
    return "" if payload.moment(raw.get("date_paid_gmt")) else "no time of payment"


def refunded_pieces(refunds: Sequence[Mapping[str, Any]]) -> dict[str, int]:
    """Pieces refunded per line (positive). Refunds by amount alone say nothing about pieces."""
    pieces: dict[str, int] = {}
    for refund in refunds:
        for line in payload.rows(refund.get("line_items")):
            of = payload.identifier(payload.meta(line.get("meta_data")).get("_refunded_item_id"))
            count = payload.whole(line.get("quantity"))
            if of and count:
                pieces[of] = pieces.get(of, 0) + abs(count)
    return pieces


@dataclass(frozen=True, slots=True)
class _Pieces:
    """Pieces per line that need not be shipped any more."""

    refunded: Mapping[str, int]
    shipped: Mapping[str, int]


def _lines(raw: Mapping[str, Any], currency: str, pieces: _Pieces, simple: frozenset[str]) -> tuple[StoreLine, ...]:
    # The only thing that tells of downloads: false if every line is virtual and downloadable.
    ships = raw.get("needs_processing") is not False
    lines = payload.rows(raw.get("line_items"))
    return tuple(_line(line, currency, pieces, simple, ships=ships) for line in lines)


def _line(line: Mapping[str, Any], currency: str, pieces: _Pieces, simple: frozenset[str], *, ships: bool) -> StoreLine:
    number = payload.identifier(line.get("id"))
    quantity = payload.whole(line.get("quantity"))
    if number is None or quantity is None:
        raise Unreadable("id or quantity of a line")
    product = payload.identifier(line.get("product_id"))
    variant = payload.identifier(line.get("variation_id")) or product
    if _doubtful(line) and product not in simple:
        variant = None
    back = pieces.refunded.get(number, 0)
    return StoreLine(
        id=number,
        product_id=product,
        variant_id=variant,
        sku=html.unescape(payload.text(line.get("sku"))),
        title=html.unescape(payload.text(line.get("name"))),
        quantity=max(0, quantity),
        to_ship=max(0, quantity - back - pieces.shipped.get(number, 0)),
        refunded=back,
        paid=money.amount(line, "total", currency),
        requires_shipping=ships,
        attributes=_attributes(line),
    )


def _doubtful(line: Mapping[str, Any]) -> bool:
    """Whether this may be a deleted variation: its line is left with the parent's id, the parent's SKU, and attributes.

    A simple product with choices of an add-on plugin looks just the same.
    """
    return not payload.identifier(line.get("variation_id")) and bool(_attributes(line))


def doubtful_products(raw: Mapping[str, Any]) -> frozenset[str]:
    """Products of lines that may be deleted variations; only the product's type can tell."""
    lines = payload.rows(raw.get("line_items"))
    found = (payload.identifier(line.get("product_id")) for line in lines if _doubtful(line))
    return frozenset(product for product in found if product)


def _attributes(line: Mapping[str, Any]) -> tuple[tuple[str, str], ...]:
    """What the buyer chose. Keys with a leading underscore are internal."""
    return tuple(
        (payload.text(row.get("key")), payload.text(row.get("value")))
        for row in payload.rows(line.get("meta_data"))
        if payload.text(row.get("key")) and not payload.text(row.get("key")).startswith("_")
    )


def _address(raw: Mapping[str, Any], settings: WooCommerceSettings) -> Address | None:
    """Shipping, or billing as a whole where no shipping address was given; never mixed but for a missing phone."""
    shipping, billing = payload.mapping(raw.get("shipping")), payload.mapping(raw.get("billing"))
    kind, block = ("shipping", shipping) if _filled(shipping) else ("billing", billing)
    if not _filled(block):
        return None
    extra = payload.meta(raw.get("meta_data"))
    country = payload.text(block.get("country")).upper()
    province, code = states.normalise(country, payload.text(block.get("state")))
    line1, line2 = _street(block, kind, extra)
    return Address(
        name=" ".join(filter(None, (payload.text(block.get("first_name")), payload.text(block.get("last_name"))))),
        line1=line1,
        line2=line2,
        city=payload.text(block.get("city")),
        province=province,
        province_code=code,
        postal_code=payload.text(block.get("postcode")),
        country=country,
        phone=payload.text(block.get("phone")) or payload.text(billing.get("phone")),
        company=payload.text(block.get("company")),
        email=payload.text(billing.get("email")),
        identifiers=_identifiers(extra, settings),
    )


def _filled(block: Mapping[str, Any]) -> bool:
    return any(payload.text(block.get(name)) for name in _WHO_AND_WHERE)


def _street(block: Mapping[str, Any], kind: str, extra: Mapping[str, Any]) -> tuple[str, str]:
    """Address lines, with the house number and quarter that Brazilian checkout plugins keep in meta."""
    line1, line2 = payload.text(block.get("address_1")), payload.text(block.get("address_2"))
    house = payload.text(extra.get(f"_{kind}_number"))
    quarter = payload.text(extra.get(f"_{kind}_neighborhood"))
    if house and line1 and house not in line1.replace(",", " ").split():
        line1 = f"{line1}, {house}"
    if quarter and quarter.casefold() not in f"{line1} {line2}".casefold():
        line2 = f"{line2}, {quarter}" if line2 else quarter
    return line1, line2


def _identifiers(extra: Mapping[str, Any], settings: WooCommerceSettings) -> tuple[tuple[str, str], ...]:
    found: dict[str, str] = {}
    for key, name in settings.identifier_meta:
        value = payload.text(extra.get(key))
        if value and name not in found:
            found[name] = value
    return tuple(found.items())
