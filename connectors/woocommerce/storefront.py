"""The `Storefront` and `StorefrontSession` ports for WooCommerce."""

from __future__ import annotations

from collections.abc import Collection, Sequence
from datetime import datetime

from app.ports.errors import MerchantMustAct
from app.ports.http import HTTPClient
from app.ports.inbound import Delivery, Hint, InboundRequest
from app.ports.storefront import (
    Fulfilment,
    OrderPage,
    Parcel,
    PlacedPage,
    Request,
    ShopAccess,
    ShopProfile,
    StorefrontSession,
    StoreOrder,
    VariantInfo,
    WebhookReport,
)
from app.ports.tokens import TokenGrant
from connectors.woocommerce import address, fulfilment, guard, orders, products, profile, verdict, webhooks
from connectors.woocommerce.client import VENDOR, Clock, ShopClient, utc_now
from connectors.woocommerce.settings import WooCommerceSettings
from connectors.woocommerce.unreadable import reading, writing


class WooCommerceSession:
    """One shop. See `app.ports.storefront.StorefrontSession` for what each method promises."""

    def __init__(self, shop: ShopClient) -> None:
        self._shop = shop

    @reading
    def profile(self) -> ShopProfile:
        """The shop's own description; finds the REST base and proves the keys."""
        return profile.read(self._shop)

    @reading
    def order(self, order_id: str) -> StoreOrder | None:
        """The order as it stands now, refunds included."""
        return orders.read(self._shop, order_id)

    def hides(self, placed_at: datetime) -> bool:  # noqa: ARG002  # the port's
        """WooCommerce shows orders of any age."""
        return False

    @reading
    def orders_changed(self, since: datetime, until: datetime, cursor: str | None) -> OrderPage:
        """Changed orders: all but the trash first, then the trash; some may come twice."""
        return orders.changed(self._shop, since, until, cursor)

    @reading
    def orders_placed(self, since: datetime, until: datetime, cursor: str | None) -> PlacedPage:
        """Placed orders: all but the trash first, then the trash; deleted ones are not among them."""
        return orders.placed(self._shop, since, until, cursor)

    @reading
    def fulfilments(self, order_id: str) -> tuple[Fulfilment, ...]:
        """Fulfilments of the order; without the endpoint, our own parcels."""
        return fulfilment.listed(self._shop, order_id)

    @writing
    def fulfil(self, order_id: str, parcel: Parcel) -> Fulfilment:
        """Show the parcel; adopts what is there."""
        return fulfilment.fulfil(self._shop, order_id, parcel)

    @writing
    def update_tracking(self, order_id: str, fulfilment_id: str, parcel: Parcel) -> Fulfilment:
        """Replace number, carrier and link."""
        return fulfilment.update_tracking(self._shop, order_id, fulfilment_id, parcel)

    def answer_request(
        self, order_id: str, line_ids: Sequence[str], *, about: Request, accept: bool, reason: str, message: str
    ) -> None:
        """WooCommerce has no fulfilment requests."""

    @reading
    def variants(self, *, sku: str | None = None, variant_id: str | None = None) -> tuple[VariantInfo, ...]:
        """Simple products and variations with that SKU or id."""
        if variant_id is not None:
            return products.by_id(self._shop, variant_id)
        return products.by_sku(self._shop, sku) if sku is not None else ()

    @writing
    def check_webhooks(self, callback_url: str, *, leave: Collection[str] = ()) -> WebhookReport:
        """Find, make, mend and un-double the webhooks at our URL."""
        return guard.check(self._shop, callback_url, leave)


class WooCommerce:
    """Shops on WooCommerce. See `app.ports.storefront.Storefront`."""

    name = VENDOR

    def __init__(self, settings: WooCommerceSettings, http: HTTPClient, clock: Clock = utc_now) -> None:
        self._settings = settings
        self._http = http
        self._clock = clock

    def verify(self, request: InboundRequest, secrets: Sequence[str]) -> Delivery:
        """Check a delivery against this shop's secrets."""
        return webhooks.verify(request, secrets)

    def read_event(self, topic: str, body: bytes) -> Hint:
        """What a stored delivery is about."""
        return webhooks.read_event(topic, body)

    def session(self, access: ShopAccess) -> StorefrontSession:
        """A session for one shop; the REST base comes from its capabilities, else from the usual place."""
        base = access.capabilities.get("rest_base") or f"{access.address}/wp-json"
        return WooCommerceSession(ShopClient(self._http, self._settings, access, base.rstrip("/"), self._clock))

    def refresh(self, access: ShopAccess) -> TokenGrant:  # noqa: ARG002  # the port's
        """Keys of WooCommerce do not expire; a dead one is replaced by the merchant."""
        raise MerchantMustAct(verdict.TOKEN_DEAD, "no_refresh", vendor=VENDOR, operation="refresh")

    def canonical_address(self, typed: str) -> str:
        """`https://host[/path]`. Raises ValueError with a text for the merchant."""
        return address.canonical(
            typed,
            development=self._http.policy.allow_private,
            allow_http=self._settings.woocommerce_allow_http,
        )

    def order_url(self, address: str, order_id: str) -> str:
        """The order's page in the shop's admin (High-Performance Order Storage; older stores redirect)."""
        return f"{address}/wp-admin/admin.php?page=wc-orders&action=edit&id={order_id}"
