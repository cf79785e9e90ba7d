"""What every test stands on: real servers on loopback, a clean database each, and nothing beyond the machine.

Fixtures: `database_url` (a fresh, migrated database), `empty_database_url` (without a table), `redis_url`
(a flushed one), `services` (the servers behind them). TEST_DATABASE_URL and TEST_REDIS_URL, when set, name
servers to use instead of the embedded ones; the database's user must be allowed to create databases. With
TEST_DATABASE_TEMPLATE, a migrated database there, the migrations are not run again.
"""

import os
import shutil
import smtplib
import socket
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

import pytest
import redis

from app.local.embedded import start_postgres, start_valkey
from tests.fresh_databases import FreshDatabases

pytest_plugins = ["pytester", "tests.no_skips"]

MAIL_PORTS = frozenset({25, 465, 587, 2525})


@dataclass(frozen=True)
class Services:
    """Addresses of this test process's own servers."""

    database_url: str
    redis_url: str


def migrate(database_url: str) -> None:
    """Bring an empty database to the newest schema. Called once for each test process, on the template."""
    from app.db_migrate import upgrade  # noqa: PLC0415  # tests without a database do not need it

    upgrade(database_url)


# Each xdist worker has servers of its own: nothing is shared, so nothing has to be agreed on, and a worker
# that crashes takes only its own servers along (their watchdogs see to that). They start when the first test
# asks for them, in less than a second.


@pytest.fixture(scope="session")
def postgres_url(tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    if url := os.environ.get("TEST_DATABASE_URL"):
        yield url
        return
    folder = tmp_path_factory.mktemp("postgres")
    with start_postgres(folder, durable=False) as server:
        yield server.url
    shutil.rmtree(folder, ignore_errors=True)


@pytest.fixture(scope="session")
def valkey_url(tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    if url := os.environ.get("TEST_REDIS_URL"):
        # Databases 0 to 15: one for each worker.
        worker = os.environ.get("PYTEST_XDIST_WORKER", "gw0").removeprefix("gw")
        yield f"{url.rstrip('/').removesuffix('/0')}/{int(worker) % 16}"
        return
    folder = tmp_path_factory.mktemp("valkey")
    with start_valkey(folder, durable=False) as server:
        yield server.url
    shutil.rmtree(folder, ignore_errors=True)


@pytest.fixture(scope="session")
def fresh_databases(postgres_url: str) -> Iterator[FreshDatabases]:
    databases = FreshDatabases(postgres_url, migrate, os.environ.get("TEST_DATABASE_TEMPLATE"))
    yield databases
    databases.close()


@pytest.fixture
def database_url(fresh_databases: FreshDatabases) -> Iterator[str]:
    """A database of this test's own, with all migrations applied."""
    with fresh_databases.migrated() as url:
        yield url


@pytest.fixture
def empty_database_url(fresh_databases: FreshDatabases) -> Iterator[str]:
    """A database of this test's own with nothing in it."""
    with fresh_databases.empty() as url:
        yield url


@pytest.fixture
def redis_url(valkey_url: str) -> str:
    """A Redis database of this test process's own, flushed."""
    with redis.Redis.from_url(valkey_url) as client:
        client.flushdb()
    return valkey_url


@pytest.fixture
def services(database_url: str, redis_url: str) -> Services:
    return Services(database_url, redis_url)


@pytest.fixture(autouse=True)
def no_real_smtp(monkeypatch: pytest.MonkeyPatch) -> None:
    """Mail goes to a sink that the test opened on a port of its own, never to a mail server's port."""
    connect = smtplib.SMTP._get_socket

    def guarded(self: smtplib.SMTP, host: str, port: int, timeout: Any) -> socket.socket:
        if port in MAIL_PORTS or host not in {"127.0.0.1", "::1", "localhost"}:
            pytest.fail(f"a test tried to open SMTP to {host}:{port}")
        return connect(self, host, port, timeout)

    monkeypatch.setattr(smtplib.SMTP, "_get_socket", guarded)
