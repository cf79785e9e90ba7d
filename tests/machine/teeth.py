"""Which of the ten mutants does the state machine find by itself, knowing nothing of them?

python -m tests.machine.teeth --seconds 300 --seed 1 [--only M4]     mutant | what broke | stories, acts, seconds

Each is applied to a copy of the tree, as by `tests.faults.mutants`; stories are played there until one breaks.
"""

from __future__ import annotations

import argparse
import re
import subprocess
import sys
import tempfile
import time
from collections.abc import Sequence
from pathlib import Path

from tests.faults.mutants import Mutant, copy, mutants

_COUNTED = re.compile(r"^(\d+) stories of (\d+) acts in .*, (\d+) broke something$", re.MULTILINE)
_BROKEN = re.compile(r"^Broken: (.*)$", re.MULTILINE)
ROOM = 240
"""Seconds beyond its budget that a run may take: its servers start, its last stories end."""


def hunt(mutant: Mutant, *, seed: int, seconds: float, steps: int) -> tuple[bool, str]:
    """Whether a story broke by an invariant, and a line about it."""
    began = time.monotonic()
    with tempfile.TemporaryDirectory(prefix="waybill-mutant-") as name:
        folder = copy(Path(name))
        mutant.apply(folder)
        asked = {"seed": seed, "seconds": seconds, "steps": steps, "shorten": 0}
        options = [part for key, value in asked.items() for part in (f"--{key}", str(value))]
        command = [".venv/bin/python", "-m", "tests.machine", "--first", *options]
        try:
            done = subprocess.run(
                command, cwd=folder, check=False, capture_output=True, text=True, timeout=seconds + ROOM
            )
        except subprocess.TimeoutExpired:
            return False, f"not done after {seconds + ROOM:.0f} s"
    counted, broken = _COUNTED.search(done.stdout), _BROKEN.search(done.stdout)
    if counted is None:
        return False, f"did not run: {(done.stdout + done.stderr)[-800:]}"
    how = f"{counted[1]} stories, {counted[2]} acts, {time.monotonic() - began:.0f} s"
    if broken is None:
        other = done.stdout.partition("\n")[0]  # an error that is no invariant's: perhaps a guard of the product's own
        return False, f"{'nothing' if done.returncode == 0 else f'no invariant, but {other}'} ({how})"
    return True, f"{broken[1]} ({how})"


def main(argv: Sequence[str] | None = None) -> int:
    """The exit code: how many mutants lived."""
    parser = argparse.ArgumentParser(prog="python -m tests.machine.teeth", description=__doc__)
    parser.add_argument("--only", action="append", default=[], metavar="M4", help="this mutant only")
    parser.add_argument("--seconds", type=float, default=300.0, help="for each mutant")
    parser.add_argument("--seed", type=int, default=1)
    parser.add_argument("--steps", type=int, default=25)
    asked = parser.parse_args(argv)
    wanted = {f"M{int(name.upper().removeprefix('M')):02}" for name in asked.only}
    chosen = [mutant for mutant in mutants() if not wanted or mutant.name in wanted]
    alive = 0
    for mutant in chosen:
        killed, told = hunt(mutant, seed=asked.seed, seconds=asked.seconds, steps=asked.steps)
        alive += not killed
        print(f"{mutant.name} {'killed' if killed else 'LIVES'}: {told}", flush=True)
    print(f"{len(chosen) - alive} of {len(chosen)} mutants died.")
    return alive


if __name__ == "__main__":
    sys.exit(main())
