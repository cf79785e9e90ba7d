"""Whoever breaks things: kills, stops, wipes, cuts and sets clocks wrong, by the seed's choice."""

from __future__ import annotations

import os
import random
import signal
import threading
import time
from collections import Counter
from collections.abc import Callable
from contextlib import suppress

from app.local.embedded import EmbeddedServices
from tests.soak.fleet import Fleet, Member

PAUSE = 180.0
"""Seconds between two acts in real time, on the average; divided by the time scale."""
WEIGHTS = {
    "kill": 76,
    "stop for a moment": 7,
    "stop beyond the kill limit": 5,
    "clock jumps": 5,
    "valkey wiped": 3,
    "valkey killed": 2,
    "postgres restarted": 2,
}
HOUR = 3600.0


class Nemesis:
    """One thread. `counts`: what it did; `kills`: SIGKILLs to processes of the product."""

    def __init__(self, fleet: Fleet, services: EmbeddedServices, seed: int, scale: float, kill_after: float) -> None:
        self._fleet, self._services = fleet, services
        self._random = random.Random(seed + 2)
        self._pause = PAUSE / scale
        self._kill_after = kill_after
        self._over = threading.Event()
        self._thread = threading.Thread(target=self._rage, name="nemesis", daemon=True)
        self._later: list[threading.Thread] = []
        self.counts: Counter[str] = Counter()
        self.kills = 0
        self.failed: list[str] = []
        self._acts: dict[str, Callable[[], None]] = {
            "kill": self._kill,
            "stop for a moment": lambda: self._stop(self._kill_after * self._random.uniform(0.05, 0.4)),
            "stop beyond the kill limit": lambda: self._stop(self._kill_after * self._random.uniform(1.3, 2.0)),
            "clock jumps": self._jump,
            "valkey wiped": self._wipe,
            "valkey killed": self._kill_valkey,
            "postgres restarted": self._restart_postgres,
        }

    def start(self) -> None:
        """Begin."""
        self._thread.start()

    def end(self) -> None:
        """Do nothing more, and put back what was stopped."""
        self._over.set()
        self._thread.join()
        for thread in self._later:
            thread.join()

    def _rage(self) -> None:
        names, weights = list(WEIGHTS), list(WEIGHTS.values())
        while not self._over.wait(self._random.uniform(0.5, 1.5) * self._pause):
            name = self._random.choices(names, weights)[0]
            self.counts[name] += 1
            try:
                self._acts[name]()
            except Exception as error:  # noqa: BLE001 - the run goes on, and the figures say so
                self.failed.append(f"{name}: {error!r}")

    def _victim(self) -> Member:
        return self._random.choice(self._fleet.members)

    def _kill(self) -> None:
        """One process of the family, or all of it at once."""
        family = self._fleet.family(self._victim())
        for pid in family if self._random.random() < 0.4 else [self._random.choice(family)] if family else []:
            with suppress(ProcessLookupError):
                os.kill(pid, signal.SIGKILL)
        self.kills += bool(family)

    def _stop(self, seconds: float) -> None:
        family = self._fleet.family(self._victim())
        pids = family[1:] or family  # who watches goes on
        _send(pids, signal.SIGSTOP)
        self._after(seconds, lambda: _send(pids, signal.SIGCONT))

    def _jump(self) -> None:
        """A host's clock is wrong for a while, by an hour at most."""
        member = self._victim()
        file = member.host / "clock"
        file.write_text(str(self._random.uniform(-HOUR, HOUR)))
        self._after(self._pause * 4, lambda: file.unlink(missing_ok=True))

    def _wipe(self) -> None:
        import redis  # noqa: PLC0415

        with redis.Redis.from_url(self._services.valkey.url) as client:
            client.flushall()

    def _kill_valkey(self) -> None:
        self._services.valkey.kill()
        time.sleep(self._pause / 4)
        self._services.valkey.start()

    def _restart_postgres(self) -> None:
        """`immediate`: every connection breaks, nothing is written down in order, and the log is replayed."""
        server = self._services.postgres
        os.kill(server.pid, signal.SIGQUIT)
        deadline = time.monotonic() + 20
        while server.is_running() and time.monotonic() < deadline:
            time.sleep(0.02)
        server.kill()  # what is left, and its books
        server.start()

    def _after(self, seconds: float, act: Callable[[], object]) -> None:
        def wait() -> None:
            self._over.wait(seconds)
            act()

        thread = threading.Thread(target=wait, daemon=True)
        thread.start()
        self._later = [one for one in self._later if one.is_alive()] + [thread]


def _send(pids: list[int], number: signal.Signals) -> None:
    for pid in pids:
        with suppress(ProcessLookupError):
            os.kill(pid, number)
