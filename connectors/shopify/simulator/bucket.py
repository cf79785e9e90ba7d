"""The points of each shop. Source: Shopify reference 3.2; the size of the bucket is not published."""

from __future__ import annotations

import threading
import time
from typing import Any


class Buckets:
    """Leaky buckets by shop. Thread-safe; a size of 0 means no limit."""

    def __init__(self, size: float, rate: float) -> None:
        self._size = size
        self._rate = rate
        self._lock = threading.Lock()
        self._levels: dict[str, tuple[float, float]] = {}

    def take(self, shop: str, own: dict[str, float] | None, requested: float) -> dict[str, Any] | None:
        """Take the points; the throttle status before, if there were enough of them, else None."""
        size, _ = self._limits(own)
        with self._lock:
            there = self._there(shop, own)
            if size and there < min(requested, size):
                return None
            self._levels[shop] = (there - requested, time.monotonic())
            return self._status(there, own)

    def settle(self, shop: str, own: dict[str, float] | None, refund: float) -> dict[str, Any]:
        """Give back what was not used; the throttle status now."""
        with self._lock:
            size, _ = self._limits(own)
            level = self._there(shop, own) + refund
            self._levels[shop] = (min(size, level) if size else level, time.monotonic())
            return self._status(self._there(shop, own), own)

    def status(self, shop: str, own: dict[str, float] | None) -> dict[str, Any]:
        """The throttle status."""
        with self._lock:
            return self._status(self._there(shop, own), own)

    def _limits(self, own: dict[str, float] | None) -> tuple[float, float]:
        own = own or {}
        return own.get("maximum", self._size), own.get("restore_rate", self._rate)

    def _there(self, shop: str, own: dict[str, float] | None) -> float:
        size, rate = self._limits(own)
        if not size:
            return 1_000_000.0
        level, at = self._levels.get(shop, (size, time.monotonic()))
        return min(size, level + (time.monotonic() - at) * rate)

    def _status(self, there: float, own: dict[str, float] | None) -> dict[str, Any]:
        size, rate = self._limits(own)
        return {
            "maximumAvailable": size or 1_000_000.0,
            "currentlyAvailable": int(max(0.0, there)),
            "restoreRate": rate or 1_000_000.0,
        }
