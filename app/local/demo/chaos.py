"""`--chaos SEED`: kill -9 for the worker's processes at random moments, some of them the worst ones."""

from __future__ import annotations

import random
import threading
import time

from app.local.demo.ledgers import Tail
from app.local.demo.story import Story
from app.local.world import World

_PAUSE = (2.0, 7.0)
_LIFE = 2.5
_WORST = 0.35
_LOOK = 0.002


class Chaos:
    """A thread that kills and restarts until it is ended. `kills` counts."""

    def __init__(self, world: World, story: Story, seed: int) -> None:
        self._world = world
        self._story = story
        self._random = random.Random(seed)  # noqa: S311 - it must be repeatable, not unguessable
        self._calls = Tail(world.ledger("aliexpress"))
        self._ended = threading.Event()
        self._thread = threading.Thread(target=self._run, name="chaos", daemon=True)
        self.kills = 0

    def start(self) -> None:
        """Begin."""
        self._thread.start()

    def end(self) -> None:
        """Stop; the worker runs afterwards."""
        self._ended.set()
        if self._thread.is_alive():  # what failed before it was started is to be told, not this
            self._thread.join()

    def _run(self) -> None:
        while not self._ended.is_set():
            began = time.monotonic()
            wait = self._random.uniform(*_PAUSE)
            why = "at a random moment"
            while time.monotonic() - began < wait and not self._ended.is_set():
                # An order call has reached AliExpress and its answer is not written down: nothing is worse than now.
                if self._called() and time.monotonic() - began > _LIFE and self._random.random() < _WORST:
                    why = "while an order is being placed"
                    break
                time.sleep(_LOOK)
            if not self._ended.is_set():
                self._kill(why)

    def _called(self) -> bool:
        return any(line["op"] in {"create_call", "create"} for line in list(self._calls.read()))

    def _kill(self, why: str) -> None:
        count = self._world.worker.kill()
        self.kills += 1
        self._story.say("Chaos", f"kill -9 to the worker ({count} processes) {why}; it is started again.")
        self._world.worker.start()
