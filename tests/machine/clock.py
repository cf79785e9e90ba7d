"""One clock for the process, the simulators in it and PostgreSQL. It stands still until the story moves it.

The database has functions `now()` and `clock_timestamp()` of its own in a schema that is searched before PostgreSQL's:
the product calls both by their bare names. They read one row, and each reading of the latter is a microsecond later
than the last, so that things still happen one after another.
"""

from __future__ import annotations

from datetime import UTC, datetime
from typing import Self

import psycopg
import time_machine
from sqlalchemy import make_url

from app.db_migrate import upgrade

START = datetime(2026, 3, 2, 9, 0, tzinfo=UTC).timestamp()
"""Every story begins on this Monday morning, far from a change of summer time."""
_SCHEMA = """
CREATE SCHEMA story;
CREATE TABLE story.clock (at timestamptz NOT NULL);
INSERT INTO story.clock VALUES (to_timestamp({start}));
CREATE SEQUENCE story.tick;
CREATE FUNCTION story.now() RETURNS timestamptz LANGUAGE sql STABLE AS
  $$ SELECT at + (SELECT last_value FROM story.tick) * interval '1 microsecond' FROM story.clock $$;
CREATE FUNCTION story.clock_timestamp() RETURNS timestamptz LANGUAGE sql VOLATILE AS
  $$ SELECT at + nextval('story.tick') * interval '1 microsecond' FROM story.clock $$;
"""


def plain(url: str) -> str:
    """The address as psycopg takes it."""
    return make_url(url).set(drivername="postgresql").render_as_string(hide_password=False)


def migrate(url: str) -> None:
    """A database whose columns' defaults read the story's clock as well."""
    with psycopg.connect(plain(url), autocommit=True) as connection:
        connection.execute(_SCHEMA.format(start=START))
        obey(connection)
    upgrade(url)


def obey(connection: psycopg.Connection[tuple[object, ...]]) -> None:
    """Let later sessions of this database find the story's functions first (copies of a template forget it)."""
    name = connection.info.dbname
    connection.execute(f'ALTER DATABASE "{name}" SET search_path = public, story, pg_catalog'.encode())


class StoryClock:
    """See `app.clock.Clock`. `at` is epoch seconds; nothing but `advance` moves it."""

    def __init__(self, url: str) -> None:
        self.at = START
        self._connection = psycopg.connect(plain(url), autocommit=True)
        obey(self._connection)
        self._travel = time_machine.travel(START, tick=False)
        self._coordinates = self._travel.start()

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self._travel.stop()
        self._connection.close()

    def advance(self, seconds: float) -> None:
        """Let this much time go by, everywhere at once."""
        self.at += seconds
        self._connection.execute("UPDATE story.clock SET at = to_timestamp(%s)", (self.at,))
        self._coordinates.move_to(self.at)

    def now(self) -> datetime:
        """Now, aware, UTC."""
        return datetime.fromtimestamp(self.at, UTC)

    def boottime(self) -> float:
        """Seconds since an hour before the story began."""
        return self.at - START + 3600.0

    def monotonic(self) -> float:
        """The same."""
        return self.boottime()
