"""Trying deaths until the time is over, in an order that makes a short budget worth most, and telling how far we are."""

from __future__ import annotations

import itertools
import math
import shutil
import tempfile
import time
from collections.abc import Iterator, Sequence
from pathlib import Path

from tests.faults import enumeration, syscalls
from tests.faults.book import Book
from tests.faults.deaths import (
    Death,
    Plan,
    in_any,
    later,
    of_chain,
    other_pairs,
    pairs,
    shuffled,
    singles,
)
from tests.faults.enumeration import Outcome, Stage
from tests.faults.hunt import again, chains

SYSTEM_CALLS = 0.25
"""Of the runs that are drawn, once all that can be counted was tried."""
EVERY = 20
"""One run of so many is a drawn one while there is still something that can be counted."""


def try_deaths(path: Path, *, seconds: float, seed: int, slots: int) -> int:
    """How many went wrong in this run; what was tried stands in the book at once."""
    until = time.monotonic() + seconds
    book, folder = Book.open(path), Path(tempfile.mkdtemp(prefix="waybill-faults-"))
    failed: list[Outcome] = []

    def tell(outcome: Outcome) -> None:
        wrong = bool(outcome.wrong)
        note(book, outcome)
        say = "WRONG" if wrong else "ok" if outcome.whole else "not reached"
        many = f"  {len(outcome.chain)} deaths" if outcome.chain else ""
        print(f"{say:12}{outcome.seconds:5.1f} s  {outcome.plan.name}{many}", flush=True)
        if wrong:
            failed.append(outcome)
            print(outcome.told(), flush=True)

    try:
        with enumeration.stage(folder) as made:
            _learn(made, book, slots)
            enumeration.try_all(made, _left(book, seed), until=until, slots=slots, tell=tell)
    except KeyboardInterrupt:
        print("Interrupted; what was tried is in the book.")
    finally:
        print(coverage(book))
        print(f"wrong in this run: {len(failed)}" + (f"; logs in {folder}" if failed else ""))
        if not failed:
            shutil.rmtree(folder, ignore_errors=True)
    return len(failed)


def note(book: Book, outcome: Outcome) -> None:
    """In the book: what this run has shown. What went wrong in a chain is tried again death by death (`again`)."""
    plan = outcome.plan
    if outcome.wrong:
        died = plan if plan.wanted is None else of_chain(plan.script, outcome.chain or [plan.shots[0].point])
        book.note(died.name, fired=True, wrong=_first(outcome.wrong))
        return
    if plan.wanted is None:
        book.note(plan.name, fired=outcome.whole)
    for two in outcome.links:
        book.note(of_chain(plan.script, two).name, fired=True)
    book.miss(also_missed(book, outcome))
    book.save()


def _first(wrong: Sequence[str]) -> str:
    """What tells most in one line: the first thing that is not as it must be, or what was raised."""
    return next((line for line in (wrong[-1:] if wrong[:1] == [TRACEBACK] else wrong) if line.strip()), "it is wrong")


TRACEBACK = "Traceback (most recent call last):"


def _learn(made: Stage, book: Book, slots: int) -> None:
    """A run of each script in which nobody dies tells its points."""
    quiet: list[Outcome] = []
    plans = [Plan(script) for script in enumeration.SCRIPTS]
    enumeration.try_all(made, plans, until=math.inf, slots=slots, tell=quiet.append)
    for outcome in quiet:
        if outcome.wrong:
            raise SystemExit("Without any death: " + outcome.told())
        book.learn(outcome.plan.script, set(outcome.reached))
    book.save()


def also_missed(book: Book, outcome: Outcome) -> list[str]:
    """Pairs that this run did not come to, as it had but one death, or none though a chain was to begin with it.

    Beside the planned one, and beside those whose second point was come to and nobody died there all the same.
    """
    plan, first = outcome.plan, outcome.plan.shots[:1]
    alone = len(outcome.chain) < 2 if plan.wanted is not None else len(plan.shots) == 2 and not outcome.whole
    if not alone or (plan.wanted is None and first[0].point not in outcome.fired):
        return []
    return [
        two.name
        for two in pairs(plan.script, book.points.get(plan.script, ()))
        if two.shots[:1] == first
        and two.shots != plan.shots
        and two.shots[1].point not in outcome.later
        and book.is_left(two.name)
    ]


def countable(book: Book) -> dict[str, list[Death]]:
    """What can be tried to its end, by what it is called. What is not reached in one script is tried in the next."""
    scripts = [(script, book.points[script]) for script in enumeration.SCRIPTS if script in book.points]
    return {
        what: in_any(plan for script, points in scripts for plan in deaths(script, points))
        for what, deaths in (("singles", singles), ("pairs", pairs))
    }


def _left(book: Book, seed: int) -> Iterator[Plan]:
    """Singles, then pairs, both in an order drawn by the seed, with a drawn one now and then; then drawn ones only.

    Pairs are looked for in chains first, and what no chain comes to, one by one.
    """
    drawn = _drawn(book, seed)
    alone, two = (shuffled(deaths, seed) for deaths in countable(book).values())
    ways = until_over(book, alone), again(book), chains(book, two, seed), again(book), until_over(book, two)
    for number, plan in enumerate(itertools.chain(*ways), start=1):
        yield plan
        if number % EVERY == 0:
            yield next(drawn)
    yield from drawn


def until_over(book: Book, deaths: Sequence[Death]) -> Iterator[Plan]:
    """Again and again until each came true or no script comes to it; nothing twice while it is still being tried."""
    begun, more = set[tuple[str, int]](), True
    while more:
        more = False
        for death in deaths:
            # Asked when its turn comes: other runs may have shown that it cannot be come to.
            plan = book.next_plan(death)
            if plan is not None and (now := (plan.name, book.missed.get(plan.name, 0))) not in begun:
                begun.add(now)
                more = True
                yield plan


def _drawn(book: Book, seed: int) -> Iterator[Plan]:
    try:
        syscalls.refuse_without_strace()
        numbers = syscalls.drawn(seed)
    except syscalls.StraceMissing as error:
        print(f"{error}.", flush=True)
        numbers = iter(())
    others = {script: _others(script, points, seed) for script, points in book.points.items()}
    scripts = itertools.cycle(others)
    every = round(1 / SYSTEM_CALLS)
    for turn in itertools.count(1):
        script = next(scripts)
        number = next(numbers, 0) if turn % every == 0 else 0
        plans = [Plan(script, system_call=number)] if number else [next(others[script])]
        yield from (plan for plan in plans if book.is_left(plan.name))


def _others(script: str, points: Sequence[str], seed: int) -> Iterator[Plan]:
    """Single deaths, tried in another script perhaps, or when a point is come to again, and pairs, in turn."""
    alone = itertools.cycle(shuffled(singles(script, points), seed))
    for three in zip(alone, later(script, points, seed), other_pairs(script, points, seed), strict=False):
        yield from three


def coverage(book: Book) -> str:
    """A table: tried and passed, possible, never come to, and at which versions."""
    rows = ["", f"{'':24}{'passed':>8}{'of':>8}{'never come to':>15}"]
    known = set[str]()
    for what, deaths in countable(book).items():
        for death in deaths:
            known |= set(book.passes(death)[:1])
        passed, never, possible = book.count(deaths)
        rows.append(f"{what:24}{passed:8}{possible:8}{never:15}")
    drawn = [name for name in book.passed if name not in known]
    calls = sum("system call" in name for name in drawn)
    twos = sum(name.count(" >> ") == 1 for name in drawn)
    longer = sum(name.count(" >> ") > 1 for name in drawn)  # chains that went wrong and were tried again
    rows.append(f"{'singles drawn':24}{len(drawn) - calls - twos - longer:8}{'sampled':>8}")
    rows.append(f"{'pairs drawn':24}{twos:8}{'sampled':>8}")
    rows.append(f"{'system calls drawn':24}{calls:8}{'sampled':>8}")
    rows.append(f"points: {', '.join(f'{len(points)} {script}' for script, points in book.points.items())}")
    rows.append(f"tried at: {', '.join(sorted(set(book.passed.values())))}")
    for what, wrong in (("went wrong last time", book.failed), ("passed, but went wrong once", book.once)):
        if wrong:
            rows.append(f"{what}:")
            rows += [f"  {name} ({said})" for name, said in sorted(wrong.items())]
    return "\n".join(rows)
