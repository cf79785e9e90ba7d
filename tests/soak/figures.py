"""The figures of a run, for people and for `bench/results/soak.json`."""

from __future__ import annotations

import os
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any

from tests.faults.book import version
from tests.soak.books import Books
from tests.soak.checker import regretted
from tests.soak.fleet import Fleet
from tests.soak.nemesis import Nemesis
from tests.soak.person import Person
from tests.soak.shops import Trade
from tests.soak.verdict import NEVER, Verdict

SHOWN = 20


@dataclass(frozen=True, slots=True)
class Parts:
    """Whoever took part. `lines`: what the relays before the services did, by service; `post`: the postman."""

    books: Books
    trade: Trade
    nemesis: Nemesis
    person: Person
    fleet: Fleet
    lines: Mapping[str, Mapping[str, int]]
    post: Mapping[str, int]


@dataclass(frozen=True, slots=True)
class Times:
    """Seconds of trade and of the drain after recovery, and what the machine bore."""

    seed: int
    scale: float
    traded: float
    drained: float
    loads: list[float]


def figures(verdict: Verdict, parts: Parts, times: Times, unclear: Mapping[str, int]) -> dict[str, Any]:
    """All of them, by name."""
    harmed = sum(count for line in parts.lines.values() for name, count in line.items() if " " in name)
    minutes = times.traded / 60
    return {
        "commit": version(),
        "ended": datetime.now(UTC).isoformat(timespec="seconds"),
        "seed": times.seed,
        "cores": os.cpu_count(),
        "load average": [round(sum(times.loads) / len(times.loads), 2), round(max(times.loads), 2)],
        "time scale": times.scale,
        "minutes of trade": round(minutes, 2),
        "accounted for after product minutes": None if verdict.minutes == NEVER else verdict.minutes,
        "drained in seconds": round(times.drained, 1),
        "lines": verdict.lines,
        "orders": verdict.orders,
        "creates": len(parts.books.bought),
        **unclear,
        "lines a minute": round(verdict.lines / minutes, 1),
        "kills": parts.nemesis.kills,
        "kills a minute": round(parts.nemesis.kills / minutes, 1),
        "restarts": parts.fleet.restarts,
        "incidents": sum(parts.nemesis.counts.values()) + harmed,
        "bought twice": len(verdict.twice),
        "lost": len(verdict.lost),
        "attached to the wrong customer": len(verdict.wrong),
        "held at the end": len(verdict.waiting),
        "not shown at the end": len(verdict.hidden),
        "trouble": verdict.trouble[:SHOWN],
        "failures": verdict.failures()[:SHOWN],
        **regretted(parts.books),
        "regrets": dict(parts.trade.regrets.counts),
        "resolved by a person": len(parts.person.resolved),
        "nemesis": dict(parts.nemesis.counts),
        "lines between": {name: dict(counts) for name, counts in parts.lines.items()},
        "post": dict(parts.post),
        "person": dict(parts.person.counts),
        "person refused": dict(parts.person.refused),
        "buyers refused": parts.trade.refused,
        "buyers waited seconds": parts.trade.waited,
    }
