"""`python -m tests.machine --seconds N --seed S [--first]`: plays stories until the time is over.

Exit 1 if one broke something: it is told as short as it could be made. `--first` stops there, else others follow.
"""

from __future__ import annotations

import argparse
import sys
import tempfile
import time
from pathlib import Path

from app.local.embedded import start_postgres, start_valkey
from tests.fresh_databases import FreshDatabases
from tests.machine.clock import migrate
from tests.machine.holds import Broken
from tests.machine.playing import play
from tests.machine.story import Servers

MOST = 9
"""Stories of one seed of Hypothesis: of ten or more, the first tenth would be very plain ones."""


def main(arguments: list[str]) -> int:
    """Gives the exit code."""
    parser = argparse.ArgumentParser(prog="python -m tests.machine", description=__doc__)
    parser.add_argument("--seconds", type=float, default=60.0)
    parser.add_argument("--seed", type=int, default=1)
    parser.add_argument("--steps", type=int, default=40, help="acts of a story at most")
    parser.add_argument("--shorten", type=float, default=120.0, help="seconds for making a broken story short")
    parser.add_argument("--first", action="store_true", help="stop at the first story that breaks something")
    asked = parser.parse_args(arguments)
    began, broken, rounds = time.monotonic(), 0, 0
    with tempfile.TemporaryDirectory(ignore_cleanup_errors=True) as folder:
        path = Path(folder)
        with (
            start_postgres(path / "postgres", durable=False) as postgres,
            start_valkey(path / "valkey", durable=False) as valkey,
        ):
            Servers.databases, Servers.redis_url = FreshDatabases(postgres.url, migrate), valkey.url
            Servers.until = began + asked.seconds
            while time.monotonic() - began < asked.seconds and not (broken and asked.first):
                rounds += 1
                try:
                    play(seed=asked.seed * 1000 + rounds, examples=MOST, steps=asked.steps, seconds=asked.shorten)
                except Broken as story:
                    broken += 1
                    print(story, flush=True)
            Servers.databases.close()
    print(
        f"{Servers.played} stories of {Servers.acts} acts in {time.monotonic() - began:.0f} s (seed {asked.seed}), {broken} broke something"
    )
    return 1 if broken else 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
