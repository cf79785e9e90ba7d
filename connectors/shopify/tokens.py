"""Expiring offline tokens: refresh, and the exchange of a session token at installation.

Source: Shopify reference 1.6. A refresh may be repeated with the same token after a time-out, a 5xx or a 429: the used
token stays good until its replacement is used for the first time.
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from datetime import UTC, datetime, timedelta
from http import HTTPStatus
from typing import Any

from app.ports.errors import MerchantMustAct, OutsideError, Refused, TryLater
from app.ports.http import HTTPAnswer, HTTPClient, TransportError
from app.ports.tokens import TokenGrant
from connectors.shopify import faults
from connectors.shopify.addresses import base_url
from connectors.shopify.client import VENDOR
from connectors.shopify.settings import ShopifySettings

_EXCHANGE = {
    "grant_type": "urn:ietf:params:oauth:grant-type:token-exchange",
    "subject_token_type": "urn:ietf:params:oauth:token-type:id_token",
    "requested_token_type": "urn:shopify:params:oauth:token-type:offline-access-token",
    "expiring": "1",
}
_TEN_YEARS = 10 * 366 * 86_400


def refresh(http: HTTPClient, settings: ShopifySettings, shop: str, refresh_token: str, now: datetime) -> TokenGrant:
    """A new pair for a refresh token. `MerchantMustAct` when only opening the app again helps."""
    if not refresh_token:
        raise MerchantMustAct("shop_token_dead", "no_refresh_token", vendor=VENDOR, operation="token_refresh")
    params = {"grant_type": "refresh_token", "refresh_token": refresh_token}
    return _ask(http, settings, shop, "token_refresh", params, now)


def exchange(http: HTTPClient, settings: ShopifySettings, shop: str, session_token: str, now: datetime) -> TokenGrant:
    """The first pair of an installation, for a verified session token. Older refresh tokens of the shop die."""
    return _ask(http, settings, shop, "token_exchange", {**_EXCHANGE, "subject_token": session_token}, now)


def _ask(
    http: HTTPClient, settings: ShopifySettings, shop: str, operation: str, params: Mapping[str, str], now: datetime
) -> TokenGrant:
    credentials = {
        "client_id": settings.shopify_client_id,
        "client_secret": settings.shopify_client_secret.get_secret_value(),
    }
    url = f"{base_url(settings.shopify_shop_url_template, shop)}/admin/oauth/access_token"
    with http.call(VENDOR, operation) as call:
        call.note(request=f"{operation} at {shop}")
        try:
            answer = call.send("POST", url, headers={"Accept": "application/json"}, data={**credentials, **params})
        except TransportError as error:
            raise faults.of_transport(error, effect=False) from error
        call.note(answer=f"HTTP {answer.status}", request_id=answer.headers.get("X-Request-Id", ""))
        body = _body(answer)
        if answer.status != HTTPStatus.OK:
            raise _refusal(answer, body)
        return _grant(body, now)


def _body(answer: HTTPAnswer) -> dict[str, Any]:
    try:
        body = json.loads(answer.body)
    except (ValueError, RecursionError):
        body = None
    if isinstance(body, dict):
        return body
    if answer.status == HTTPStatus.OK:
        raise TryLater("bad_answer")
    return {}


def _refusal(answer: HTTPAnswer, body: Mapping[str, Any]) -> OutsideError:
    code = body.get("error")
    if answer.status in (400, 401, 403):
        if code == "invalid_client":
            # Our own secret is wrong, for instance in the middle of a rotation: no merchant can mend that.
            return TryLater("invalid_client", retry_after=300.0)
        if (
            code in ("invalid_request", "invalid_grant", "invalid_subject_token")
            or answer.status == HTTPStatus.UNAUTHORIZED
        ):
            return MerchantMustAct("shop_token_dead", str(code or answer.status)[:60])
    return faults.of_status(answer.status, answer.body[:2000], answer.headers.get("Retry-After"), effect=False)


def _grant(body: Mapping[str, Any], now: datetime) -> TokenGrant:
    access, again = body.get("access_token"), body.get("refresh_token")
    expires = _after(body.get("expires_in"), now)
    if not (_usable(access) and _usable(again) and expires):
        # A token without an end or without a successor is refused by the Admin API of a public app.
        raise Refused("incomplete_grant")
    scopes = body.get("scope")
    return TokenGrant(
        access_token=str(access),
        refresh_token=str(again),
        expires_at=expires,
        refresh_expires_at=_after(body.get("refresh_token_expires_in"), now),
        scopes=tuple(part for part in scopes.split(",") if _usable(part)) if isinstance(scopes, str) else (),
    )


def _usable(token: Any) -> bool:
    """Whether it is a text that a header can carry: with a line break or NUL in it every later call would fail."""
    return isinstance(token, str) and bool(token) and token.isascii() and token.isprintable()


def _after(seconds: Any, now: datetime) -> datetime | None:
    if isinstance(seconds, bool) or not isinstance(seconds, int | float) or not 0 < seconds < _TEN_YEARS:
        return None
    return now.astimezone(UTC) + timedelta(seconds=seconds)
