"""What the vendor reports to a supplier about its users and their sales, and what the supplier tells of commission."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime
from enum import StrEnum

from app.ports.money import Money


@dataclass(frozen=True, slots=True)
class UserReport:
    """A user of the service: the account whose token makes the call. `store_url`: the shop that it buys for."""

    store_url: str


@dataclass(frozen=True, slots=True)
class SaleReport:
    """One item of a supplier order and the sale in the shop that it was bought for.

    `sku_attributes`: the supplier's own text for the variant. `product_amount`: what the buyer paid for these pieces,
    `order_amount`: for the whole shop order; both in US dollars. `product_url`: its page in the shop.
    """

    order_id: str
    product_id: str
    sku_attributes: str
    product_amount: Money
    order_amount: Money
    paid_at: datetime
    product_url: str


@dataclass(frozen=True, slots=True)
class ReportAnswer:
    """A complete answer. `code`, `message`: the supplier's own words, kept as proof; `request_id`: its trace number.

    `is_registered`: False if it says that it does not know the vendor, which no repetition changes.
    """

    accepted: bool
    code: str
    message: str
    request_id: str
    is_registered: bool = True


class CommissionState(StrEnum):
    """How far the supplier is with a commission. OTHER: a word that we do not know."""

    PAID = "paid"
    RECEIVED = "received"
    SETTLED = "settled"
    INVALID = "invalid"
    OTHER = "other"


@dataclass(frozen=True, slots=True)
class Commission:
    """A row of the supplier's own list. Amounts are estimates until the buyer has received the goods; None: not told.

    `order_id`: of the whole order, `sub_order_id`: of the item.
    """

    order_id: str
    sub_order_id: str
    product_id: str
    state: CommissionState
    paid_at: datetime | None
    finished_at: datetime | None
    paid: Money | None
    commission: Money | None
    incentive: Money | None


@dataclass(frozen=True, slots=True)
class CommissionPage:
    """Rows, and where the next page begins. `cursor` empty: this was the last one."""

    rows: tuple[Commission, ...]
    cursor: str
