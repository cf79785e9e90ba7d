"""Where workers stop: put around the product's own functions for as long as a story lasts (as `tests.faults.points`)."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager
from typing import Any
from unittest.mock import patch

import sqlalchemy as sa
import urllib3.connection
from sqlalchemy.orm import Session

from app import pace
from app.container import Container
from app.db import Database
from app.journal import Journal
from app.pipeline.buy import step
from app.ports.http import OutboundCall
from app.ports.supplier import PlaceOrder
from connectors.aliexpress.supplier import AliExpressSession
from tests.faults.points import caller
from tests.machine.workers import Worker, current

PLACE = "order.create"


@contextmanager
def installed(
    container: Container, on_place: Callable[[Worker | None, PlaceOrder], None], on_sleep: Callable[[float], None]
) -> Iterator[None]:
    """Inside, workers stop.

    `on_place` is called when a worker, or the story's own thread (None), is about to place an order, before a worker
    stops there; `on_sleep` instead of sleeping (seconds), by the product in a worker that goes on to its end or in the
    story's own thread.
    """
    engine = container.database.engine
    sa.event.listen(engine, "before_cursor_execute", _before_statement)
    with ExitStack() as stack:
        for owner, name, wrapper in (
            (Database, "transaction", _transaction(Database.transaction)),
            (Journal, "append", _around("journal", Journal.append)),
            (AliExpressSession, "place", _place(AliExpressSession.place, on_place)),
            (OutboundCall, "send", _send(OutboundCall.send)),
            (urllib3.connection.HTTPConnection, "getresponse", _answer(urllib3.connection.HTTPConnection.getresponse)),
            (step, "watched", _watched(step.watched)),
            (time, "sleep", _sleep(time.sleep, on_sleep)),
            (pace, "time", _StoryTime(container)),
        ):
            stack.enter_context(patch.object(owner, name, wrapper))
        try:
            yield
        finally:
            sa.event.remove(engine, "before_cursor_execute", _before_statement)


def _before_statement(_connection: Any, _cursor: Any, statement: str, *_: Any) -> None:
    """Between what a transaction read and its first write others may do what they like, unless it locked it."""
    worker = current()
    if worker is None:
        return
    worker.refuse_dead()
    if not worker.in_transaction or worker.has_written:
        return
    if statement.lstrip()[:6].upper() == "SELECT":
        worker.has_read = True
        return
    worker.has_written = True
    if worker.has_read:
        worker.stop(f"before the first write of {worker.transaction}")


def _transaction(whole: Callable[..., Any]) -> Callable[..., Any]:
    @contextmanager
    def transaction(database: Database) -> Iterator[Session]:
        worker = current()
        if worker is None:
            with whole(database) as session:
                yield session
            return
        worker.refuse_dead()
        what = worker.transaction = caller()
        worker.in_transaction, worker.has_read, worker.has_written = True, False, False
        try:
            with whole(database) as session:
                yield session
                if worker.has_written and not worker.has_read:
                    worker.stop(f"before the commit of {what}")  # whoever read first stops before the first write
        finally:
            worker.in_transaction = False
        if worker.has_written:
            worker.stop(f"after the commit of {what}")

    return transaction


def _around(what: str, whole: Callable[..., Any]) -> Callable[..., Any]:
    def wrapped(*given: Any, **more: Any) -> Any:
        worker = current()
        if worker is None:
            return whole(*given, **more)
        worker.stop(f"before the {what}")
        result = whole(*given, **more)
        worker.stop(f"after the {what}")
        return result

    return wrapped


def _place(whole: Callable[..., Any], on_place: Callable[[Worker | None, PlaceOrder], None]) -> Callable[..., Any]:
    def place(session: AliExpressSession, order: PlaceOrder) -> Any:
        worker = current()
        if worker is not None:
            worker.refuse_dead()
        on_place(worker, order)
        return whole(session, order)

    return place


def _send(whole: Callable[..., Any]) -> Callable[..., Any]:
    def send(call: OutboundCall, *given: Any, **more: Any) -> Any:
        worker = current()
        if worker is None:
            return whole(call, *given, **more)
        worker.refuse_dead()
        what = f"{call.vendor} {call.operation}"
        worker.calls.append(what)
        if what.endswith(PLACE):
            worker.stop(f"before the call {what}")
        return whole(call, *given, **more)

    return send


def _answer(whole: Callable[..., Any]) -> Callable[..., Any]:
    def getresponse(connection: Any) -> Any:
        worker = current()
        if worker is None:
            return whole(connection)
        worker.refuse_dead()
        fault: Exception | None = None
        answer = None
        try:
            answer = whole(connection)  # it was executed, or was not: that is settled before anything else happens
        except Exception as error:  # noqa: BLE001 - raised again below
            fault = error
        worker.stop(f"answered: {worker.calls[-1] if worker.calls else 'a call'}")
        if fault is not None:
            raise fault
        return answer

    return getresponse


def _watched(whole: Callable[..., Any]) -> Callable[..., Any]:
    @contextmanager
    def watched(container: Container, begun: float) -> Iterator[None]:
        worker = current()
        if worker is not None:
            worker.kill_at = begun + container.timers.kill_after.total_seconds()
        with whole(container, begun):
            yield
        if worker is not None:
            worker.kill_at = None

    return watched


def _sleep(whole: Callable[[float], None], on_sleep: Callable[[float], None]) -> Callable[[float], None]:
    def sleep(seconds: float) -> None:
        worker = current()
        if worker is not None:
            worker.stop("asleep")
            if worker.through:
                on_sleep(seconds)
        elif threading.current_thread() is threading.main_thread() and caller() != "elsewhere":
            on_sleep(seconds)
        else:
            whole(seconds)

    return sleep


class _StoryTime:
    """The module `time` as the product's pace knows it: it waits for permits by the machine's own clock."""

    def __init__(self, container: Container) -> None:
        self.monotonic = container.clock.monotonic

    def sleep(self, seconds: float) -> None:
        """As everybody does here."""
        time.sleep(seconds)
