"""Push messages from a background thread: signed or not, lost, duplicated, late, out of order."""

from __future__ import annotations

import heapq
import http.client
import itertools
import json
import threading
import time
from dataclasses import asdict, dataclass, field
from typing import Any
from urllib.parse import urlsplit

from connectors.aliexpress.signing import sign_push
from connectors.aliexpress.simulator.options import Options

_RETRY_AFTER = 1_800.0
_OK = range(200, 300)


@dataclass(slots=True)
class PushMode:
    """How pushes go wrong.

    `lost`: how many of the next are lost (-1 all). `copies`: times each is sent.
    `delay`, `gap`: in real seconds.
    `reorder`: every second one is held back until the next has been sent, at most for `gap`.
    """

    signed: bool = True
    lost: int = 0
    copies: int = 1
    reorder: bool = False
    delay: float = 0.0
    gap: float = 5.0
    retries: int = 3


@dataclass(slots=True, order=True)
class _Entry:
    """A message on its way: `due` in monotonic seconds, `tries` left after this one."""

    due: float
    number: int
    tries: int
    body: bytes = field(compare=False)
    signed: bool = field(compare=False)


class Pushes:
    """The sender. `sent` counts what was delivered with a 2xx answer."""

    def __init__(self, options: Options) -> None:
        self.url = options.push_url
        self.mode = PushMode(signed=options.push_signed)
        self.sent = self.lost = self.failed = 0
        self._options = options
        self._heap: list[_Entry] = []
        self._held: list[_Entry] = []
        self._order = itertools.count()
        self._wake = threading.Condition()
        self._thread: threading.Thread | None = None
        self._busy = 0
        self._closed = threading.Event()

    def close(self) -> None:
        """Nothing is sent any more."""
        with self._wake:
            self._closed.set()
            self._wake.notify_all()

    @property
    def idle(self) -> bool:
        """Whether no message is waiting or under way."""
        with self._wake:
            return not self._heap and not self._busy

    def set_mode(self, data: dict[str, Any]) -> dict[str, Any]:
        """Change the mode (and `url`). Raises TypeError on an unknown name."""
        given = dict(data)
        with self._wake:
            self.url = str(given.pop("url", self.url))
            self.mode = PushMode(**{**asdict(self.mode), **given})
            return {**asdict(self.mode), "url": self.url}

    def order_event(self, order_id: str, user_id: str, status: str) -> None:
        """Tell the app that an order changed, as the mode allows."""
        body = {
            "data": {"buyerId": int(user_id), "orderId": int(order_id), "orderStatus": status},
            "message_type": 53,
            "seller_id": user_id,
            "site": "ae_global",
            "timestamp": int(time.time()),
        }
        self.post(json.dumps(body, separators=(",", ":")).encode())

    def post(self, body: bytes, *, signed: bool | None = None) -> None:
        """Queue a message."""
        with self._wake:
            if not self.url:
                return
            if self.mode.lost:
                self.mode.lost -= 1 if self.mode.lost > 0 else 0
                self.lost += 1
                return
            due = time.monotonic() + self.mode.delay
            holds = self.mode.reorder and not self._held
            entries = [
                self._queue(
                    due + (self.mode.gap if holds else 0.0),
                    self.mode.retries,
                    body,
                    signed=self.mode.signed if signed is None else signed,
                )
                for _copy in range(self.mode.copies)
            ]
            for held in self._held:
                held.due = min(held.due, due + 0.001)
            heapq.heapify(self._heap)
            self._held = entries if holds else []

    def _queue(self, due: float, tries: int, body: bytes, *, signed: bool) -> _Entry:
        entry = _Entry(due, next(self._order), tries, body, signed)
        heapq.heappush(self._heap, entry)
        if self._thread is None:
            self._thread = threading.Thread(target=self._run, name="aliexpress-pushes", daemon=True)
            self._thread.start()
        self._wake.notify()
        return entry

    def _run(self) -> None:
        while True:
            with self._wake:
                if self._closed.is_set():
                    return
                wait = self._heap[0].due - time.monotonic() if self._heap else None
                if wait is None or wait > 0:
                    self._wake.wait(wait)
                    continue
                entry = heapq.heappop(self._heap)
                self._busy += 1
            arrived = self._deliver(entry.body, signed=entry.signed)
            with self._wake:
                self._busy -= 1
                self.sent += arrived
                self.failed += not arrived
                if not arrived and entry.tries > 0:
                    again = time.monotonic() + self._options.scaled(_RETRY_AFTER)
                    self._queue(again, entry.tries - 1, entry.body, signed=entry.signed)

    def _deliver(self, body: bytes, *, signed: bool) -> bool:
        parts = urlsplit(self.url)
        kind = http.client.HTTPSConnection if parts.scheme == "https" else http.client.HTTPConnection
        headers = {"Content-Type": "application/json"}
        if signed:
            headers["Authorization"] = sign_push(self._options.app_key, self._options.app_secret, body)
        connection = kind(parts.hostname or "", parts.port, timeout=10)
        try:
            connection.request("POST", parts.path or "/", body, headers)
            return connection.getresponse().status in _OK
        except (OSError, http.client.HTTPException):
            return False
        finally:
            connection.close()
