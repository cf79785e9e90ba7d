"""The relay before the web servers, which loses post and delivers some of it twice."""

from __future__ import annotations

import hashlib
import json
import random
import threading
from collections import Counter
from collections.abc import Callable
from contextlib import suppress

from tests.soak.wire import Relay, Reply, Request, forward

NEVER_SENT, DUPLICATED = 0.20, 0.30
"""Shares of all of the shops' webhooks; the other half comes once."""
PUSHES_LOST = 0.15
WEB_SECONDS = 6.0
"""A web server that is stopped is waited for no longer."""
_LOST = Reply(b"HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nok")


def copies(order: float, webhook: float) -> int:
    """How often a webhook is delivered, by two numbers between 0 and 1: its order's and its own.

    Of the orders 20 % are never told of, by any webhook. Of the others' webhooks 3 in 8 come twice, which is 30 % of all
    (0.8 x 0.375); so of all webhooks 20 % never come, 30 % come twice and 50 % once.
    """
    if order < NEVER_SENT:
        return 0
    return 2 if webhook < DUPLICATED / (1 - NEVER_SENT) else 1


class Postman(Relay):
    """Before the web servers: it sends to one that lives, sends some post twice, and some never."""

    def __init__(self, ports: Callable[[], list[int]], seed: int) -> None:
        self._ports = ports
        self._seed = seed
        self._random = random.Random(seed + 1)
        self._turn = 0
        self.on = False
        self.counts: Counter[str] = Counter()
        self._lock = threading.Lock()
        super().__init__()

    def handle(self, request: Request) -> Reply:
        """Deliver, twice, or not at all."""
        kind, times = self._kind(request)
        with self._lock:
            self.counts[kind] += 1
        if times == 0:
            return _LOST
        raw = self._deliver(request)
        if times > 1:
            with suppress(OSError):
                self._deliver(request)
        return Reply(raw)

    def _deliver(self, request: Request) -> bytes:
        ports = self._ports()
        with self._lock:
            self._turn += 1
            turn = self._turn
        port = ports[turn % len(ports)]
        try:
            return forward(request, port, WEB_SECONDS)
        except ConnectionRefusedError:
            return forward(request, ports[(turn + 1) % len(ports)], WEB_SECONDS)

    def _kind(self, request: Request) -> tuple[str, int]:
        if not self.on or not request.path.startswith("/webhooks/") or not request.body.startswith(b"{"):
            return "other", 1
        if request.path.startswith("/webhooks/aliexpress"):
            return ("push lost", 0) if self._random.random() < PUSHES_LOST else ("push", 1)
        times = copies(self._share(request), self._random.random())
        return ("never sent", "once", "duplicated")[times], times

    def _share(self, request: Request) -> float:
        """The same number for everything that is told about one order: all of it is lost, or none."""
        try:
            told = json.loads(request.body)
            order = str(told.get("order_id") or told.get("id"))
        except (ValueError, AttributeError):
            return 1.0
        place = request.headers.get("x-shopify-shop-domain") or request.path
        digest = hashlib.sha256(f"{self._seed} {place} {order}".encode()).digest()
        return int.from_bytes(digest[:4], "big") / 2**32
