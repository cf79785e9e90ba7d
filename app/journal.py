"""An fsync'd file of what placing calls answered, written before the database is told (lifecycle, T5)."""

from __future__ import annotations

import json
import os
import threading
from collections.abc import Iterator
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any


@dataclass(frozen=True, slots=True)
class Entry:
    """One answered send. `result` is the `PlaceResult` as plain data."""

    attempt_id: int
    purchase_id: int
    result: dict[str, Any]


class Journal:
    """One file per process in `STATE_DIR/journal`; read back by whichever process starts next."""

    def __init__(self, folder: Path) -> None:
        self._folder = folder / "journal"
        self._folder.mkdir(parents=True, exist_ok=True)
        self._lock = threading.Lock()
        self._file: int | None = None
        self._pid = 0

    def append(self, entry: Entry) -> None:
        """Write and fsync. Raises OSError if the disk refuses: the outcome then still goes to the database."""
        line = json.dumps(asdict(entry), separators=(",", ":")).encode() + b"\n"
        with self._lock:
            if self._file is None or self._pid != os.getpid():
                self._pid = os.getpid()
                path = self._folder / f"{self._pid}.jsonl"
                self._file = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_APPEND, 0o600)
            os.write(self._file, line)
            os.fsync(self._file)

    def entries(self) -> Iterator[Entry]:
        """Every readable entry of every file; a line cut by a crash is passed over."""
        for path in sorted(self._folder.glob("*.jsonl")):
            for line in path.read_bytes().splitlines():
                try:
                    yield Entry(**json.loads(line))
                except (ValueError, TypeError):
                    continue

    def tidy(self, recorded: set[int]) -> None:
        """Remove files of processes that are gone once all their attempts are recorded."""
        for path in self._folder.glob("*.jsonl"):
            pid = int(path.stem) if path.stem.isdigit() else 0
            if pid == os.getpid() or _alive(pid):
                continue
            attempts = {entry.attempt_id for entry in self._of(path)}
            if attempts <= recorded:
                path.unlink(missing_ok=True)

    @staticmethod
    def _of(path: Path) -> Iterator[Entry]:
        for line in path.read_bytes().splitlines():
            try:
                yield Entry(**json.loads(line))
            except (ValueError, TypeError):
                continue


def _alive(pid: int) -> bool:
    try:
        os.kill(pid, 0)
    except ProcessLookupError:
        return False
    except PermissionError:
        return True
    return True
