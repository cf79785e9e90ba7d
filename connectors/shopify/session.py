"""A Shopify shop bound to its token."""

from __future__ import annotations

from collections.abc import Callable, Collection, Sequence
from datetime import datetime

from app.ports.errors import MerchantMustAct
from app.ports.storefront import (
    Fulfilment,
    OrderPage,
    Parcel,
    PlacedPage,
    Request,
    ShopProfile,
    StoreOrder,
    VariantInfo,
    WebhookReport,
)
from connectors.shopify import fulfilment, orders, permissions, products, request_answers
from connectors.shopify.addresses import number_of
from connectors.shopify.client import VENDOR, GraphQLClient
from connectors.shopify.events import PRIVACY_TOPICS, TOPICS
from connectors.shopify.settings import ShopifySettings
from connectors.shopify.translate import store_order
from connectors.shopify.unreadable import reading, writing


class ShopifySession:
    """See `app.ports.storefront.StorefrontSession`. Ids are the numbers of Shopify's ids, as text; both are taken."""

    def __init__(self, client: GraphQLClient, settings: ShopifySettings, clock: Callable[[], datetime]) -> None:
        self._client = client
        self._settings = settings
        self._clock = clock
        self._handle = settings.shopify_fulfillment_service_handle

    @reading
    def profile(self) -> ShopProfile:
        """The shop; raises `MerchantMustAct` if the token belongs to another shop."""
        result = self._client.run("shop")
        shop = result.data["shop"]
        key = str(shop["myshopifyDomain"]).lower()
        if key != self._client.shop:
            raise MerchantMustAct("shop_token_dead", "other_shop", vendor=VENDOR, operation="ShopContext")
        scopes = result.data["currentAppInstallation"]["accessScopes"]
        return ShopProfile(
            key=key,
            name=str(shop["name"]),
            currency=str(shop["currencyCode"]),
            timezone=str(shop.get("ianaTimezone") or ""),
            country=str(shop["shopAddress"].get("countryCodeV2") or ""),
            api_version=result.api_version,
            scopes=tuple(sorted(str(scope["handle"]) for scope in scopes)),
            capabilities=(
                ("shop_id", number_of(shop["id"])),
                ("development", "yes" if shop["plan"]["partnerDevelopment"] else "no"),
            ),
        )

    @reading
    def order(self, order_id: str) -> StoreOrder | None:
        """The order; `order_id` may also be `fulfillment_order:<gid>`, as hints of such events carry it."""
        found = orders.read_order(self._client, order_id)
        if found is None:
            return None
        return store_order(
            found.order,
            handle=self._handle,
            denied=found.denied,
            partly_refunded_is_paid=self._settings.shopify_partially_refunded_is_paid,
        )

    @reading
    def hides(self, placed_at: datetime) -> bool:
        """Orders older than 60 days are null for apps without `read_all_orders` (reference 1.8)."""
        if self._clock() - placed_at < permissions.READ_FOR:
            return False
        return permissions.ALL_ORDERS not in (permissions.granted(self._client.run("scopes").data) or ())

    @reading
    def orders_changed(self, since: datetime, until: datetime, cursor: str | None) -> OrderPage:
        """A page of at most 100 orders. Shopify shows the last 60 days only; deleted orders are not among them."""
        return orders.changed_orders(self._client, since, until, cursor)

    @reading
    def orders_placed(self, since: datetime, until: datetime, cursor: str | None) -> PlacedPage:
        """A page of at most 100 orders. Shopify shows the last 60 days only; deleted orders are not among them."""
        return orders.placed_orders(self._client, since, until, cursor)

    @reading
    def fulfilments(self, order_id: str) -> tuple[Fulfilment, ...]:
        """Live fulfilments of the order, whoever made them."""
        return fulfilment.fulfilments(self._client, order_id)

    @writing
    def fulfil(self, order_id: str, parcel: Parcel) -> Fulfilment:
        """Show the parcel; adopts what carries its number. `OutcomeUnknown`: answer lost and nothing shows yet."""
        return fulfilment.fulfil(self._client, order_id, parcel, self._handle)

    @writing
    def update_tracking(self, order_id: str, fulfilment_id: str, parcel: Parcel) -> Fulfilment:
        """Replace the tracking of a fulfilment."""
        return fulfilment.update_tracking(self._client, order_id, fulfilment_id, parcel)

    @writing
    def answer_request(
        self, order_id: str, line_ids: Sequence[str], *, about: Request, accept: bool, reason: str, message: str
    ) -> None:
        """Answer the open requests at our location that hold these lines."""
        request_answers.answer_request(
            self._client, self._handle, order_id, line_ids, about=about, accept=accept, reason=reason, message=message
        )

    @reading
    def variants(self, *, sku: str | None = None, variant_id: str | None = None) -> tuple[VariantInfo, ...]:
        """Variants by id, else by SKU."""
        if variant_id is not None:
            found = products.by_id(self._client, variant_id)
            return tuple(variant for variant in found if sku is None or variant.sku == sku)
        return products.by_sku(self._client, sku) if sku else ()

    def check_webhooks(self, callback_url: str, *, leave: Collection[str] = ()) -> WebhookReport:
        """What `shopify.app.toml` subscribes to.

        Those subscriptions belong to the app: Shopify never deletes them, and no call of a shop lists or mends them.
        """
        del callback_url, leave
        return WebhookReport(present=TOPICS + PRIVACY_TOPICS, created=(), reenabled=(), gap_possible=False)
