"""`make soak MINUTES=60 SEED=7`: exits 0 only if nothing was bought twice, lost, or attached to the wrong customer."""

from __future__ import annotations

import argparse
import json
import shutil
import signal
import sys
import tempfile
from pathlib import Path
from types import FrameType
from typing import NoReturn

from app.local.processes import ROOT
from tests.soak.run import Plan, Soak
from tests.soak.table import table

RESULT = ROOT / "bench" / "results" / "soak.json"
SHORT = 60.0
"""Seconds of trade of the short version, which `make test` runs."""


def main() -> int:
    """Read the command line, run, print the verdict, write the figures."""
    parser = argparse.ArgumentParser(prog="python -m tests.soak", description=__doc__)
    parser.add_argument("--minutes", type=float, default=60.0, help="of trade; the drain comes on top")
    parser.add_argument("--seed", type=int, default=7)
    parser.add_argument("--short", action="store_true", help="a minute of trade, and no file of results")
    parser.add_argument("--keep", action="store_true", help="keep ledgers and logs, whatever the verdict")
    asked = parser.parse_args()
    signal.signal(signal.SIGTERM, _leave)
    folder = Path(tempfile.mkdtemp(prefix="waybill-soak-"))
    seconds = SHORT if asked.short else asked.minutes * 60
    with Soak(folder / "world", Plan(seconds, asked.seed), tell=lambda text: print(text, flush=True)) as soak:
        verdict, figures = soak.run()
    print(table(verdict, figures))
    good = verdict.good and not verdict.waiting
    if not asked.short:
        RESULT.parent.mkdir(parents=True, exist_ok=True)
        RESULT.write_text(json.dumps(figures, indent=1) + "\n")
        print(f"  figures: {RESULT.relative_to(ROOT)}")
    if asked.keep or not good:
        print(f"  ledgers and logs: {folder}")
    else:
        shutil.rmtree(folder, ignore_errors=True)
    return 0 if verdict.good else 1


def _leave(_number: int, _frame: FrameType | None) -> NoReturn:
    raise SystemExit(143)


if __name__ == "__main__":
    sys.exit(main())
