"""Requests of browsers and of App Bridge: the signed query string and the session token.

Source: Shopify reference 1.3 and 1.5. ShopifyAPI decodes the session token, being the only library that compares `iss`
with `dest`; it does not ask for `exp`, so we do. Nothing here touches its class-level state.
"""

from __future__ import annotations

import hashlib
import hmac
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from urllib.parse import quote

import jwt
from shopify import session_token

from connectors.shopify.addresses import is_shop_domain

QUERY_TOLERANCE = 90
"""Seconds by which the `timestamp` of a signed query may be off."""
_LONGEST_TIME = 12
_REQUIRED = ("iss", "dest", "aud", "sub", "exp", "nbf", "jti")


class BadCredentialError(Exception):
    """A signature or token that does not hold; the text is a constant."""


@dataclass(frozen=True, slots=True)
class Caller:
    """Who a session token speaks for. `shop` is canonical, `user_id` the staff member's id as text."""

    shop: str
    user_id: str


def verify_query(query: Sequence[tuple[str, str]], secrets: Iterable[bytes], now: datetime) -> str:
    """The shop named by a signed query string. Raises `BadCredentialError`.

    Two canonical forms are in use for unusual characters (form-encoded and raw); either proves knowledge of the secret.
    A parameter that comes twice is refused, because its place in the signed text is not defined.
    """
    names = [name for name, _ in query]
    if len(set(names)) != len(names):
        raise BadCredentialError("repeated_parameter")
    params = dict(query)
    given = params.pop("hmac", "")
    params.pop("signature", None)
    if len(given) != hashlib.sha256().digest_size * 2 or not given.isascii():
        raise BadCredentialError("hmac_missing")
    messages = (_message(params, _form), _message(params, _raw))
    matches = [
        hmac.compare_digest(given.encode(), hmac.new(secret, message, hashlib.sha256).hexdigest().encode())
        for secret in secrets
        for message in messages
    ]
    if not any(matches):
        raise BadCredentialError("hmac_wrong")
    _check_fresh(params.get("timestamp", ""), now)
    shop = params.get("shop", "").lower()
    if not is_shop_domain(shop):
        raise BadCredentialError("shop_malformed")
    return shop


def _check_fresh(timestamp: str, now: datetime) -> None:
    if not (timestamp.isascii() and timestamp.isdigit() and len(timestamp) <= _LONGEST_TIME):
        raise BadCredentialError("timestamp_malformed")
    if abs(now.timestamp() - int(timestamp)) > QUERY_TOLERANCE:
        raise BadCredentialError("timestamp_stale")


def _message(params: Mapping[str, str], pair: Callable[[str, str], str]) -> bytes:
    return "&".join(pair(name, params[name]) for name in sorted(params)).encode("utf-8", "surrogatepass")


def _form(name: str, value: str) -> str:
    return f"{quote(name, safe='*-._', errors='replace')}={quote(value, safe='*-._', errors='replace')}"


def _raw(name: str, value: str) -> str:
    name, value = (text.replace("%", "%25").replace("&", "%26") for text in (name, value))
    return f"{name.replace('=', '%3D')}={value}"


def decode_session_token(token: str, client_id: str, secrets: Iterable[bytes]) -> Caller:
    """Who sent an App Bridge request. Raises `BadCredentialError` (S41). The leeway is 10 seconds."""
    for secret in secrets:
        try:
            claims = session_token.decode_from_header(f"Bearer {token}", client_id, secret.decode())
        except session_token.SessionTokenError as error:
            if isinstance(error.__cause__, jwt.InvalidSignatureError):
                continue
            raise BadCredentialError("session_token_invalid") from error
        except (ValueError, TypeError, AttributeError) as error:
            raise BadCredentialError("session_token_invalid") from error
        return _caller(claims)
    raise BadCredentialError("session_token_signature")


def _caller(claims: Mapping[str, object]) -> Caller:
    if any(claims.get(name) in (None, "") for name in _REQUIRED):
        raise BadCredentialError("session_token_claim_missing")
    shop = str(claims["dest"]).removeprefix("https://")
    if not is_shop_domain(shop) or claims["iss"] != f"https://{shop}/admin":
        raise BadCredentialError("session_token_shop")
    return Caller(shop=shop, user_id=str(claims["sub"]))
