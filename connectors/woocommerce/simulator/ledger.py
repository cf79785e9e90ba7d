"""What the simulator has really executed: one JSON line an act, written and flushed before the answer goes out.

A line also carries the rows that the act changed (`put`), so that a simulator killed at any moment starts again from
its ledger with everything it has ever confirmed.
"""

from __future__ import annotations

import json
import os
import threading
import weakref
from collections.abc import Iterator
from pathlib import Path
from typing import Any


class Ledger:
    """Append-only. `path` empty: kept in memory only."""

    def __init__(self, path: str) -> None:
        self._path = Path(path) if path else None
        self._lock = threading.Lock()
        self._seen: list[dict[str, Any]] = []
        self._file = -1
        if self._path is not None:
            self._path.parent.mkdir(parents=True, exist_ok=True)
            whole = self._mend(self._path)
            self._seen = [json.loads(line) for line in whole.splitlines() if line.strip()]
            self._file = os.open(self._path, os.O_WRONLY | os.O_APPEND | os.O_CREAT, 0o600)
            weakref.finalize(self, os.close, self._file)

    @staticmethod
    def _mend(path: Path) -> str:
        """The lines so far. Half a line at the end was never confirmed to anybody, and is cut off."""
        if not path.exists():
            return ""
        data = path.read_bytes()
        whole = data[: data.rfind(b"\n") + 1]
        if len(whole) != len(data):
            path.write_bytes(whole)
        return whole.decode("utf-8")

    def append(self, record: dict[str, Any]) -> None:
        """Write one line and hand it to the operating system."""
        with self._lock:
            line = {"n": len(self._seen) + 1, **record}
            if self._file >= 0:
                os.write(self._file, json.dumps(line, separators=(",", ":")).encode() + b"\n")
            line.pop("put", None)
            self._seen.append(line)

    def replay(self) -> Iterator[dict[str, Any]]:
        """The lines of an earlier life, rows included; forgets the rows afterwards."""
        for line in self._seen:
            yield line
            line.pop("put", None)

    def lines(self) -> list[dict[str, Any]]:
        """Everything so far, without the rows."""
        with self._lock:
            return list(self._seen)
