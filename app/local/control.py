"""Speaks with the simulators' control endpoints, and asks whether a server answers."""

from __future__ import annotations

import http.client
import json
from typing import Any
from urllib.parse import urlsplit

_SECONDS = 20.0


class ControlError(RuntimeError):
    """A simulator refused a control call."""


class Control:
    """The controls of one simulator."""

    def __init__(self, url: str) -> None:
        """`url` is the simulator's root."""
        self.url = url

    def get(self, path: str) -> Any:
        """What `/_control/<path>` shows."""
        return self._call("GET", path, None)

    def post(self, path: str, data: Any) -> Any:
        """Do `/_control/<path>`. Raises `ControlError`."""
        return self._call("POST", path, data)

    def _call(self, method: str, path: str, data: Any) -> Any:
        status, text = fetch(self.url, f"/_control/{path}", method, data)
        if status >= http.HTTPStatus.BAD_REQUEST:
            raise ControlError(f"{method} {self.url}/_control/{path}: {status} {text[:300]}")
        return json.loads(text)


def fetch(url: str, path: str, method: str = "GET", data: Any = None, seconds: float = _SECONDS) -> tuple[int, str]:
    """One request: (status, text). Raises OSError or `http.client.HTTPException`."""
    parts = urlsplit(url)
    connection = http.client.HTTPConnection(parts.hostname or "", parts.port, timeout=seconds)
    body = None if data is None else json.dumps(data).encode()
    try:
        connection.request(method, path, body, {"Content-Type": "application/json"})
        answer = connection.getresponse()
        return answer.status, answer.read().decode("utf-8", "replace")
    finally:
        connection.close()


def answers(url: str, path: str) -> bool:
    """Whether a GET gives 200 now."""
    try:
        return fetch(url, path, seconds=2.0)[0] == http.HTTPStatus.OK
    except (OSError, http.client.HTTPException):
        return False
