"""The product's processes of one run: started, looked after like a service manager does, killed at the end."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Mapping, Sequence
from contextlib import suppress
from dataclasses import asdict
from pathlib import Path

from tests.faults.chain import MOST, swept
from tests.faults.points import EXCEPTION, Shot

ROOT = Path(__file__).parents[2]
ROLES = ("web", "worker", "scheduler")
PAUSE = 0.1


class Zygote:
    """The forking process. Shared by any number of runs at a time."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._process = subprocess.Popen(
            [sys.executable, "-m", "tests.faults.zygote"],
            cwd=ROOT, stdin=subprocess.PIPE, stdout=subprocess.PIPE,
            start_new_session=True,  # Ctrl-C is for us, who end it
        )  # fmt: skip

    def start(self, asked: Mapping[str, object]) -> int:
        """Fork one; gives its process id, which is that of its process group as well."""
        assert self._process.stdin is not None
        assert self._process.stdout is not None
        with self._lock:
            self._process.stdin.write(json.dumps(asked).encode() + b"\n")
            self._process.stdin.flush()
            return int(self._process.stdout.readline())

    def close(self) -> None:
        """Kill everything that it started, and end."""
        assert self._process.stdin is not None
        with suppress(BrokenPipeError):  # somebody ended it
            self._process.stdin.close()
        self._process.wait()
        if self._process.stdout is not None:
            self._process.stdout.close()


class Roles:
    """Web, worker and scheduler of one run; whoever dies is started again.

    `together`: the shots of the plan come in any order, and each takes its whole role along, as when a machine dies.
    Else a worker's supervisor lives on and replaces it, later each time; but each death that others follow takes all
    roles along, as when the only machine dies, so that the next one can be met at any point of a start.
    """

    def __init__(
        self,
        zygote: Zygote,
        environment: Mapping[str, str],
        folder: Path,
        port: int,
        plan: Sequence[Shot] = (),
        *,
        together: bool = False,
        chain: str = "",
        roles: Sequence[str] = ROLES,
    ) -> None:
        """`chain`: the first point of a chain, of which nobody knows how long it will be."""
        self._zygote = zygote
        self.asked = {
            "environment": dict(environment),
            "folder": str(folder),
            "plan": [asdict(shot) for shot in plan],
            "together": together,
            "chain": chain,
            "port": port,
        }
        """What each process of this run is started with, beside its role."""
        self._folder = folder
        self._deaths = [
            (shot.point.split(" | ")[0], folder / f"fired-{number}")
            for number, shot in enumerate(plan)
            if together and shot.kind != EXCEPTION
        ]
        followed = MOST if chain else len(plan) - 1
        self._followed = [number for number in range(followed) if not together]
        """Numbers of the deaths, still to come, that take all roles along."""
        self._pids = {role: self._start(role) for role in roles}
        self.restarts = 0
        self._over = threading.Event()
        self._thread = threading.Thread(target=self._look_after, daemon=True)
        self._thread.start()

    def _start(self, role: str) -> int:
        return self._zygote.start({**self.asked, "role": role, "log": str(self._folder / f"{role}.log")})

    def _look_after(self) -> None:
        while not self._over.wait(PAUSE):
            for role, fired in [death for death in self._deaths if death[1].exists()]:
                self._deaths.remove((role, fired))
                if role in self._pids:
                    kill(self._pids[role])
            for number in [number for number in self._followed if (self._folder / f"fired-{number}").exists()]:
                self._followed.remove(number)
                self._all_die(number)
            for role, pid in self._pids.items():
                if not _alive(pid):
                    kill(pid)  # what it had forked
                    self.restarts += 1
                    self._pids[role] = self._start(role)

    def _all_die(self, number: int) -> None:
        while any(map(_alive, self._pids.values())) and not self._over.is_set():
            for pid in self._pids.values():
                kill(pid)  # again: who was just forked may not lead its group yet
            time.sleep(0.01)
        swept(self._folder, number).touch()

    def pid(self, role: str) -> int:
        """The process that has this role now."""
        return self._pids[role]

    def close(self) -> None:
        """Kill all of them."""
        self._over.set()
        self._thread.join()
        for pid in self._pids.values():
            kill(pid)
        deadline = time.monotonic() + 5
        while any(_alive(pid) for pid in self._pids.values()) and time.monotonic() < deadline:
            time.sleep(0.02)


def kill(group: int) -> None:
    """SIGKILL to a role and all that it forked."""
    with suppress(ProcessLookupError):
        os.killpg(group, signal.SIGKILL)


def _alive(pid: int) -> bool:
    try:
        os.kill(pid, 0)
    except ProcessLookupError:
        return False
    return True
