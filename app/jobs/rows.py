"""One row after another: one that raises is logged, moves behind the others, and stands in nobody's way."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from functools import partial

import sqlalchemy as sa
from sqlalchemy.orm import Session

from app.container import Container
from app.jobs import guarded
from app.outage import outage
from app.pipeline import failing

MOST_KNOWN = 1000
_failed: dict[tuple[str, int], None] = {}
"""Rows that failed when this process last worked them, oldest first: one fault is no reason to tell anybody."""


def each(
    container: Container,
    kind: str,
    keys: Iterable[int],
    act: Callable[[int], object],
    behind: Callable[[Session, int], object],
    *,
    among: sa.Select[int],
) -> None:
    """Do `act` with every key. `behind` puts a row that raised where it is not the first one the next time too.

    `among`: all keys that may ever come. Of one that is none of them any more nobody need be told.
    """
    with container.database.transaction() as session:
        told = failing.told(session, kind)
        if told:
            for gone in told - {str(key) for key in session.scalars(among)}:
                failing.worked(session, kind, gone)
    for key in keys:
        fault = ""

        def once(key: int = key) -> None:
            nonlocal fault
            try:
                act(key)
            except Exception as error:
                fault = type(error).__name__
                raise

        if guarded(kind, key, once):
            _worked(container, kind, key, told)
        elif outage.recent:
            return  # the others would fail as well
        else:
            guarded(kind, key, partial(_raised, container, kind, key, fault, behind))


def _worked(container: Container, kind: str, key: int, told: frozenset[str]) -> None:
    _failed.pop((kind, key), None)
    if str(key) in told:  # by any process
        with container.database.transaction() as session:
            failing.worked(session, kind, key)


def _raised(container: Container, kind: str, key: int, fault: str, behind: Callable[[Session, int], object]) -> None:
    with container.database.transaction() as session:
        behind(session, key)
    if (kind, key) in _failed:
        with container.database.transaction() as session:
            failing.tell(session, kind, key, fault)
        return
    if len(_failed) >= MOST_KNOWN:
        del _failed[next(iter(_failed))]
    _failed[kind, key] = None
