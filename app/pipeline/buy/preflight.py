"""P: ask everything again before the point of no return. No transaction is open while anyone outside is asked."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from datetime import datetime, timedelta
from decimal import Decimal
from functools import partial
from typing import Self, TypeVar

import sqlalchemy as sa

from app.container import Container
from app.domain import pricing
from app.domain.address import AddressProblems, Prepared, prepare
from app.domain.matching import Frozen, Mismatch, compare
from app.models import ExchangeRate, ProductLink, Purchase, PurchaseItem, Shop, SourceLine, StoreOrder
from app.pipeline import breaker, import_order, margin
from app.pipeline.buy.claim import Claimed, renew
from app.pipeline.computed import APPROVABLE, approved
from app.pipeline.readiness import account_of, readiness
from app.ports.errors import Refused, TryLater
from app.ports.money import Money
from app.ports.storefront import Address
from app.ports.supplier import FreightOption, PlaceItem, PlaceOrder, SupplierProduct, SupplierSession, SupplierSKU
from app.shop_access import AccountReads, Opened, fresh, open_account, with_shop

Result = TypeVar("Result")
THIN_PERCENT = Decimal(3)
"""Room between quote and limit below which nothing is paid automatically, in percent of the cost."""


class Held(Exception):
    """The purchase may not be bought now: reason code and the facts of its sentence."""

    def __init__(self, reason: str, **facts: object) -> None:
        super().__init__(reason)
        self.reason, self.facts = reason, facts


class LostClaim(Exception):
    """Someone else decides about this purchase by now."""


@dataclass(frozen=True, slots=True)
class Plan:
    """What would be sent. `quantities`, `product_ids` and `attributes` are by purchase item id.

    By the clock that nobody sets: `quoted_boottime` before the quote was asked for, which tells how old that is, and
    `shop_boottime` before the shop was asked for the order.
    """

    order: PlaceOrder
    account_id: int
    token: str
    quote: Money
    limit: Money
    quoted_at: datetime
    quoted_boottime: float
    shop_boottime: float
    version: int
    source_version: int
    address_sealed: bytes | None
    address_override: bytes | None
    quantities: Mapping[int, int]
    product_ids: Mapping[int, str]
    attributes: Mapping[int, str]


@dataclass(frozen=True, slots=True)
class _Facts:
    """What the database says of a claimed purchase."""

    purchase: Purchase
    shop: Shop
    order: StoreOrder
    items: list[PurchaseItem]
    lines: dict[int, SourceLine]
    sellers: dict[tuple[str, str], str]
    rates: dict[tuple[str, str], Decimal]
    stopped_by: str


def check(container: Container, claimed: Claimed) -> Plan:
    """The plan of what to send. Raises `Held`, `LostClaim`, or an `OutsideError` to try again later."""
    lease, shop_asked = _Lease(container, claimed), container.clock.boottime()
    import_order.refresh(container, claimed.shop_id, claimed.order_ref, claimed.claimed_at, only_changes=True)
    facts = _load(container, claimed)
    purchase = facts.purchase
    if facts.stopped_by:
        raise Held(facts.stopped_by, hold=facts.order.hold)
    if purchase.account_id is None:
        raise Held("account_missing")
    opened = fresh(container, open_account(container, purchase.account_id), container.timers.token_life_least)
    address, prepared = _address(container, facts)
    asked_at, boottime = container.clock.now(), container.clock.boottime()
    with _Reads(container, opened) as reads:
        offer = _offer(container, facts, address, lease, reads)
    if timedelta(seconds=container.clock.boottime() - shop_asked) > container.timers.shop_age_most / 3:
        shop_asked = _ask_again(container, claimed, lease)
    quote, limit, autopay = _judge(container, facts, offer, asked_at)
    found, options = offer.products, offer.options
    supplier = container.connectors.suppliers[purchase.supplier]
    supplier.resolve_host()
    lease.keep()
    _accept_request(container, facts)
    lease.keep()
    order = PlaceOrder(
        out_order_id=purchase.out_order_id,
        address=address,
        address_fields=prepared.fields,
        items=tuple(
            PlaceItem(
                found[item.id].order_product_id,
                item.sku_id,
                _sku_attributes(found[item.id], item),
                item.pieces,
                options[item.id].service,
            )
            for item in facts.items
        ),
        autopay=autopay,
    )
    return Plan(
        order=order,
        account_id=purchase.account_id,
        token=reads.token,
        quote=quote,
        limit=limit,
        quoted_at=asked_at,
        quoted_boottime=boottime,
        shop_boottime=shop_asked,
        version=purchase.version,
        source_version=facts.order.source_version,
        address_sealed=facts.order.address_sealed,
        address_override=facts.order.address_override_sealed,
        quantities={item.id: item.quantity for item in facts.items},
        product_ids={item.id: found[item.id].order_product_id for item in facts.items},
        attributes={item.id: _sku_attributes(found[item.id], item) for item in facts.items},
    )


def _ask_again(container: Container, claimed: Claimed, lease: _Lease) -> float:
    """Ask the shop once more, and store what it tells: T3 compares that with what the plan was made of.

    Gives when it was asked. Raises the port's errors, and `LostClaim`.
    """
    lease.keep()
    asked = container.clock.boottime()
    import_order.refresh(container, claimed.shop_id, claimed.order_ref, None, only_changes=True)
    lease.keep()
    return asked


def _load(container: Container, claimed: Claimed) -> _Facts:
    with container.database.reading() as session:
        purchase, shop, order = session.execute(
            sa.select(Purchase, Shop, StoreOrder)
            .join(Shop, Shop.id == Purchase.shop_id)
            .join(StoreOrder, StoreOrder.id == Purchase.order_id)
            .where(Purchase.id == claimed.id)
        ).one()
        if purchase.state != "CLAIMED" or purchase.fence != claimed.fence:
            raise LostClaim
        items = list(
            session.scalars(
                sa.select(PurchaseItem)
                .where(PurchaseItem.purchase_id == purchase.id, PurchaseItem.quantity > 0)
                .order_by(PurchaseItem.id)
            )
        )
        lines = {
            line.id: line
            for line in session.scalars(sa.select(SourceLine).where(SourceLine.order_id == purchase.order_id))
        }
        sellers = {
            (link.product_id, link.sku_id): link.seller_id
            for link in session.scalars(
                sa.select(ProductLink).where(
                    ProductLink.shop_id == purchase.shop_id,
                    ProductLink.product_id.in_([item.product_id for item in items]),
                )
            )
        }
        pairs = sa.select(ExchangeRate.base, ExchangeRate.quote, ExchangeRate.rate)
        rates = {(base, quote): rate for base, quote, rate in session.execute(pairs)}
        ours = [lines[item.source_line_id] for item in items]
        state, reason, _ = readiness(shop, order, ours, account_of(session, shop), mapped=True)
        return _Facts(
            purchase,
            shop,
            order,
            items,
            lines,
            sellers,
            rates,
            "" if state == "READY" else reason,
        )


def _address(container: Container, facts: _Facts) -> tuple[Address, Prepared]:
    order = facts.order
    overrides: dict[str, str] = {}
    if order.address_override_sealed is not None:
        overrides = container.vault.open_json(order.address_override_sealed, order.address_place)
    values: dict[str, object] = dict.fromkeys(("name", "line1", "line2", "city", "province", "province_code"), "")
    values |= dict.fromkeys(("postal_code", "country", "phone"), "")
    if order.address_sealed is not None:
        values = dict(container.vault.open_json(order.address_sealed, order.address_place))
    elif not overrides:
        raise Held("address_missing", problem=order.address_problem)
    pairs = values.pop("identifiers", [])
    identifiers = tuple((str(name), str(value)) for name, value in pairs)  # type: ignore[attr-defined]  # our own JSON
    address = Address(**{name: str(value) for name, value in values.items()}, identifiers=identifiers)
    prepared = prepare(address, overrides=overrides)
    if isinstance(prepared, AddressProblems):
        first = prepared.problems[0]
        raise Held(prepared.code, field=first.field, problem=first.text_for_merchant, turn=prepared.turn)
    return address, prepared


@dataclass(frozen=True, slots=True)
class _Offer:
    """What the supplier offers now, by purchase item id."""

    products: dict[int, SupplierProduct]
    options: dict[int, FreightOption]
    lines: tuple[pricing.QuoteLine, ...]
    freight: Money


class _Lease:
    """Renews the claim between two calls once a third of it is over: many items, or slow answers, take their time."""

    def __init__(self, container: Container, claimed: Claimed) -> None:
        self._container, self._claimed = container, claimed
        self._third = container.timers.claim_lease.total_seconds() / 3
        self._since = container.clock.boottime()

    def keep(self) -> None:
        """Raises `LostClaim` if somebody else has it by now."""
        now = self._container.clock.boottime()
        if now - self._since < self._third:
            return
        if not renew(self._container, self._claimed):
            raise LostClaim
        self._since = now


class _Reads:
    """The supplier's reads of one pre-flight: the token is opened once, and the breaker hears once that all is well."""

    def __init__(self, container: Container, opened: Opened) -> None:
        self._container, self._account, self._good = container, AccountReads(container, opened), False

    @property
    def token(self) -> str:
        """The access token by which the last read went: an order is sent with it."""
        return self._account.opened.secrets["access_token"]

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self._tell()

    def __call__(self, act: Callable[[SupplierSession], Result]) -> Result:
        """One read that the breaker learns from. Raises the port's errors."""
        try:
            result = self._account(act)
        except TryLater as error:
            if breaker.is_outage(error):
                self._tell()  # what went well before comes first: one odd product is no outage
                breaker.note_read(self._container, self._account.opened.connector, ok=False)
            raise
        self._good = True
        return result

    def _tell(self) -> None:
        if self._good:
            breaker.note_read(self._container, self._account.opened.connector, ok=True)
        self._good = False


def _offer(container: Container, facts: _Facts, address: Address, lease: _Lease, reads: _Reads) -> _Offer:
    """Fresh prices, stock and freight for each item. Raises `Held`."""
    currency = container.connectors.suppliers[facts.purchase.supplier].quote_currency
    freight = Money.zero(currency)
    lines: list[pricing.QuoteLine] = []
    options: dict[int, FreightOption] = {}
    found: dict[int, SupplierProduct] = {}
    for item in facts.items:
        lease.keep()
        product = reads(partial(_product, item, address.country, currency))
        link = Frozen(
            item.product_id, item.sku_id, item.sku_attributes, facts.sellers.get((item.product_id, item.sku_id), "")
        )
        same = compare(link, product)
        if isinstance(same, Mismatch) or product is None:
            code, text = (same.reason, same.text) if isinstance(same, Mismatch) else ("product_gone", "")
            raise Held(code, product=item.product_id, detail=text)
        if same.sku.stock is not None and same.sku.stock < item.pieces:
            raise Held("out_of_stock", product=item.product_id, available=same.sku.stock, wanted=item.pieces)
        lease.keep()
        option = _freight(reads, facts, item, product, address, currency)
        options[item.id], found[item.id] = option, product
        lines.append(pricing.QuoteLine(_price(facts, item, same.sku), item.pieces))
        freight = freight + option.fee
    return _Offer(found, options, tuple(lines), freight)


def _price(facts: _Facts, item: PurchaseItem, sku: SupplierSKU) -> Money:
    """What a piece costs; promotions count all pieces of a SKU in the order, whichever lines they are for."""
    together = sum(one.pieces for one in facts.items if (one.product_id, one.sku_id) == (item.product_id, item.sku_id))
    price = sku.price_for(together)
    if price is None:
        raise Held("promotion_limit", product=item.product_id, limit=sku.price_limit, wanted=together)
    return price


def _product(item: PurchaseItem, country: str, currency: str, supplier: SupplierSession) -> SupplierProduct | None:
    return supplier.product(item.product_id, country=country, currency=currency, language="en")


def _freight(
    reads: _Reads,
    facts: _Facts,
    item: PurchaseItem,
    product: SupplierProduct,
    address: Address,
    currency: str,
) -> FreightOption:
    offered = reads(
        lambda supplier: supplier.freight(
            product.order_product_id,
            item.sku_id,
            item.pieces,
            country=address.country,
            currency=currency,
            language="en_US",
        )
    )
    if not offered:
        raise Held("not_shippable", product=item.product_id, country=address.country)
    wanted = facts.purchase.service
    usable = [option for option in offered if not wanted or option.service == wanted]
    if not usable:
        names = ", ".join(sorted({option.service for option in offered})[:10])
        raise Held("shipping_service", product=item.product_id, service=wanted, offered=names)
    longest = facts.shop.max_delivery_days
    if longest is not None:
        usable = [option for option in usable if option.max_days is not None and option.max_days <= longest]
        if not usable:
            raise Held("not_shippable", product=item.product_id, country=address.country, days=longest)
    option = min(usable, key=lambda one: (one.fee.minor, one.max_days or 999, not one.tracked))
    if option.stock is not None and option.stock < item.pieces:
        raise Held("out_of_stock", product=item.product_id, stock=option.stock, wanted=item.pieces)
    return option


def _sku_attributes(product: SupplierProduct, item: PurchaseItem) -> str:
    """The text as the supplier writes it now; its ids were compared with the frozen ones."""
    return next((sku.attributes for sku in product.skus if sku.sku_id == item.sku_id), item.sku_attributes)


def _judge(container: Container, facts: _Facts, offer: _Offer, asked_at: datetime) -> tuple[Money, Money, bool]:
    """(quote, highest total that keeps the margin, pay at once?), in the quote's currency. Raises `Held`."""
    quote = pricing.Quote(offer.lines, offer.freight, asked_at).total
    sold, kept = margin.sold_and_kept(facts.order, facts.lines, facts.items)
    verdict = pricing.guard(quote, kept, pricing.MarginRule(facts.shop.margin_percent), pricing.Rates(facts.rates))
    if isinstance(verdict, pricing.OverMargin):
        if verdict.reason not in APPROVABLE or not approved(facts.purchase, quote):
            lost = {} if kept is None or kept == sold else {"sold": sold}
            raise Held(verdict.reason, **verdict.facts(), **lost)
        return quote, Money(facts.purchase.approved_minor or 0, quote.currency), False
    refusal = pricing.autopay_refusal(
        quote,
        verdict.limit,
        taken_at=asked_at,
        now=container.clock.now(),
        max_age=container.timers.quote_age_most,
        thin_percent=THIN_PERCENT,
    )
    return quote, verdict.limit, facts.shop.autopay and refusal is None


def _accept_request(container: Container, facts: _Facts) -> None:
    """At our own location: accept the merchant's fulfilment request now that we know we can buy."""
    ids = [
        facts.lines[item.source_line_id].external_id
        for item in facts.items
        if facts.lines[item.source_line_id].at_our_location and facts.lines[item.source_line_id].request == "submitted"
    ]
    if not ids:
        return
    try:
        with_shop(
            container,
            facts.shop.id,
            lambda shop: shop.answer_request(
                facts.order.external_id,
                ids,
                about="fulfilment",
                accept=True,
                reason="other",
                message="Being ordered at the supplier.",
            ),
        )
    except Refused as error:
        raise Held("waiting_request", detail=error.code) from error
