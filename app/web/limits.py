"""How many unsigned deliveries are taken, and how many bytes of bodies are in hand at a time."""

from __future__ import annotations

import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager

import redis
from limits import RateLimitItem, RateLimitItemPerMinute
from limits.storage import MemoryStorage, RedisStorage
from limits.strategies import FixedWindowRateLimiter

from app.clock import Clock
from app.logs import logger
from app.ports.errors import BadDelivery
from app.queue import connect

log = logger(__name__)
UNSIGNED = RateLimitItemPerMinute(600)
"""Of one source, over all web processes. They are hints: what is refused is found by polling."""


class UnsignedLimit:
    """Counts in Redis for all processes; while Redis is away, in this process alone.

    One key for each source: an address can be borrowed and a forwarded header invented. After a failure Redis is left
    alone for `pause` seconds, so that hardly a delivery waits for it, and none longer than a connection may take.
    """

    def __init__(self, url: str, clock: Clock, *, item: RateLimitItem = UNSIGNED, pause: float = 5.0) -> None:
        self._clock = clock
        self._item = item
        self._pause = pause
        self._away_until = float("-inf")
        self._own = FixedWindowRateLimiter(MemoryStorage())
        pool = connect(url).connection_pool
        self._shared = FixedWindowRateLimiter(RedisStorage(url, connection_pool=pool, key_prefix="waybill-limit"))

    def take(self, source: str) -> None:
        """Count one. Raises `BadDelivery` 429 when the minute's share is used up."""
        if not self._hit(source):
            raise BadDelivery(429, "too_many_unsigned")

    def _hit(self, source: str) -> bool:
        if self._clock.monotonic() >= self._away_until:
            try:
                return self._shared.hit(self._item, source)
            except (redis.RedisError, OSError) as error:
                self._away_until = self._clock.monotonic() + self._pause
                log.warning("limits_without_redis", error=type(error).__name__)
        return self._own.hit(self._item, source)


class BodyBudget:
    """A bound on the memory of large bodies, however many threads receive them. Small ones always pass.

    What counts is what has come, not what was announced: a slow sender holds no more than it sent.
    """

    def __init__(self, *, most: int = 8_000_000, small: int = 65_536) -> None:
        self._left = most
        self._small = small
        self._lock = threading.Lock()

    @contextmanager
    def body(self) -> Iterator[Callable[[int], None]]:
        """Gives `grow`, to be told the size that a body has reached so far, in bytes, before more of it is kept.

        `grow` raises `BadDelivery` 503 when there is not so much left; shops send again. All is given back at the end.
        """
        held = 0

        def grow(size: int) -> None:
            nonlocal held
            more = (size if size > self._small else 0) - held
            with self._lock:
                if more > self._left:
                    raise BadDelivery(503, "busy")
                self._left -= more
            held += more

        try:
            yield grow
        finally:
            with self._lock:
                self._left += held
