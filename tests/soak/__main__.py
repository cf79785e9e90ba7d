"""`make soak MINUTES=60 SEED=7`: exits 0 only if nothing was bought twice, lost, late, or attached to the wrong customer.

Each run's ledgers, and what Waybill was asked, are kept in a folder of their own in var/soak; `--judge FOLDER` judges
them again with the checker of today. The figures of an hour go into bench/results/soak.json, which is kept in git.
"""

from __future__ import annotations

import argparse
import json
import shutil
import signal
import sys
import tempfile
from datetime import UTC, datetime
from pathlib import Path
from types import FrameType
from typing import NoReturn

from app.local.processes import ROOT
from tests.soak.kept import judge_again, keep
from tests.soak.run import Plan, Soak
from tests.soak.table import table

RESULT = ROOT / "bench" / "results" / "soak.json"
KEPT = ROOT / "var" / "soak"
HOUR = 60.0


def main() -> int:
    """Read the command line, run, print the verdict, write the figures."""
    parser = argparse.ArgumentParser(prog="python -m tests.soak", description=__doc__)
    parser.add_argument("--minutes", type=float, default=HOUR, help="of trade; the drain comes on top")
    parser.add_argument("--seed", type=int, default=7)
    parser.add_argument("--keep", action="store_true", help="keep databases and logs too, whatever the verdict")
    parser.add_argument("--result", action="store_true", help=f"write {RESULT.name} though it was less than an hour")
    parser.add_argument("--judge", type=Path, metavar="FOLDER", help="run nothing, judge this kept run again")
    asked = parser.parse_args()
    if asked.judge:
        verdict, figures = judge_again(asked.judge)
        print(table(verdict, figures))
        return 0 if verdict.good else 1
    signal.signal(signal.SIGTERM, _leave)
    folder = Path(tempfile.mkdtemp(prefix="waybill-soak-"))
    with Soak(folder / "world", Plan(asked.minutes * 60, asked.seed), lambda text: print(text, flush=True)) as soak:
        verdict, figures = soak.run()
    print(table(verdict, figures))
    kept = KEPT / f"{datetime.now(UTC):%Y%m%dT%H%M%S}-{figures['commit']}-seed{asked.seed}"
    kept.mkdir(parents=True)
    keep(kept, soak.books, soak.told, verdict, figures)
    print(f"  ledgers, to be judged again with --judge: {kept.relative_to(ROOT)}")
    if asked.minutes >= HOUR or asked.result:
        RESULT.parent.mkdir(parents=True, exist_ok=True)
        RESULT.write_text(json.dumps(figures, indent=1) + "\n")
        print(f"  figures: {RESULT.relative_to(ROOT)}")
    if asked.keep or not verdict.good:
        print(f"  databases and logs: {folder}")
    else:
        shutil.rmtree(folder, ignore_errors=True)
    return 0 if verdict.good else 1


def _leave(_number: int, _frame: FrameType | None) -> NoReturn:
    raise SystemExit(143)


if __name__ == "__main__":
    sys.exit(main())
