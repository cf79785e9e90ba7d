"""A clean database for each test, copied from a template that is migrated once."""

import secrets
from collections.abc import Callable, Iterator
from contextlib import contextmanager

import psycopg
from psycopg import sql
from sqlalchemy import URL, make_url


class FreshDatabases:
    """Creates and drops databases on one server. The template is made when the first test asks for it, unless given.

    A copy costs about as much as truncating the tables, and a leaked connection or a changed
    schema can't reach the next test.
    """

    def __init__(self, server_url: str, migrate: Callable[[str], None], template: str | None = None) -> None:
        self._url: URL = make_url(server_url)
        self._migrate = migrate
        self._template, self._given = template, template is not None
        self._connection = psycopg.connect(
            self._url.set(drivername="postgresql").render_as_string(hide_password=False), autocommit=True
        )

    def close(self) -> None:
        if self._template and not self._given:
            self._drop(self._template)
        self._connection.close()

    @contextmanager
    def empty(self) -> Iterator[str]:
        name = self._create("template0")
        try:
            yield self._url_of(name)
        finally:
            self._drop(name)

    @contextmanager
    def migrated(self) -> Iterator[str]:
        name = self._create(self.template)
        try:
            yield self._url_of(name)
        finally:
            self._drop(name)

    @property
    def template(self) -> str:
        """The name of the database that is copied."""
        if self._template is None:
            self._template = self._make_template()
        return self._template

    def _make_template(self) -> str:
        name = self._create("template0")
        try:
            self._migrate(self._url_of(name))
        except BaseException:
            self._drop(name)
            raise
        return name

    def _create(self, template: str) -> str:
        name = f"test_{secrets.token_hex(6)}"
        self._connection.execute(
            sql.SQL("CREATE DATABASE {} TEMPLATE {} STRATEGY FILE_COPY").format(
                sql.Identifier(name), sql.Identifier(template)
            )
        )
        return name

    def _drop(self, name: str) -> None:
        self._connection.execute(sql.SQL("DROP DATABASE IF EXISTS {} WITH (FORCE)").format(sql.Identifier(name)))

    def _url_of(self, name: str) -> str:
        return self._url.set(database=name).render_as_string(hide_password=False)
