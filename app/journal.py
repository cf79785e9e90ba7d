"""An fsync'd file of what placing calls answered, written before the database is told (lifecycle, T5)."""

from __future__ import annotations

import json
import os
import socket
import threading
from collections.abc import Iterator
from dataclasses import asdict, dataclass, fields
from datetime import datetime
from pathlib import Path
from typing import Any


@dataclass(frozen=True, slots=True)
class Entry:
    """One answered send. `number` is our own order number: ids repeat after a restore, it does not.

    `result` is the `PlaceResult` as plain data; `at`: when it was sent, as its attempt has it (seconds since 1970 by
    the database's clock; 0: not told).
    """

    attempt_id: int
    purchase_id: int
    number: str
    result: dict[str, Any]
    at: float = 0.0


HOST = "".join(sign if sign.isalnum() else "_" for sign in socket.gethostname())
"""Several hosts may share one folder; process ids mean nothing across them."""
RESTS = 7 * 86_400
"""Seconds without an entry after which the newest file of another host may be removed."""
SEGMENT = 500
"""Entries per file: a full file is removed once all its attempts are in the database."""


class Journal:
    """Files of one process each in `STATE_DIR/journal`; read back by whichever process starts next."""

    def __init__(self, folder: Path) -> None:
        self._folder = folder / "journal"
        self._folder.mkdir(parents=True, exist_ok=True)
        self._lock = threading.Lock()
        self._file: int | None = None
        self._pid = 0
        self._written = 0
        self._segment = 0

    def append(self, entry: Entry) -> None:
        """Write and fsync. Raises OSError if the disk refuses: the outcome then still goes to the database."""
        # It begins a line of its own: a full disk may have cut the one before.
        line = b"\n" + json.dumps(asdict(entry), separators=(",", ":")).encode() + b"\n"
        with self._lock:
            file = self._open()
            os.write(file, line)
            os.fsync(file)
            self._written += 1

    def _open(self) -> int:
        mine = self._file is not None and self._pid == os.getpid() and self._written < SEGMENT
        if self._file is not None and mine and os.fstat(self._file).st_nlink:  # else somebody removed it under us
            return self._file
        if self._file is not None:
            os.close(self._file)
        self._pid, self._written, self._segment = os.getpid(), 0, self._segment + 1
        self._folder.mkdir(parents=True, exist_ok=True)
        self._file = self._next_file()
        sync_folder(self._folder)  # else a power cut may lose the new file's name, and with it what was fsync'd
        return self._file

    def _next_file(self) -> int:
        """A new file, above those of an earlier process with our number (containers count from 1 again)."""
        own = f"{HOST}-{self._pid}-"
        numbers = [path.stem.removeprefix(own) for path in self._folder.glob(f"{own}*.jsonl")]
        self._segment = max([self._segment, *(int(number) + 1 for number in numbers if number.isdecimal())])
        while True:
            path = self._folder / f"{HOST}-{self._pid}-{self._segment}.jsonl"
            try:
                return os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_APPEND, 0o600)
            except FileExistsError:
                self._segment += 1

    def entries(self) -> Iterator[Entry]:
        """Every readable entry of every file; a line cut by a crash is passed over."""
        for path in sorted(self._folder.glob("*.jsonl")):
            yield from self._of(path)

    def tidy(self, recorded: set[tuple[int, str]], now: datetime) -> None:
        """Remove files that nobody writes any more once all their entries, (attempt, number), are recorded."""
        for path in self._folder.glob("*.jsonl"):
            named = path.stem.rsplit("-", 2)
            if len(named) != 3 or not (named[1].isdecimal() and named[2].isdecimal()):
                continue  # not one of ours
            host, pid, segment = named
            newest = not (self._folder / f"{host}-{pid}-{int(segment) + 1}.jsonl").exists()
            if newest and (_alive(int(pid)) if host == HOST else _lately(path, now)):
                continue
            if {(entry.attempt_id, entry.number) for entry in self._of(path)} <= recorded:
                path.unlink(missing_ok=True)

    @staticmethod
    def _of(path: Path) -> Iterator[Entry]:
        try:
            lines = path.read_bytes().splitlines()
        except (FileNotFoundError, IsADirectoryError):
            return
        for line in lines:
            entry = _entry(line)
            if entry is not None:
                yield entry


_LARGEST = 2**63 - 1
_LATEST = 2**34
"""Seconds since 1970: the year 2514."""


def _entry(line: bytes) -> Entry | None:
    """None for what is no entry: cut by a crash, or written by nobody of ours."""
    try:
        raw: Any = json.loads(line)
    except (ValueError, RecursionError):
        return None
    if not isinstance(raw, dict):
        return None
    attempt, purchase, number, result, at = (raw.get(one.name) for one in fields(Entry))
    for whole in (attempt, purchase):
        if type(whole) is not int or not 0 < whole <= _LARGEST:
            return None
    if not (isinstance(number, str) and isinstance(result, dict)):
        return None
    told = float(at) if isinstance(at, int | float) and 0 < at < _LATEST else 0.0
    return Entry(int(str(attempt)), int(str(purchase)), number, result, told)


def sync_folder(folder: Path) -> None:
    """Make the names in a folder last through a power cut. Raises OSError."""
    handle = os.open(folder, os.O_RDONLY | os.O_DIRECTORY)
    try:
        os.fsync(handle)
    finally:
        os.close(handle)


def _lately(path: Path, now: datetime) -> bool:
    """Another host's process cannot be asked; a host that wrote nothing for a week is taken to be gone."""
    try:
        return now.timestamp() - path.stat().st_mtime < RESTS
    except FileNotFoundError:
        return False


def _alive(pid: int) -> bool:
    try:
        os.kill(pid, 0)
    except ProcessLookupError:
        return False
    except PermissionError:
        return True
    return True
