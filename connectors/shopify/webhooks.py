"""Inbound deliveries: the signature over the raw bytes, and the headers, which nothing signs.

Source: Shopify reference 2.1-2.3. Whoever holds one genuine body can send it again under another topic, shop or
webhook id, so a delivery is a hint and its key names the body too: a replay under a used id cannot push a genuine
delivery aside (S06, S10).
"""

from __future__ import annotations

import base64
import binascii
import hashlib
import hmac
import re
from collections.abc import Iterable

from app.ports.errors import BadDelivery
from app.ports.inbound import Delivery, InboundRequest
from connectors.shopify.addresses import is_shop_domain

_SIGNATURE = "shopify-hmac-sha256"
_DIGEST_TEXT = 44
_TOPIC = re.compile(r"[a-z0-9_]{1,60}/[a-z0-9_]{1,80}")
_WEBHOOK_ID = re.compile(r"[A-Za-z0-9_.:-]{1,100}")


def verify(request: InboundRequest, secrets: Iterable[bytes]) -> Delivery:
    """The delivery, if its signature holds under one of the secrets. Raises `BadDelivery`; parses nothing."""
    _check_encoding(request)
    _check_signature(request, secrets)
    if not request.body:
        raise BadDelivery(400, "empty_body")
    topic = _only(request, "shopify-topic") or ""
    if not _TOPIC.fullmatch(topic):
        raise BadDelivery(400, "bad_topic")
    shop = (_only(request, "shopify-shop-domain") or "").lower()
    if not is_shop_domain(shop):
        raise BadDelivery(400, "bad_shop_domain")
    return Delivery(
        topic=topic,
        shop_key=shop,
        event_key=_event_key(_only(request, "shopify-webhook-id") or "", shop, topic, request.body),
        triggered_at=(_only(request, "shopify-triggered-at") or "")[:40] or None,
    )


def _event_key(webhook_id: str, shop: str, topic: str, body: bytes) -> str | None:
    if not _WEBHOOK_ID.fullmatch(webhook_id):
        return None
    digest = hashlib.sha256(b"\0".join((shop.encode(), topic.encode(), body))).hexdigest()
    return f"{webhook_id}:{digest[:32]}"


def _check_encoding(request: InboundRequest) -> None:
    if (request.header("content-encoding") or "identity").strip().lower() != "identity":
        raise BadDelivery(415, "content_encoding")
    kind = request.header("content-type")
    if kind is not None and kind.partition(";")[0].strip().lower() != "application/json":
        raise BadDelivery(415, "content_type")


def _check_signature(request: InboundRequest, secrets: Iterable[bytes]) -> None:
    values, spellings = _values(request, _SIGNATURE)
    if len(set(values)) != 1 or len(values) > spellings:
        raise BadDelivery(401, "signature_missing" if not values else "signature_ambiguous")
    given = _digest(values[0])
    matches = [
        hmac.compare_digest(given, hmac.new(secret, request.body, hashlib.sha256).digest()) for secret in secrets
    ]
    if not any(matches):
        raise BadDelivery(401, "signature_wrong")


def _digest(text: str) -> bytes:
    if len(text) != _DIGEST_TEXT or not text.isascii():
        raise BadDelivery(401, "signature_malformed")
    try:
        digest = base64.b64decode(text, validate=True)
    except (binascii.Error, ValueError) as error:
        raise BadDelivery(401, "signature_malformed") from error
    # The last base64 digit has spare bits: only the one canonical text is a signature.
    if not hmac.compare_digest(base64.b64encode(digest), text.encode()):
        raise BadDelivery(401, "signature_malformed")
    return digest


def _only(request: InboundRequest, name: str) -> str | None:
    """The header under either spelling; both spellings must agree and neither may come twice."""
    values, spellings = _values(request, name)
    if len(set(values)) > 1 or len(values) > spellings:
        raise BadDelivery(400, "header_ambiguous")
    return values[0] if values else None


def _values(request: InboundRequest, name: str) -> tuple[list[str], int]:
    """(its values, under how many of the two spellings they came)."""
    plain, old = request.values(name), request.values(f"x-{name}")
    return [value.strip() for value in (*plain, *old)], bool(plain) + bool(old)
