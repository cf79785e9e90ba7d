"""Relays before the supplier and the shops that cut, delay, reset and halve."""

from __future__ import annotations

import random
import threading
import time
from collections import Counter
from collections.abc import Callable
from contextlib import suppress

from tests.soak.books import ALIEXPRESS, SHOPIFY, WOOCOMMERCE
from tests.soak.wire import Broken, Relay, Reply, Request, forward

UNCLEAR = 0.05
"""Of the writes: each of them may have been executed or not, and nobody is told."""
READS_HIT = 0.02
_BROKEN = ("cut", "reset", "half", "unsent")


def _creates(request: Request) -> bool:
    return b"ds.order.create" in request.body or "ds.order.create" in request.path


def _mutates(request: Request) -> bool:
    """A GraphQL mutation, or a token that is exchanged for a new one."""
    return b"mutation" in request.body or request.path.endswith("/access_token")


def _changes(request: Request) -> bool:
    return request.method not in {"GET", "HEAD"}


WRITES: dict[str, Callable[[Request], bool]] = {ALIEXPRESS: _creates, SHOPIFY: _mutates, WOOCOMMERCE: _changes}
"""Which requests write: those on which "executed, and nobody knows" matters."""


class Troubled(Relay):
    """Between the product and one service, which listens on `port`."""

    def __init__(self, port: int, seed: str, writes: Callable[[Request], bool]) -> None:
        self._port = port
        self._random = random.Random(seed)
        self._writes = writes
        self.on = False
        self.counts: Counter[str] = Counter()
        self._lock = threading.Lock()
        super().__init__()

    def handle(self, request: Request) -> Reply:
        """Pass it on, or do harm."""
        kind = self._kind(write=self._writes(request))
        if kind == "":
            return Reply(forward(request, self._port))
        if kind == "delay":
            time.sleep(0.2 + self._random.random())
            return Reply(forward(request, self._port))
        if kind == "late":
            time.sleep(4.0)  # whoever places has given up by then, and the supplier executes it all the same
            with suppress(OSError):
                forward(request, self._port)
            raise Broken
        if kind == "unsent":
            raise Broken(reset=True)
        raw = forward(request, self._port)
        return Reply(raw, len(raw) // 2 if kind == "half" else 0, reset=kind == "reset")

    def _kind(self, *, write: bool) -> str:
        with self._lock:
            self.counts["writes" if write else "reads"] += 1
            if not self.on or self._random.random() > (UNCLEAR if write else READS_HIT):
                return ""
            kind = self._random.choice((*_BROKEN, "late" if write else "delay"))
            self.counts[f"{'write' if write else 'read'} {kind}"] += 1
            return kind
