"""`make faults`: every way to die at every named point, and pairs of them, until the budget is used up.

make faults BUDGET=90m SEED=7     goes on where the last run stopped; coverage adds up in bench/results/faults.json
make faults ARGS="--slots 4"      so many runs at a time (6)
"""

from __future__ import annotations

import argparse
import re
import shutil
import sys
import tempfile
import time
from pathlib import Path

from tests.faults import enumeration
from tests.faults.enumeration import Book, Outcome, Plan

BOOK = Path(__file__).parents[2] / "bench" / "results" / "faults.json"
UNITS = {"": 1, "s": 1, "m": 60, "h": 3600}


def main() -> int:
    """The exit code: 0 if nothing that was tried went wrong."""
    asked = _arguments()
    book = Book.open(asked.book)
    folder = Path(tempfile.mkdtemp(prefix="waybill-faults-"))
    until = time.monotonic() + asked.budget
    failed: list[Outcome] = []
    with enumeration.stage(folder) as made:
        _list(made, book)
        plans = [*enumeration.singles(book.points), *enumeration.pairs(book.points)]
        singles = len(enumeration.singles(book.points))
        order = [*enumeration.shuffled(plans[:singles], asked.seed), *enumeration.shuffled(plans[singles:], asked.seed)]

        def tell(outcome: Outcome) -> None:
            _note(book, outcome)
            if outcome.wrong:
                failed.append(outcome)
            say = "WRONG" if outcome.wrong else "ok" if outcome.fired else "not reached"
            print(f"{say:12}{outcome.seconds:5.1f} s  {enumeration.name(outcome.plan)}", flush=True)
            for line in outcome.wrong:
                print(f"    {line}", flush=True)

        enumeration.try_all(made, book.left(order), until=until, slots=asked.slots, tell=tell)
    _tell(book, plans[:singles], plans[singles:], failed)
    if not failed:
        shutil.rmtree(folder, ignore_errors=True)
    else:
        print(f"What went wrong lies in {folder}.")
    return 1 if failed else 0


def _list(made: enumeration.Stage, book: Book) -> None:
    """A run in which nobody dies tells the points; those of earlier runs stay known."""
    quiet = made.run(0, ())
    if quiet.wrong:
        raise SystemExit("Without any death: " + "; ".join(quiet.wrong))
    book.points = sorted({*book.points, *quiet.reached})
    book.save()


def _note(book: Book, outcome: Outcome) -> None:
    name = enumeration.name(outcome.plan)
    if not outcome.wrong and outcome.fired:
        book.passed.add(name)
    elif not outcome.fired:
        book.not_reached[name] = book.not_reached.get(name, 0) + 1
    book.save()


def _tell(book: Book, singles: list[Plan], pairs: list[Plan], failed: list[Outcome]) -> None:
    print(f"\n{len(book.points)} points.")
    for what, plans in (("single deaths", singles), ("pairs", pairs)):
        passed, never, possible = book.count(plans)
        print(f"{what:14} tried {passed} of {possible}, {never} never come to")
    print(f"wrong in this run: {len(failed)}")


def _arguments() -> argparse.Namespace:
    parser = argparse.ArgumentParser(prog="make faults", description=__doc__)
    parser.add_argument("--budget", type=_seconds, default=_seconds("30m"))
    parser.add_argument("--seed", type=int, default=1)
    parser.add_argument("--slots", type=int, default=6)
    parser.add_argument("--book", type=Path, default=BOOK)
    return parser.parse_args()


def _seconds(text: str) -> float:
    found = re.fullmatch(r"(\d+)([smh]?)", text)
    if not found:
        raise argparse.ArgumentTypeError("a number with s, m or h")
    return int(found[1]) * UNITS[found[2]]


if __name__ == "__main__":
    sys.exit(main())
