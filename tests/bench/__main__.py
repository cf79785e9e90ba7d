"""`make bench`: every figure of docs/benchmarks.md. BENCH_SECONDS (3) is the length of a burst; all else follows it.

make bench                     everything
make bench ARGS="P6 P8"        only these
make bench ARGS=--reference    everything, and keep the result as this release's reference
"""

from __future__ import annotations

import os
import sys
import tempfile
import time
import traceback
from collections.abc import Callable
from pathlib import Path

from app.local.processes import ROOT
from tests.bench import claims, start, wrk
from tests.bench.figures import Report, machine
from tests.bench.intake import Intake
from tests.bench.stand import Stand, dump
from tests.bench.whole_way import WholeWay

RELEASE = "0.1.0"
RESULTS = ROOT / "bench" / "results"
_ROWS_A_SECOND = 2_000_000


class Bench:
    """One run."""

    def __init__(self, wanted: set[str], seconds: float) -> None:
        self.wanted, self.seconds, self.report = wanted, seconds, Report()

    def wants(self, *numbers: str) -> bool:
        return not self.wanted or bool(self.wanted & set(numbers))

    def try_(self, number: str, act: Callable[[], object]) -> None:
        """A figure that cannot be taken is said, and the others go on."""
        try:
            act()
        except Exception as error:  # noqa: BLE001 - told by name in the report
            traceback.print_exc()
            self.report.missing(number, "could not be measured", f"{type(error).__name__}: {str(error)[:300]}")

    def run(self, folder: Path) -> None:
        if self.wants("P1", "P2", "P3", "P4", "P5", "P6", "P7", "P14", "P15"):
            self.try_("P1-7", lambda: self._on_a_stand(folder / "stand"))
        if self.wants("P8"):
            self.try_("P8", lambda: self._claims(folder))
        if self.wants("P15"):
            self.try_("P15", lambda: start.run(self.report, folder / "run"))

    def _on_a_stand(self, folder: Path) -> None:
        with Stand(folder) as stand:
            stand.furnish(10, 50)
            self._intake(stand)
            self._orders(stand)

    def _intake(self, stand: Stand) -> None:
        if not self.wants("P1", "P2", "P3", "P4", "P5"):
            return
        if wrk.find() is None:
            for number in ("P1", "P2", "P3", "P4", "P5"):
                self.report.missing(number, "skipped", "wrk is not installed and could not be")
            return
        intake = Intake(stand, self.report, self.seconds)
        try:
            if self.wants("P1", "P2", "P3"):
                self.try_("P1", intake.against_hello)
            if self.wants("P1"):
                self.try_("P1", intake.gunicorn)
            if self.wants("P2"):
                self.try_("P2", intake.slow_disk)
            if self.wants("P4", "P5"):
                self.try_("P4", intake.telling)
            if self.wants("P5"):
                self.try_("P5", intake.own_loop)
        finally:
            intake.end()

    def _orders(self, stand: Stand) -> None:
        if not self.wants("P6", "P7", "P14", "P15"):
            return
        orders = WholeWay(stand, self.report, self.seconds)
        for number, act in (("P6", orders.throughput), ("P7", orders.latency), ("P14", orders.killed)):
            if self.wants(number):
                self.try_(number, act)
        if self.wants("P15"):
            self.try_("P15", lambda: start.memory(self.report, stand))

    def _claims(self, folder: Path) -> None:
        large = min(int(self.seconds * _ROWS_A_SECOND), 5_000_000)
        with_keys = Stand(folder / "unused")
        environment = {**with_keys.environment_without_servers, "STATE_DIR": str(folder / "state")}
        claims.measure(folder / "claims", environment, self.report, large)


def main(arguments: list[str]) -> int:
    """Measure; 0 even when goals are missed: a shared machine must not fail a build."""
    reference = "--reference" in arguments
    wanted = {word.upper() for word in arguments if not word.startswith("-")}
    seconds = float(os.environ.get("BENCH_SECONDS", "3"))
    where, started = machine(), time.monotonic()
    print(f"Waybill {RELEASE} on {where['cores']} cores, {where['processor']}, load {where['load_before']}\n")
    bench = Bench(wanted, seconds)
    with tempfile.TemporaryDirectory(prefix="waybill-bench-", dir=os.environ.get("BENCH_FOLDER")) as folder:
        bench.run(Path(folder))
    took = time.monotonic() - started
    short = [line.number for line in bench.report.lines if line.met is False]
    print(f"\n{took:.0f} s. Short of its goal: {', '.join(short) or 'nothing'}")
    result = {
        "release": RELEASE,
        "at": time.strftime("%Y-%m-%dT%H:%M:%SZ", time.gmtime()),
        "bench_seconds": seconds,
        "took_seconds": round(took),
        "machine": where,
        "lines": bench.report.as_json(),
    }
    name = f"reference-{RELEASE}" if reference else time.strftime("%Y%m%dT%H%M%SZ", time.gmtime())
    dump(RESULTS / f"{name}.json", result)
    print(f"Raw figures: {(RESULTS / f'{name}.json').relative_to(ROOT)}")
    return 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
