"""The product's processes: two web servers, four workers, two schedulers, and whatever a person types."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Mapping
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import psutil

from app.local.control import answers
from app.local.ports import LOOPBACK, free_port
from app.local.processes import ROOT, production_command

WEBS, WORKERS, SCHEDULERS = 2, 4, 2
LOOK = 0.1
"""Seconds between two looks of whoever starts again what died, as a service manager does."""


@dataclass
class Member:
    """One process of the product, which is started again when it dies. `host`: what is its own: state, clock, log."""

    name: str
    words: list[str]
    host: Path
    port: int = 0
    pid: int = 0
    started: float = 0.0


class Fleet:
    """Started with `start`, ended with `close`; ended too when this process is killed."""

    def __init__(self, environment: Mapping[str, str], folder: Path) -> None:
        self._environment = dict(environment)
        self._folder = folder
        self._lock = threading.Lock()
        self._calls = 0
        self._nursery = subprocess.Popen(
            [sys.executable, "-m", "tests.soak.nursery"], cwd=ROOT, stdin=subprocess.PIPE, stdout=subprocess.PIPE
        )
        names = [("web", WEBS), ("worker", WORKERS), ("scheduler", SCHEDULERS)]
        self.members = [self._member(role, number) for role, count in names for number in range(1, count + 1)]
        self.restarts = 0
        self.broken = ""
        """Why nobody looks after the processes any more: somebody outside has killed whoever starts them."""
        self._over = threading.Event()
        self._keeper = threading.Thread(target=self._look_after, name="keeper", daemon=True)

    def _member(self, role: str, number: int) -> Member:
        host = self._folder / f"{role}-{number}"
        (host / "state").mkdir(parents=True)
        if role != "web":
            return Member(host.name, ["flask", "--app", "wsgi", role], host)
        port = free_port()
        _python, _m, *words = production_command("web", {"PORT": str(port), "WEB_WORKERS": "1", "WEB_THREADS": "32"})
        return Member(host.name, words, host, port)

    def start(self) -> None:
        """Start all of them, and whoever looks after them."""
        for member in self.members:
            self._start(member)
        self._keeper.start()

    def ports(self) -> list[int]:
        """Where the web servers listen, alive or not."""
        return [member.port for member in self.members if member.port]

    def up(self) -> bool:
        """Whether every process runs and every web server says that it is ready."""
        ready = all(answers(f"http://{LOOPBACK}:{port}", "/readyz") for port in self.ports())
        return ready and all(alive(member.pid) for member in self.members)

    def _start(self, member: Member) -> None:
        (member.host / "clock").unlink(missing_ok=True)
        asked = {
            "words": member.words,
            "environment": {**self._environment, "STATE_DIR": str(member.host / "state")},
            "log": str(member.host / "log"),
            "clock": str(member.host / "clock"),
        }
        member.pid, member.started = self._fork(asked), time.monotonic()

    def _fork(self, asked: Mapping[str, Any]) -> int:
        assert self._nursery.stdin is not None
        assert self._nursery.stdout is not None
        with self._lock:
            self._nursery.stdin.write(json.dumps(asked).encode() + b"\n")
            self._nursery.stdin.flush()
            return int(self._nursery.stdout.readline())

    def _look_after(self) -> None:
        while not self._over.wait(LOOK):
            for member in self.members:
                if not alive(member.pid):
                    kill_group(member.pid)  # what it had forked
                    self.restarts += 1
                    try:
                        self._start(member)
                    except (OSError, ValueError) as error:
                        self.broken = f"{member.name} cannot be started again: {error!r}"
                        return

    def type(self, *words: str, seconds: float = 60.0) -> tuple[int, Any]:
        """`flask WORDS --json` as a person types it: exit code and what it printed. TimeoutError if it does not end."""
        with self._lock:
            self._calls += 1
            number = self._calls
        out, ends = self._folder / f"typed-{number}.out", self._folder / f"typed-{number}.ends"
        environment = {**self._environment, "STATE_DIR": str(self._folder / "person")}
        words = ("flask", "--app", "wsgi", *words, "--json")
        pid = self._fork({"words": words, "environment": environment, "log": str(out), "ends": str(ends)})
        deadline = time.monotonic() + seconds
        while not ends.exists():
            if time.monotonic() > deadline:
                kill_group(pid)
                raise TimeoutError(" ".join(words))
            time.sleep(0.02)
        code, text = int(ends.read_text()), out.read_text()
        for path in (out, ends):
            path.unlink()
        try:
            return code, json.loads(text[text.index("\n", 0) if not text.startswith(("[", "{")) else 0 :])
        except ValueError:
            return code, text

    def family(self, member: Member) -> list[int]:
        """The process and those that it forked, itself first."""
        with suppress(psutil.NoSuchProcess):
            return [member.pid, *(child.pid for child in psutil.Process(member.pid).children(recursive=True))]
        return []

    def close(self) -> None:
        """Kill all of them."""
        self._over.set()
        if self._keeper.is_alive():
            self._keeper.join()
        for member in self.members:
            kill_group(member.pid)
        assert self._nursery.stdin is not None
        self._nursery.stdin.close()
        self._nursery.wait()
        if self._nursery.stdout is not None:
            self._nursery.stdout.close()


def kill_group(pid: int) -> None:
    """SIGKILL to a process and all that it forked."""
    if pid > 1:
        with suppress(ProcessLookupError, PermissionError):
            os.killpg(pid, signal.SIGKILL)


def alive(pid: int) -> bool:
    """Whether there is such a process."""
    try:
        os.kill(pid, 0)
    except ProcessLookupError:
        return False
    return True
