"""An fsync'd file of what placing calls answered, written before the database is told (lifecycle, T5)."""

from __future__ import annotations

import errno
import json
import os
import socket
import threading
from collections.abc import Iterator
from contextlib import suppress
from dataclasses import asdict, dataclass, fields
from datetime import datetime, timedelta
from pathlib import Path
from typing import Any

from app.journal_numbers import DONE, LIVE, Numbers
from app.ports.supplier import PlaceOutcome


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

    @property
    def key(self) -> Key:
        """Which send it answers: after a restore ids repeat, and a number may if nothing was bought under it."""
        return self.attempt_id, self.number, self.at

    @property
    def nothing(self) -> bool:
        """Whether it says that nothing was bought, and may be sent again."""
        return self.result.get("outcome") in _NOTHING


Key = tuple[int, str, float]
_NOTHING = frozenset((PlaceOutcome.NOT_SENT.value, PlaceOutcome.NOT_EXECUTED.value))
HOST = "".join(sign if sign.isalnum() else "_" for sign in socket.gethostname())
"""Several hosts may share one folder; process ids mean nothing across them."""
RESTS = timedelta(days=7)
"""Time without an entry after which the newest file of another host may be put aside."""
SEGMENT = 500
"""Entries per file: a full file is put aside once all its attempts are in the database."""


class Journal:
    """Files of one process each in `STATE_DIR/journal`; read back by whichever process starts next.

    What is in the database is put aside and kept for a while: it is the proof of what a restored backup has forgotten.
    """

    def __init__(self, folder: Path) -> None:
        self._folder = folder / "journal"
        self._folder.mkdir(parents=True, exist_ok=True)
        self._lock = threading.Lock()
        self._numbers = Numbers(self._folder, _bought)
        self._file: int | None = None
        self._path = self._folder
        self._pid = 0
        self._written = 0
        self._segment = 0

    def append(self, entry: Entry) -> None:
        """Write and fsync. Raises OSError if the disk takes not all of it: the outcome still goes to the database."""
        # It begins a line of its own: a full disk may have cut the one before.
        line = b"\n" + json.dumps(asdict(entry), separators=(",", ":")).encode() + b"\n"
        with self._lock:
            file = self._open()
            _write_whole(file, line)
            os.fsync(file)
            self._written += 1

    def _open(self) -> int:
        mine = self._file is not None and self._pid == os.getpid() and self._written < SEGMENT
        if self._file is not None and mine and _is_at(self._file, self._path):  # else somebody took it away under us
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
        numbers = [path.stem.removeprefix(own) for path in self._folder.glob(f"{own}*") if path.suffix in {LIVE, DONE}]
        self._segment = max([self._segment, *(int(number) + 1 for number in numbers if number.isdecimal())])
        while True:
            self._path = self._folder / f"{HOST}-{self._pid}-{self._segment}{LIVE}"
            try:
                return os.open(self._path, os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_APPEND, 0o600)
            except FileExistsError:
                self._segment += 1

    def entries(self, *, kept: bool = False) -> Iterator[Entry]:
        """Every readable entry of every file, `kept`: also of those put aside; a line cut by a crash is passed over."""
        live = sorted(self._folder.glob(f"*{LIVE}"))
        # Listed after the others: one that is put aside meanwhile is in one of both lists.
        for path in (*live, *(sorted(self._folder.glob(f"*{DONE}")) if kept else ())):
            yield from self._of(path)

    def bought(self, number: str) -> list[Entry]:
        """Answers to sends with this number that may have bought something. Reads files only if there are any."""
        if number not in self._numbers:
            return []
        return [entry for entry in self.entries(kept=True) if entry.number == number and not entry.nothing]

    def tidy(self, recorded: set[Key], now: datetime, keep: timedelta | None = None) -> None:
        """Put files aside that nobody writes any more once all their entries are recorded.

        Those that were written longer than `keep` ago are removed; None: no one is.
        """
        for path in self._folder.glob(f"*{LIVE}"):
            named = path.stem.rsplit("-", 2)
            if len(named) != 3 or not (named[1].isdecimal() and named[2].isdecimal()):
                continue  # not one of ours
            host, pid, segment = named
            later = self._folder / f"{host}-{pid}-{int(segment) + 1}"
            newest = not any(later.with_suffix(ending).exists() for ending in (LIVE, DONE))
            if newest and (_alive(int(pid)) if host == HOST else _lately(path, now, RESTS)):
                continue
            aside = path.with_suffix(DONE)
            if {entry.key for entry in self._of(path)} <= recorded and not aside.exists():
                with suppress(FileNotFoundError):  # another process did it
                    path.rename(aside)
        for path in self._folder.glob(f"*{DONE}") if keep is not None else ():
            if keep is not None and not _lately(path, now, keep):
                path.unlink(missing_ok=True)

    @staticmethod
    def _of(path: Path) -> Iterator[Entry]:
        for place in (path, path.with_suffix(DONE)):  # it may have been put aside meanwhile
            try:
                lines = place.read_bytes().splitlines()
            except (FileNotFoundError, IsADirectoryError):
                continue
            yield from filter(None, map(_entry, lines))
            return


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


def _write_whole(file: int, line: bytes) -> None:
    """Write a line at once. Raises OSError (ENOSPC) if only a part fits: a nearly full disk says nothing else."""
    written = os.write(file, line)
    if written < len(line):
        raise OSError(errno.ENOSPC, f"only {written} of {len(line)} bytes were written")


def sync_folder(folder: Path) -> None:
    """Make the names in a folder last through a power cut. Raises OSError."""
    handle = os.open(folder, os.O_RDONLY | os.O_DIRECTORY)
    try:
        os.fsync(handle)
    finally:
        os.close(handle)


def _lately(path: Path, now: datetime, most: timedelta) -> bool:
    """Whether it was written less than `most` ago. Another host's process cannot be asked: after a week it is gone."""
    try:
        return now.timestamp() - path.stat().st_mtime < most.total_seconds()
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


def _bought(line: bytes) -> str | None:
    """The number that a line names, if what it answers may have bought something."""
    entry = _entry(line)
    return None if entry is None or entry.nothing else entry.number


def _is_at(file: int, path: Path) -> bool:
    try:
        return os.path.samestat(os.fstat(file), path.stat())
    except FileNotFoundError:
        return False
