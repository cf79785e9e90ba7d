"""The doorbell: RQ tells a worker that rows are due. Losing it costs two seconds, never an order (decision 3)."""

from __future__ import annotations

import threading
from collections.abc import Callable

import redis
from redis.backoff import NoBackoff
from redis.retry import Retry
from rq import Queue
from rq.serializers import JSONSerializer

from app.logs import logger

QUEUE = "waybill"
WAKE = "app.jobs.tasks.wake"
log = logger(__name__)


def connect(url: str) -> redis.Redis:
    """A connection that gives up within half a second: nothing waits for Redis."""
    return redis.Redis.from_url(
        url, socket_connect_timeout=0.5, socket_timeout=0.5, retry=Retry(NoBackoff(), 0), health_check_interval=30
    )


class Bell:
    """Rings at most once per `pause` seconds from a thread of its own, so that ringing costs a request nothing."""

    def __init__(self, url: str, *, pause: float = 0.25) -> None:
        self._url = url
        self._pause = pause
        self._wanted = threading.Event()
        self._stop = threading.Event()
        self._lock = threading.Lock()
        self._thread: threading.Thread | None = None
        self._local: list[Callable[[], None]] = []

    def listen(self, hook: Callable[[], None]) -> None:
        """Call `hook` in this process at each ring as well (the worker's own loop)."""
        self._local.append(hook)

    def ring(self) -> None:
        """Something is due. Never blocks, never raises."""
        for hook in self._local:
            hook()
        if self._local:
            return
        if self._thread is None or not self._thread.is_alive():
            with self._lock:
                if self._thread is None or not self._thread.is_alive():
                    self._thread = threading.Thread(target=self._run, name="bell", daemon=True)
                    self._thread.start()
        self._wanted.set()

    def close(self) -> None:
        """End the thread."""
        self._stop.set()
        self._wanted.set()

    def _run(self) -> None:
        queue = Queue(QUEUE, connection=connect(self._url), serializer=JSONSerializer())
        while not self._stop.is_set():
            self._wanted.wait()
            self._wanted.clear()
            try:
                queue.enqueue(WAKE, result_ttl=0, failure_ttl=60, ttl=30)
                self._stop.wait(self._pause)
            except redis.RedisError as error:
                log.warning("bell_not_heard", error=type(error).__name__)
                self._stop.wait(1.0)
