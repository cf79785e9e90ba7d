"""`make mutation`: of so many small mistakes in the placement and reconciliation modules, how many does a test notice?

make mutation                            half an hour, a sample by seed 1; goes on where the last run stopped
make mutation BUDGET=10m SEED=7          another budget, another sample
make mutation ARGS="--module closing"    only modules with this in their name
make mutation ARGS="--again"             those that survived once more, against every test that runs the line

It needs the data of `make coverage`, which tells the tests of each line. The score has its 95 % interval (Wilson).
"""

from __future__ import annotations

import argparse
import json
import math
import os
import queue
import random
import re
import subprocess
import sys
import tempfile
import threading
import time
from collections import Counter, defaultdict
from collections.abc import Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path

from app.db_migrate import upgrade
from app.local.embedded import start_postgres, start_valkey
from tests.faults.mutants import copy
from tests.fresh_databases import FreshDatabases
from tests.teeth.choosing import Choice
from tests.teeth.equivalent import EQUIVALENT
from tests.teeth.modules import MODULES, RESULTS, ROOT
from tests.teeth.mutator import Mutation, fingerprint, mutations
from tests.teeth.warm import KILLED, SURVIVED

BOOK = RESULTS / "mutation.jsonl"
GOAL = 85.0
MOST = 120
"""Seconds for the tests of one change. One that makes them hang is noticed."""
UNITS = {"": 1, "s": 1, "m": 60, "h": 3600}
UNTESTED = "untested"
"""No test runs the line."""


@dataclass
class Book:
    """What was found out so far, by change and text of its module: a line for each, so that a run may end anywhere."""

    path: Path
    found: dict[tuple[str, str], str] = field(default_factory=dict)

    @classmethod
    def open(cls, path: Path) -> Book:
        """The book in this file, empty if there is none."""
        book = cls(path)
        if path.exists():
            for line in path.read_text().splitlines():
                entry = json.loads(line)
                book.found[entry["of"], entry["key"]] = entry["result"]
        return book

    def note(self, of: str, one: Mutation, result: str, by: str, seconds: float) -> None:
        """Write it down; a later word about the same change counts."""
        self.found[of, one.key] = result
        entry = {"of": of, "key": one.key, "line": one.line, "result": result, "by": by, "seconds": round(seconds, 1)}
        self.path.parent.mkdir(parents=True, exist_ok=True)
        with self.path.open("a") as file:
            file.write(json.dumps(entry, ensure_ascii=False) + "\n")


def wilson(killed: int, tried: int) -> tuple[float, float]:
    """The 95 % interval of a share, in per cent."""
    if not tried:
        return 0.0, 100.0
    z, share = 1.96, killed / tried
    middle = (share + z * z / (2 * tried)) / (1 + z * z / tried)
    half = z * math.sqrt(share * (1 - share) / tried + z * z / (4 * tried * tried)) / (1 + z * z / tried)
    return 100 * max(middle - half, 0.0), 100 * min(middle + half, 1.0)


def sample(modules: Iterable[str], seed: int) -> list[Mutation]:
    """Every change of these modules, those that change nothing left out, in an order by seed."""
    every = [one for name in modules for one in mutations(name, (ROOT / name).read_text()) if one.key not in EQUIVALENT]
    random.Random(seed).shuffle(every)
    return every


class Judge:
    """A copy of the tree in which one change at a time is tried, by a process that is warm. For one thread."""

    def __init__(self, folder: Path, environment: Mapping[str, str]) -> None:
        self._folder = copy(folder)
        python = str(self._folder / ".venv/bin/python")
        # A module counts as compiled if its text is the same: a change may leave length and time as they were.
        compiled = [
            python,
            "-m",
            "compileall",
            "-q",
            "--invalidation-mode",
            "checked-hash",
            "app",
            "connectors",
            "tests",
        ]
        subprocess.run(compiled, cwd=self._folder, check=True, stdout=subprocess.DEVNULL)
        self._warm = subprocess.Popen(
            [python, "-m", "tests.teeth.warm"],
            cwd=self._folder,
            env={**os.environ, **environment, "PYTHONDONTWRITEBYTECODE": "1", "COLUMNS": "200"},
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            text=True,
        )

    def close(self) -> None:
        """End the process."""
        self._warm.communicate()

    def judge(self, one: Mutation | None, tests: Sequence[str]) -> tuple[str, str]:
        """(result, the test that noticed it) of one change, or of the tree as it is. Raises RuntimeError."""
        if not tests:
            return UNTESTED, ""
        if one is None:
            return self._run(tests)
        target, source = self._folder / one.module, (ROOT / one.module).read_text()
        target.write_text(one.of(source))
        try:
            return self._run(tests)
        finally:
            target.write_text(source)

    def _run(self, tests: Sequence[str]) -> tuple[str, str]:
        writes, reads = self._warm.stdin, self._warm.stdout
        if writes is None or reads is None:
            raise RuntimeError("no pipe")
        writes.write(json.dumps({"tests": list(tests), "seconds": MOST}) + "\n")
        writes.flush()
        answer = json.loads(reads.readline() or "{}")
        if answer.get("result") not in {KILLED, SURVIVED}:
            raise RuntimeError(f"no verdict: {answer.get('by', 'the process ended')}")
        return answer["result"], answer["by"]


@dataclass
class Trust:
    """Tests that noticed a change, by module; and which of them pass without any: only they count."""

    noticed: dict[str, Counter[str]] = field(default_factory=lambda: defaultdict(Counter))
    good: set[str] = field(default_factory=set)
    bad: set[str] = field(default_factory=set)


def verdict(judge: Judge, one: Mutation, choice: Choice, trust: Trust, most: int) -> tuple[str, str]:
    """What comes of a change: a test that fails without it too is left out from then on."""
    while True:
        tests = [test for test in choice.of(one, most, trust.noticed[one.module]) if test not in trust.bad]
        result, by = judge.judge(one, tests)
        test = by.split("[")[0]
        if result != KILLED or test not in tests:
            return result, by
        if test not in trust.good and judge.judge(None, [test])[0] == KILLED:
            trust.bad.add(test)
            continue
        trust.good.add(test)
        trust.noticed[one.module][test] += 1
        return result, by


def try_all(left: Sequence[Mutation], choice: Choice, book: Book, *, until: float, slots: int, most: int) -> None:
    """Try one after another until the time is over, `slots` at a time."""
    waiting: queue.SimpleQueue[Mutation] = queue.SimpleQueue()
    for one in left:
        waiting.put(one)
    lock, trust = threading.Lock(), Trust()

    def work() -> None:
        with tempfile.TemporaryDirectory(prefix="waybill-mutation-") as name, _servers(Path(name)) as environment:
            judge = Judge(Path(name) / "tree", environment)
            while time.monotonic() < until:
                try:
                    one = waiting.get_nowait()
                except queue.Empty:
                    break
                begun = time.monotonic()
                result, by = verdict(judge, one, choice, trust, most)
                with lock:
                    book.note(_of(one), one, result, by, time.monotonic() - begun)
                    print(f"{result:9}{time.monotonic() - begun:6.1f} s  {_name(one)}  {by}", flush=True)
            judge.close()

    threads = [threading.Thread(target=work) for _ in range(slots)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    for test in sorted(trust.bad):
        print(f"fails without any change, so it counts for nothing: {test}")


_MIGRATING = threading.Lock()
"""Alembic keeps what it migrates in globals."""


@contextmanager
def _servers(folder: Path) -> Iterator[dict[str, str]]:
    """Where the tests of one slot find their servers, and a migrated database to copy."""
    with start_postgres(folder / "postgres", durable=False) as postgres, start_valkey(folder / "valkey") as valkey:
        databases = FreshDatabases(postgres.url, upgrade)
        with _MIGRATING:
            template = databases.template
        yield {
            "TEST_DATABASE_URL": postgres.url,
            "TEST_DATABASE_TEMPLATE": template,
            "TEST_REDIS_URL": valkey.url,
        }
        databases.close()


_PRINTS: dict[str, str] = {}


def _of(one: Mutation) -> str:
    if one.module not in _PRINTS:
        _PRINTS[one.module] = fingerprint((ROOT / one.module).read_text())
    return _PRINTS[one.module]


def _name(one: Mutation) -> str:
    return f"{one.module}:{one.line}: {one.says}: {one.text[:80]}"


def tell(every: Sequence[Mutation], book: Book) -> int:
    """Print score and survivors; gives the exit code: 0 if the goal lies within the interval or below it."""
    results = {one: book.found.get((_of(one), one.key), "") for one in every}
    alive = sorted((one for one, result in results.items() if result in {SURVIVED, UNTESTED}), key=_name)
    tried = sum(bool(result) for result in results.values())
    for one in alive:
        print(f"{results[one]:9} {_name(one)}")
    killed = tried - len(alive)
    low, high = wilson(killed, tried)
    score = 100 * killed / tried if tried else 0.0
    print(
        f"{killed} of {tried} killed: {score:.1f} % ({low:.1f} to {high:.1f} %); "
        f"{len(every)} possible, {len(EQUIVALENT)} more change nothing; goal {GOAL:.0f} %"
    )
    return 0 if score >= GOAL else 1


def main(argv: Sequence[str] | None = None) -> int:
    """The exit code."""
    parser = argparse.ArgumentParser(prog="python -m tests.teeth.mutation", description=(__doc__ or "").splitlines()[0])
    parser.add_argument("--budget", default="30m", help="how long, as 90s, 30m, 2h")
    parser.add_argument("--seed", type=int, default=1, help="which sample")
    parser.add_argument("--slots", type=int, default=2, help="so many at a time")
    parser.add_argument("--module", action="append", default=[], help="only modules with this in their name")
    parser.add_argument("--again", action="store_true", help="only what survived, against all tests of its line")
    parser.add_argument("--tell", action="store_true", help="do not run anything")
    parser.add_argument("--most", type=int, default=24, help="tests for each change")
    parser.add_argument("--book", type=Path, default=BOOK, help="where results add up")
    asked = parser.parse_args(argv)
    number, unit = re.fullmatch(r"([0-9]+)([smh]?)", asked.budget).groups()  # type: ignore[union-attr]
    modules = [name for name in MODULES if not asked.module or any(part in name for part in asked.module)]
    book, every = Book.open(asked.book), sample(modules, asked.seed)
    known = {one: book.found.get((_of(one), one.key), "") for one in every}
    if asked.again:
        left = [one for one, result in known.items() if result in {SURVIVED, UNTESTED}]
    else:
        left = [one for one, result in known.items() if not result]
    if not asked.tell:
        until = time.monotonic() + int(number) * UNITS[unit]
        most = 1000 if asked.again else asked.most
        try_all(left, Choice.open(), book, until=until, slots=asked.slots, most=most)
    return tell(every, book)


if __name__ == "__main__":
    sys.exit(main())
