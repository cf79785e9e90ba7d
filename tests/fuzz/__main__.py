"""`python -m tests.fuzz`: every parser of what comes from outside, for a fixed time.

python -m tests.fuzz --seconds 300 --seed 7                 all targets, the time shared out evenly
python -m tests.fuzz --seconds 60 --only create-answer      one of them
python -m tests.fuzz --again var/fuzz/create-answer.json    the case that failed
"""

from __future__ import annotations

import argparse
import json
import sys
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from app.local.embedded import start_postgres, start_valkey
from tests.fresh_databases import FreshDatabases
from tests.fuzz import run
from tests.fuzz.all import TARGETS
from tests.fuzz.stage import Stage, staged


@contextmanager
def _stage() -> Iterator[Stage]:
    from app.db_migrate import upgrade  # noqa: PLC0415 - only here

    with (
        tempfile.TemporaryDirectory(prefix="waybill-fuzz-") as name,
        start_postgres(Path(name) / "postgres", durable=False) as postgres,
        start_valkey(Path(name) / "valkey", durable=False) as valkey,
    ):
        databases = FreshDatabases(postgres.url, upgrade)
        try:
            with databases.migrated() as url, staged(url, valkey.url, Path(name)) as stage:
                yield stage
        finally:
            databases.close()


def main() -> int:
    """The exit code: 1 if any case went wrong."""
    parser = argparse.ArgumentParser(prog="python -m tests.fuzz", description=__doc__)
    parser.add_argument("--seconds", type=float, default=120)
    parser.add_argument("--seed", type=int, default=1)
    parser.add_argument("--only", action="append", choices=sorted(TARGETS), default=[])
    parser.add_argument("--again", type=Path)
    asked = parser.parse_args()
    with _stage() as stage:
        if asked.again:
            kept = json.loads(asked.again.read_text())
            run.one(stage, TARGETS[kept["target"]], kept["case"])
            print("It holds now.")
            return 0
        chosen = [TARGETS[name] for name in asked.only or TARGETS]
        counts, failures = run.for_seconds(stage, chosen, seconds=asked.seconds, seed=asked.seed)
    for name, count in counts.items():
        print(f"{name:24}{count:8} cases  {'FAILED' if any(one.target == name for one in failures) else 'ok'}")
    for failure in failures:
        print(f"\n{failure.told()}\n  kept in {failure.keep()}")
    return 1 if failures else 0


if __name__ == "__main__":
    sys.exit(main())
