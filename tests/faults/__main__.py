"""`make faults`: what the proof stands on, until the budget is used up. Each run goes on where the last one stopped.

make faults BUDGET=90m SEED=7               mutants, bad input, stories, then deaths with all the time that is left
make faults ARGS="--only deaths"            one part only: mutants, input, stories or deaths
make faults ARGS="--slots 4"                so many runs at a time (2 for each core)

Deaths add up in bench/results/faults.json, which is kept in git: every point in every way to die, every pair of kills
while placing and recovering, then other pairs and system calls of the worker, drawn by the seed.
"""

from __future__ import annotations

import argparse
import importlib
import os
import re
import subprocess
import sys
import time
from importlib.util import find_spec
from pathlib import Path

from tests.faults import book, endless

UNITS = {"": 1, "s": 1, "m": 60, "h": 3600}
SHARES = {"input": 0.1, "stories": 0.2}
"""Of the budget; the deaths have the rest. The mutants take what they need."""


def main() -> int:
    """The exit code: 0 if nothing that was tried went wrong."""
    asked = _arguments()
    until = time.monotonic() + asked.budget
    wrong = []
    for part in [part for part in PARTS if asked.only in {"", part}]:
        print(f"\n== {part}", flush=True)
        alone = asked.only == part
        if PARTS[part](asked, until - time.monotonic(), alone):
            wrong.append(part)
    print(f"\nWrong: {', '.join(wrong)}." if wrong else "\nNothing went wrong.")
    return 1 if wrong else 0


def _mutants(_asked: argparse.Namespace, _left: float, _alone: bool) -> int:
    if find_spec("tests.faults.mutants") is None:
        return _absent("tests.faults.mutants")
    return int(importlib.import_module("tests.faults.mutants").main([]) or 0)


def _input(asked: argparse.Namespace, left: float, alone: bool) -> int:
    return _program("tests.fuzz", asked, left if alone else asked.budget * SHARES["input"])


def _stories(asked: argparse.Namespace, left: float, alone: bool) -> int:
    return _program("tests.machine", asked, left if alone else asked.budget * SHARES["stories"])


def _program(module: str, asked: argparse.Namespace, seconds: float) -> int:
    if find_spec(module) is None:
        return _absent(module)
    command = [sys.executable, "-m", module, "--seconds", str(int(seconds)), "--seed", str(asked.seed)]
    return subprocess.run(command, check=False).returncode


def _absent(module: str) -> int:
    print(f"{module} does not exist, so this part was not tried.")
    return 1


def _deaths(asked: argparse.Namespace, left: float, _alone: bool) -> int:
    return endless.try_deaths(asked.book, seconds=left, seed=asked.seed, slots=asked.slots)


PARTS = {"mutants": _mutants, "input": _input, "stories": _stories, "deaths": _deaths}


def _arguments() -> argparse.Namespace:
    parser = argparse.ArgumentParser(
        prog="make faults", description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--budget", type=_seconds, default=_seconds("30m"))
    parser.add_argument("--seed", type=int, default=1)
    parser.add_argument("--slots", type=int, default=min(2 * (os.cpu_count() or 1), 12))
    parser.add_argument("--only", choices=[*PARTS], default="")
    parser.add_argument("--book", type=Path, default=book.PATH)
    return parser.parse_args()


def _seconds(text: str) -> float:
    found = re.fullmatch(r"(\d+)([smh]?)", text)
    if not found:
        raise argparse.ArgumentTypeError("a number with s, m or h")
    return int(found[1]) * UNITS[found[2]]


if __name__ == "__main__":
    sys.exit(main())
