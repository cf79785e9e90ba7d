"""Deliveries to the app: signed, retried eight times, and on demand doubled, swapped, late, lost or forged.

Source: Shopify reference 2.1 and 2.2. A retry carries the payload and the address of the first attempt.
"""

from __future__ import annotations

import base64
import hashlib
import heapq
import hmac
import itertools
import json
import threading
import time
import uuid
from collections import deque
from dataclasses import dataclass, field
from datetime import UTC, datetime
from typing import Any

import urllib3

from connectors.shopify.simulator.faults import Faults
from connectors.shopify.simulator.options import Options

_BACKOFF = (10.0, 60.0, 300.0, 900.0, 1_800.0, 3_600.0, 7_200.0)
_SWAP = 2.0
_SUCCESS = 2
_REMEMBERED = 5_000


@dataclass(slots=True, eq=False)
class Delivery:
    """One delivery and how it went."""

    topic: str
    shop: str
    body: bytes
    headers: dict[str, str]
    url: str
    attempts: int = 0
    status: int | None = None
    done: bool = False
    log: list[int | str] = field(default_factory=list)


class Sender:
    """Sends in threads of its own; nothing is kept over a restart (a real delivery may be lost as well)."""

    def __init__(self, options: Options, faults: Faults) -> None:
        self._options = options
        self._faults = faults
        self._pool = urllib3.PoolManager(
            maxsize=options.webhook_workers, retries=False, timeout=urllib3.Timeout(connect=1.0, total=5.0)
        )
        self._heap: list[tuple[float, int, Delivery]] = []
        self._numbers = itertools.count()
        self._wake = threading.Condition()
        self._waiting: Delivery | None = None
        self._busy = 0
        self._threads: list[threading.Thread] = []
        self._closed = threading.Event()
        self.url = options.webhook_url
        self.sent: deque[Delivery] = deque(maxlen=_REMEMBERED)

    def close(self) -> None:
        """Nothing is sent any more."""
        with self._wake:
            self._closed.set()
            self._wake.notify_all()

    def put(self, topic: str, shop: str, payload: dict[str, Any], secret: str, *, delay: float = 0.0) -> None:
        """Queue a delivery. `delay` is in seconds of the real service."""
        if not self.url:
            return
        rules = self._faults.take("webhook", f"webhook:{topic}")
        kinds = {rule.kind: rule.params for rule in rules}
        if "lose" in kinds:
            return
        body = json.dumps(payload, separators=(",", ":"), ensure_ascii=False).encode()
        delivery = self._delivery(topic, shop, body, "wrong" if "wrong_secret" in kinds else secret)
        wait = (delay + float(kinds.get("delay", {}).get("seconds", 0.0))) / self._options.time_scale
        copies = 2 if "duplicate" in kinds else 1
        with self._wake:
            self.sent.append(delivery)
            for _ in range(copies):
                self._push(delivery, wait)
            self._swap(delivery, swap="reorder" in kinds)

    def _delivery(self, topic: str, shop: str, body: bytes, secret: str) -> Delivery:
        digest = hmac.new(secret.encode(), body, hashlib.sha256).digest()
        headers = {
            "Content-Type": "application/json",
            "X-Shopify-Topic": topic,
            "X-Shopify-Hmac-Sha256": base64.b64encode(digest).decode(),
            "X-Shopify-Shop-Domain": shop,
            "X-Shopify-API-Version": self._options.api_version,
            "X-Shopify-Webhook-Id": str(uuid.uuid4()),
            "X-Shopify-Event-Id": str(uuid.uuid4()),
            "X-Shopify-Triggered-At": datetime.now(UTC).strftime("%Y-%m-%dT%H:%M:%S.%fZ"),
        }
        return Delivery(topic, shop, body, headers, self.url)

    def _swap(self, delivery: Delivery, *, swap: bool) -> None:
        """Hold a delivery back until the next one has gone ahead of it, at most two seconds."""
        if swap:
            self._heap = [entry for entry in self._heap if entry[2] is not delivery]
            heapq.heapify(self._heap)
            self._waiting = delivery
            self._push(delivery, _SWAP / self._options.time_scale)
        elif self._waiting is not None:
            held, self._waiting = self._waiting, None
            self._heap = [entry for entry in self._heap if entry[2] is not held]
            heapq.heapify(self._heap)
            self._push(held, 0.05)

    def _push(self, delivery: Delivery, wait: float) -> None:
        if len(self._threads) < self._options.webhook_workers:
            thread = threading.Thread(target=self._work, name="shopify-webhooks", daemon=True)
            self._threads.append(thread)
            thread.start()
        heapq.heappush(self._heap, (time.monotonic() + wait, next(self._numbers), delivery))
        self._wake.notify()

    def _work(self) -> None:
        while True:
            with self._wake:
                while not self._closed.is_set() and (not self._heap or self._heap[0][0] > time.monotonic()):
                    self._wake.wait(self._heap[0][0] - time.monotonic() if self._heap else None)
                if self._closed.is_set():
                    return
                delivery = heapq.heappop(self._heap)[2]
                if self._waiting is delivery:
                    self._waiting = None
                self._busy += 1
            again = self._attempt(delivery)
            with self._wake:
                self._busy -= 1
                if again is not None:
                    self._push(delivery, again)
                self._wake.notify_all()

    def _attempt(self, delivery: Delivery) -> float | None:
        """One try; seconds until the next, None if it is over."""
        delivery.attempts += 1
        try:
            answer = self._pool.request(
                "POST", delivery.url, body=delivery.body, headers=delivery.headers, redirect=False
            )
            delivery.status = answer.status
            delivery.log.append(answer.status)
        except urllib3.exceptions.HTTPError as error:
            delivery.status = None
            delivery.log.append(type(error).__name__)
        if delivery.status is not None and delivery.status // 100 == _SUCCESS:
            delivery.done = True
            return None
        if delivery.attempts > len(_BACKOFF):
            return None
        return _BACKOFF[delivery.attempts - 1] / self._options.time_scale

    def again(self, index: int) -> None:
        """Send a past delivery once more, with the same id."""
        with self._wake:
            self._push(self.sent[index], 0.0)

    def idle(self) -> bool:
        """Whether nothing is under way or due within the hour (who left a shop hears of it again after two days)."""
        with self._wake:
            soon = time.monotonic() + 3_600.0
            return not self._busy and not (self._heap and self._heap[0][0] < soon)

    def show(self) -> list[dict[str, Any]]:
        """All deliveries so far, without their bodies."""
        return [
            {
                "topic": delivery.topic,
                "shop": delivery.shop,
                "webhook_id": delivery.headers["X-Shopify-Webhook-Id"],
                "attempts": delivery.log,
                "done": delivery.done,
            }
            for delivery in list(self.sent)
        ]
