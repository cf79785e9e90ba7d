"""P15: how long `make run` takes to be ready the second time, and what the processes weigh."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import time
from pathlib import Path

from app.local.control import answers
from app.local.ports import LOOPBACK, free_port
from app.local.processes import ROOT
from tests.bench.figures import Report, median, pss
from tests.bench.stand import Stand, wait


def run(report: Report, folder: Path) -> None:
    """Start it cold once, then warm three times."""
    times = [_start(folder, free_port()) for _ in range(4)]
    what = "`make run`, warm: PostgreSQL, Valkey, simulators, app ready"
    report.at_most("P15", what, median(times[1:]), 8, "s", cold=times[0], warm=times[1:])


def _start(folder: Path, port: int) -> float:
    words = ["-m", "app.local.run", "--folder", str(folder), "--port", str(port)]
    environment = {key: os.environ[key] for key in ("PATH", "HOME", "LANG") if key in os.environ}
    started = time.monotonic()
    with (folder.parent / "run.log").open("ab") as log:
        process = subprocess.Popen([sys.executable, *words], cwd=ROOT, env=environment, stdout=log, stderr=log)
        try:
            url = f"http://{LOOPBACK}:{port}"
            if not wait(lambda: answers(url, "/readyz") or process.poll() is not None, 90, look=0.02):
                raise AssertionError("make run did not become ready")
            assert process.poll() is None, "make run has ended"
            took = time.monotonic() - started
            wait(lambda: "Ctrl-C ends it" in (folder.parent / "run.log").read_text(encoding="utf-8"), 30)
            return took
        finally:
            process.send_signal(signal.SIGINT)
            process.wait(60)


def memory(report: Report, stand: Stand) -> None:
    """Web, worker and scheduler as the Procfile starts them, after having worked."""
    stand.worker()
    wait(lambda: False, 3)
    parts = {name: pss([stand.pid(name)]) for name in ("web", "worker", "scheduler")}
    report.at_most("P15", "memory of web + worker + scheduler (PSS)", sum(parts.values()), 400, "MB", **parts)
