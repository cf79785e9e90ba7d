"""Named points at which a process may die: around each commit, call, bell, mail and journal entry of the product.

The product knows nothing of them. They are put around its own functions, in processes of the tests only, so they cost
it nothing and what dies is the unchanged code. A point's name is its role, what happens, and the function that does it:
`worker | commit app.pipeline.buy.commit.commit | before`. A function's second transaction is another point (`… #2`).
"""

from __future__ import annotations

import ast
import os
import signal
import sys
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from types import CodeType
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
    """Where a process dies, and how: the first time that anybody comes there, or a later one (`arrival`)."""

    point: str
    kind: str
    arrival: int = 1

    @property
    def name(self) -> str:
        """How it is written in the book."""
        return f"{self.point} ! {self.kind}" + (f" @ {self.arrival}" if self.arrival > 1 else "")


class Points:
    """The points of one process. Each shot of a plan is fired once over all processes: one after another, or, when
    they come `together`, each when its point is first come to.

    `folder` holds what all processes of a run share: `reached`, a line for each point and process, `later`, the same
    of what came after the first shot, and a file for each shot that was fired.
    """

    def __init__(self, folder: Path, role: str, plan: list[Shot], *, together: bool = False) -> None:
        self._folder = folder
        self._role = role
        self._plan = plan
        self._together = together
        self._seen: set[str] = set()
        self._seen_later: set[str] = set()
        self._born = len(deaths(folder))
        """How many had died when this process began: only who began after the last death recovers from it."""
        self._lock = threading.Lock()

    def reach(self, what: str, moment: str) -> None:
        """The process is at this point. Does not return if it is to die here. Raises `InjectedError`."""
        point = f"{self._role} | {what} | {moment}"
        with self._lock:
            if point not in self._seen:
                self._seen.add(point)
                _append(self._folder / "reached", f"{point}\n")
            if point not in self._seen_later and (self._folder / "fired-0").exists():
                self._seen_later.add(point)
                _append(self._folder / "later", f"{point}\n")
        self._fire(point)

    def _fire(self, point: str) -> None:
        for number, shot in enumerate(self._plan):
            fired = self._folder / f"fired-{number}"
            if (shot.point != point and self._together) or fired.exists():
                continue
            if not self._together and self._born < number:
                return
            if shot.point == point and self._arrived(number, shot) and _first(fired):
                die(shot.kind)
            return

    def _arrived(self, number: int, shot: Shot) -> bool:
        """Whether it was come to often enough, by all processes together."""
        if shot.arrival == 1:
            return True
        path = self._folder / f"arrivals-{number}"
        _append(path, ".")
        return path.stat().st_size >= shot.arrival

    @contextmanager
    def around(self, what: str) -> Iterator[None]:
        """Before and after."""
        self.reach(what, "before")
        yield
        self.reach(what, "after")


def deaths(folder: Path) -> list[Path]:
    """A file for each death so far, in order."""
    return sorted(folder.glob("fired-*"), key=lambda path: int(path.name.split("-")[1]))


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


def die(kind: str) -> None:
    """As this kind says. Raises `InjectedError`."""
    if kind == EXCEPTION:
        raise InjectedError
    if kind == EXIT:
        os._exit(EXIT_CODE)
    os.kill(os.getpid(), signal.SIGKILL)
    time.sleep(60)


def install(points: Points) -> None:
    """Put the points around the product's functions in this process and in those that it forks."""
    _wrap(points, Session, "commit", lambda *_: f"commit {caller()}")
    _wrap(points, Database, "direct", lambda *_: f"commit {caller()}")
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


def caller() -> str:
    """The function of the product on whose behalf something happens; `#2` is its second transaction."""
    frame = sys._getframe(1)
    while frame is not None:
        module = frame.f_globals.get("__name__", "")
        if module.startswith("app.") and module != "app.db":
            number = transactions(frame.f_code).get(frame.f_lineno, 1)
            return f"{module}.{frame.f_code.co_qualname}" + (f"#{number}" if number > 1 else "")
        frame = frame.f_back  # type: ignore[assignment]
    return "elsewhere"


def read_source() -> None:
    """Know the transactions of all modules of the product that are loaded: what is forked later need not look."""
    for name, module in list(sys.modules.items()):
        if name.startswith("app.") and (file := getattr(module, "__file__", None)):
            _functions(file)


@cache
def transactions(code: CodeType) -> dict[int, int]:
    """Which transaction of a function is on this line; a function of which the source holds none has none."""
    found = [
        place
        for function in _functions(code.co_filename)
        if function[0] == code.co_firstlineno
        for place in function[1]
    ]
    return {line: number for number, place in enumerate(sorted(found, key=min), 1) for line in place}


@cache
def _functions(file: str) -> tuple[tuple[int, list[range]], ...]:
    """The functions of a file: (its first line, the lines of the head of each `with ….transaction()` of its own)."""
    tree = ast.parse(Path(file).read_text())
    functions = [node for node in ast.walk(tree) if isinstance(node, ast.FunctionDef)]
    return tuple((min(part.lineno for part in (node, *node.decorator_list)), list(_heads(node))) for node in functions)


def _heads(node: ast.AST) -> Iterator[range]:
    for child in ast.iter_child_nodes(node):
        if isinstance(child, ast.FunctionDef | ast.Lambda | ast.ClassDef):
            continue
        if isinstance(child, ast.With) and any(_opens(item.context_expr) for item in child.items):
            yield range(child.lineno, max(item.context_expr.end_lineno or 0 for item in child.items) + 1)
        yield from _heads(child)


def _opens(call: ast.expr) -> bool:
    return isinstance(call, ast.Call) and isinstance(call.func, ast.Attribute) and call.func.attr == "transaction"
