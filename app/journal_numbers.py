"""Which of our order numbers a journal's files name, kept in memory: asked before every send, so it must be cheap."""

from __future__ import annotations

import os
import threading
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path

LIVE, DONE = ".jsonl", ".done"
"""How the names of files end: those that may still grow, and those that were recorded as a whole and put aside."""


@dataclass(slots=True)
class _Read:
    """What was read of a file: its numbers, where its last whole line ends (bytes), and whether it grows no more."""

    numbers: set[str] = field(default_factory=set)
    until: int = 0
    over: bool = False


class Numbers:
    """Each file is read once and, while it grows, from where it had ended; one that was removed is forgotten.

    About 100 bytes an entry. `number_of` gives the number that a line names, or None.
    """

    def __init__(self, folder: Path, number_of: Callable[[bytes], str | None]) -> None:
        self._folder, self._number_of = folder, number_of
        self._lock = threading.Lock()
        self._files: dict[tuple[str, int], _Read] = {}

    def __contains__(self, number: str) -> bool:
        with self._lock:
            self._catch_up()
            return any(number in read.numbers for read in self._files.values())

    def _catch_up(self) -> None:
        there: dict[tuple[str, int], _Read] = {}
        # Listed twice: one listing may miss a file that is renamed meanwhile under both of its names.
        for found in (*self._listed(), *self._listed()):
            name = Path(found.name)
            if name.suffix not in {LIVE, DONE} or not found.is_file():
                continue
            key = (name.stem, found.inode())
            read = there[key] = self._files.get(key) or there.get(key) or _Read()
            if not read.over:
                self._read(self._folder / name, read)
                read.over = name.suffix == DONE
        self._files = there

    def _listed(self) -> list[os.DirEntry[str]]:
        try:
            with os.scandir(self._folder) as listing:
                return list(listing)
        except FileNotFoundError:
            return []

    def _read(self, path: Path, read: _Read) -> None:
        for place in (path, path.with_suffix(DONE)):  # it may have been put aside meanwhile
            try:
                with place.open("rb") as file:
                    file.seek(read.until)
                    new = file.read()
            except FileNotFoundError:
                continue
            # What follows the last end of a line counts if it is whole but for its end, as in `Journal.entries`. It is
            # read again next time: it may still be being written.
            read.until += new.rfind(b"\n") + 1
            read.numbers.update(filter(None, map(self._number_of, new.splitlines())))
            return
