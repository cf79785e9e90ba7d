"""Consent and tokens. Source: reference, sections 1.1 and 4. Lifetimes come from the answers."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from typing import Any
from urllib.parse import urlencode

from app.ports.errors import OutcomeUnknown
from app.ports.tokens import TokenGrant
from connectors.aliexpress import wire
from connectors.aliexpress.client import VENDOR, Client

_LONGEST_LIFE = 10 * 366 * 86_400


def authorize_url(client: Client, state: str, redirect_uri: str) -> str:
    """The consent page. `redirect_uri` must equal the callback URL in the app console."""
    query = urlencode(
        {
            "response_type": "code",
            "force_auth": "true",
            "redirect_uri": redirect_uri,
            "client_id": client.settings.aliexpress_app_key,
            "state": state,
        }
    )
    return f"{client.settings.aliexpress_api_url}/oauth/authorize?{query}"


def exchange_code(client: Client, code: str) -> TokenGrant:
    """Tokens for a consent code. Raises `Refused` when it is used up or older than three minutes."""
    answer = client.system("/auth/token/create", {"code": code})
    return grant(answer.payload, client.clock())


def refresh(client: Client, refresh_token: str) -> TokenGrant:
    """A new pair. Raises `MerchantMustAct` when the refresh window is over: only a new consent helps."""
    answer = client.system("/auth/token/refresh", {"refresh_token": refresh_token})
    return grant(answer.payload, client.clock())


def grant(payload: dict[str, Any], now: datetime) -> TokenGrant:
    """Read a token answer. Raises `OutcomeUnknown` if it carries no access token."""
    access = wire.text(payload.get("access_token"))
    if not (access.isascii() and access.isprintable() and access):
        raise OutcomeUnknown("no_access_token", vendor=VENDOR)
    return TokenGrant(
        access_token=access,
        refresh_token=wire.text(payload.get("refresh_token")) or None,
        expires_at=_end(payload, "expires_in", "expire_time", now),
        refresh_expires_at=_end(payload, "refresh_expires_in", "refresh_token_valid_time", now),
        user_id=wire.text(payload.get("user_id")) or wire.text(payload.get("seller_id")),
        login=wire.text(payload.get("account")) or wire.text(payload.get("user_nick")),
    )


def _end(payload: dict[str, Any], seconds_name: str, instant_name: str, now: datetime) -> datetime | None:
    """The earlier of the two ways in which an end is told: a clock that is wrong must not lengthen a life."""
    ends: list[datetime] = []
    seconds = wire.number(payload.get(seconds_name))
    if seconds is not None and 0 <= seconds <= _LONGEST_LIFE:
        ends.append(now + timedelta(seconds=seconds))
    millis = wire.number(payload.get(instant_name))
    if millis is not None and 0 < millis < 10**14:
        ends.append(datetime.fromtimestamp(millis / 1000, UTC))
    return min(ends) if ends else None
