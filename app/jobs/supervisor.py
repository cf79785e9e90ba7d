"""`flask worker`: a small parent process that starts workers, watches their sends, and replaces those that die.

The parent opens no connection. It shares an array of send deadlines with its workers and kills a worker whose send
passed the kill limit: a process that was stopped after the point of no return can never send late.
"""

from __future__ import annotations

import multiprocessing
import os
import signal
import sys
import threading
import time
from dataclasses import dataclass
from multiprocessing.context import ForkProcess
from types import FrameType

from sqlalchemy.orm import configure_mappers

from app import container as containers
from app import logs
from app.boot import prepare
from app.clock import SystemClock
from app.errors import SettingsInvalid
from app.jobs import guarded, tasks
from app.jobs.bell_listener import answer_bell
from app.jobs.drain import Drain
from app.pipeline.buy import outcome
from app.pipeline.buy.watch import Slots, adopt

log = logs.logger(__name__)
WRONG_SETTINGS = 2
"""Exit code of a worker, and then of its supervisor, that may not work with these settings."""
SHORT_LIFE, LONGEST_PAUSE = 10.0, 5.0
LOOK = 0.1
"""Seconds between two looks of the supervisor."""


@dataclass
class _Worker:
    process: ForkProcess
    slots: Slots
    started: float
    failures: int = 0
    """Ends in a row within the first seconds."""
    waits_since: float | None = None


def main() -> None:
    """Run workers until SIGTERM or SIGINT; then let them finish what they have begun."""
    settings, _ = containers.read_settings()
    logs.configure(settings.log_level, json_lines=settings.production)
    configure_mappers()
    context = multiprocessing.get_context("fork")
    stopping = threading.Event()

    def stop(_number: int, _frame: FrameType | None) -> None:
        stopping.set()

    workers = [_start(context, Slots()) for _ in range(settings.worker_processes)]
    signal.signal(signal.SIGTERM, stop)
    signal.signal(signal.SIGINT, stop)
    log.info("supervisor_started", workers=len(workers))
    clock = SystemClock()
    while not stopping.wait(LOOK):
        for place, worker in enumerate(workers):
            if worker.slots.overdue(clock.boottime()):
                log.error("worker_killed_past_send_limit", pid=worker.process.pid)
                worker.process.kill()
                worker.process.join()
            if worker.process.exitcode == WRONG_SETTINGS:
                _end(workers, clock)
                sys.exit(WRONG_SETTINGS)
            if not worker.process.is_alive():
                workers[place] = _replaced(context, worker)
    _end(workers, clock)


def _end(workers: list[_Worker], clock: SystemClock) -> None:
    """Ask every worker to stop; the send watch goes on until they have."""
    for worker in workers:
        worker.process.terminate()
    while any(worker.process.is_alive() for worker in workers):
        for worker in workers:
            if worker.slots.overdue(clock.boottime()):
                worker.process.kill()
        time.sleep(LOOK)
    log.info("supervisor_ended")


def _replaced(context: multiprocessing.context.ForkContext, worker: _Worker) -> _Worker:
    """Another worker in the place of one that ended; later and later while none gets beyond its start."""
    lived = time.monotonic() - worker.started
    if worker.waits_since is None:
        log.warning("worker_ended", pid=worker.process.pid, code=worker.process.exitcode)
        worker.failures = worker.failures + 1 if lived < SHORT_LIFE else 1
        worker.waits_since = time.monotonic()
    if time.monotonic() - worker.waits_since < min(0.1 * 2**worker.failures, LONGEST_PAUSE):
        return worker
    worker.slots.reset()
    return _start(context, worker.slots, worker.failures)


def _start(context: multiprocessing.context.ForkContext, slots: Slots, failures: int = 0) -> _Worker:
    process = context.Process(target=work, args=(slots, os.getpid()), name="waybill-worker")
    process.start()
    return _Worker(process, slots, time.monotonic(), failures)


def work(slots: Slots, parent: int) -> None:
    """One worker process: the drain loop in the main thread, RQ's bell beside it."""
    signal.signal(signal.SIGTERM, signal.SIG_DFL)  # not the supervisor's handler, which a replacement inherits
    adopt(slots)
    container = containers.build(name="waybill-worker")
    try:
        prepare(container)
    except SettingsInvalid as error:
        log.critical("settings_invalid", problems=error.problems)
        os._exit(WRONG_SETTINGS)
    drain = Drain(container, threads=container.settings.worker_threads)

    def stop(_number: int, _frame: FrameType | None) -> None:
        drain.stop()

    signal.signal(signal.SIGTERM, stop)
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    tasks.listen(drain.wake)
    container.bell.listen(drain.wake)
    threading.Thread(target=answer_bell, args=(container,), name="rq", daemon=True).start()
    threading.Thread(target=_leave_with_parent, args=(parent, drain), name="parent", daemon=True).start()
    guarded("journal", "start", lambda: outcome.replay(container))
    log.info("worker_started")
    drain.run()
    container.close()
    log.info("worker_drained")


def _leave_with_parent(parent: int, drain: Drain) -> None:
    """Without its supervisor nobody watches the sends: stop."""
    while os.getppid() == parent:
        time.sleep(0.5)
    drain.stop()
    time.sleep(40)
    os._exit(1)
