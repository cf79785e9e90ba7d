"""Deliveries made by hand: raw requests with any headers, and the signatures of the three senders."""

from __future__ import annotations

import base64
import hashlib
import hmac
import http.client
import json
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import Any
from urllib.parse import urlsplit

from connectors.aliexpress.signing import sign_push
from tests.flow.world import APP_KEY, APP_SECRET, CLIENT_SECRET, World

JSON = ("Content-Type", "application/json")
Headers = tuple[tuple[str, str], ...]


@dataclass(frozen=True)
class Answer:
    status: int
    body: bytes
    headers: Mapping[str, str]


def post(url: str, path: str, body: bytes, headers: Iterable[tuple[str, str]], *, method: str = "POST") -> Answer:
    """One request with exactly these headers (and the length)."""
    connection = http.client.HTTPConnection(urlsplit(url).netloc, timeout=20)
    try:
        connection.putrequest(method, path, skip_accept_encoding=True)
        for name, value in headers:
            connection.putheader(name, value.encode("utf-8"))
        connection.putheader("Content-Length", str(len(body)))
        connection.endheaders(body)
        answer = connection.getresponse()
        return Answer(answer.status, answer.read(), dict(answer.getheaders()))
    finally:
        connection.close()


def signature(secret: str, body: bytes) -> str:
    return base64.b64encode(hmac.digest(secret.encode(), body, hashlib.sha256)).decode()


def shopify(  # the signature may be of another secret, or of no secret at all
    body: bytes,
    *,
    domain: str = "bottles.myshopify.com",
    topic: str = "orders/create",
    secret: str = CLIENT_SECRET,
    event: str = "",
) -> Headers:
    named = (("X-Shopify-Topic", topic), ("X-Shopify-Shop-Domain", domain), ("X-Shopify-Webhook-Id", event or "e-1"))
    return (JSON, *named, ("X-Shopify-Hmac-Sha256", signature(secret, body)))


def without(headers: Headers, name: str) -> Headers:
    return tuple((key, value) for key, value in headers if key != name)


def order_body(order_id: object, **more: Any) -> bytes:
    return json.dumps({"id": order_id, **more}).encode()


@dataclass(frozen=True)
class WooShop:
    """What a WooCommerce shop of `tests.flow.connecting` sends with."""

    path: str
    secret: str

    def headers(self, body: bytes, topic: str = "order.updated") -> Headers:
        return (JSON, ("X-WC-Webhook-Topic", topic), ("X-WC-Webhook-Signature", signature(self.secret, body)))


def woo_shop(world: World, address: str) -> WooShop:
    token = hashlib.sha256(address.encode()).hexdigest()
    return WooShop(f"/webhooks/woocommerce/{token}", hashlib.sha256(token.encode()).hexdigest())


def push_headers(body: bytes) -> Headers:
    return (JSON, ("Authorization", sign_push(APP_KEY, APP_SECRET, body)))


def push_body(order_id: str, **more: Any) -> bytes:
    return json.dumps({"message_type": 53, "data": {"orderId": order_id, **more}}).encode()
