"""P8: claiming the next due row must not care how many rows there are."""

from __future__ import annotations

import time
from pathlib import Path

import sqlalchemy as sa

from app import db_migrate
from app.container import Container
from app.jobs.drain import KINDS
from app.local.embedded import EmbeddedServices
from tests.bench.figures import Report, median

ROUNDS = 5
_DUE = 4_000
_FILL = """
INSERT INTO inbox (source, topic, dedupe, verified, state, processed_at, result, run_at, received_at)
SELECT 'aliexpress', 'order', sha256(n::text::bytea), true, CASE WHEN n % :each = 0 THEN 'DUE' ELSE 'DONE' END,
       now(), 'new order', now() - n * interval '1 second', now()
FROM generate_series(1, :many) n
"""
_UNIQUE = "CREATE UNIQUE INDEX uq_inbox_event ON inbox (source, shop_id, topic, dedupe) NULLS NOT DISTINCT"


def measure(folder: Path, environment: dict[str, str], report: Report, large: int) -> None:
    """Fill two databases, then claim from each in turn."""
    inbox = next(kind for kind in KINDS if kind.name == "inbox")
    with EmbeddedServices(folder, durable=False) as services:
        containers = {many: _filled(services, environment, many) for many in (50_000, large)}
        try:
            rounds = []
            for _ in range(ROUNDS):
                one = {}
                for many, container in containers.items():
                    _free(container)
                    one[many] = (_each(container, inbox.claim, 1, 150), _each(container, inbox.claim, 50, 30))
                rounds.append(one)
        finally:
            for container in containers.values():
                container.close()
    ratio = median(each[large][0] / each[50_000][0] for each in rounds)
    raw = {"milliseconds": [{str(many): times for many, times in each.items()} for each in rounds]}
    report.at_most("P8", f"claim-next at {large:,} rows, of the same at 50,000", ratio, 1.2, "x", **raw)
    at_once = median(each[large][1] / 50 / each[large][0] for each in rounds)
    report.at_most("P8", "claiming 50 at once, per row, of claiming one", at_once, 0.1, "x")


def _filled(services: EmbeddedServices, environment: dict[str, str], many: int) -> Container:
    from app import container as containers  # noqa: PLC0415

    name = f"bench_{many}"
    with sa.create_engine(services.database_url, isolation_level="AUTOCOMMIT").connect() as connection:
        connection.exec_driver_sql(f"CREATE DATABASE {name}")
    url = services.postgres.url_of(name)
    db_migrate.upgrade(url)
    container = containers.build({**environment, "DATABASE_URL": url, "REDIS_URL": services.redis_url})
    engine = container.database.engine.execution_options(isolation_level="AUTOCOMMIT")
    with engine.connect() as connection:
        for text in ("SET statement_timeout = 0", "SET maintenance_work_mem = '512MB'", "DROP INDEX uq_inbox_event"):
            connection.exec_driver_sql(text)
        connection.execute(sa.text(_FILL), {"many": many, "each": many // _DUE})
        connection.exec_driver_sql(_UNIQUE)
        connection.exec_driver_sql("VACUUM ANALYZE inbox")
        connection.exec_driver_sql("RESET ALL")
    container.database.dispose()
    return container


def _free(container: Container) -> None:
    engine = container.database.engine.execution_options(isolation_level="AUTOCOMMIT")
    with engine.connect() as connection:
        connection.exec_driver_sql(
            "UPDATE inbox SET lease_until = NULL WHERE state = 'DUE' AND lease_until IS NOT NULL"
        )
        connection.exec_driver_sql("VACUUM inbox")


def _each(container: Container, claim: object, most: int, times: int) -> float:
    """Milliseconds of one claim."""
    started = time.perf_counter()
    for _ in range(times):
        rows = claim(container, most)  # type: ignore[operator]
        assert len(rows) == most
    return (time.perf_counter() - started) * 1000 / times
