"""Webhooks are switched off silently after seven failures, and never checked for doubles: we look ourselves."""

from __future__ import annotations

import hmac
from collections.abc import Collection, Mapping
from typing import Any
from urllib.parse import urlsplit

from app.ports.errors import Refused
from app.ports.storefront import WebhookReport
from connectors.woocommerce import payload
from connectors.woocommerce.client import VENDOR, ShopClient
from connectors.woocommerce.verdict import Missing

TOPICS = (
    "order.created",
    "order.updated",
    "order.deleted",
    "order.restored",
    "product.updated",
    "product.deleted",
)
_SHORTEST_SECRET = 32


def check(shop: ShopClient, callback_url: str, leave: Collection[str] = ()) -> WebhookReport:
    """One active webhook per topic at `callback_url`: missing ones made, doubles deleted, the rest mended.

    Webhooks whose URL ends in the same unguessable token but names another host are ours too, from an earlier
    `PUBLIC_URL`. Re-enabling does not reset the shop's counter of failures: one more failure switches it off again, so
    call this only while we can answer, and have topics left alone (`leave`) that go off again and again.
    """
    secret = shop.access.secrets.get("webhook_secret", "")
    if len(secret) < _SHORTEST_SECRET:
        raise Refused("webhook_secret_missing", vendor=VENDOR, operation="webhooks.check")
    ours: dict[str, list[Mapping[str, Any]]] = {topic: [] for topic in TOPICS}
    for hook in shop.pages("webhooks.list", "webhooks", {}):
        topic = payload.text(hook.get("topic"))
        if topic in ours and _is_ours(payload.text(hook.get("delivery_url")), callback_url):
            ours[topic].append(hook)
    present: list[str] = []
    created: list[str] = []
    mended: list[str] = []
    left: list[str] = []
    doubles: list[Mapping[str, Any]] = []
    for topic, hooks in ours.items():
        best = min(hooks, key=lambda hook: _rank(hook, callback_url), default=None)
        if topic in leave and (best is None or best.get("status") != "active"):
            left.append(topic)
            continue
        if best is None:
            _create(shop, topic, callback_url, secret)
            created.append(topic)
            continue
        doubles += [hook for hook in hooks if hook is not best]
        (present if _rank(best, callback_url)[:2] == (False, False) else mended).append(topic)
        if topic in mended and not _mend(shop, best, callback_url, secret):
            _create(shop, topic, callback_url, secret)
    for hook in doubles:
        _delete(shop, hook)
    gap = bool(created or mended)
    return WebhookReport(tuple(present), tuple(created), tuple(mended), gap_possible=gap, left=tuple(left))


def _is_ours(delivery_url: str, callback_url: str) -> bool:
    try:
        last = urlsplit(delivery_url).path.rsplit("/", 1)[-1]
    except ValueError:
        return False
    return delivery_url == callback_url or hmac.compare_digest(last.encode(), _token(callback_url).encode())


def _token(callback_url: str) -> str:
    return urlsplit(callback_url).path.rsplit("/", 1)[-1] or callback_url


def _rank(hook: Mapping[str, Any], callback_url: str) -> tuple[bool, bool, int]:
    """Best first: active, at the right URL, oldest."""
    number = payload.identifier(hook.get("id"))
    return hook.get("status") != "active", hook.get("delivery_url") != callback_url, int(number or 0)


def _create(shop: ShopClient, topic: str, callback_url: str, secret: str) -> None:
    body = {"name": f"Waybill {topic}", "topic": topic, "delivery_url": callback_url, "secret": secret}
    shop.write("webhooks.create", "POST", "webhooks", {**body, "status": "active"})


def _mend(shop: ShopClient, hook: Mapping[str, Any], callback_url: str, secret: str) -> bool:
    """The secret cannot be read back, so it is set anew. False if the webhook has gone meanwhile."""
    body = {"status": "active", "delivery_url": callback_url, "secret": secret}
    try:
        shop.write("webhooks.update", "PUT", f"webhooks/{payload.identifier(hook.get('id'))}", body)
    except Missing:
        return False
    return True


def _delete(shop: ShopClient, hook: Mapping[str, Any]) -> None:
    path = f"webhooks/{payload.identifier(hook.get('id'))}"
    try:
        shop.write("webhooks.delete", "DELETE", path, params={"force": "true"})
    except Missing:
        return
