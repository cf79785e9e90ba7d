"""Webhook deliveries as the shop's background queue makes them: late, serial, once, with the state of that moment."""

from __future__ import annotations

import base64
import hashlib
import hmac
import http.client
import threading
import time
from http import HTTPStatus
from typing import Any
from urllib.parse import urlsplit

from connectors.woocommerce.simulator import render
from connectors.woocommerce.simulator.faults import Rule
from connectors.woocommerce.simulator.world import Row, Shop

_AGENT = "WooCommerce/{} Hookshot (WordPress/7.0.4)"
_GOOD = frozenset({200, 201, 202, 203, 204, 205, 206, 301, 302})
_PING_TIMEOUT = 5.0
_TIMEOUT = 60.0
#: The counter stops here; one more failure disables.
_TOLERATED = 5


class Courier:
    """One queue runner per shop, started with the shop's first event."""

    def __init__(self) -> None:
        self._bells: dict[str, threading.Condition] = {}
        self._lock = threading.Lock()
        self._closed = threading.Event()

    def close(self) -> None:
        """Nothing is delivered any more."""
        with self._lock:
            self._closed.set()
            bells = list(self._bells.values())
        for bell in bells:
            with bell:
                bell.notify()

    def ring(self, shop: Shop) -> None:
        """There is something in the queue."""
        with self._lock:
            bell = self._bells.get(shop.slug)
            if self._closed.is_set():
                return
            if bell is None:
                bell = self._bells[shop.slug] = threading.Condition()
                threading.Thread(target=self._run, args=(shop, bell), name=f"queue-{shop.slug}", daemon=True).start()
        with bell:
            bell.notify()

    def _run(self, shop: Shop, bell: threading.Condition) -> None:
        delay = shop.world.queue_delay / shop.world.time_scale
        while not self._closed.is_set():
            with bell:
                while not self._closed.is_set() and (shop.queue_paused or not shop["queue"]):
                    bell.wait(5)
            time.sleep(delay)
            while shop["queue"] and not shop.queue_paused and not self._closed.is_set():
                deliver_next(shop)


def emit(shop: Shop, topic: str, resource_id: int) -> dict[str, Row]:
    """Queue rows for all active webhooks of the topic: at most one per webhook and resource.

    The caller commits them.
    """
    rows: dict[str, Row] = {}
    for hook in shop["webhooks"].values():
        key = f"{hook['id']}:{resource_id}"
        if hook["topic"] == topic and hook["status"] == "active" and key not in shop["queue"]:
            rows[key] = {"webhook": hook["id"], "resource": resource_id, "topic": topic}
    return rows


def deliver_next(shop: Shop) -> None:
    """Take the oldest job and do it once, whatever comes of it."""
    with shop.lock:
        key = next(iter(shop["queue"]), None)
        if key is None:
            return
        job = shop["queue"].pop(key)
        hook = shop["webhooks"].get(str(job["webhook"]))
        rule = shop.world.faults.take(f"delivery:{job['topic']}", shop.slug) if hook else None
        if rule is not None and rule.kind == "reorder" and shop["queue"]:
            shop["queue"][key] = job
            return
        body = _body(shop, job, rule) if hook else b""
    status = 0
    if hook is not None:
        times = 2 if rule is not None and rule.kind == "duplicate" else 1
        for _ in range(times):
            status = _deliver(shop, hook, job, body, rule)
    with shop.lock:
        _finish(shop, key, job, status)


def _body(shop: Shop, job: Row, rule: Rule | None) -> bytes:
    """The resource as it stands now; an error envelope, signed all the same, if it cannot be shown any more."""
    resource = job["topic"].partition(".")[0]
    if rule is not None and rule.kind == "envelope":
        code = str(rule.params.get("code", "woocommerce_rest_cannot_view"))
        return render.dump(
            _envelope(code, "Sorry, you cannot view this resource.", int(rule.params.get("status", 403)))
        )
    if job["topic"].endswith(".deleted"):
        return render.dump({"id": job["resource"]})
    owner = next((key["owner"] for key in shop["keys"].values()), "manager")
    if owner != "manager":
        status = 403 if owner == "customer" else 401
        return render.dump(_envelope("woocommerce_rest_cannot_view", "Sorry, you cannot view this resource.", status))
    row = shop[f"{resource}s"].get(str(job["resource"]))
    if row is None:
        code = (
            "woocommerce_rest_shop_order_invalid_id" if resource == "order" else "woocommerce_rest_product_invalid_id"
        )
        return render.dump(_envelope(code, "Invalid ID.", 404))
    return render.dump(render.order(shop, row) if resource == "order" else render.product(shop, row))


def _envelope(code: str, message: str, status: int) -> Row:
    return {"code": code, "message": message, "data": {"status": status}}


def _deliver(shop: Shop, hook: Row, job: Row, body: bytes, rule: Rule | None) -> int:
    """Send one delivery; the answer's status, 0 for no answer, 200 for one that was lost on the way."""
    kind = rule.kind if rule is not None else ""
    if kind == "lose":
        return 200
    if kind == "disable":
        hook["failures"] = _TOLERATED + 1
        return 0
    if kind == "latency" and rule is not None:
        time.sleep(float(rule.params.get("seconds", 1)) / shop.world.time_scale)
    if hook.get("pending"):
        ping(shop, hook)
    resource, _, event = str(job["topic"]).partition(".")
    signature = base64.b64encode(hmac.digest(hook["secret"].encode(), body, hashlib.sha256)).decode()
    stamp = f"{hook['id']}{int(time.time())}"
    headers = {
        "Content-Type": "application/json",
        "X-WC-Webhook-Source": f"{shop.home}/",
        "X-WC-Webhook-Topic": job["topic"],
        "X-WC-Webhook-Resource": resource,
        "X-WC-Webhook-Event": event,
        "X-WC-Webhook-Signature": signature,
        "X-WC-Webhook-ID": str(hook["id"]),
        # As the real one does: a hash of webhook and second, so not unique.
        "X-WC-Webhook-Delivery-ID": hashlib.md5(stamp.encode(), usedforsecurity=False).hexdigest(),
    }
    return _post(shop, hook["delivery_url"], body, headers, _TIMEOUT)


def _post(shop: Shop, url: str, body: bytes, headers: dict[str, str], timeout: float) -> int:
    parts = urlsplit(url)
    kind = http.client.HTTPSConnection if parts.scheme == "https" else http.client.HTTPConnection
    connection = kind(parts.hostname or "", parts.port, timeout=timeout)
    path = parts.path + (f"?{parts.query}" if parts.query else "")
    common = {"User-Agent": _AGENT.format(shop.setting("version")), "Accept": "*/*", "Connection": "close"}
    try:
        connection.request("POST", path or "/", body, {**common, **headers})
        return connection.getresponse().status
    except (OSError, http.client.HTTPException, ValueError):
        return 0
    finally:
        connection.close()


def ping(shop: Shop, hook: Row) -> None:
    """The unsigned ping. Anything but 200 leaves the webhook pending. Do not hold the shop's lock."""
    headers = {"Content-Type": "application/x-www-form-urlencoded"}
    status = _post(shop, hook["delivery_url"], f"webhook_id={hook['id']}".encode(), headers, _PING_TIMEOUT)
    with shop.lock:
        hook["pending"] = status != HTTPStatus.OK
        if str(hook["id"]) in shop["webhooks"]:
            shop.commit("webhook_pinged", {"webhooks": {str(hook["id"]): hook}}, webhook=hook["id"], status=status)


def _finish(shop: Shop, key: str, job: Row, status: int) -> None:
    """Count failures; after the seventh in a row the webhook is disabled, and nobody is told.

    The lock is held.
    """
    put: dict[str, dict[str, Any]] = {"queue": {key: shop["queue"].get(key)}}
    hook = shop["webhooks"].get(str(job["webhook"]))
    if hook is not None:
        if status in _GOOD:
            hook["failures"] = 0
        elif hook["failures"] > _TOLERATED:
            hook["status"] = "disabled"
        else:
            hook["failures"] += 1
        put["webhooks"] = {str(hook["id"]): hook}
    shop.commit(
        "webhook_delivered", put,
        webhook=job["webhook"], topic=job["topic"], resource=job["resource"], status=status,
    )  # fmt: skip
