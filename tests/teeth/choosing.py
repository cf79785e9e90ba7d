"""Which tests run a line: from the contexts of `make coverage`."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path

import coverage

from tests.teeth.modules import MODULES, ROOT, WORK
from tests.teeth.mutator import Mutation

QUICK = ("tests/domain", "tests/unit", "tests/model", "tests/connectors", "tests/pipeline")
"""Without servers of shops and suppliers: they go first."""


@dataclass
class Choice:
    """Tests by module and line, as pytest names them. `busy`: on how many lines of these modules a test is."""

    lines: dict[str, dict[int, set[str]]]
    busy: dict[str, int] = field(default_factory=dict)

    @classmethod
    def open(cls, folder: Path = WORK) -> Choice:
        """From the data of the last `make coverage`. Raises FileNotFoundError if there is none."""
        path = folder / "coverage"
        if not path.exists():
            raise FileNotFoundError(f"{path}: run `make coverage` first")
        data = coverage.CoverageData(str(path))
        data.read()
        measured = {str(Path(name).relative_to(ROOT)): name for name in data.measured_files() if _inside(name)}
        known = _test_names()
        lines: dict[str, dict[int, set[str]]] = {}
        busy: dict[str, int] = defaultdict(int)
        for module in MODULES:
            lines[module] = {}
            for line, contexts in (data.contexts_by_lineno(measured[module]) if module in measured else {}).items():
                tests = {known[context] for context in contexts if context in known}
                lines[module][line] = tests
                for test in tests:
                    busy[test] += 1
        return cls(lines, dict(busy))

    def of(self, one: Mutation, most: int, noticed: Mapping[str, int] | None = None) -> list[str]:
        """At most `most` tests that run a change: quick ones first, then one of each file in turn, special ones first.

        What runs while modules are loaded (constants) may be noticed by any test of the module. `noticed`: how many
        changes of this module each test has noticed; of the quick ones, and of the rest, those come first.
        """
        before = noticed or {}
        mine = self.lines.get(one.module, {})
        tests = set().union(*(mine.get(line, set()) for line in range(one.line, one.end_line + 1)))
        if not tests and one.line in mine:
            tests = set().union(*mine.values())
        ordered = sorted(tests, key=lambda test: (self.busy.get(test, 0), test))
        quick = [test for test in ordered if test.startswith(QUICK)]
        by_file: dict[str, list[str]] = defaultdict(list)
        for test in ordered:
            if not test.startswith(QUICK):
                by_file[test.split("::")[0]].append(test)
        turns = []
        while any(by_file.values()):
            turns += [left.pop(0) for left in by_file.values() if left]
        return [*sorted(quick, key=lambda test: -before.get(test, 0)), *_first(turns, before)][:most]


def _first(tests: list[str], noticed: Mapping[str, int]) -> list[str]:
    """The three that noticed most so far, then the others as they stand: what nobody noticed yet needs another test."""
    best = sorted((test for test in tests if test in noticed), key=lambda test: -noticed[test])[:3]
    return [*best, *(test for test in tests if test not in best)]


def _inside(name: str) -> bool:
    return Path(name).is_relative_to(ROOT)


def _test_names() -> dict[str, str]:
    """Coverage's name of each test function (`test_claims.test_x`, dotted) → pytest's."""
    names = {}
    for path in (ROOT / "tests").rglob("test_*.py"):
        where = path.relative_to(ROOT)
        dotted = ".".join(where.with_suffix("").parts)
        for line in path.read_text().splitlines():
            if line.startswith("def test_"):
                test = line.removeprefix("def ").split("(")[0]
                names[f"{dotted}.{test}"] = f"{where}::{test}"
    return names
