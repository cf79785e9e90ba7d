"""A small HTTP/1.1 relay: the place between two parts where the test's proxies do harm."""

from __future__ import annotations

import http.client
import socket
import struct
import threading
from contextlib import suppress
from dataclasses import dataclass
from io import BufferedReader

SECONDS = 20.0
"""For which a connection may be idle."""


@dataclass(frozen=True, slots=True)
class Request:
    """One request as it came."""

    method: str
    path: str
    headers: dict[str, str]
    body: bytes


@dataclass(frozen=True, slots=True)
class Reply:
    """The whole answer as bytes. `cut`: how many of them are sent before the connection ends; `reset`: by RST."""

    raw: bytes
    cut: int | None = None
    reset: bool = False


class Broken(Exception):
    """End this connection; `reset` by RST."""

    def __init__(self, *, reset: bool = False) -> None:
        super().__init__("broken")
        self.reset = reset


class Relay:
    """Listens on a free loopback port; `handle` of a subclass answers each request."""

    def __init__(self) -> None:
        self._listener = socket.create_server(("127.0.0.1", 0), backlog=256)
        self.port: int = self._listener.getsockname()[1]
        self.url = f"http://127.0.0.1:{self.port}"
        threading.Thread(target=self._accept, name="relay", daemon=True).start()

    def handle(self, request: Request) -> Reply:
        """The answer. Raises `Broken`, or OSError for a bad gateway."""
        raise NotImplementedError

    def close(self) -> None:
        """Take no more connections."""
        with suppress(OSError):
            self._listener.shutdown(socket.SHUT_RDWR)
        self._listener.close()

    def _accept(self) -> None:
        with suppress(OSError):
            while True:
                connection, _ = self._listener.accept()
                threading.Thread(target=self._serve, args=(connection,), daemon=True).start()

    def _serve(self, connection: socket.socket) -> None:
        with connection, suppress(OSError), connection.makefile("rb") as reader:
            connection.settimeout(SECONDS)
            connection.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
            while request := _read(reader):
                try:
                    reply = self.handle(request)
                except Broken as broken:
                    _end(connection, reset=broken.reset)
                    return
                except (OSError, http.client.HTTPException):
                    reply = Reply(b"HTTP/1.1 502 Bad Gateway\r\nContent-Length: 0\r\nConnection: close\r\n\r\n")
                connection.sendall(reply.raw if reply.cut is None else reply.raw[: reply.cut])
                if reply.cut is not None or b"connection: close" in reply.raw[:2000].lower():
                    _end(connection, reset=reply.reset)
                    return


def _end(connection: socket.socket, *, reset: bool) -> None:
    if reset:
        connection.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
    else:
        with suppress(OSError):
            connection.shutdown(socket.SHUT_RDWR)


def _read(reader: BufferedReader) -> Request | None:
    first = reader.readline(65_536).decode("latin-1").split()
    if len(first) < 2:
        return None
    headers = {}
    while (line := reader.readline(65_536).decode("latin-1").rstrip("\r\n")) != "":
        name, _, value = line.partition(":")
        headers[name.strip().lower()] = value.strip()
    return Request(first[0], first[1], headers, reader.read(int(headers.get("content-length") or 0)))


def forward(request: Request, port: int, seconds: float = SECONDS) -> bytes:
    """Send it on and give the whole answer, with a length. Raises OSError or `http.client.HTTPException`."""
    connection = http.client.HTTPConnection("127.0.0.1", port, timeout=seconds)
    try:
        kept = {name: value for name, value in request.headers.items() if name not in {"connection", "content-length"}}
        connection.request(request.method, request.path, request.body or None, kept)
        answer = connection.getresponse()
        body = answer.read()
        left_out = {"connection", "content-length", "transfer-encoding", "keep-alive"}
        lines = [f"{name}: {value}" for name, value in answer.getheaders() if name.lower() not in left_out]
        head = [f"HTTP/1.1 {answer.status} {answer.reason}", *lines, f"Content-Length: {len(body)}", "", ""]
        return "\r\n".join(head).encode("latin-1") + (b"" if request.method == "HEAD" else body)
    finally:
        connection.close()
