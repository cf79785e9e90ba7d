"""Ten products of three sellers that are there from the start, and how a product is read from JSON."""

from __future__ import annotations

from decimal import Decimal
from typing import Any

from connectors.aliexpress.simulator.records import SKU, Product

STANDARD = {
    "service": "CAINIAO_FULFILLMENT_STD",
    "company": "AliExpress Selection Standard",
    "fee": "1.99",
    "min_days": 7,
    "max_days": 12,
    "tracking": True,
    "ships_from": "CN",
}
FREE = {**STANDARD, "service": "CAINIAO_STANDARD", "company": "AliExpress standard shipping", "fee": "0"}
PREMIUM = {
    **STANDARD,
    "service": "CAINIAO_PREMIUM",
    "company": "AliExpress Premium shipping",
    "fee": "9.50",
    "max_days": 9,
}
THRESHOLD = {
    **STANDARD,
    "service": "CAINIAO_STANDARD_SG",
    "company": "AliExpress Saver",
    "fee": "2.49",
    "pfs": "$10.00",
}

SHOE, GARDEN, DESK = "1101234567", "1102346399", "1103800006"


def _product(number: int, seller: str, title: str, variants: list[tuple[str, str, str]], **more: Any) -> dict[str, Any]:
    """A product with ids derived from its number: product 1005…, SKUs 12000… with 17 digits."""
    return {
        "product_id": str(1005006000000000 + number),
        "seller_id": seller,
        "title": title,
        "skus": [
            {
                "sku_id": str(12000036000000000 + number * 100 + index),
                "sku_attr": attr,
                "price": price,
                "title": name,
            }
            for index, (attr, name, price) in enumerate(variants, start=1)
        ],
        **more,
    }


DEFAULTS: list[dict[str, Any]] = [
    _product(1, SHOE, "Canvas sneakers", [("14:193#Black;200000124:100010483", "Black, 42", "18.40"),
                                          ("14:29#White;200000124:100010483", "White, 42", "18.90")]),
    _product(2, SHOE, "Wool socks, pair", [("14:691#Grey", "Grey", "3.20"), ("14:366#Moss", "Moss", "3.20")]),
    _product(3, SHOE, "Shoe brush", [("", "", "4.75")], freight={"*": [FREE, PREMIUM]}),
    _product(4, GARDEN, "Watering can 1.5 l", [("14:10#Copper", "Copper", "12.60"),
                                               ("14:175#Green", "Green", "11.90")]),
    _product(5, GARDEN, "Garden string light 10 m", [("200000531:1063#EU Plug", "EU plug", "15.30"),
                                                     ("200000531:1062#US Plug", "US plug", "15.30")]),
    _product(6, GARDEN, "Seed tray", [("", "", "6.10")], freight={"*": [THRESHOLD, PREMIUM]}),
    _product(7, GARDEN, "Pruning shears", [("", "", "9.80")], us_id="3256805700000007"),
    _product(8, DESK, "Insulated water bottle 500 ml", [("14:365458#Brown", "Brown", "7.19"),
                                                        ("14:350850#Blue", "Blue", "7.19")]),
    _product(9, DESK, "Desk lamp", [("14:193#Black", "Black", "21.50"), ("14:29#White", "White", "22.00")]),
    _product(10, DESK, "Cable holder, 5 pieces", [("", "", "2.35")]),
]  # fmt: skip


def read_product(data: dict[str, Any], known: Product | None = None) -> Product:
    """A product from JSON; what is left out stays as it is known or takes a default.

    Raises KeyError, ValueError.
    """
    skus = [_sku(row) for row in data["skus"]] if "skus" in data else (known.skus if known else [])
    return Product(
        product_id=str(data["product_id"]),
        seller_id=str(data.get("seller_id", known.seller_id if known else SHOE)),
        title=str(data.get("title", known.title if known else "Product")),
        skus=skus,
        freight=data.get("freight", known.freight if known else {"*": [STANDARD, PREMIUM]}),
        us_id=str(data.get("us_id", known.us_id if known else "")),
        on_sale=bool(data.get("on_sale", known.on_sale if known else True)),
        not_for=tuple(data.get("not_for", known.not_for if known else ())),
        currency=str(data.get("currency", known.currency if known else "CNY")),
    )


def _sku(row: dict[str, Any]) -> SKU:
    return SKU(
        sku_id=str(row["sku_id"]),
        sku_attr=str(row.get("sku_attr", "")),
        price=Decimal(str(row["price"])),
        stock=int(row.get("stock", 999)),
        title=str(row.get("title", "")),
        normal_price=Decimal(str(row["normal_price"])) if row.get("normal_price") else None,
        promotion_limit=int(row["promotion_limit"]) if row.get("promotion_limit") else None,
        limit_strategy=str(row.get("limit_strategy", "")),
        tax=Decimal(str(row.get("tax", "0"))),
    )


def write_product(product: Product) -> dict[str, Any]:
    """The JSON that `read_product` reads."""
    return {
        "product_id": product.product_id,
        "seller_id": product.seller_id,
        "title": product.title,
        "skus": [
            {
                "sku_id": s.sku_id,
                "sku_attr": s.sku_attr,
                "price": str(s.price),
                "stock": s.stock,
                "title": s.title,
                "normal_price": None if s.normal_price is None else str(s.normal_price),
                "promotion_limit": s.promotion_limit,
                "limit_strategy": s.limit_strategy,
                "tax": str(s.tax),
            }
            for s in product.skus
        ],
        "freight": product.freight,
        "us_id": product.us_id,
        "on_sale": product.on_sale,
        "not_for": list(product.not_for),
        "currency": product.currency,
    }
