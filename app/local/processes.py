"""A process of the local world: its log in a file, its watchdog beside it, waited for by asking it."""

from __future__ import annotations

import contextlib
import os
import re
import shlex
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Mapping
from pathlib import Path

import psutil

from app.local import watchdog
from app.local.ports import LOOPBACK

ROOT = Path(__file__).resolve().parents[2]
"""The checkout."""

_POLL_SECONDS = 0.05
_KEPT = ("PATH", "HOME", "LANG", "LC_ALL", "TMPDIR", "TZ")


class ProcessFailedError(RuntimeError):
    """A process ended or did not become ready; the text holds the end of its log."""


class LocalProcess:
    """A program that is ended with us, however we end. `command` runs in the checkout."""

    def __init__(self, name: str, command: list[str], environment: Mapping[str, str], log: Path) -> None:
        """Nothing runs before `start()`."""
        self.name = name
        self.log = log
        self._command = command
        self._environment = {**{key: os.environ[key] for key in _KEPT if key in os.environ}, **environment}
        self._process: subprocess.Popen[bytes] | None = None
        self._watchdog: subprocess.Popen[bytes] | None = None

    def start(self) -> None:
        """Start it, and a watchdog that ends it when we are gone."""
        self.log.parent.mkdir(parents=True, exist_ok=True)
        with self.log.open("ab") as log:
            self._process = subprocess.Popen(
                self._command,
                cwd=ROOT,
                env=self._environment,
                stdin=subprocess.DEVNULL,
                stdout=log,
                stderr=log,
                # A Ctrl-C in the terminal is for us; we end the others, in order.
                start_new_session=True,
            )
        arguments = (os.getpid(), self._process.pid, int(signal.SIGTERM))
        self._watchdog = subprocess.Popen(
            [sys.executable, "-I", "-S", watchdog.__file__, *map(str, arguments)],
            stdin=subprocess.DEVNULL,
            stdout=subprocess.DEVNULL,
            stderr=subprocess.DEVNULL,
            start_new_session=True,
        )

    def wait_ready(self, is_ready: Callable[[], bool], *, seconds: float = 60.0) -> None:
        """Ask until it is ready. Raises `ProcessFailedError` with the end of its log."""
        deadline = time.monotonic() + seconds
        while self.is_running() and time.monotonic() < deadline:
            if is_ready():
                return
            time.sleep(_POLL_SECONDS)
        what = "did not become ready" if self.is_running() else "ended at once"
        raise ProcessFailedError(f"{self.name} {what}; the end of {self.log}:\n{self.tail()}")

    def is_running(self) -> bool:
        """Whether it lives."""
        return self._process is not None and self._process.poll() is None

    def said(self, word: str) -> bool:
        """Whether its log holds `word`."""
        return word in self.log.read_text(encoding="utf-8", errors="replace")

    def tail(self, lines: int = 20) -> str:
        """The end of its log."""
        return "\n".join(self.log.read_text(encoding="utf-8", errors="replace").splitlines()[-lines:])

    def ask_to_stop(self) -> None:
        """SIGTERM, without waiting."""
        if self.is_running() and self._process is not None:
            self._process.terminate()

    def stop(self, seconds: float = 10.0) -> None:
        """Wait for its end after SIGTERM; then end the hard way whatever is left of it. Harmless when it has ended."""
        process = self._process
        if process is not None:
            family = self._family()
            self.ask_to_stop()
            try:
                process.wait(seconds)
            except subprocess.TimeoutExpired:
                process.kill()
                process.wait()
            _, left = psutil.wait_procs(family, timeout=1)
            for child in left:
                with contextlib.suppress(psutil.NoSuchProcess):
                    child.kill()
        self._forget()

    def kill(self) -> int:
        """SIGKILL to it and all its children at once, as a power cut would. Gives how many processes that were."""
        family = self._family()
        process = self._process
        if process is not None:
            process.kill()
        for child in family:
            with contextlib.suppress(psutil.NoSuchProcess):
                child.kill()
        if process is not None:
            process.wait()
        psutil.wait_procs(family, timeout=5)
        self._forget()
        return len(family) + 1

    def _family(self) -> list[psutil.Process]:
        if self._process is None:
            return []
        try:
            return psutil.Process(self._process.pid).children(recursive=True)
        except psutil.NoSuchProcess:
            return []

    def _forget(self) -> None:
        self._process = None
        if self._watchdog is not None:
            self._watchdog.kill()
            self._watchdog.wait()
            self._watchdog = None


def flask(*arguments: str) -> list[str]:
    """A `flask …` command line in our own environment."""
    return [sys.executable, "-m", "flask", "--app", "wsgi", *arguments]


def production_command(name: str, variables: Mapping[str, str]) -> list[str]:
    """The command of a process as the Procfile has it for production, but listening on loopback only."""
    lines = (ROOT / "Procfile").read_text(encoding="utf-8").splitlines()
    line = next(rest for word, _, rest in (line.partition(":") for line in lines) if word == name)
    filled = re.sub(r"\$\{(\w+):-([^}]*)\}", lambda found: variables.get(found[1], found[2]), line)
    program, *words = shlex.split(filled)
    words = [LOOPBACK if word == "0.0.0.0" else word for word in words]  # noqa: S104 - it is what we replace
    return [sys.executable, "-m", program, *words]
