"""What an order costs besides its lines: shipping, fees, coupons, taxes. Their rows, and how REST shows them.

Shapes as in the recorded samples (reference, section 8).
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from decimal import ROUND_HALF_UP, Decimal, InvalidOperation
from typing import Any

from connectors.woocommerce.simulator.refusal import invalid_param
from connectors.woocommerce.simulator.world import Row, Shop

_RATE: Row = {"code": "US-CA-TAX-1", "label": "Tax", "percent": 8.625}


def amount(value: object, name: str) -> str:
    """A decimal text as given. Raises the real one's 400."""
    try:
        return str(Decimal(str(value)))
    except InvalidOperation:
        raise invalid_param(**{name: f"{name} is not of type string."}) from None


def money(shop: Shop, value: Any) -> str:
    """An amount with the shop's decimals, whatever the currency."""
    quantum = Decimal(1).scaleb(-int(shop.setting("decimals")))
    return str(Decimal(str(value or 0)).quantize(quantum, rounding=ROUND_HALF_UP))


def number(value: Decimal) -> int | float:
    """A number as PHP writes it: without a point if it is whole."""
    return int(value) if value == value.to_integral_value() else float(value)


def shown(entries: Iterable[Row]) -> list[Row]:
    """Line meta has two display fields more than order meta."""
    return [
        {
            **entry,
            "display_key": entry["key"].replace("_", " ").capitalize() if entry["key"][0] != "_" else entry["key"],
            "display_value": entry["value"],
        }
        for entry in entries
    ]


def new_shipping(shop: Shop, wish: Mapping[str, Any], contents: str) -> Row:
    """A row of `shipping_lines`. `contents`: what checkout notes about the parcel, "" for other ways."""
    items = [{"id": shop.next_id("meta"), "key": "Items", "value": contents}] if contents else []
    return {
        "id": shop.next_id("item"), "method_title": str(wish.get("method_title") or "Flat rate"),
        "method_id": str(wish.get("method_id") or "flat_rate"), "instance_id": "1" if contents else "",
        "meta_data": items, **_cost(wish),
    }  # fmt: skip


def new_fee(shop: Shop, wish: Mapping[str, Any]) -> Row:
    """A row of `fee_lines`; may be negative."""
    return {"id": shop.next_id("item"), "name": str(wish.get("name") or "Fee"), **_cost(wish)}


def new_coupon(shop: Shop, wish: Mapping[str, Any]) -> Row:
    """A row of `coupon_lines`. What it takes off stands in the lines' totals already."""
    return {
        "id": shop.next_id("item"), "code": str(wish.get("code") or "coupon"),
        "discount": amount(wish.get("discount") or "0", "discount"), "percent": str(wish.get("nominal_amount") or "10"),
        "discount_tax": amount(wish.get("discount_tax") or "0", "discount_tax"),
        "info": shop.next_id("meta"),
    }  # fmt: skip


def _cost(wish: Mapping[str, Any]) -> Row:
    return {
        "total": amount(wish.get("total") or "0", "total"),
        "total_tax": amount(wish.get("total_tax") or "0", "total_tax"),
        "taxes": list(wish.get("taxes") or ()),
    }


def tax_of(rows: Iterable[Row]) -> Decimal:
    """Sum of the rows' taxes."""
    return sum((Decimal(str(row.get("total_tax") or "0")) for row in rows), Decimal(0))


def taxes(shop: Shop, row: Row, *, subtotal: bool = True) -> list[Row]:
    """`taxes` of a row: as given for each rate, else all of it under the first. Charges have no subtotals."""
    given = row.get("taxes") or ([{"id": 1, "total": row["total_tax"]}] if tax_of([row]) else [])
    return [
        {
            "id": part["id"],
            "total": money(shop, part["total"]),
            "subtotal": money(shop, part.get("subtotal") or part["total"]) if subtotal else "",
        }
        for part in given
    ]


def tax_lines(shop: Shop, order: Row) -> list[Row]:
    """One line for each rate that the order's rows name."""
    sums: dict[int, list[Decimal]] = {}
    for name in ("line_items", "fee_lines", "shipping_lines"):
        for row in order[name]:
            for part in taxes(shop, row):
                place = sums.setdefault(int(part["id"]), [Decimal(0), Decimal(0)])
                place[name == "shipping_lines"] += Decimal(part["total"])
    rates: Mapping[str, Row] = shop.setting("tax_rates") or {}
    return [_tax_line(shop, order, rate, parts, rates.get(str(rate), _RATE)) for rate, parts in sorted(sums.items())]


def _tax_line(shop: Shop, order: Row, rate: int, parts: list[Decimal], known: Row) -> Row:
    goods, shipping = parts
    return {
        # Not from the items' sequence: it must be the same each time that the order is shown.
        "id": order["id"] * 100 + rate, "rate_code": known["code"], "rate_id": rate, "label": known["label"],
        "compound": False, "tax_total": money(shop, goods), "shipping_tax_total": money(shop, shipping),
        "rate_percent": known["percent"], "meta_data": [],
    }  # fmt: skip


def shipping_line(shop: Shop, row: Row) -> Row:
    """One of `shipping_lines`."""
    return {
        "id": row["id"], "method_title": row["method_title"], "method_id": row["method_id"],
        "instance_id": row["instance_id"], "total": money(shop, row["total"]),
        "total_tax": money(shop, row["total_tax"]), "taxes": taxes(shop, row, subtotal=False),
        "tax_status": "taxable", "meta_data": shown(row["meta_data"]),
    }  # fmt: skip


def fee_line(shop: Shop, row: Row) -> Row:
    """One of `fee_lines`."""
    return {
        "id": row["id"], "name": row["name"], "tax_class": "", "tax_status": "taxable", "amount": "",
        "total": money(shop, row["total"]), "total_tax": money(shop, row["total_tax"]),
        "taxes": taxes(shop, row, subtotal=False), "meta_data": [],
    }  # fmt: skip


def coupon_line(row: Row) -> Row:
    """One of `coupon_lines`; its amounts are not padded to the shop's decimals."""
    nominal = number(Decimal(row["percent"]))
    info = {"id": row["info"], "key": "coupon_info", "value": f'[1,"{row["code"]}","percent",{nominal}]'}
    return {
        "id": row["id"], "code": row["code"], "discount": row["discount"], "discount_tax": row["discount_tax"],
        "meta_data": shown([info]), "discount_type": "percent", "nominal_amount": nominal, "free_shipping": False,
    }  # fmt: skip
