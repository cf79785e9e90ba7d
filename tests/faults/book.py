"""What was tried, added up over runs in one file that is kept in git: which deaths passed, and at which version."""

from __future__ import annotations

import json
import subprocess
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field
from pathlib import Path

from tests.faults.deaths import Death, Plan

ROOT = Path(__file__).parents[2]
PATH = ROOT / "bench" / "results" / "faults.json"
TRIED = ("app", "connectors", "migrations", "tests")
TRIES = 3
"""Runs in which a script never came to a death until it is tried in the next one."""


def version() -> str:
    """The commit that is being tried, with `+` when the program or its tests were changed since."""
    commit = _git("rev-parse", "--short=10", "HEAD").stdout.strip()
    changed = _git("diff", "--quiet", "HEAD", "--", *TRIED).returncode != 0
    return commit + "+" * changed if commit else "unknown"


def _git(*arguments: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run(["git", *arguments], cwd=ROOT, capture_output=True, text=True, check=False)


@dataclass
class Book:
    """Deaths are named by texts.

    `points`: by script, every point that a run came to. `passed`: by death, the version at which it went well.
    `failed`: by death, the version at which it went wrong last and the first thing that was wrong, until it passes.
    `once`: the same of those that passed since; it stays until a person, who knows why, takes it out. `missed`: by death,
    how many runs never came to it.
    """

    path: Path = PATH
    points: dict[str, list[str]] = field(default_factory=dict)
    passed: dict[str, str] = field(default_factory=dict)
    failed: dict[str, str] = field(default_factory=dict)
    once: dict[str, str] = field(default_factory=dict)
    missed: dict[str, int] = field(default_factory=dict)
    now: str = field(default_factory=version)

    @classmethod
    def open(cls, path: Path = PATH) -> Book:
        """As it was left, or empty."""
        if not path.exists():
            return cls(path)
        kept = json.loads(path.read_text())
        versions: list[str] = kept["versions"]
        passed = {name: versions[number] for name, number in kept["passed"].items()}
        return cls(path, kept["points"], passed, kept["failed"], kept["once"], kept["missed"])

    def save(self) -> None:
        """Written whole beside the old one and put in its place: an interrupted run loses nothing."""
        self.path.parent.mkdir(parents=True, exist_ok=True)
        versions = sorted(set(self.passed.values()))
        kept = {
            "versions": versions,
            "points": self.points,
            "passed": {name: versions.index(at) for name, at in sorted(self.passed.items())},
            "failed": dict(sorted(self.failed.items())),
            "once": dict(sorted(self.once.items())),
            "missed": dict(sorted(self.missed.items())),
        }
        new = self.path.with_suffix(".new")
        new.write_text(json.dumps(kept, indent=0) + "\n")
        new.replace(self.path)

    def learn(self, script: str, reached: set[str]) -> None:
        """These points exist; those of earlier runs stay known."""
        self.points[script] = sorted({*self.points.get(script, []), *reached})

    def note(self, name: str, *, fired: bool, wrong: str = "") -> None:
        """One death was tried; `wrong`: the first thing that was."""
        if wrong:
            self.failed[name] = f"at {self.now}: {wrong}"
            self.passed.pop(name, None)
        elif fired:
            self.passed[name] = self.now
            if name in self.failed:
                self.once[name] = self.failed.pop(name)
            self.missed.pop(name, None)
        else:
            self.miss([name])
        self.save()

    def miss(self, names: Iterable[str]) -> None:
        """A run has shown that its script does not come to these, or not every time."""
        for name in names:
            self.missed[name] = self.missed.get(name, 0) + 1

    def is_left(self, name: str) -> bool:
        """Whether it is still to be tried."""
        return name not in self.passed and self.missed.get(name, 0) < TRIES

    def next_plan(self, death: Death) -> Plan | None:
        """In which script it is to be tried; None if it is over. What went wrong is tried again where it did."""
        again = self._wrong(death)
        if not again and self.passes(death):
            return None
        return next((plan for plan in again or death.plans if self.is_left(plan.name)), None)

    def passes(self, death: Death) -> list[str]:
        """In which scripts it went well, as they were then."""
        return [name for name in death.names(self.points) if name in self.passed]

    def count(self, deaths: Sequence[Death]) -> tuple[int, int, int]:
        """(passed in some script and wrong in none, never come to in any script, all)."""
        over = [death for death in deaths if self.next_plan(death) is None and not self._wrong(death)]
        passed = sum(bool(self.passes(death)) for death in over)
        return passed, len(over) - passed, len(deaths)

    def _wrong(self, death: Death) -> list[Plan]:
        """In which scripts it went wrong last."""
        return [plan for plan in death.plans if plan.name in self.failed]
