"""The story on the terminal: one line a step, in the order of time, each with who does it."""

from __future__ import annotations

import heapq
import itertools
import os
import shutil
import textwrap
import threading
import time
from typing import TextIO

_COLOURS = {
    "Buyer": "36",
    "Shop": "35",
    "Waybill": "1;32",
    "AliExpress": "33",
    "Merchant": "34",
    "Chaos": "1;31",
    "Demo": "2",
}
_WIDEST = 110
_INDENT = 21


class Story:
    """Lines are put in from any thread, with the time at which things happened, and printed in that order.

    Nothing is printed before it is `lag` seconds old, so that a source which is read late still comes first.
    """

    def __init__(self, out: TextIO, *, lag: float = 0.6) -> None:
        self._out = out
        self._lag = lag
        self._began = time.time()
        self._lines: list[tuple[float, int, str, str]] = []
        self._numbers = itertools.count()
        self._lock = threading.Lock()
        self._colours = out.isatty() and "NO_COLOR" not in os.environ
        self._width = min(shutil.get_terminal_size((_WIDEST, 24)).columns, _WIDEST) if out.isatty() else _WIDEST
        self._ended = threading.Event()
        self._thread = threading.Thread(target=self._print, name="story", daemon=True)
        self._thread.start()

    def say(self, actor: str, text: str, at: float | None = None) -> None:
        """One step. `at`: when it happened, in epoch seconds."""
        with self._lock:
            heapq.heappush(self._lines, (time.time() if at is None else at, next(self._numbers), actor, text))

    def head(self, text: str) -> None:
        """A heading."""
        self.say("", text)

    def flush(self) -> None:
        """Print all there is, old enough or not."""
        self._take(float("inf"))

    def plain(self, text: str) -> None:
        """Text that is no step, at once, after all steps so far."""
        self.flush()
        self._out.write(text + "\n")
        self._out.flush()

    def colour(self, text: str, code: str) -> str:
        """Coloured on a terminal, plain elsewhere."""
        return f"\033[{code}m{text}\033[0m" if self._colours and code else text

    def end(self) -> None:
        """Print the rest; nothing is told afterwards by itself."""
        self._ended.set()
        self._thread.join()
        self.flush()

    def _print(self) -> None:
        while not self._ended.wait(0.1):
            self._take(time.time() - self._lag)

    def _take(self, until: float) -> None:
        with self._lock:
            while self._lines and self._lines[0][0] <= until:
                at, _, actor, text = heapq.heappop(self._lines)
                self._out.write(self._line(at, actor, text) + "\n")
            self._out.flush()

    def _line(self, at: float, actor: str, text: str) -> str:
        if not actor:
            return "\n" + self.colour(text, "1")
        since = f"{max(at - self._began, 0):6.1f} s"
        name = self.colour(f"{actor:<10}", _COLOURS.get(actor, ""))
        body = textwrap.wrap(text, max(self._width - _INDENT, 40)) or [""]
        return f"{self.colour(since, '2')}  {name} " + ("\n" + " " * _INDENT).join(body)
