"""What a supplier connector must do, and the frozen data that it speaks in."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime
from enum import StrEnum
from typing import Protocol

from app.ports.inbound import Delivery, Hint, InboundRequest
from app.ports.money import Money
from app.ports.reporting import CommissionPage, CommissionState, ReportAnswer, SaleReport, UserReport
from app.ports.storefront import Address
from app.ports.tokens import TokenGrant


@dataclass(frozen=True, slots=True)
class SupplierSKU:
    """One buyable variant. `attributes` is the exact text needed for ordering. `stock` None: not told.

    `price` of one piece, with all that is added to it. `price_limit`: it is for so many pieces in one order, None for
    any number; above, every piece costs `price_above`, or where that is None the order would be refused.
    """

    sku_id: str
    attributes: str
    price: Money
    stock: int | None
    title: str = ""
    price_limit: int | None = None
    price_above: Money | None = None

    def price_for(self, pieces: int) -> Money | None:
        """What a piece costs in an order of so many of this SKU; None if they cannot be ordered together."""
        over = self.price_limit is not None and pieces > self.price_limit
        return self.price_above if over else self.price


@dataclass(frozen=True, slots=True)
class SupplierProduct:
    """A product as the account behind the token sees it, for one destination country and currency.

    `order_product_id`: the id to order for that country (may differ from the id asked for).
    """

    product_id: str
    order_product_id: str
    title: str
    on_sale: bool
    seller_id: str
    skus: tuple[SupplierSKU, ...]


@dataclass(frozen=True, slots=True)
class FreightOption:
    """One way to ship. `fee` zero: free. Days are calendar days, None if not told. `stock` is of the SKU asked for."""

    service: str
    title: str
    fee: Money
    min_days: int | None
    max_days: int | None
    tracked: bool
    ships_from: str
    stock: int | None


@dataclass(frozen=True, slots=True)
class PlaceItem:
    """One item of an order to be placed."""

    product_id: str
    sku_id: str
    sku_attributes: str
    quantity: int
    service: str


@dataclass(frozen=True, slots=True)
class PlaceOrder:
    """One intended order. `out_order_id` is stable and stored before its first use. `autopay`: pay at once."""

    out_order_id: str
    address: Address
    address_fields: tuple[tuple[str, str], ...]
    items: tuple[PlaceItem, ...]
    autopay: bool
    memo: str = ""


class PlaceOutcome(StrEnum):
    """The classes of section 7 of the lifecycle."""

    PLACED = "PLACED"
    NOT_SENT = "NOT_SENT"
    NOT_EXECUTED = "NOT_EXECUTED"
    REJECTED = "REJECTED"
    UNKNOWN = "UNKNOWN"


class PayResult(StrEnum):
    """What the answer to a placing call says of payment."""

    NOT_ASKED = "not_asked"
    SAID_PAID = "said_paid"
    FAILED = "failed"
    UNKNOWN = "unknown"


@dataclass(frozen=True, slots=True)
class PlaceResult:
    """How a placing call ended; never an exception. `order_ids` may be there with any outcome: they are recorded first.

    `reason` is a reason code of ours for REJECTED and NOT_EXECUTED (`address_refused`, `token_dead`, `call_limit`,
    `account_blocked`, `out_of_stock` as a mere hint with UNKNOWN …); `code` and `message` are the supplier's own.
    `answer` is a redacted account of what was seen, for the order's story. `retry_after` in seconds.
    """

    outcome: PlaceOutcome
    order_ids: tuple[str, ...] = ()
    pay: PayResult = PayResult.NOT_ASKED
    reason: str = ""
    code: str = ""
    message: str = ""
    field: str = ""
    retry_after: float | None = None
    answer: str = ""


class OrderPayment(StrEnum):
    """Whether the supplier has its money."""

    UNPAID = "unpaid"
    CHECKING = "checking"
    PAID = "paid"


class OrderShipping(StrEnum):
    """How far the supplier's parcels are."""

    NONE = "none"
    PART = "part"
    SHIPPED = "shipped"
    DELIVERED = "delivered"


@dataclass(frozen=True, slots=True)
class SupplierOrderItem:
    """One child order. `closed`: ended without delivery; `closed_reason` as the supplier words it."""

    product_id: str
    sku_id: str
    quantity: int
    closed: bool
    closed_reason: str = ""


@dataclass(frozen=True, slots=True)
class SupplierOrder:
    """An order at the supplier, read with the account's token.

    `created_at` None if the text could not be read; `created_at_alternatives` holds both instants of a repeated hour.
    `closed`: every child order is closed. `pay_until`: when it expires unpaid.
    """

    order_id: str
    status: str
    payment: OrderPayment
    shipping: OrderShipping
    closed: bool
    total: Money
    created_at: datetime | None
    created_at_alternatives: tuple[datetime, ...]
    paid_at: datetime | None
    pay_until: datetime | None
    items: tuple[SupplierOrderItem, ...]


@dataclass(frozen=True, slots=True)
class SupplierParcelItem:
    """`quantity` pieces of a SKU in a parcel; `sku_id` empty where the supplier tells only the product."""

    product_id: str
    sku_id: str
    quantity: int


@dataclass(frozen=True, slots=True)
class SupplierParcel:
    """A parcel of a supplier order. `provisional`: the number may still change. `items` empty: not told."""

    tracking_number: str
    carrier: str
    tracking_url: str
    items: tuple[SupplierParcelItem, ...]
    last_event: str = ""
    last_event_at: datetime | None = None
    delivered: bool = False
    provisional: bool = False


@dataclass(frozen=True, slots=True)
class PaidOrderRow:
    """A row of the supplier's list of paid orders: evidence, never proof of absence."""

    order_id: str
    product_id: str
    paid_at: datetime | None


class SupplierSession(Protocol):
    """A supplier bound to one account's token. Every method but `place` may raise the errors of `app.ports.errors`."""

    def product(self, product_id: str, *, country: str, currency: str, language: str) -> SupplierProduct | None:
        """The product for one destination; None if it does not exist (any more)."""

    def freight(
        self, product_id: str, sku_id: str, quantity: int, *, country: str, currency: str, language: str
    ) -> tuple[FreightOption, ...]:
        """Ways to ship that quantity; empty if none."""

    def place(self, order: PlaceOrder) -> PlaceResult:
        """Create the order: one connection, one try, total at most 30 s. Never raises for an outside fault."""

    def order(self, order_id: str) -> SupplierOrder | None:
        """The order; None when it is not readable under this account (too new, foreign or unknown: they look alike)."""

    def parcels(self, order_id: str) -> tuple[SupplierParcel, ...]:
        """Parcels so far; empty before shipment."""

    def paid_orders(self, since: datetime, until: datetime) -> tuple[PaidOrderRow, ...]:
        """Paid orders in the window, if the supplier still offers such a list; empty otherwise."""

    def report_user(self, report: UserReport) -> ReportAnswer:
        """Tell the supplier that this account is a user of ours. Raises `Withdrawn` where that cannot be told."""

    def report_sale(self, sale: SaleReport) -> ReportAnswer:
        """Tell the supplier what an item of one of this account's orders was sold for. Raises as `report_user`.

        ValueError: this sale cannot be put into the supplier's words; the text says why.
        """

    def commissions(self, state: CommissionState, since: datetime, until: datetime, cursor: str = "") -> CommissionPage:
        """A page of the vendor's commissions in one state by their payment, whichever account's token asks."""


class Supplier(Protocol):
    """A kind of supplier."""

    name: str
    title: str
    """As people write it."""
    quote_currency: str
    """Currency in which we ask for prices and freight."""
    dedupe: str
    """What a repeated `out_order_id` does: `none`, `replay` or `reject` (a setting, found out by a person)."""

    def verify_push(self, request: InboundRequest) -> Delivery:
        """Look at a push. A bad signature raises `BadDelivery`; an absent one gives `verified=False`."""

    def read_push(self, body: bytes) -> Hint:
        """What the push is about: `SUPPLIER_ORDER` with `ref`, `account_ref`, `status`, or NOTHING. Never raises."""

    def authorize_url(self, state: str, redirect_uri: str) -> str:
        """Where the merchant's browser goes to give consent."""

    def exchange_code(self, code: str) -> TokenGrant:
        """Tokens for a consent code (single use, three minutes)."""

    def refresh(self, refresh_token: str) -> TokenGrant:
        """A new pair. Raises `MerchantMustAct` when the window is over."""

    def session(self, access_token: str) -> SupplierSession:
        """A session bound to one account."""

    def resolve_host(self) -> None:
        """Resolve the host name ahead of a send, so that a DNS fault shows up before the point of no return."""

    def pay_url(self, order_ids: Sequence[str]) -> str:
        """Where the account holder pays these orders."""

    def order_url(self, order_id: str) -> str:
        """Where the account holder sees the order."""
