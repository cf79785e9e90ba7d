"""A run in which one kill follows on another as long as there are pairs that nobody has seen yet.

A pair of kills needs a run in which the second happens while the product recovers from the first. Where the second is
the first of another pair, one run shows both, and goes on: whoever began after the last death, and comes to a point
that has not been seen to follow on it, dies there. Web, worker and scheduler die with it, as when a machine does.
"""

from __future__ import annotations

import fcntl
import itertools
import json
from collections.abc import Iterable, Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path

from tests.faults import points
from tests.faults.points import KILL, Points, die

MOST = 30
"""Deaths in a run."""
RARE = ("cli | ", "._put_back | ", "reconcile.run | ", "step._later | ")
"""Points that are come to now and then only. When nothing may follow on the last death, another chain begins there."""
_ANEW = " (anew)"

Wanted = Mapping[str, Iterable[str]]


class Chain(Points):
    """The points of one process in such a run. It begins at the given one."""

    def __init__(self, folder: Path, role: str, first: str) -> None:
        super().__init__(folder, role, [])
        self._first = first
        self._wanted = read(folder)
        self._known = {first, *self._wanted, *itertools.chain(*self._wanted.values())}

    def _fire(self, point: str) -> None:
        if point not in self._known:
            return
        with _alone(self._folder):
            number = len(points.deaths(self._folder))
            begins = self._begins(number, point)
            if begins is None:
                return
            (self._folder / "later").write_text("")  # what is come to after the last death counts
            half = self._folder / "half"
            half.write_text(point + _ANEW * begins)
            half.replace(self._folder / f"fired-{number}")
        die(KILL)

    def _begins(self, number: int, point: str) -> bool | None:
        """Whether somebody dies here who begins a chain (True) or goes on with one; None: nobody dies."""
        if number == 0:
            return True if point == self._first else None
        if self._born != number or not swept(self._folder, number - 1).exists() or number >= MOST:
            return None
        died = deaths(self._folder)
        if point in self._left(died[-1]):
            return False
        begins = not self._left(died[-1]) and is_rare(point) and number < MOST - 1
        return True if begins and self._left(point) else None

    def _left(self, first: str) -> set[str]:
        return self._wanted.get(first, set()) - {second for one, second in links(self._folder) if one == first}


def is_rare(point: str) -> bool:
    """Whether it is come to now and then only."""
    return any(part in point for part in RARE)


def write(folder: Path, wanted: Wanted) -> None:
    """For the processes of a run: by first death, the second ones to be seen."""
    names = sorted({*wanted, *itertools.chain(*wanted.values())})
    number = {name: place for place, name in enumerate(names)}
    pairs = {number[first]: [number[second] for second in some] for first, some in wanted.items()}
    (folder / "wanted").write_text(json.dumps([names, pairs]))


def read(folder: Path) -> dict[str, set[str]]:
    """What `write` wrote."""
    names, pairs = json.loads((folder / "wanted").read_text())
    return {names[int(first)]: {names[second] for second in some} for first, some in pairs.items()}


def swept(folder: Path, number: int) -> Path:
    """A file that is there when web, worker and scheduler are gone that lived at this death."""
    return folder / f"swept-{number}"


def deaths(folder: Path) -> list[str]:
    """Where somebody died so far, in order."""
    return [path.read_text().removesuffix(_ANEW) for path in points.deaths(folder)]


def links(folder: Path, most: int | None = None) -> list[tuple[str, str]]:
    """Which of these deaths followed on each other, each while the product recovered from the one before."""
    said = [path.read_text() for path in points.deaths(folder)][:most]
    found = itertools.pairwise(one.removesuffix(_ANEW) for one in said)
    return [two for two, second in zip(found, said[1:], strict=True) if not second.endswith(_ANEW)]


@contextmanager
def _alone(folder: Path) -> Iterator[None]:
    with (folder / "deciding").open("w") as file:
        fcntl.flock(file, fcntl.LOCK_EX)
        yield
