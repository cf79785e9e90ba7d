"""The append-only file of what was really executed; a killed simulator finds its world in it again.

Each line is `{"seq", "at", "event", ..., "state"}`. `state` holds the records as they were after the event and is meant
for the restart only: readers look at the rest.
"""

from __future__ import annotations

import json
import time
import weakref
from collections.abc import Iterator
from pathlib import Path
from typing import IO, Any


class Ledger:
    """Written and flushed before the answer goes out. Not thread-safe: the world's lock is held."""

    def __init__(self, path: str) -> None:
        self._path = Path(path) if path else None
        self._file: IO[str] | None = None
        self.lines: list[dict[str, Any]] = []

    def __del__(self) -> None:
        if self._file is not None:
            self._file.close()

    def replay(self) -> Iterator[dict[str, Any]]:
        """The `state` of each line of an existing file. A half-written last line was never answered and is cut off."""
        if self._path is None or not self._path.exists():
            return
        good = 0
        with self._path.open("rb") as file:
            for raw in file:
                try:
                    line = json.loads(raw) if raw.endswith(b"\n") else None
                except ValueError:
                    line = None
                if not isinstance(line, dict):
                    break
                good += len(raw)
                state = line.pop("state", {})
                self.lines.append(line)
                yield state
        with self._path.open("r+b") as file:
            file.truncate(good)

    def append(self, event: str, state: dict[str, Any], **details: Any) -> None:
        """Write one line."""
        line = {"seq": len(self.lines) + 1, "at": round(time.time(), 3), "event": event, **details}
        self.lines.append(line)
        if self._path is None:
            return
        if self._file is None:
            self._path.parent.mkdir(parents=True, exist_ok=True)
            self._file = self._path.open("a", encoding="utf-8")
            weakref.finalize(self, self._file.close)
        self._file.write(json.dumps({**line, "state": state}, separators=(",", ":")) + "\n")
        self._file.flush()
