"""granian as production starts it (the line of the Procfile), for what a development server does differently."""

from __future__ import annotations

import http.client
import os
import re
import shlex
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Mapping
from pathlib import Path

import psutil

ROOT = Path(__file__).parents[2]


def command(port: int, threads: int | None) -> list[str]:
    """The web line of the Procfile on a loopback port: as it stands, or with one worker of so many threads."""
    line = next(one for one in (ROOT / "Procfile").read_text("utf-8").splitlines() if one.startswith("web:"))
    defaults = re.sub(r"\$\{\w+:-(\w+)\}", r"\1", line.removeprefix("web:"))
    words = shlex.split(defaults)
    chosen = {"--host": "127.0.0.1", "--port": str(port)}
    if threads is not None:
        chosen |= {"--workers": "1", "--blocking-threads": str(threads)}
    for place, word in enumerate(words[:-1]):
        words[place + 1] = chosen.get(word, words[place + 1])
    return [str(Path(sys.executable).parent / words[0]), *words[1:]]


class Granian:
    """One web server process."""

    def __init__(self, environment: Mapping[str, str], folder: Path, *, threads: int | None = 8) -> None:
        with socket.socket() as free:
            free.bind(("127.0.0.1", 0))
            self.port: int = free.getsockname()[1]
        self.log = folder / "granian.log"
        kept = {name: os.environ[name] for name in ("PATH", "HOME", "LANG") if name in os.environ}
        with self.log.open("wb") as log:
            self._process = subprocess.Popen(
                command(self.port, threads),
                cwd=ROOT,
                env={**kept, **environment},
                stdout=log,
                stderr=subprocess.STDOUT,
                start_new_session=True,
            )
        self._wait()

    def _wait(self) -> None:
        deadline = time.monotonic() + 30
        while True:
            try:
                if self.call("GET", "/healthz")[0] == 200:
                    return
            except OSError:
                pass
            assert self._process.poll() is None, self.log.read_text("utf-8", "replace")
            assert time.monotonic() < deadline, self.log.read_text("utf-8", "replace")
            time.sleep(0.05)

    def call(
        self, method: str, path: str, body: bytes | None = None, headers: Mapping[str, str] | None = None
    ) -> tuple[int, bytes]:
        """One request on a connection of its own: (status, body)."""
        connection = http.client.HTTPConnection("127.0.0.1", self.port, timeout=20)
        try:
            connection.request(method, path, body, dict(headers or {}))
            answer = connection.getresponse()
            return answer.status, answer.read()
        finally:
            connection.close()

    def connect(self) -> socket.socket:
        """A raw connection."""
        return socket.create_connection(("127.0.0.1", self.port), timeout=20)

    def raw(self, data: bytes, *, half_close: bool = False) -> int:
        """Send bytes as they are; the status of the answer, 0 if the server just hung up."""
        with self.connect() as connection:
            try:
                connection.sendall(data)
                if half_close:
                    connection.shutdown(socket.SHUT_WR)
            except OSError:  # it may answer and hang up before all is sent
                pass
            return status_of(connection)

    def memory(self) -> int:
        """Bytes that the server and its workers hold."""
        parent = psutil.Process(self._process.pid)
        return sum(one.memory_info().rss for one in (parent, *parent.children(recursive=True)))

    def stop(self) -> None:
        """End it."""
        self._process.terminate()
        try:
            self._process.wait(10)
        except subprocess.TimeoutExpired:
            os.killpg(self._process.pid, signal.SIGKILL)
            self._process.wait(10)


def status_of(connection: socket.socket) -> int:
    """The status line that comes, 0 if none does."""
    head = b""
    try:
        while b"\r\n" not in head:
            part = connection.recv(4096)
            if not part:
                break
            head += part
    except OSError:
        return 0
    words = head.split(b" ", 2)
    return int(words[1]) if len(words) > 1 and words[1].isdigit() else 0
