"""`make coverage`: which branches of the placement and reconciliation modules no unit, flow or model test takes.

make coverage                       runs the tests (PARTS processes at a time), then tells
make coverage ARGS="--tell"         tells of the last run again
make coverage ARGS="--parts 4"      more processes

It ends with 1 if a test fails or less is covered than `FLOOR`: that only ever rises.
"""

from __future__ import annotations

import argparse
import os
import shutil
import subprocess
import sys
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import coverage

from tests.teeth.modules import MODULES, ROOT, TESTS, WORK

CONFIG = Path(__file__).parent / "coverage.cfg"
FLOOR = 99.9
"""Per cent of lines and branches together, over all modules."""
PARTS = 2


@dataclass(frozen=True)
class Module:
    """One file: statements and branches that there are, those taken, and those missing in words."""

    name: str
    there: int
    taken: int
    missing: str

    @property
    def percent(self) -> float:
        """Lines and branches together."""
        return 100.0 * self.taken / self.there if self.there else 100.0


def files() -> list[str]:
    """Every test file, in an order in which equal shares take about equally long."""
    return sorted(str(path.relative_to(ROOT)) for folder in TESTS for path in (ROOT / folder).rglob("test_*.py"))


def measure(parts: int, folder: Path = WORK) -> bool:
    """Run the tests in `parts` processes at a time; gives whether all of them passed. The data is `folder`/coverage."""
    shutil.rmtree(folder, ignore_errors=True)
    folder.mkdir(parents=True)
    environment = {**os.environ, "COVERAGE_FILE": str(folder / "coverage")}
    tests = files()
    command = [sys.executable, "-m", "coverage", "run", "--rcfile", str(CONFIG), "-m", "pytest", "-q", "-n", "0"]
    running = [
        subprocess.Popen([*command, "-p", "no:cacheprovider", *tests[place::parts]], cwd=ROOT, env=environment)
        for place in range(parts)
        if tests[place::parts]
    ]
    passed = [one.wait() == 0 for one in running]
    subprocess.run(
        [sys.executable, "-m", "coverage", "combine", "--quiet", "--rcfile", str(CONFIG)],
        cwd=ROOT,
        env=environment,
        check=True,
    )
    return all(passed)


def read(folder: Path = WORK) -> list[Module]:
    """What the last run took of each module. Raises FileNotFoundError if there was none."""
    data = folder / "coverage"
    if not data.exists():
        raise FileNotFoundError(f"{data}: run `make coverage` first")
    measured = coverage.Coverage(data_file=str(data), config_file=str(CONFIG))
    measured.load()
    return [_module(measured, name) for name in MODULES]


def _module(measured: coverage.Coverage, name: str) -> Module:
    analysis = measured._analyze(str(ROOT / name))
    numbers = analysis.numbers
    there = numbers.n_statements + numbers.n_branches
    return Module(
        name, there, there - numbers.n_missing - numbers.n_missing_branches, analysis.missing_formatted(branches=True)
    )


def tell(modules: Sequence[Module], floor: float = FLOOR) -> int:
    """Print it; gives the exit code."""
    there, taken = sum(one.there for one in modules), sum(one.taken for one in modules)
    whole = Module("all of them", there, taken, "")
    for one in (*modules, whole):
        print(f"{one.name:42}{one.percent:7.1f} %  {one.missing}")
    if whole.percent < floor:
        print(f"{whole.percent:.1f} % is less than the {floor} % that there were.")
    return 1 if whole.percent < floor else 0


def main(argv: Sequence[str] | None = None) -> int:
    """The exit code."""
    parser = argparse.ArgumentParser(prog="python -m tests.teeth.cover", description=(__doc__ or "").splitlines()[0])
    parser.add_argument("--tell", action="store_true", help="do not run anything")
    parser.add_argument("--parts", type=int, default=PARTS, help="processes at a time")
    asked = parser.parse_args(argv)
    passed = asked.tell or measure(asked.parts)
    if not passed:
        print("Some tests failed: what they would have covered is missing below.")
    return max(tell(read()), 0 if passed else 1)


if __name__ == "__main__":
    sys.exit(main())
