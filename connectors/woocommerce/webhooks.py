"""Deliveries: the signature over the raw body, and what a stored delivery is about.

Source: woocommerce reference, sections 1 and 2. Delivery ids are not unique (a hash of webhook id and whole second),
so none is handed on: the caller takes topic and body instead.
"""

from __future__ import annotations

import base64
import binascii
import hashlib
import hmac
import re
from collections.abc import Sequence

from app.ports.errors import BadDelivery
from app.ports.inbound import Delivery, Hint, HintKind, InboundRequest
from connectors.woocommerce import payload

PING = "ping"
#: Drafts of a checkout that was never finished, and of orders being typed in the admin.
DRAFTS = frozenset({"checkout-draft", "auto-draft", "draft", "new"})
_PING_BODY = re.compile(rb"webhook_id=[0-9]{1,20}")
_TOPIC = re.compile(r"[a-z_]{1,30}\.[a-z0-9_]{1,60}")
#: 32 bytes in base64.
_SIGNATURE_LENGTH = 44
_FORM = "application/x-www-form-urlencoded"


def verify(request: InboundRequest, secrets: Sequence[str]) -> Delivery:
    """Check a delivery against the shop's secrets (several while one is being changed).

    Raises `BadDelivery`: 415 for anything encoded, or neither JSON nor the ping's form; 401 for a signature that is
    missing, malformed or wrong, and for a shop without a secret (S01, S02, S07, S08, S12).
    """
    if (request.header("Content-Encoding") or "identity").strip().lower() != "identity":
        raise BadDelivery(415, "content_encoding")
    content_type = (request.header("Content-Type") or "").partition(";")[0].strip().lower()
    signature = request.header("X-WC-Webhook-Signature")
    if content_type == _FORM:
        if signature is None and _PING_BODY.fullmatch(request.body):
            return Delivery(topic=PING, effect=False, verified=False)
        raise BadDelivery(401, "unsigned_form")
    if content_type != "application/json":
        raise BadDelivery(415, "content_type")
    if not signature:
        raise BadDelivery(401, "signature_missing")
    _check(signature, request.body, secrets)
    topic = (request.header("X-WC-Webhook-Topic") or "").strip()
    return Delivery(topic=topic if _TOPIC.fullmatch(topic) else "")


def _check(signature: str, body: bytes, secrets: Sequence[str]) -> None:
    usable = [secret for secret in secrets if secret.strip()]
    if not usable:
        raise BadDelivery(401, "secret_missing")
    if len(signature) != _SIGNATURE_LENGTH or not signature.isascii():
        raise BadDelivery(401, "signature_malformed")
    try:
        given = base64.b64decode(signature, validate=True)
    except (binascii.Error, ValueError):
        raise BadDelivery(401, "signature_malformed") from None
    fits = [hmac.compare_digest(hmac.digest(secret.encode(), body, hashlib.sha256), given) for secret in usable]
    if not any(fits):
        raise BadDelivery(401, "signature_wrong")


def read_event(topic: str, body: bytes) -> Hint:
    """What a stored delivery asks us to look at. Never raises.

    The body may be an error envelope, signed like any other: the order is gone, or the webhook's owner has lost
    rights. `extra["error"]` then names the shop's code; which resource it was about cannot be told.
    """
    resource, _, event = topic.partition(".")
    try:
        found = payload.load_event(body)
    except payload.Unreadable as error:
        return Hint(HintKind.NOTHING, detail=str(error), odd=True)
    if not isinstance(found, dict):
        return Hint(HintKind.NOTHING, detail="not an object", odd=True)
    ref = payload.identifier(found.get("id"))
    if ref is None:
        return _without_id(found)
    if resource == "order":
        return _order_hint(ref, event, payload.text(found.get("status")))
    if resource == "product":
        parent = payload.identifier(found.get("parent_id"))
        status = "deleted" if event == "deleted" else payload.text(found.get("status"))
        return Hint(HintKind.PRODUCT, ref=ref, status=status, extra={"parent_id": parent} if parent else {})
    return Hint(HintKind.NOTHING, detail=f"topic {topic[:60]!r} does not concern us")


def _without_id(found: dict[str, object]) -> Hint:
    if "code" in found:
        code = payload.text(found["code"])[:100]
        return Hint(HintKind.NOTHING, detail=f"error envelope: {code}", extra={"error": code})
    return Hint(HintKind.NOTHING, detail="no id", odd=True)


def _order_hint(ref: str, event: str, status: str) -> Hint:
    if event == "deleted":
        return Hint(HintKind.ORDER_GONE, ref=ref)
    if status in DRAFTS:
        return Hint(HintKind.NOTHING, status=status, detail=f"a {status} is not an order yet")
    return Hint(HintKind.ORDER, ref=ref, status=status or None)
