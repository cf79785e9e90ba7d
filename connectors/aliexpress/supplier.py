"""The supplier port, filled with AliExpress."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import cast
from urllib.parse import quote

from app.ports.http import HTTPClient
from app.ports.inbound import Delivery, Hint, InboundRequest
from app.ports.reporting import CommissionPage, CommissionState, ReportAnswer, SaleReport, UserReport
from app.ports.supplier import (
    FreightOption,
    PaidOrderRow,
    PlaceOrder,
    PlaceResult,
    SupplierOrder,
    SupplierParcel,
    SupplierProduct,
)
from app.ports.tokens import TokenGrant
from connectors.aliexpress import commissions, oauth, orders, products, push, reporting, tracking
from connectors.aliexpress.client import VENDOR, Client, Clock, utc_now
from connectors.aliexpress.settings import AliExpressSettings


@dataclass(frozen=True, slots=True)
class AliExpressSession:
    """Calls under one account's token."""

    client: Client
    token: str

    def __repr__(self) -> str:
        return "AliExpressSession()"

    def product(self, product_id: str, *, country: str, currency: str, language: str) -> SupplierProduct | None:
        """See the port; a product that is not sold to that country comes without SKUs and not on sale."""
        return products.product(
            self.client, self.token, product_id, country=country, currency=currency, language=language
        )

    def freight(
        self, product_id: str, sku_id: str, quantity: int, *, country: str, currency: str, language: str
    ) -> tuple[FreightOption, ...]:
        """See the port."""
        return products.freight(
            self.client,
            self.token,
            product_id,
            sku_id,
            quantity,
            country=country,
            currency=currency,
            language=language,
        )

    def place(self, order: PlaceOrder) -> PlaceResult:
        """See the port: one send, never raises for an outside fault."""
        return orders.place(self.client, self.token, order)

    def order(self, order_id: str) -> SupplierOrder | None:
        """See the port."""
        return orders.order(self.client, self.token, order_id)

    def parcels(self, order_id: str) -> tuple[SupplierParcel, ...]:
        """See the port."""
        return tracking.parcels(self.client, self.token, order_id)

    def report_user(self, report: UserReport) -> ReportAnswer:
        """See the port."""
        return reporting.report_user(self.client, self.token, report)

    def report_sale(self, sale: SaleReport) -> ReportAnswer:
        """See the port."""
        return reporting.report_sale(self.client, self.token, sale)

    def commissions(self, state: CommissionState, since: datetime, until: datetime, cursor: str = "") -> CommissionPage:
        """See the port."""
        return commissions.commissions(self.client, self.token, state, since, until, cursor)

    def paid_orders(self, since: datetime, until: datetime) -> tuple[PaidOrderRow, ...]:
        """See the port; empty unless `ALIEXPRESS_PAID_ORDERS` is on."""
        return tracking.paid_orders(self.client, self.token, since, until)


class AliExpress:
    """AliExpress Dropshipping through its open platform."""

    name = VENDOR
    title = "AliExpress"

    def __init__(self, settings: AliExpressSettings, http: HTTPClient, clock: Clock = utc_now) -> None:
        self.settings = settings
        self.quote_currency = settings.aliexpress_quote_currency
        self.dedupe: str = settings.aliexpress_dedupe
        self._client = Client(settings, http, clock)

    def verify_push(self, request: InboundRequest) -> Delivery:
        """See the port."""
        return push.verify_push(self.settings, request)

    def read_push(self, body: bytes) -> Hint:
        """See the port."""
        return push.read_push(body)

    def authorize_url(self, state: str, redirect_uri: str) -> str:
        """See the port."""
        return oauth.authorize_url(self._client, state, redirect_uri)

    def exchange_code(self, code: str) -> TokenGrant:
        """See the port. Raises `Refused("InvalidCode")` for a used or old code."""
        return oauth.exchange_code(self._client, code)

    def refresh(self, refresh_token: str) -> TokenGrant:
        """See the port."""
        return oauth.refresh(self._client, refresh_token)

    def session(self, access_token: str) -> AliExpressSession:
        """See the port."""
        return AliExpressSession(self._client, access_token)

    def resolve_host(self) -> None:
        """See the port. Raises `TryLater("dns")`."""
        self._client.resolve_host()

    def request_hash(self, order: PlaceOrder) -> str:
        """SHA-256, hex, of the order as it goes over the wire; the simulator's ledger shows the same.

        Raises ValueError.
        """
        return orders.request_hash(orders.wire_parameters(order))

    def pay_url(self, order_ids: Sequence[str]) -> str:
        """See the port: the buyer's order page, where unpaid orders wait; the ids are in the query."""
        base = self.settings.aliexpress_pay_url.replace("{site}", self.settings.aliexpress_site_url)
        joined = quote(",".join(order_ids), safe=",")
        if "{order_ids}" in base:
            return base.replace("{order_ids}", joined)
        return f"{base}{'&' if '?' in base else '?'}order_ids={joined}"

    def order_url(self, order_id: str) -> str:
        """See the port."""
        base = self.settings.aliexpress_order_url.replace("{site}", self.settings.aliexpress_site_url)
        return base.replace("{order_id}", quote(order_id, safe=""))


def build(settings: object, http: HTTPClient) -> AliExpress:
    """The supplier for a settings fragment."""
    return AliExpress(cast("AliExpressSettings", settings), http)
