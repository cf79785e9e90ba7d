"""Named points at which a process may die: around each commit, call, bell, mail and journal entry of the product.

The product knows nothing of them. They are put around its own functions, in processes of the tests only, so they cost
it nothing and what dies is the unchanged code. A point's name is its role, what happens, and the function that does it:
`worker | commit app.pipeline.buy.commit.commit | before`.
"""

from __future__ import annotations

import os
import signal
import sys
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import urllib3.connection
from rq import Queue
from sqlalchemy.orm import Session

from app.db import Database
from app.jobs.bell_listener import BellWorker
from app.journal import Journal
from app.mailer import Mailer
from app.ports.http import OutboundCall

EXCEPTION, EXIT, KILL = "exception", "exit", "kill"
KINDS = (EXCEPTION, EXIT, KILL)
EXIT_CODE = 77


class InjectedError(RuntimeError):
    """Raised at a point; nothing in the product expects it."""


@dataclass(frozen=True, slots=True)
class Shot:
    """Where a process dies, and how."""

    point: str
    kind: str


class Points:
    """The points of one process. Each shot of a plan is fired once over all processes: one after another, or, when
    they come `together`, each when its point is first come to.

    `folder` holds what all processes of a run share: `reached`, a line for each point and process, and a file for each
    shot that was fired.
    """

    def __init__(self, folder: Path, role: str, plan: list[Shot], *, together: bool = False) -> None:
        self._folder = folder
        self._role = role
        self._plan = plan
        self._together = together
        self._seen: set[str] = set()
        self._lock = threading.Lock()

    def reach(self, what: str, moment: str) -> None:
        """The process is at this point. Does not return if it is to die here. Raises `InjectedError`."""
        point = f"{self._role} | {what} | {moment}"
        with self._lock:
            if point not in self._seen:
                self._seen.add(point)
                _append(self._folder / "reached", f"{point}\n")
        for number, shot in enumerate(self._plan):
            fired = self._folder / f"fired-{number}"
            if (shot.point != point and self._together) or fired.exists():
                continue
            if shot.point == point and _first(fired):
                _die(shot.kind)
            return

    @contextmanager
    def around(self, what: str) -> Iterator[None]:
        """Before and after."""
        self.reach(what, "before")
        yield
        self.reach(what, "after")


def _append(path: Path, line: str) -> None:
    file = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_APPEND, 0o600)
    try:
        os.write(file, line.encode())
    finally:
        os.close(file)


def _first(path: Path) -> bool:
    try:
        os.close(os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600))
    except FileExistsError:
        return False
    return True


def _die(kind: str) -> None:
    if kind == EXCEPTION:
        raise InjectedError
    if kind == EXIT:
        os._exit(EXIT_CODE)
    os.kill(os.getpid(), signal.SIGKILL)
    time.sleep(60)


def install(points: Points) -> None:
    """Put the points around the product's functions in this process and in those that it forks."""
    _wrap(points, Session, "commit", lambda *_: f"commit {_caller()}")
    _wrap(points, Database, "direct", lambda *_: f"commit {_caller()}")
    _wrap(points, Queue, "enqueue", lambda *_: "bell ring")
    _wrap(points, BellWorker, "execute_job", lambda *_: "bell answer")
    _wrap(points, Mailer, "send", lambda _mailer, letter, *_: f"mail {letter.template}")
    _wrap(points, Journal, "append", lambda *_: "journal append")
    _wrap(points, Journal, "tidy", lambda *_: "journal tidy")
    _wrap_calls(points)


def _wrap(points: Points, owner: Any, name: str, what: Callable[..., str]) -> None:
    whole = getattr(owner, name)

    def wrapped(*given: Any, **more: Any) -> Any:
        with points.around(what(*given)):
            return whole(*given, **more)

    setattr(owner, name, wrapped)


def _wrap_calls(points: Points) -> None:
    """Around each call, and when its request has left and no answer was read: then it was executed, perhaps."""
    whole, answer, here = OutboundCall.send, urllib3.connection.HTTPConnection.getresponse, threading.local()

    def send(call: OutboundCall, *given: Any, **more: Any) -> Any:
        here.what = f"call {call.vendor}.{call.operation}"
        with points.around(here.what):
            return whole(call, *given, **more)

    def getresponse(connection: Any) -> Any:
        points.reach(getattr(here, "what", "call"), "sent")
        return answer(connection)

    OutboundCall.send = send  # type: ignore[method-assign]
    urllib3.connection.HTTPConnection.getresponse = getresponse  # type: ignore[method-assign]


def _caller() -> str:
    """The function of the product on whose behalf something happens."""
    frame = sys._getframe(1)
    while frame is not None:
        module = frame.f_globals.get("__name__", "")
        if module.startswith("app.") and module != "app.db":
            return f"{module}.{frame.f_code.co_qualname}"
        frame = frame.f_back  # type: ignore[assignment]
    return "elsewhere"
