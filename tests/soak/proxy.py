"""Two relays: before the supplier one that cuts, delays, resets and halves; before the web servers one that loses post."""

from __future__ import annotations

import hashlib
import json
import random
import threading
import time
from collections import Counter
from collections.abc import Callable
from contextlib import suppress

from tests.soak.wire import Broken, Relay, Reply, Request, forward

UNCLEAR = 0.05
"""Of the creates: each of them may have been executed or not, and nobody is told."""
READS_HIT = 0.02
DUPLICATED, NEVER_SENT, PUSHES_LOST = 0.30, 0.20, 0.15
WEB_SECONDS = 6.0
"""A web server that is stopped is waited for no longer."""
_LOST = Reply(b"HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nok")


class Troubled(Relay):
    """Between the product and the supplier."""

    def __init__(self, supplier: int, seed: int) -> None:
        self._supplier = supplier
        self._random = random.Random(seed)
        self.on = False
        self.counts: Counter[str] = Counter()
        self._lock = threading.Lock()
        super().__init__()

    def handle(self, request: Request) -> Reply:
        """Pass it on, or do harm."""
        creates = b"ds.order.create" in request.body or "ds.order.create" in request.path
        kind = self._kind(creates=creates)
        if kind == "":
            return Reply(forward(request, self._supplier))
        if kind == "delay":
            time.sleep(0.2 + self._random.random())
            return Reply(forward(request, self._supplier))
        if kind == "late":
            time.sleep(4.0)  # whoever asked has given up by then, and the supplier executes it all the same
            with suppress(OSError):
                forward(request, self._supplier)
            raise Broken
        if kind == "unsent":
            raise Broken(reset=True)
        raw = forward(request, self._supplier)
        return Reply(raw, len(raw) // 2 if kind == "half" else 0, reset=kind == "reset")

    def _kind(self, *, creates: bool) -> str:
        with self._lock:
            self.counts["creates" if creates else "reads"] += 1
            if not self.on or self._random.random() > (UNCLEAR if creates else READS_HIT):
                return ""
            kinds = (
                ("cut", "reset", "half", "unsent", "late") if creates else ("cut", "reset", "half", "unsent", "delay")
            )
            kind = self._random.choice(kinds)
            self.counts[f"{'create' if creates else 'read'} {kind}"] += 1
            return kind


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
        kind, copies = self._kind(request)
        with self._lock:
            self.counts[kind] += 1
        if copies == 0:
            return _LOST
        raw = self._deliver(request)
        if copies > 1:
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
        if self._share(request) < NEVER_SENT:
            return "never sent", 0
        return ("duplicated", 2) if self._random.random() < DUPLICATED else ("once", 1)

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
