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
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field
from pathlib import Path

from tests.faults.mutants import copy
from tests.teeth.choosing import Choice
from tests.teeth.equivalent import EQUIVALENT
from tests.teeth.modules import MODULES, RESULTS, ROOT
from tests.teeth.mutator import Mutation, fingerprint, mutations

BOOK = RESULTS / "mutation.jsonl"
GOAL = 85.0
MOST = 240
"""Seconds for the tests of one change. One that makes them hang is noticed."""
UNITS = {"": 1, "s": 1, "m": 60, "h": 3600}
KILLED, SURVIVED, UNTESTED = "killed", "survived", "untested"


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


def judge(folder: Path, one: Mutation, tests: Sequence[str]) -> tuple[str, str]:
    """(result, the test that noticed it) of one change in a copy of the tree."""
    if not tests:
        return UNTESTED, ""
    target = folder / one.module
    source = (ROOT / one.module).read_text()
    target.write_text(one.of(source))
    command = [".venv/bin/python", "-m", "pytest", "-x", "-q", "-n", "0", "-p", "no:randomly", "-p", "no:cacheprovider"]
    environment = {**os.environ, "PYTHONDONTWRITEBYTECODE": "1", "COLUMNS": "200"}
    running = subprocess.Popen(
        [*command, "--tb=no", *tests],
        cwd=folder,
        env=environment,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
        start_new_session=True,
    )
    try:
        said, _ = running.communicate(timeout=MOST)
    except subprocess.TimeoutExpired:
        os.killpg(running.pid, 9)
        running.communicate()
        return KILLED, "they hang"
    finally:
        target.write_text(source)
    if running.returncode == 0:
        return SURVIVED, ""
    named = re.search(r"^(?:FAILED|ERROR) (\S+)", said, re.MULTILINE)
    return KILLED, named.group(1) if named else "pytest"


def try_all(left: Sequence[Mutation], tests: Choice, book: Book, *, until: float, slots: int, most: int) -> None:
    """Try one after another until the time is over, `slots` at a time."""
    waiting: queue.SimpleQueue[Mutation] = queue.SimpleQueue()
    for one in left:
        waiting.put(one)
    lock = threading.Lock()

    def work() -> None:
        with tempfile.TemporaryDirectory(prefix="waybill-mutation-") as name:
            folder = copy(Path(name))
            while time.monotonic() < until:
                try:
                    one = waiting.get_nowait()
                except queue.Empty:
                    return
                begun = time.monotonic()
                result, by = judge(folder, one, tests.of(one, most))
                with lock:
                    book.note(_of(one), one, result, by, time.monotonic() - begun)
                    print(f"{result:9}{time.monotonic() - begun:6.1f} s  {_name(one)}  {by}", flush=True)

    threads = [threading.Thread(target=work) for _ in range(slots)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()


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
    parser.add_argument("--most", type=int, default=16, help="tests for each change")
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
