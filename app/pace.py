"""How fast and how many orders are created: our own limit, because the supplier's is shared by the whole platform.

A permit is waited for, not polled for by putting the purchase back. Counters live in Redis so that all processes share
them; while Redis is away each process keeps to the limit by itself.
"""

from __future__ import annotations

import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager

import redis
from limits import RateLimitItemPerSecond
from limits.storage import MemoryStorage, RedisStorage
from limits.strategies import FixedWindowRateLimiter

from app.logs import logger

log = logger(__name__)
_BLOCKED = "waybill:creates:blocked"


class Pace:
    """`per_second` creates over all processes, `in_flight` at once in this one."""

    def __init__(self, redis_url: str, *, per_second: float, in_flight: int) -> None:
        # Whole creates per window: five a second, or one in two seconds for 0.5.
        window = 1 if per_second >= 1 else round(1 / per_second)
        self._item = RateLimitItemPerSecond(max(int(per_second * window), 1), window)
        self._slots = threading.BoundedSemaphore(in_flight)
        self._local = FixedWindowRateLimiter(MemoryStorage())
        self._shared = FixedWindowRateLimiter(
            RedisStorage(redis_url, socket_connect_timeout=0.5, socket_timeout=0.5, retry_on_timeout=False)
        )
        self._redis = redis.Redis.from_url(redis_url, socket_connect_timeout=0.5, socket_timeout=0.5, retry=None)
        self._blocked_until = 0.0
        self._shared_away_until = 0.0

    @contextmanager
    def permit(self, wait: float) -> Iterator[bool]:
        """Inside it one order may be created. False if `wait` seconds went by without a permit."""
        deadline = time.monotonic() + wait
        if not self._slots.acquire(timeout=wait):
            yield False
            return
        try:
            yield self._wait(deadline)
        finally:
            self._slots.release()

    def slow_down(self, seconds: float) -> None:
        """The supplier said "too many calls": nobody creates anything for so long, this process even without Redis."""
        self._blocked_until = max(self._blocked_until, time.monotonic() + seconds)
        try:
            self._redis.set(_BLOCKED, "1", px=max(int(seconds * 1000), 1))
        except redis.RedisError as error:
            log.warning("shared_pace_not_reached", error=type(error).__name__)

    def _wait(self, deadline: float) -> bool:
        while True:
            now = time.monotonic()
            if now >= self._blocked_until and self._hit(now):
                return True
            if now >= deadline:
                return False
            time.sleep(min(0.05, max(deadline - now, 0.001)))

    def _hit(self, now: float) -> bool:
        if now >= self._shared_away_until:
            try:
                blocked = int(self._redis.pttl(_BLOCKED))
                if blocked > 0:
                    self._blocked_until = now + blocked / 1000
                    return False
                return self._shared.hit(self._item, "waybill", "creates")
            except redis.RedisError as error:
                log.warning("shared_pace_not_reached", error=type(error).__name__)
                self._shared_away_until = now + 5.0
        return self._local.hit(self._item, "waybill", "creates")
