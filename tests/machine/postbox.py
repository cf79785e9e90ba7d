"""All webhooks and pushes end here first. The story delivers them, loses them, repeats them, or changes their order."""

from __future__ import annotations

import threading
from collections.abc import Iterable
from dataclasses import dataclass
from typing import Any

from flask import Flask
from werkzeug.wrappers import Request, Response

_KEPT = ("content-", "x-", "authorization", "user-agent", "webhook-")


@dataclass(frozen=True)
class Letter:
    """A delivery as it came: signed, whole."""

    path: str
    headers: tuple[tuple[str, str], ...]
    body: bytes

    @property
    def topic(self) -> str:
        """What it is about, for the story's text."""
        found = {name.lower(): value for name, value in self.headers}
        return found.get("x-shopify-topic") or found.get("x-wc-webhook-topic") or "push"


class Postbox:
    """A WSGI application in the place of the real one."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._fresh: list[Letter] = []
        self.waiting: list[Letter] = []
        self.past: list[Letter] = []

    def __call__(self, environ: Any, start: Any) -> Iterable[bytes]:
        """Keep it and say thank you."""
        request = Request(environ)
        headers = tuple(
            sorted((name, value) for name, value in request.headers if name.lower().startswith(_KEPT) and value)
        )
        letter = Letter(request.path, headers, request.get_data())
        with self._lock:
            self._fresh.append(letter)
        return Response("", 200)(environ, start)

    def collect(self) -> None:
        """What has come since the last time, in an order that does not depend on threads."""
        with self._lock:
            fresh, self._fresh = self._fresh, []
        self.waiting += sorted(fresh, key=lambda letter: (letter.path, letter.topic, letter.body))

    def deliver(self, app: Flask, letter: Letter) -> int:
        """Hand it to the real application; gives the status of its answer."""
        self.past.append(letter)
        headers = [(name, value) for name, value in letter.headers if name.lower() != "content-length"]
        answer = app.test_client().post(letter.path, data=letter.body, headers=headers)
        return answer.status_code
