"""Connections that break: the socket under the request is shut down, as a cable pulled would do it."""

from __future__ import annotations

import socket
from collections.abc import Iterator
from contextlib import suppress

from flask import request


def _socket() -> socket.socket | None:
    found = request.environ.get("werkzeug.socket")
    return found if isinstance(found, socket.socket) else None


def _shut(sock: socket.socket | None) -> None:
    if sock is not None:
        with suppress(OSError):
            sock.shutdown(socket.SHUT_RDWR)


def hang_up() -> None:
    """No answer at all."""
    _shut(_socket())


def half(whole: bytes) -> Iterator[bytes]:
    """The first half of the body, then nothing."""
    sock = _socket()

    def parts() -> Iterator[bytes]:
        yield whole[: max(1, len(whole) // 2)]
        _shut(sock)

    return parts()
