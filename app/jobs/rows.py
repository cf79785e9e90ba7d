"""One row after another: one that raises is logged, moves behind the others, and stands in nobody's way."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterable
from dataclasses import dataclass, field
from datetime import timedelta
from functools import partial

import sqlalchemy as sa
from sqlalchemy.dialects.postgresql import ARRAY
from sqlalchemy.orm import Session

from app.container import Container
from app.jobs import guarded
from app.outage import outage
from app.pipeline import failing

MOST_TOLD = 10
"""When more rows of a kind fail, one alert tells of all of them."""
WATCHED = timedelta(hours=1)
"""For how long a process must have seen few failures before it ends what another one told of many."""


@dataclass
class _Seen:
    """What this process saw of a kind. `failed`: rows that did when it last worked them."""

    since: float = field(default_factory=time.monotonic)
    failed: set[int] = field(default_factory=set)
    many: bool = False


_seen: dict[str, _Seen] = {}


def each(
    container: Container,
    kind: str,
    keys: Iterable[int],
    act: Callable[[int], object],
    behind: Callable[[Session, int], object],
    *,
    among: sa.Select[int],
    within: timedelta | None = None,
) -> None:
    """Do `act` with every key. `behind` puts a row that raised where it is not the first one the next time too.

    `among`: all keys that may ever come. Of one that is none of them any more nobody need be told. `within`: after it
    nothing more is begun; what is left comes the next time.
    """
    seen = _seen.setdefault(kind, _Seen())
    told = _still(container, kind, seen, among)
    faults = {}
    again = set()
    until = time.monotonic() + within.total_seconds() if within is not None else float("inf")
    for key in keys:
        if time.monotonic() >= until:
            break
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
            told -= {str(key)}
            seen.failed.discard(key)
        elif outage.recent:
            break  # the others would fail as well
        else:
            if key in seen.failed:
                again.add(key)
            faults[key] = fault
            seen.failed.add(key)
            guarded(kind, key, partial(_put_behind, container, key, behind))
    _tell(container, kind, seen, told, faults, again)


def _still(container: Container, kind: str, seen: _Seen, among: sa.Select[int]) -> frozenset[str]:
    """Forget rows that never come again. Gives those that staff were told of, one by one."""
    with container.database.transaction() as session:
        told = failing.told(session, kind)
        known = {*seen.failed.copy(), *map(int, told)}
        if known:
            column = among.subquery().c[0]
            asked = sa.literal([*known], ARRAY(sa.BigInteger))
            gone = known.difference(session.scalars(sa.select(column).where(column == sa.any_(asked))))
            seen.failed.difference_update(gone)
            for key in gone:
                if str(key) in told:
                    failing.worked(session, kind, key)
            told -= {str(key) for key in gone}
    return told


def _worked(container: Container, kind: str, key: int, told: frozenset[str]) -> None:
    if str(key) in told:  # by any process
        with container.database.transaction() as session:
            failing.worked(session, kind, key)


def _put_behind(container: Container, key: int, behind: Callable[[Session, int], object]) -> None:
    with container.database.transaction() as session:
        behind(session, key)


def _tell(
    container: Container, kind: str, seen: _Seen, told: frozenset[str], faults: dict[int, str], again: set[int]
) -> None:
    """A few that failed twice are told one by one. `faults`: of this run; `again`: those that failed before as well."""
    if len(faults) > MOST_TOLD or (again and len(told.union(map(str, again))) > MOST_TOLD):
        seen.many = True
        with container.database.transaction() as session:
            failing.tell_many(session, kind, next(iter(faults.values())))
        return
    watched = time.monotonic() - seen.since >= WATCHED.total_seconds() / container.settings.time_scale
    with container.database.transaction() as session:
        for key in sorted(again):
            failing.tell(session, kind, key, faults[key])
        if len(told.union(map(str, seen.failed))) <= MOST_TOLD and (seen.many or watched):
            failing.many_worked(session, kind)
            seen.many = False
