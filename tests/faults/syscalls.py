"""The unmodified worker, killed by `strace` at its k-th system call that writes, sends, reads or syncs.

No named point is installed here: what dies is `flask worker` as it is deployed, wherever it happens to be.
"""

from __future__ import annotations

import os
import random
import shutil
import subprocess
import sys
import threading
from collections.abc import Iterator, Mapping
from contextlib import suppress
from pathlib import Path

from tests.faults.roles import ROOT, kill

CALLS = "sendto,sendmsg,write,recvfrom,fdatasync,fsync,?rename"
MOST = 2000
"""System calls of these kinds that a thread of a worker makes in a script: `when=k` counts for each of them."""


class StraceMissing(RuntimeError):
    """`strace` is not installed here, or may not trace."""


def refuse_without_strace() -> None:
    """Raises `StraceMissing`, which says what to do."""
    if shutil.which("strace") is None:
        raise StraceMissing("strace is missing (apt-get install strace): no worker is killed at system calls")
    tried = subprocess.run(["strace", "-f", "-o", os.devnull, "true"], capture_output=True, check=False)
    if tried.returncode:
        raise StraceMissing("strace is there but may not trace (ptrace is forbidden here)")


def drawn(seed: int) -> Iterator[int]:
    """Numbers of system calls, without end; small ones, at its start, as often as late ones."""
    draw = random.Random(seed)
    while True:
        yield draw.randint(1, draw.choice((MOST // 20, MOST // 4, MOST)))


class Traced:
    """A worker under strace until it is killed; then workers without it. `died`: whether that happened."""

    def __init__(self, environment: Mapping[str, str], folder: Path, number: int) -> None:
        self._environment = {**os.environ, **environment, "LOG_LEVEL": "WARNING"}
        self._log = folder / "worker.log"
        self._over = threading.Event()
        self.died = False
        # Without --seccomp-bpf: with it, strace 6.1 injects nothing.
        inject = ["-e", f"trace={CALLS}", "-e", f"inject={CALLS}:signal=KILL:when={number}"]
        self._process = self._start("strace", "-f", "-qq", "-o", os.devnull, *inject)
        self._thread = threading.Thread(target=self._look_after, daemon=True)
        self._thread.start()

    def _start(self, *before: str) -> subprocess.Popen[bytes]:
        with self._log.open("ab") as log:
            return subprocess.Popen(
                [*before, sys.executable, "-m", "flask", "worker"],
                cwd=ROOT, env=self._environment, stdout=log, stderr=log, start_new_session=True,
            )  # fmt: skip

    def _look_after(self) -> None:
        """A worker's supervisor would have its next one traced as well, which then dies at the same number."""
        while not self._over.wait(0.1):
            if not self.died and (b"worker_ended" in self._log.read_bytes() or self._process.poll() is not None):
                self.died = True
                kill(self._process.pid)
                self._process.wait()
                self._process = self._start()

    def close(self) -> None:
        """Kill it."""
        self._over.set()
        self._thread.join()
        with suppress(ProcessLookupError):
            kill(self._process.pid)
        self._process.wait()
