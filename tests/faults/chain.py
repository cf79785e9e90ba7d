"""A run in which one kill follows on another as long as there are pairs that nobody has seen yet.

A pair of kills needs a run in which the second happens while the product recovers from the first. Where the second is
the first of another pair, one run shows both, and goes on: whoever comes to a point dies there if it has not been seen
to follow on the last death. All processes die with it, as when the only machine does.
"""

from __future__ import annotations

import fcntl
import itertools
import json
import time
from collections.abc import Iterable, Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path

from tests.faults.points import KILL, Points, die

MOST = 12
"""Deaths in a run."""
NOTHING_FOLLOWS = 6.0
"""Seconds after a death in which nobody came to a point that was wanted: then another chain begins in the same run.
More than the merchant takes to look into an unclear purchase."""

Wanted = Mapping[str, Iterable[str]]


class Chain(Points):
    """The points of one process in such a run. It begins at the given one."""

    def __init__(self, folder: Path, role: str, first: str) -> None:
        super().__init__(folder, role, [])
        self._first = first
        self._wanted = read(folder)
        self._known = {first, *self._wanted, *(point for points in self._wanted.values() for point in points)}

    def _fire(self, point: str) -> None:
        if point not in self._known:
            return
        with _alone(self._folder):
            died = deaths(self._folder)
            if not self._dies(died, point):
                return
            (self._folder / "later").write_text("")  # what is come to after the last death counts
            (self._folder / f"fired-{len(died)}").write_text(point)
        die(KILL)

    def _dies(self, died: list[str], point: str) -> bool:
        if not died:
            return point == self._first
        if len(died) >= MOST or not swept(self._folder, len(died) - 1).exists():
            return False
        follow = self._left(died, died[-1])
        if point in follow:
            return True
        over = not follow or self._since(len(died) - 1) > NOTHING_FOLLOWS
        return over and len(died) < MOST - 1 and bool(self._left(died, point))

    def _left(self, died: list[str], first: str) -> set[str]:
        return self._wanted.get(first, set()) - {second for one, second in itertools.pairwise(died) if one == first}

    def _since(self, number: int) -> float:
        return time.time() - (self._folder / f"fired-{number}").stat().st_mtime


def write(folder: Path, wanted: Wanted) -> None:
    """For the processes of a run: by first death, the second ones to be seen."""
    points = sorted({*wanted, *(point for some in wanted.values() for point in some)})
    number = {point: place for place, point in enumerate(points)}
    pairs = {number[first]: [number[second] for second in some] for first, some in wanted.items()}
    (folder / "wanted").write_text(json.dumps([points, pairs]))


def read(folder: Path) -> dict[str, set[str]]:
    """What `write` wrote."""
    points, pairs = json.loads((folder / "wanted").read_text())
    return {points[int(first)]: {points[second] for second in some} for first, some in pairs.items()}


def swept(folder: Path, number: int) -> Path:
    """A file that is there when all processes are gone that lived at this death: who dies now was recovering."""
    return folder / f"swept-{number}"


def deaths(folder: Path) -> list[str]:
    """Where somebody died so far, in order."""
    found = sorted(folder.glob("fired-*"), key=lambda path: int(path.name.split("-")[1]))
    return [path.read_text() for path in found]


@contextmanager
def _alone(folder: Path) -> Iterator[None]:
    with (folder / "deciding").open("w") as file:
        fcntl.flock(file, fcntl.LOCK_EX)
        yield
