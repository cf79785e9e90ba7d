"""The hot insert's own connections: they outlive a restart of the server without losing a delivery."""

from __future__ import annotations

import threading

import psycopg
import pytest

from app.db import Database


@pytest.fixture
def database(database_url: str) -> Database:
    return Database(database_url)


def kill_all(database_url: str) -> None:
    """What a restart does to every other connection."""
    with psycopg.connect(database_url.replace("+psycopg", "", 1), autocommit=True) as connection:
        connection.execute(
            "SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE datname = current_database() "
            "AND pid <> pg_backend_pid()"
        )


def test_connections_that_died_are_replaced(database: Database, database_url: str) -> None:
    def ask(found: list[object], gate: threading.Barrier) -> None:
        gate.wait()
        found.append((database.direct("SELECT pg_sleep(0.05), 7", ()) or (0, 0))[1])

    for _ in range(2):
        found: list[object] = []
        gate = threading.Barrier(6)
        threads = [threading.Thread(target=ask, args=(found, gate)) for _ in range(6)]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
        assert found == [7] * 6
        kill_all(database_url)
    assert database.direct("SELECT 8", ()) == (8,)
    database.dispose()


def test_a_fault_of_the_statement_is_raised_and_the_connection_goes_on(database: Database) -> None:
    with pytest.raises(psycopg.errors.DivisionByZero):
        database.direct("SELECT 1/0", ())
    assert database.direct("SELECT 8", ()) == (8,)
    database.dispose()
