"""Runs targets: first each curated nasty, then what hypothesis draws from a seed, shrunk to the smallest that fails."""

from __future__ import annotations

import contextlib
import json
import time
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from hypothesis import HealthCheck, Phase, given, settings
from hypothesis import seed as seeded

from tests.fuzz.stage import Stage
from tests.fuzz.target import Target

KEPT = Path("var/fuzz")
BATCH = 40
"""Cases drawn between two looks at the clock."""


@dataclass(frozen=True)
class Failure:
    """The smallest case that goes wrong, and how."""

    target: str
    case: Any
    error: BaseException

    def told(self) -> str:
        """For people."""
        inner = getattr(self.error, "exceptions", ())
        said = "; ".join(f"{type(one).__name__}: {one}" for one in (self.error, *inner))
        return f"{self.target} fails with\n  {json.dumps(self.case)[:2_000]}\n  {said[:3_000]}"

    def keep(self) -> Path:
        """Its file, for `python -m tests.fuzz --again FILE`."""
        KEPT.mkdir(parents=True, exist_ok=True)
        path = KEPT / f"{self.target}.json"
        path.write_text(json.dumps({"target": self.target, "case": self.case}, indent=1))
        return path


def one(stage: Stage, target: Target, case: Any) -> None:
    """One case on a clean stage."""
    if target.touches:
        stage.reset()
    target.check(stage, case)


def nasties(
    stage: Stage, target: Target, cases: Iterable[Any], *, until: Callable[[], bool] = lambda: False
) -> tuple[int, Failure | None]:
    """Each curated case: (how many ran, the first failure)."""
    ran = 0
    for case in cases:
        if until():
            break
        ran += 1
        try:
            one(stage, target, case)
        except Exception as error:  # noqa: BLE001 - whatever it is, it is the finding
            return ran, Failure(target.name, case, error)
    return ran, None


def drawn(stage: Stage, target: Target, *, seed: int, examples: int) -> tuple[int, Failure | None]:
    """So many drawn cases: (how many ran, the smallest failure)."""
    ran, last = 0, [Any]

    @seeded(seed)
    @settings(
        max_examples=examples,
        deadline=None,
        database=None,
        derandomize=False,
        report_multiple_bugs=False,
        suppress_health_check=list(HealthCheck),
        phases=[Phase.generate, Phase.shrink],
    )
    @given(target.cases)
    def check(case: Any) -> None:
        nonlocal ran
        ran += 1
        last[0] = case
        one(stage, target, case)

    try:
        with contextlib.redirect_stdout(None):
            check()
    except Exception as error:  # noqa: BLE001 - whatever it is, it is the finding
        return ran, Failure(target.name, last[0], error)
    return ran, None


def for_seconds(
    stage: Stage, targets: Sequence[Target], *, seconds: float, seed: int
) -> tuple[dict[str, int], list[Failure]]:
    """All targets, the time shared out evenly: cases by target, and failures (a target that fails is left)."""
    counts: dict[str, int] = {}
    failures: list[Failure] = []
    for place, target in enumerate(targets):
        end = time.monotonic() + seconds / len(targets)
        ran, failure = nasties(stage, target, target.curated(), until=lambda end=end: time.monotonic() > end)  # type: ignore[misc]
        batch = 0
        while failure is None and time.monotonic() < end:
            more, failure = drawn(stage, target, seed=seed * 1_000_003 + place * 10_007 + batch, examples=BATCH)
            ran, batch = ran + more, batch + 1
        counts[target.name] = ran
        if failure is not None:
            failures.append(failure)
    return counts, failures
