"""Points of a shop's GraphQL bucket, kept per process and shared by its threads.

Source: Shopify reference 3.2. The server's own figures correct ours at every answer. Another process draws from the
same bucket without our knowing; the THROTTLED answer is then what stops us.
"""

from __future__ import annotations

import threading
import time
from collections import OrderedDict
from collections.abc import Callable
from dataclasses import dataclass

_MAX_SHOPS = 20_000
_FIRST_GUESS = 40.0


@dataclass(slots=True)
class Status:
    """`throttleStatus` of an answer: points."""

    maximum: float
    available: float
    restore_rate: float


@dataclass(slots=True)
class _Bucket:
    status: Status | None = None
    at: float = 0.0
    in_flight: float = 0.0


class Throttle:
    """Says how long to wait before a call of a known cost, so that the bucket is not overdrawn. Thread-safe."""

    def __init__(self, monotonic: Callable[[], float] = time.monotonic) -> None:
        self._monotonic = monotonic
        self._lock = threading.Lock()
        self._buckets: OrderedDict[str, _Bucket] = OrderedDict()
        self._costs: dict[str, float] = {}

    def cost(self, document: str) -> float:
        """Points that this document asked for last time."""
        return self._costs.get(document, _FIRST_GUESS)

    def reserve(self, shop: str, cost: float) -> float:
        """Seconds to wait (0: go, and the points are taken; more: nothing is taken)."""
        with self._lock:
            bucket = self._bucket(shop)
            status = bucket.status
            if status is None:
                bucket.in_flight += cost
                return 0.0
            elapsed = max(0.0, self._monotonic() - bucket.at)
            there = min(status.maximum, status.available + elapsed * status.restore_rate) - bucket.in_flight
            # A call dearer than the whole bucket can only be told so by the server.
            missing = min(cost, status.maximum) - there
            if missing <= 0 or bucket.in_flight <= 0 < cost - status.maximum:
                bucket.in_flight += cost
                return 0.0
            return missing / max(status.restore_rate, 0.1)

    def settle(self, shop: str, document: str, cost: float, *, asked: float | None, status: Status | None) -> None:
        """The call is over: give the reserved points back and take over the server's figures."""
        with self._lock:
            bucket = self._bucket(shop)
            bucket.in_flight = max(0.0, bucket.in_flight - cost)
            if asked is not None:
                self._costs[document] = asked
            if status is not None:
                bucket.status = status
                bucket.at = self._monotonic()

    def _bucket(self, shop: str) -> _Bucket:
        bucket = self._buckets.get(shop)
        if bucket is None:
            bucket = self._buckets[shop] = _Bucket()
            if len(self._buckets) > _MAX_SHOPS:
                self._buckets.popitem(last=False)
        self._buckets.move_to_end(shop)
        return bucket
