"""Bringing a database to the newest schema, and telling which one it has."""

from __future__ import annotations

from pathlib import Path

import sqlalchemy as sa
from alembic import command
from alembic.config import Config
from alembic.migration import MigrationContext
from alembic.script import ScriptDirectory

MIGRATIONS = Path(__file__).resolve().parent.parent / "migrations"
_LOCK = 7_309_245_001


def config(url: str) -> Config:
    """Alembic's configuration without an ini file."""
    made = Config()
    made.set_main_option("script_location", str(MIGRATIONS))
    made.set_main_option("sqlalchemy.url", url.replace("%", "%%"))
    return made


def upgrade(url: str) -> None:
    """Apply what is missing. Several instances may start at once: an advisory lock lets one work."""
    engine = sa.create_engine(url)
    with engine.connect() as connection:
        connection.execute(sa.text("SELECT pg_advisory_lock(:key)"), {"key": _LOCK})
        try:
            command.upgrade(config(url), "head")
        finally:
            connection.execute(sa.text("SELECT pg_advisory_unlock(:key)"), {"key": _LOCK})
    engine.dispose()


def downgrade(url: str, revision: str = "base") -> None:
    """Take migrations back (tests of up, down, up)."""
    command.downgrade(config(url), revision)


def head() -> str:
    """The newest revision. Raises if there is more than one."""
    found = ScriptDirectory(str(MIGRATIONS)).get_current_head()
    return found or ""


def current(engine: sa.Engine) -> str:
    """The revision that the database has, "" if none."""
    with engine.connect() as connection:
        return MigrationContext.configure(connection).get_current_revision() or ""
