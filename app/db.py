"""The database: PostgreSQL through SQLAlchemy, transactions as the only way in, hooks after the commit."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from datetime import datetime
from typing import Any, cast

import psycopg
import sqlalchemy as sa
from psycopg import Connection
from psycopg.rows import TupleRow
from psycopg_pool import ConnectionPool, PoolTimeout
from sqlalchemy.dialects.postgresql import JSONB
from sqlalchemy.orm import DeclarativeBase, Session, mapped_column, sessionmaker

_CONNECT = {
    "connect_timeout": 5,
    "options": "-c timezone=UTC -c synchronous_commit=on -c lock_timeout=10s -c statement_timeout=30s"
    " -c idle_in_transaction_session_timeout=60s",
}
NAMING = {
    "ix": "ix_%(table_name)s_%(column_0_N_name)s",
    "uq": "uq_%(table_name)s_%(column_0_N_name)s",
    "ck": "ck_%(table_name)s_%(constraint_name)s",
    "fk": "fk_%(table_name)s_%(column_0_name)s_%(referred_table_name)s",
    "pk": "pk_%(table_name)s",
}


class Base(DeclarativeBase):
    """All tables. Times are `timestamptz`, dictionaries JSONB."""

    metadata = sa.MetaData(naming_convention=NAMING)
    type_annotation_map = {  # noqa: RUF012 - SQLAlchemy reads a plain class attribute
        datetime: sa.DateTime(timezone=True),
        dict[str, Any]: JSONB,
        list[Any]: JSONB,
        bytes: sa.LargeBinary,
        int: sa.BigInteger,
        str: sa.Text,
    }

    def __repr__(self) -> str:
        return f"{type(self).__name__}({getattr(self, 'id', '?')})"


def identity() -> Any:
    """A bigint primary key made by the database."""
    return mapped_column(sa.BigInteger, sa.Identity(always=False), primary_key=True)


def states(column: str, *names: str) -> sa.CheckConstraint:
    """A CHECK that a text column holds one of these states."""
    listed = ", ".join(f"'{name}'" for name in names)
    return sa.CheckConstraint(f"{column} IN ({listed})", name=column)


def changed(session: Session, statement: sa.Update | sa.Delete) -> int:
    """Execute an UPDATE or DELETE and give how many rows it touched: the answer of a compare-and-set."""
    return cast("sa.CursorResult[Any]", session.execute(statement)).rowcount


def table(model: type[Base]) -> sa.Table:
    """The table of a model, for statements that need no object: they cost a third of those of the ORM."""
    return cast("sa.Table", model.__table__)


def now(session: Session) -> datetime:
    """The database's clock, aware, UTC: the one clock of all hosts, whatever their own tell."""
    return cast("datetime", session.execute(sa.select(sa.func.clock_timestamp())).scalar_one())


ROW = {"key_share": True}
"""How rows are locked (`with_for_update`): FOR NO KEY UPDATE. Keys do not change, so whoever inserts what refers to a
locked row does not wait for it: a webhook not for a purchase, nor two steps each for the row that the other one has."""

DIRECT_POOL = 16
"""Most connections of a process for single statements outside SQLAlchemy."""


DIRECT_WAIT = 2.0
"""Seconds for which a request waits for one of them. While the database is away, all others are refused at once."""


def is_away(error: BaseException) -> bool:
    """Whether the database could not be reached or broke off, rather than refused what it was asked."""
    if isinstance(error, sa.exc.TimeoutError):
        return True  # no connection became free
    origin = getattr(error, "orig", None) or error
    if not isinstance(origin, psycopg.OperationalError):
        return False
    return origin.sqlstate is None or origin.sqlstate.startswith(_GONE)


_GONE = ("57P", "08")
"""57P: the server is going down or coming up; 08: the connection failed."""


class InTransaction(RuntimeError):
    """An outside call was about to be made while a transaction was open (decision 5)."""


class Database:
    """One engine and the rule of who may talk to it when."""

    def __init__(self, url: str, *, pool_size: int = 20, application_name: str = "waybill") -> None:
        self.url = url
        self.engine = sa.create_engine(
            url,
            pool_size=pool_size,
            max_overflow=4,
            pool_timeout=10,
            pool_pre_ping=False,
            hide_parameters=True,  # an exception text must not carry addresses
            pool_use_lifo=True,
            connect_args={**_CONNECT, "application_name": application_name},
        )
        self._sessions = sessionmaker(self.engine, expire_on_commit=False)
        alone = self.engine.execution_options(isolation_level="AUTOCOMMIT")
        self._readers = sessionmaker(alone, expire_on_commit=False)
        self._local = threading.local()
        self._name = application_name
        self._direct: ConnectionPool[Connection[TupleRow]] | None = None
        self._lock = threading.Lock()
        self._away_until = 0.0

    def direct(self, statement: str, values: Sequence[Any]) -> TupleRow | None:
        """One statement as a transaction of its own, through psycopg itself; gives its first row.

        For the one hot insert: it costs a third of what a session costs. `statement` is a constant that may be executed
        twice without harm: a connection that died meanwhile is replaced and the statement executed once more.
        """
        pool = self._direct or self._open_direct()
        for last in (False, True):
            connection = self._one_of(pool)
            try:
                return connection.execute(statement, values, prepare=True).fetchone()
            except psycopg.OperationalError as error:
                if last or not (connection.closed or (error.sqlstate or "").startswith(_GONE)):
                    raise
                connection.close()
                pool.check()  # the server was started again: the others are dead too
            finally:
                pool.putconn(connection)
        raise AssertionError("the second try returns or raises")

    def _one_of(self, pool: ConnectionPool[Connection[TupleRow]]) -> Connection[TupleRow]:
        if time.monotonic() < self._away_until:
            raise psycopg.OperationalError("the database did not answer a moment ago")
        try:
            return pool.getconn()
        except PoolTimeout:
            # One request in a second finds out; threads that all wait would stop what needs no database as well.
            self._away_until = time.monotonic() + 1.0
            raise

    def _open_direct(self) -> ConnectionPool[Connection[TupleRow]]:
        with self._lock:  # opened at its first use: web servers fork after they have loaded us
            if self._direct is None:
                self._direct = ConnectionPool(
                    self.url.replace("postgresql+psycopg://", "postgresql://", 1),
                    kwargs={**_CONNECT, "application_name": self._name, "autocommit": True},
                    min_size=1,
                    max_size=DIRECT_POOL,
                    open=True,
                    timeout=DIRECT_WAIT,
                )
        return self._direct

    @contextmanager
    def transaction(self) -> Iterator[Session]:
        """A session whose work is committed at the end; an exception rolls back. Not nested."""
        self._not_nested()
        hooks: list[Callable[[], None]] = []
        with self._sessions() as session:
            self._local.session, self._local.hooks = session, hooks
            try:
                yield session
                session.commit()
            except BaseException:
                session.rollback()
                raise
            finally:
                self._local.session = None
        for hook in hooks:
            hook()

    @contextmanager
    def reading(self) -> Iterator[Session]:
        """A session for a few SELECTs that lock nothing: each is a transaction of its own, without BEGIN and COMMIT.

        They see what a `transaction()` would show them (READ COMMITTED) in a third of the round trips.
        """
        self._not_nested()
        with self._readers() as session:
            self._local.session = session
            try:
                yield session
            finally:
                self._local.session = None

    def _not_nested(self) -> None:
        if getattr(self._local, "session", None) is not None:
            raise RuntimeError("a transaction is open already in this thread")

    def after_commit(self, hook: Callable[[], None]) -> None:
        """Run `hook` once the present transaction has been committed; never if it is rolled back."""
        self._local.hooks.append(hook)

    def forbid_open_transaction(self) -> None:
        """Raises `InTransaction` if this thread has a transaction open. Called before every outside call."""
        if getattr(self._local, "session", None) is not None:
            raise InTransaction("an outside call inside a database transaction")

    def dispose(self) -> None:
        """Close all connections (before a fork, at shutdown)."""
        self.engine.dispose()
        with self._lock:
            if self._direct is not None:
                self._direct.close()
                self._direct = None
