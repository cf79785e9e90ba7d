"""The things of the simulated world."""

from __future__ import annotations

from dataclasses import dataclass, field
from decimal import Decimal
from typing import Any


@dataclass(slots=True)
class Account:
    """A buyer account and its standing."""

    user_id: str
    login: str
    ds_joined: bool = True
    autopay: bool = False
    blacklisted: bool = False
    disabled: bool = False
    suspicious: bool = False


@dataclass(slots=True)
class Token:
    """An access or refresh token. `ends` in epoch seconds of the simulated clock."""

    user_id: str
    ends: float
    alive: bool = True


@dataclass(slots=True)
class SKU:
    """A variant. Prices in USD: `price` is payable, `normal_price` (None: twice that) the struck-through one.

    `promotion_limit`: pieces in one order that `price` is for; above, `limit_strategy` says whether ordering fails.
    `tax`: comes on top of the price, which then tells that it is without.
    """

    sku_id: str
    sku_attr: str
    price: Decimal
    stock: int = 999
    title: str = ""
    normal_price: Decimal | None = None
    promotion_limit: int | None = None
    limit_strategy: str = ""
    tax: Decimal = Decimal(0)

    @property
    def normal(self) -> Decimal:
        """What a piece costs without the promotion."""
        return self.price * 2 if self.normal_price is None else self.normal_price

    def over(self, count: int) -> bool:
        """Whether so many pieces are more than the promotion allows."""
        return self.promotion_limit is not None and count > self.promotion_limit


@dataclass(slots=True)
class Product:
    """A product.

    `freight`: options by AliExpress country code, `*` for the rest, an empty list for no delivery.

    `us_id`: the id that US destinations must order. `not_for`: countries that it is not sold to.
    """

    product_id: str
    seller_id: str
    title: str
    skus: list[SKU]
    freight: dict[str, list[dict[str, Any]]] = field(default_factory=dict)
    us_id: str = ""
    on_sale: bool = True
    not_for: tuple[str, ...] = ()
    currency: str = "CNY"

    def options_for(self, country: str) -> list[dict[str, Any]]:
        """Ways to ship to a country."""
        return self.freight.get(country, self.freight.get("*", []))

    def sku(self, sku_id: str) -> SKU | None:
        """The variant with that id."""
        return next((sku for sku in self.skus if sku.sku_id == sku_id), None)


@dataclass(slots=True)
class Item:
    """A child order."""

    product_id: str
    sku_id: str
    title: str
    quantity: int
    price: Decimal
    shipping: Decimal
    end_reason: str = ""
    shipped: int = 0


@dataclass(slots=True)
class Parcel:
    """A parcel with its events, newest first: (epoch seconds, name, text)."""

    tracking_number: str
    carrier: str
    items: list[dict[str, Any]]
    events: list[tuple[float, str, str]]
    website: str = ""


@dataclass(slots=True)
class Order:
    """An order of one account at one seller. Times in epoch seconds of the simulated clock."""

    order_id: str
    user_id: str
    out_order_id: str
    seller_id: str
    country: str
    service: str
    items: list[Item]
    total: Decimal
    created: float
    pay_timeout: float
    status: str = "PLACE_ORDER_SUCCESS"
    logistics_status: str = "NO_LOGISTICS"
    paid: float | None = None
    parcels: list[Parcel] = field(default_factory=list)

    @property
    def is_open_unpaid(self) -> bool:
        """True while somebody may still pay it."""
        return self.paid is None and self.status == "PLACE_ORDER_SUCCESS"
