"""The Shopify storefront: one port over the parts of this folder."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from datetime import UTC, datetime

from app.ports.errors import MerchantMustAct
from app.ports.http import HTTPClient
from app.ports.inbound import Delivery, Hint, InboundRequest
from app.ports.storefront import ShopAccess
from app.ports.tokens import TokenGrant
from connectors.shopify import addresses, events, tokens, webhooks
from connectors.shopify.client import VENDOR, GraphQLClient
from connectors.shopify.session import ShopifySession
from connectors.shopify.settings import ShopifySettings
from connectors.shopify.throttle import Throttle


def _now() -> datetime:
    return datetime.now(UTC)


class ShopifyStorefront:
    """See `app.ports.storefront.Storefront`.

    `clock` is needed for token lifetimes, a rotated secret's end and the age of orders.
    """

    name = VENDOR

    def __init__(self, settings: ShopifySettings, http: HTTPClient, clock: Callable[[], datetime] = _now) -> None:
        self._settings = settings
        self._http = http
        self._clock = clock
        self._throttle = Throttle()

    def verify(self, request: InboundRequest, secrets: Sequence[str]) -> Delivery:
        """All shops sign with the app's client secret: `secrets` is not used."""
        del secrets
        return webhooks.verify(request, self._settings.secrets(self._clock()))

    def read_event(self, topic: str, body: bytes) -> Hint:
        """The hint in a stored delivery. Never raises."""
        return events.read_event(topic, body)

    def session(self, access: ShopAccess) -> ShopifySession:
        """A session for one shop. Raises `MerchantMustAct` if the vault has no access token for it."""
        token = access.secrets.get("access_token", "")
        if not token:
            raise MerchantMustAct("shop_token_dead", "no_access_token", vendor=VENDOR, operation="session")
        version = self._settings.shopify_api_version
        base = addresses.base_url(self._settings.shopify_shop_url_template, access.address)
        client = GraphQLClient(
            http=self._http,
            shop=access.address,
            url=f"{base}/admin/api/{version}/graphql.json",
            token=token,
            version=version,
            throttle=self._throttle,
        )
        return ShopifySession(client, self._settings, self._clock)

    def refresh(self, access: ShopAccess) -> TokenGrant:
        """A new pair of tokens. May be repeated with the same refresh token after `TryLater`."""
        token = access.secrets.get("refresh_token", "")
        return tokens.refresh(self._http, self._settings, access.address, token, self._clock())

    def canonical_address(self, typed: str) -> str:
        """`name.myshopify.com` in lower case."""
        return addresses.canonical_address(typed)

    def order_url(self, address: str, order_id: str) -> str:
        """The order in the shop's admin."""
        return addresses.order_url(address, order_id)
