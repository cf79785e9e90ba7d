"""What a storefront connector must do, and the frozen data that it speaks in."""

from __future__ import annotations

from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Literal, Protocol

from app.ports.inbound import Delivery, Hint, InboundRequest, storable
from app.ports.money import Money
from app.ports.tokens import TokenGrant


@dataclass(frozen=True, slots=True)
class Address:
    """Where the parcel goes, as the shop gave it. `country` and `province_code` are ISO; fields may be empty texts.

    `identifiers`: numbers the buyer gave for customs, by our names (`cpf`, `rut`, `pccc`, `passport`, `tax_id`, …).
    """

    name: str
    line1: str
    line2: str
    city: str
    province: str
    province_code: str
    postal_code: str
    country: str
    phone: str
    company: str = ""
    email: str = ""
    identifiers: tuple[tuple[str, str], ...] = ()


@dataclass(frozen=True, slots=True)
class StoreLine:
    """One line of a storefront order.

    `variant_id` is the storefront's id of what was sold (None: deleted or free text). `quantity` as ordered,
    `to_ship` what the shop still shows as open: after edits, refunds and fulfilments by anyone, ourselves included, and
    without the pieces that an open cancellation request names; `refunded` pieces refunded.
    `paid` is what the buyer paid for the whole line at `quantity`, after discounts, without tax.
    `at_our_location` True: our fulfilment service's location holds the line; `request` is the state of the merchant's
    fulfilment request there: none, submitted, accepted, rejected, cancel_requested, cancel_rejected, cancelled; and
    `requested` the open pieces that are asked of us there, `kept_back` those whose cancellation was rejected.
    """

    id: str
    product_id: str | None
    variant_id: str | None
    sku: str
    title: str
    quantity: int
    to_ship: int
    refunded: int
    paid: Money
    requires_shipping: bool = True
    attributes: tuple[tuple[str, str], ...] = ()
    at_our_location: bool = False
    request: str = "none"
    requested: int = 0
    kept_back: int = 0

    def __post_init__(self) -> None:
        for name in ("id", "product_id", "variant_id", "sku", "title"):
            _clean(self, name)


UNKNOWN_STATUS = "status:"
"""Begins a `StoreOrder.hold` that is a status which the shop's owner or a plugin made up."""


@dataclass(frozen=True, slots=True)
class StoreOrder:
    """A storefront order as it stands now, read with the shop's own token.

    `version`: milliseconds of the shop's own last-modified time; grows, unless the shop's clock is set back. `paid` and
    `hold` together follow the lifecycle's rule of "what is paid"; `unpaid_reason` says why not. `hold` names a hold or
    a high fraud risk set by the shop, or after `UNKNOWN_STATUS` a status of which we cannot tell; else None.
    `gone`: trashed or deleted. `address` None: not supplied or not permitted (`address_problem` says which).
    `shipping_paid`: what was paid for shipping, without tax.

    `kept`: the money the shop still has for this order, in `currency`, never negative: what it received less what it
    gave back. Shipping is in it, and fees that are no duties may be. Tax is not: what the shop's books name as tax of
    the order and have not given back is taken off, so a refund that names no tax takes all of it off the rest. Gift
    cards count where the shop books them as a payment (the money came when the card was sold), and do not where they
    only lower the total. Store credit never counts. Cash on delivery counts where a setting allows such orders.
    None: not known, for instance an order that is called paid and shows no payment; then a person has to decide.
    """

    id: str
    number: str
    created_at: datetime
    updated_at: datetime
    version: int
    currency: str
    paid: bool
    unpaid_reason: str
    cancelled: bool
    gone: bool
    hold: str | None
    test: bool
    total: Money
    shipping_paid: Money
    kept: Money | None
    lines: tuple[StoreLine, ...]
    address: Address | None
    address_problem: str = ""
    ignored: str = ""

    def __post_init__(self) -> None:
        for name in ("number", "unpaid_reason", "hold"):
            _clean(self, name)

    @property
    def fits(self) -> bool:
        """Whether its numbers are ones that a shop may mean and a database can keep."""
        lines = (line.paid for line in self.lines)
        sums = (self.total, self.shipping_paid, self.kept or Money.zero(self.currency), *lines)
        counts = (count for line in self.lines for count in (line.quantity, line.to_ship, line.refunded))
        return all(abs(one.minor) < _MOST_MONEY for one in sums) and all(0 <= one < _MOST_PIECES for one in counts)


_MOST_MONEY, _MOST_PIECES = 10**16, 10**7


def _clean(row: StoreOrder | StoreLine, name: str) -> None:
    text = getattr(row, name)
    if isinstance(text, str):
        object.__setattr__(row, name, storable(text))


@dataclass(frozen=True, slots=True)
class OrderRef:
    """An order id with its last change, as lists give it."""

    id: str
    updated_at: datetime


@dataclass(frozen=True, slots=True)
class OrderPage:
    """One page of changed orders; `next_cursor` None at the end."""

    orders: tuple[OrderRef, ...]
    next_cursor: str | None


@dataclass(frozen=True, slots=True)
class PlacedPage:
    """One page of order ids, by the time at which they were placed; `next_cursor` None at the end."""

    ids: tuple[str, ...]
    next_cursor: str | None


@dataclass(frozen=True, slots=True)
class ParcelLine:
    """`quantity` pieces of the storefront line `line_id`."""

    line_id: str
    quantity: int


@dataclass(frozen=True, slots=True)
class Parcel:
    """One parcel to be shown in the shop. `carrier` as the supplier names it; `key` is our stable id of the parcel.

    `others`: the order's other parcels that are shown, as their fulfilments, each with the pieces that it holds. Its
    number may be the same: what shows another one does not show this one.
    """

    key: str
    tracking_number: str
    carrier: str
    tracking_url: str
    lines: tuple[ParcelLine, ...]
    notify: bool = False
    others: tuple[Fulfilment, ...] = ()


@dataclass(frozen=True, slots=True)
class Fulfilment:
    """A fulfilment that exists in the shop."""

    id: str
    tracking_numbers: tuple[str, ...]
    lines: tuple[ParcelLine, ...]


@dataclass(frozen=True, slots=True)
class ShopProfile:
    """The shop as it describes itself. `timezone` is an IANA name, "" if it tells none."""

    key: str
    name: str
    currency: str
    timezone: str
    country: str
    api_version: str = ""
    scopes: tuple[str, ...] = ()
    capabilities: tuple[tuple[str, str], ...] = ()


@dataclass(frozen=True, slots=True)
class VariantInfo:
    """A variant that can be linked."""

    product_id: str
    variant_id: str
    sku: str
    title: str
    price: Money


@dataclass(frozen=True, slots=True)
class WebhookReport:
    """What a webhook check found and mended, by topic. `gap_possible`: events may be missing since the last check.

    `left`: missing or off, and left so as the caller asked.
    """

    present: tuple[str, ...]
    created: tuple[str, ...]
    reenabled: tuple[str, ...]
    gap_possible: bool
    left: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True)
class ShopAccess:
    """What a connector needs to speak for one shop. `address` is the shop's own (domain or base URL).

    `secrets` are opened from the vault for this call only; never logged. Names are the connector's own.
    """

    address: str
    secrets: Mapping[str, str]
    capabilities: Mapping[str, str]

    def __repr__(self) -> str:
        return f"ShopAccess({self.address!r})"


Request = Literal["fulfilment", "cancellation"]
"""What a merchant may ask our own location for."""


class StorefrontSession(Protocol):
    """A storefront bound to one shop. Every method may raise the errors of `app.ports.errors`."""

    def profile(self) -> ShopProfile:
        """The shop's own description; proves that the credentials work for this shop."""

    def order(self, order_id: str) -> StoreOrder | None:
        """The order as it stands now, None if this shop has no such order or `hides` it."""

    def hides(self, placed_at: datetime) -> bool:
        """Whether orders placed then may be hidden from us for their age: None does not mean that one is gone."""

    def orders_changed(self, since: datetime, until: datetime, cursor: str | None) -> OrderPage:
        """Orders changed in [since, until], oldest first, whatever their state (trash included)."""

    def orders_placed(self, since: datetime, until: datetime, cursor: str | None) -> PlacedPage:
        """Orders placed in [since, until), both whole seconds, whatever their state; some may come twice."""

    def fulfilments(self, order_id: str) -> tuple[Fulfilment, ...]:
        """Fulfilments that the shop shows for the order (ours and other people's)."""

    def fulfil(self, order_id: str, parcel: Parcel) -> Fulfilment:
        """Show the parcel in the shop. Safe to call again: it re-reads first and adopts what is already there."""

    def update_tracking(self, order_id: str, fulfilment_id: str, parcel: Parcel) -> Fulfilment:
        """Replace number, carrier and link of an existing fulfilment."""

    def answer_request(
        self, order_id: str, line_ids: Sequence[str], *, about: Request, accept: bool, reason: str, message: str
    ) -> None:
        """Accept or reject the merchant's request `about` these lines, if one is open; safe to call again.

        `reason` is one of `out_of_stock`, `undeliverable`, `incorrect_address`, `invalid_sku`, `other`. Does nothing
        where the storefront has no such step.
        """

    def variants(self, *, sku: str | None = None, variant_id: str | None = None) -> tuple[VariantInfo, ...]:
        """Variants with that SKU or id."""

    def check_webhooks(self, callback_url: str, *, leave: Collection[str] = ()) -> WebhookReport:
        """Make sure that the webhooks this connector needs exist, point at `callback_url` and are switched on.

        `leave`: topics whose webhook is neither made nor switched on again.
        """


class Storefront(Protocol):
    """A kind of shop."""

    name: str

    def verify(self, request: InboundRequest, secrets: Sequence[str]) -> Delivery:
        """Check the signature over the raw body. Raises `BadDelivery`. Parses nothing.

        `secrets`: for storefronts whose shops have a secret each, that shop's webhook secrets; else empty and the
        connector's own settings are used.
        """

    def read_event(self, topic: str, body: bytes) -> Hint:
        """What the stored event is about. Odd bodies give `HintKind.NOTHING` with a detail; never raises."""

    def session(self, access: ShopAccess) -> StorefrontSession:
        """A session bound to one shop; cheap, holds no connection of its own."""

    def refresh(self, access: ShopAccess) -> TokenGrant:
        """New tokens by `access.secrets["refresh_token"]`. `MerchantMustAct` when only the merchant can help."""

    def canonical_address(self, typed: str) -> str:
        """The shop's address in the form that we store and compare. `ValueError` with a text for the merchant."""

    def order_url(self, address: str, order_id: str) -> str:
        """Where the merchant sees this order in the shop's admin."""
