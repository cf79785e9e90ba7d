"""Push messages: a hint that names an order, never a fact. Source: reference, section 9.

Signature unconfirmed.
"""

from __future__ import annotations

from app.ports.errors import BadDelivery
from app.ports.inbound import Delivery, Hint, HintKind, InboundRequest
from connectors.aliexpress import wire
from connectors.aliexpress.settings import AliExpressSettings
from connectors.aliexpress.signing import sign_push, signature_holds

_TOPIC = "order_status"
_UNAUTHORIZED = 401


def verify_push(settings: AliExpressSettings, request: InboundRequest) -> Delivery:
    """Check `Authorization` when it is there. Absent, or checking off: `verified=False`. Wrong.

    `BadDelivery`.
    """
    given = request.header("Authorization")
    if given is None or settings.aliexpress_push_signature == "off":
        return Delivery(_TOPIC, verified=False)
    secret = settings.aliexpress_app_secret.get_secret_value()
    if not signature_holds(sign_push(settings.aliexpress_app_key, secret, request.body), given):
        raise BadDelivery(_UNAUTHORIZED, "bad_signature")
    return Delivery(_TOPIC)


def read_push(body: bytes) -> Hint:
    """The order a push is about, whatever its (changeable) message type. Never raises."""
    try:
        root = wire.parse(body)
    except wire.Malformed as error:
        return Hint(HintKind.NOTHING, detail=f"malformed: {error}", odd=True)
    message = wire.mapping(root)
    data = wire.mapping(message.get("data"))
    order_id = wire.identity(data.get("orderId"))
    if not order_id:
        return Hint(HintKind.NOTHING, detail="no order id", odd=True)
    extra = {
        name: wire.text(message[name])[:40]
        for name in ("message_type", "seller_id", "timestamp")
        if wire.text(message.get(name))
    }
    return Hint(
        HintKind.SUPPLIER_ORDER,
        ref=order_id,
        account_ref=wire.identity(data.get("buyerId")) or None,
        status=wire.text(data.get("orderStatus"))[:60] or None,
        extra=extra,
    )
