"""Which chains of kills are worth trying: each shows many pairs that nobody has seen yet (`tests.faults.chain`)."""

from __future__ import annotations

import itertools
import math
import random
from collections import Counter
from collections.abc import Iterable, Iterator, Sequence

from tests.faults.book import Book
from tests.faults.chain import is_rare
from tests.faults.deaths import Death, Plan, read_name
from tests.faults.points import KILL, Shot

CHAINS = 4
"""Chains that begin with the same death in one go; what they leave is tried pair by pair."""
LONG = ["rescue", "twice", "troubles", "desk", "plain", "found", "missing", "partly", "closed", "frozen"]
"""Scripts for chains: in those where much happens, much can follow."""
SOME = (0.0, 0.4)
"""Of the points that often are come to, either of these shares may follow in a run."""


def again(book: Book) -> Iterator[Plan]:
    """The chains that went wrong, death by death as they were."""
    yield from [plan for plan in map(read_name, book.failed) if len(plan.shots) > 2 and book.is_left(plan.name)]


def chains(book: Book, deaths: Sequence[Death], seed: int = 1) -> Iterator[Plan]:
    """From each first death of what is left in turn, in the longest script in which that may still come true.

    Those that run side by side come to the same points in the same order: they look for different ones.
    """
    begun, draw = Counter[str](), random.Random(seed)
    shares = itertools.cycle(SOME)
    while True:
        left = [death for death in deaths if book.next_plan(death)]
        wanted: dict[str, set[str]] = {}
        for first, second in (death.plans[0].shots for death in left):
            wanted.setdefault(first.point, set()).add(second.point)
        first = min(wanted, key=lambda point: (begun[point], -len(wanted[point])), default="")
        if begun[first] == CHAINS or not first:
            return
        begun[first] += 1
        plans = (plan for death in left for plan in death.plans if plan.shots[0].point == first)
        script = min({plan.script for plan in plans if book.is_left(plan.name)}, key=LONG.index)
        share = next(shares)
        some = {one: _some(wanted[one], share, draw) for one in sorted(wanted)}
        yield Plan(script, (Shot(first, KILL),), wanted=some)


def _some(points: Iterable[str], share: float, draw: random.Random) -> set[str]:
    """All that are seldom come to, and a share of the others."""
    often = sorted(point for point in points if not is_rare(point))
    return {*filter(is_rare, points), *draw.sample(often, math.ceil(share * len(often)))}
