"""Which deaths there are: every point in every way, pairs of them, and groups for one run."""

from __future__ import annotations

import itertools
import random
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass, field
from typing import TypeVar

from tests.faults.chain import Wanted
from tests.faults.points import KILL, KINDS, Shot

PLACEMENT = ("app.pipeline.buy.", "ds.order.create", "journal append")
RECOVERY = (
    "app.boot.",
    "app.pipeline.reconcile.",
    "app.pipeline.evidence.",
    "app.pipeline.not_there.",
    "app.pipeline.closing.",
    "app.services.purchases.resolve_found",
    "app.services.placement.release",
    "sweep.free_",
    "journal tidy",
)
"""Parts of the names of points; each is in the name of one that a script comes to (`test_book`)."""
GROUP = 16
"""Points at which somebody dies in one run of `make test`."""

Some = TypeVar("Some")


@dataclass(frozen=True, slots=True)
class Plan:
    """A script and the deaths in it: one after another, or `together`, each as soon as its point is come to.

    `wanted`: the only shot begins a chain (`tests.faults.chain`) in which these pairs are looked for.
    """

    script: str
    shots: tuple[Shot, ...] = ()
    together: bool = False
    system_call: int = 0
    """The worker dies there instead (`tests.faults.syscalls`)."""
    wanted: Wanted | None = field(default=None, compare=False)

    @property
    def name(self) -> str:
        """How it is written in the book."""
        if self.system_call:
            return f"{self.script}: worker | system call {self.system_call} ! kill"
        return f"{self.script}: " + " >> ".join(shot.name for shot in self.shots) + " >> …" * (self.wanted is not None)


@dataclass(frozen=True, slots=True)
class Death:
    """The same shots in each script that comes to their points: it is tried in one after another, until it comes true."""

    plans: tuple[Plan, ...]

    def names(self, scripts: Iterable[str]) -> list[str]:
        """How it is written in the book if it was tried in one of these."""
        return [Plan(script, self.plans[0].shots).name for script in scripts]


def in_any(plans: Iterable[Plan]) -> list[Death]:
    """What has the same shots is one death."""
    found: dict[tuple[Shot, ...], list[Plan]] = {}
    for plan in plans:
        found.setdefault(plan.shots, []).append(plan)
    return [Death(tuple(some)) for some in found.values()]


def singles(script: str, points: Sequence[str]) -> list[Plan]:
    """Every point, in every way to die."""
    return [Plan(script, (Shot(point, kind),)) for point in points for kind in KINDS]


def is_central(point: str) -> bool:
    """Whether an order is placed there, or what a dead worker left is recovered."""
    return any(part in point for part in PLACEMENT + RECOVERY)


def pairs(script: str, points: Sequence[str]) -> list[Plan]:
    """Killed while placing or recovering, and killed once more in the recovery from that."""
    return [_pair(script, *two) for two in itertools.product(filter(is_central, points), repeat=2)]


def later(script: str, points: Sequence[str], seed: int) -> Iterator[Plan]:
    """Deaths of one when a point is come to for the second to sixth time, drawn by a seed, without end."""
    draw = random.Random(f"{seed} {script} later")
    while points:
        yield Plan(script, (Shot(draw.choice(points), draw.choice(KINDS), draw.randint(2, 6)),))


def other_pairs(script: str, points: Sequence[str], seed: int) -> Iterator[Plan]:
    """Pairs of which at least one is elsewhere, drawn by a seed, without end."""
    draw = random.Random(f"{seed} {script}")
    while not all(map(is_central, points)):
        two = draw.choice(points), draw.choice(points)
        if not all(map(is_central, two)):
            yield _pair(script, *two)


def _pair(script: str, first: str, second: str) -> Plan:
    return Plan(script, (Shot(first, KILL), Shot(second, KILL)))


def of_chain(script: str, points: Sequence[str]) -> Plan:
    """What a chain was, for the next time."""
    return Plan(script, tuple(Shot(point, KILL) for point in points))


def read_name(name: str) -> Plan:
    """The plan of kills that is written like this."""
    script, _, shots = name.partition(": ")
    found = [shot.rsplit(" ! ", 1) for shot in shots.split(" >> ") if " ! " in shot]
    return Plan(script, tuple(Shot(point, kind) for point, kind in found))


def groups(script: str, points: Sequence[str], most: int = GROUP) -> list[Plan]:
    """All of them, killed, in as few runs as that allows; what lies side by side comes into different runs."""
    many = -(-len(points) // most)
    dealt = [sorted(points)[start::many] for start in range(many)]
    return [Plan(script, tuple(Shot(point, KILL) for point in some), together=True) for some in dealt]


def shuffled(plans: Sequence[Some], seed: int) -> list[Some]:
    """In an order that a seed decides, so that a short budget is a fair sample."""
    mixed = list(plans)
    random.Random(seed).shuffle(mixed)
    return mixed
