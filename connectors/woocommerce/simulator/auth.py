"""Who is asking: Basic over https (or where a proxy ends TLS), OAuth 1.0a over plain http.

Source: reference, section 4.
"""

from __future__ import annotations

import base64
import binascii
import hashlib
import hmac
import time
from collections.abc import Sequence
from urllib.parse import quote, unquote

from connectors.woocommerce.simulator.refusal import Refusal
from connectors.woocommerce.simulator.world import Row, Shop

_WINDOW = 15 * 60
_MANY = 50_000
_HASHES = {"HMAC-SHA256": hashlib.sha256, "HMAC-SHA1": hashlib.sha1}
_ANONYMOUS = {
    "GET": ("woocommerce_rest_cannot_view", "Sorry, you cannot list resources."),
    "POST": ("woocommerce_rest_cannot_create", "Sorry, you are not allowed to create resources."),
    "DELETE": ("woocommerce_rest_cannot_delete", "Sorry, you are not allowed to delete this resource."),
}
_EDIT = ("woocommerce_rest_cannot_edit", "Sorry, you are not allowed to edit this resource.")


def _fault(message: str) -> Refusal:
    return Refusal(401, "woocommerce_rest_authentication_error", message)


def authenticate(
    shop: Shop, method: str, url: str, query: Sequence[tuple[str, str]], authorization: str, *, secure: bool
) -> None:
    """Let the request pass or raise the real one's 401 or 403. `url` is the request's without query."""
    given = dict(query)
    row: Row | None = None
    if secure and authorization.startswith("Basic "):
        row = _basic(shop, authorization)
    elif secure and given.get("consumer_key"):
        row = _pair(shop, given["consumer_key"], given.get("consumer_secret", ""))
    if row is None and "oauth_consumer_key" in given:
        row = _oauth(shop, method, url, query)
    code, message = _ANONYMOUS.get(method, _EDIT)
    if row is None or row["owner"] == "deleted":
        raise Refusal(401, code, message)
    if row["owner"] != "manager":
        raise Refusal(403, code, message)
    wanted = "read" if method in {"GET", "HEAD"} else "write"
    if wanted not in row["permissions"]:
        raise _fault(f"The API key provided does not have {wanted} permissions.")


def _basic(shop: Shop, authorization: str) -> Row | None:
    try:
        key, _, secret = base64.b64decode(authorization[6:], validate=True).decode().partition(":")
    except (binascii.Error, UnicodeDecodeError):
        return None
    return _pair(shop, key, secret)


def _pair(shop: Shop, key: str, secret: str) -> Row | None:
    row: Row | None = shop["keys"].get(key)
    if row is not None and not hmac.compare_digest(row["secret"].encode(), secret.encode()):
        raise _fault("Consumer secret is invalid.")
    return row


def _oauth(shop: Shop, method: str, url: str, query: Sequence[tuple[str, str]]) -> Row:
    given = dict(query)
    names = ("oauth_timestamp", "oauth_nonce", "oauth_signature", "oauth_signature_method")
    missing = [name for name in names if not given.get(name)]
    if missing:
        raise _fault(f"Missing OAuth parameter {', '.join(missing)}")
    row: Row | None = shop["keys"].get(given["oauth_consumer_key"])
    if row is None:
        raise _fault("Consumer key is invalid.")
    kind = _HASHES.get(given["oauth_signature_method"])
    if kind is None:
        raise _fault("Invalid signature - signature method is invalid.")
    base = base_string(method, url, query)
    expected = base64.b64encode(hmac.digest(f"{row['secret']}&".encode(), base.encode(), kind))
    if not hmac.compare_digest(expected, given["oauth_signature"].encode()):
        raise _fault("Invalid signature - provided signature does not match.")
    _once(shop, given["oauth_consumer_key"], given["oauth_timestamp"], given["oauth_nonce"])
    return row


def base_string(method: str, url: str, query: Sequence[tuple[str, str]]) -> str:
    """The text that OAuth signs, in WooCommerce's own spelling: decoded once more, then encoded twice."""
    pairs = sorted((_twice(key), _twice(value)) for key, value in query if key != "oauth_signature")
    return f"{method}&{quote(url, safe='')}&" + "%26".join(f"{key}%3D{value}" for key, value in pairs)


def _twice(plain: str) -> str:
    return quote(unquote(plain), safe="~").replace("%", "%25")


def _once(shop: Shop, key: str, timestamp: str, nonce: str) -> None:
    now = int(time.time()) + shop.clock_ahead
    if not timestamp.isdigit() or abs(now - int(timestamp)) > _WINDOW:
        raise _fault("Invalid timestamp.")
    name = f"{key}:{nonce}"
    with shop.lock:
        if name in shop.nonces:
            raise _fault("Invalid nonce - nonce has already been used.")
        if len(shop.nonces) > _MANY:
            shop.nonces = {used: at for used, at in shop.nonces.items() if now - at <= _WINDOW}
        shop.nonces[name] = now
