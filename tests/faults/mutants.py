"""The ten ways to buy twice that the model knows, done to the real code: each must make a named test fail.

python -m tests.faults.mutants              all of them: a table mutant | killed by | seconds
python -m tests.faults.mutants --only M4    one of them; may be given again

Patches lie in tests/faults/mutants. Nothing is changed here: each is applied to a copy of the tree (what git knows, and
what is not committed yet). First the killers have to pass on a copy without any.
"""

from __future__ import annotations

import argparse
import os
import re
import shutil
import subprocess
import sys
import tempfile
import time
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

ROOT = Path(__file__).parents[2]
FOLDER = Path(__file__).parent / "mutants"
_HERE = "tests/flow/test_never_twice.py"
KILLERS = {
    "M01": (f"{_HERE}::test_an_answer_that_does_not_come_is_not_asked_for_again",),
    "M02": (f"{_HERE}::test_looking_in_vain_is_no_proof_that_nothing_was_bought",),
    "M03": (f"{_HERE}::test_a_send_stands_in_the_database_before_it_is_sent",),
    "M04": (f"{_HERE}::test_a_lease_that_is_over_does_not_send_again",),
    "M05": (f"{_HERE}::test_two_clicks_on_order_again_buy_once",),
    "M06": (f"{_HERE}::test_two_workers_that_claim_at_once_do_not_both_get_it",),
    "M07": (f"{_HERE}::test_who_wakes_up_after_it_was_given_up_does_not_send",),
    "M08": (f"{_HERE}::test_what_is_cancelled_after_the_checks_is_not_sent",),
    "M09": (f"{_HERE}::test_the_same_number_is_not_sent_twice",),
    "M10": (f"{_HERE}::test_out_of_stock_and_then_silence_is_no_proof",),
}
"""The tests that have to notice a mutant: one failure is enough."""
MOST = 300
"""Seconds that the killers of one mutant may take."""
_FAILED = re.compile(r"^FAILED (\S+) - (.*)$", re.MULTILINE)


@dataclass(frozen=True)
class Mutant:
    """A patch: its first line says what it breaks, the rest is what `git apply` takes."""

    path: Path

    @property
    def name(self) -> str:
        """M01 to M10."""
        return self.path.name[:3]

    @property
    def says(self) -> str:
        """What it breaks."""
        return self.path.read_text().splitlines()[0].removeprefix(f"# {self.name}: ")

    def apply(self, folder: Path) -> None:
        """Break the copy in `folder`. Raises CalledProcessError if the code has changed since the patch was made."""
        subprocess.run(["git", "apply", str(self.path)], cwd=folder, check=True, capture_output=True)


@dataclass(frozen=True)
class Run:
    """Some tests on some copy: those that failed by an assertion, what else went wrong, and how long it took."""

    failed: tuple[str, ...]
    broken: str
    seconds: float


def mutants() -> list[Mutant]:
    """All of them, in order."""
    return [Mutant(path) for path in sorted(FOLDER.glob("M*.patch"))]


def copy(into: Path) -> Path:
    """The tree as it stands here, without what git ignores; with our environment of Python packages."""
    listed = subprocess.run(
        ["git", "ls-files", "-z", "--cached", "--others", "--exclude-standard"],
        cwd=ROOT,
        check=True,
        capture_output=True,
    )
    for name in filter(None, listed.stdout.decode().split("\0")):
        source, target = ROOT / name, into / name
        if source.is_file() and ".venv" not in source.parts:
            target.parent.mkdir(parents=True, exist_ok=True)
            shutil.copy2(source, target)
    (into / ".venv").symlink_to((ROOT / ".venv").resolve())
    subprocess.run(["git", "init", "--quiet"], cwd=into, check=True)  # else `git apply` looks for a tree around it
    return into


def run(folder: Path, tests: Sequence[str]) -> Run:
    """Run `tests` in the tree in `folder`."""
    command = [".venv/bin/python", "-m", "pytest", "-q", "-n", "0", "-p", "no:randomly", "-p", "no:cacheprovider", "-x"]
    wide = {**os.environ, "COLUMNS": "1000"}  # else pytest leaves out why a test failed
    begun = time.monotonic()
    try:
        done = subprocess.run(
            [*command, "--tb=short", *tests],
            cwd=folder,
            check=False,
            capture_output=True,
            text=True,
            timeout=MOST,
            env=wide,
        )
    except subprocess.TimeoutExpired:
        return Run((), f"not done after {MOST} s", time.monotonic() - begun)
    return judge(done.returncode, done.stdout + done.stderr, time.monotonic() - begun)


def judge(code: int, said: str, seconds: float) -> Run:
    """What pytest's exit code and words mean: only a failed assertion of a test counts as a kill."""
    failures = _FAILED.findall(said)
    kills = tuple(test.split("::")[-1] for test, why in failures if re.match(r"(AssertionError|assert )", why))
    if code == 0 or (code == 1 and kills and len(kills) == len(failures)):
        return Run(kills, "", seconds)
    return Run((), said[-1500:], seconds)


def _one(mutant: Mutant | None, tests: Sequence[str]) -> Run:
    with tempfile.TemporaryDirectory(prefix="waybill-mutant-") as name:
        folder = copy(Path(name))
        if mutant is not None:
            mutant.apply(folder)
        return run(folder, tests)


def main(argv: Sequence[str] | None = None) -> int:
    """The exit code: 0 if every mutant died, by an assertion of one of its killers."""
    parser = argparse.ArgumentParser(
        prog="python -m tests.faults.mutants", description="The ten mutants and their killers"
    )
    parser.add_argument("--only", action="append", default=[], metavar="M4", help="this mutant only")
    asked = parser.parse_args(argv)
    wanted = {f"M{int(name.upper().removeprefix('M')):02}" for name in asked.only}
    chosen = [mutant for mutant in mutants() if not wanted or mutant.name in wanted]
    if len(chosen) < len(wanted):
        parser.error(f"there is no such mutant: {', '.join(sorted(wanted - {mutant.name for mutant in chosen}))}")
    whole = _one(None, [test for mutant in chosen for test in KILLERS[mutant.name]])
    if whole.failed or whole.broken:
        print(f"Without any mutant the killers do not pass: {', '.join(whole.failed)}\n{whole.broken}")
        return 1
    print(f"{'unbroken':9} {'all pass':75} {whole.seconds:5.1f} s", flush=True)
    alive = 0
    for mutant in chosen:
        found = _one(mutant, KILLERS[mutant.name])
        alive += not found.failed
        print(
            f"{mutant.name:9} {', '.join(found.failed) or 'NOBODY':75} {found.seconds:5.1f} s  {mutant.says}",
            flush=True,
        )
        if found.broken:
            print(f"{found.broken}\n")
    print(f"{len(chosen) - alive} of {len(chosen)} mutants died.")
    return 1 if alive else 0


if __name__ == "__main__":
    sys.exit(main())
