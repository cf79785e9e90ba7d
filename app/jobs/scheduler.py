"""`flask scheduler`: makes periodic rows due, nothing else. Any number may run."""

from __future__ import annotations

import signal
import sys
import threading
from types import FrameType

from app import container as containers
from app import logs
from app.boot import prepare
from app.errors import SettingsInvalid
from app.jobs import guarded
from app.jobs.periodic import make_due
from app.outage import outage


def main() -> None:
    """Until SIGTERM or SIGINT."""
    container = containers.build(name="waybill-scheduler")
    logs.configure(container.settings.log_level, json_lines=container.settings.production)
    stopping = threading.Event()

    def stop(_number: int, _frame: FrameType | None) -> None:
        stopping.set()

    signal.signal(signal.SIGTERM, stop)
    signal.signal(signal.SIGINT, stop)
    try:
        prepare(container)
    except SettingsInvalid as error:
        sys.stderr.write(f"{error}\n")
        sys.exit(2)

    def once() -> None:
        if make_due(container):
            container.bell.ring()

    while not stopping.wait(0.5):
        guarded("scheduler", "tick", once)
        if outage.recent:
            stopping.wait(1.0)
    container.close()
