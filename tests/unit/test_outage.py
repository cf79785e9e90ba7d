"""The database away: deliveries are answered with 503 at once, and the log does not fill the disk."""

from __future__ import annotations

import time
from collections.abc import Iterator
from pathlib import Path

import psycopg
import pytest
import sqlalchemy as sa
from flask.testing import FlaskClient
from structlog.testing import capture_logs

from app import container as containers
from app import create_app, logs
from app.db import DIRECT_WAIT, Database, is_away
from app.jobs import guarded
from app.outage import Outage, outage
from tests.flow.world import CLIENT_SECRET, VAULT
from tests.security.sending import order_body, shopify


@pytest.fixture
def client(tmp_path: Path) -> Iterator[FlaskClient]:
    """The web application with a database that refuses connections."""
    parts = containers.build(
        {
            "APP_ENV": "test",
            "DATABASE_URL": "postgresql+psycopg://waybill@127.0.0.1:1/waybill",
            "REDIS_URL": "redis://127.0.0.1:1/0",
            "PUBLIC_URL": "http://localhost",
            "SECRET_KEY": "for tests only, for tests only, for tests only",
            "VAULT_KEYS": VAULT,
            "STATE_DIR": str(tmp_path),
            "ALIEXPRESS_APP_KEY": "500001",
            "ALIEXPRESS_APP_SECRET": "simulated-app-secret",
            "SHOPIFY_CLIENT_ID": "simulated-client",
            "SHOPIFY_CLIENT_SECRET": CLIENT_SECRET,
        }
    )
    yield create_app(parts).test_client()
    parts.close()


def test_a_delivery_that_cannot_be_stored_is_answered_with_503(client: FlaskClient) -> None:
    body = order_body("1")
    headers = list(shopify(body))
    answer = client.post("/webhooks/shopify", data=body, headers=headers)
    assert (answer.status_code, answer.headers["Retry-After"]) == (503, "5")
    assert client.post("/webhooks/woocommerce/sometoken", data=b"{}").status_code == 503
    assert client.get("/healthz").status_code == 200


def test_while_it_is_away_others_are_refused_without_waiting() -> None:

    database = Database("postgresql+psycopg://waybill@127.0.0.1:1/waybill")
    waits = []
    for _ in range(3):
        started = time.monotonic()
        with pytest.raises(psycopg.OperationalError):
            database.direct("SELECT 1", ())
        waits.append(time.monotonic() - started >= DIRECT_WAIT)
    database.dispose()
    assert waits == [True, False, False]


def test_an_outage_is_told_once_and_its_end_too() -> None:
    def away() -> None:
        raise sa.exc.OperationalError("SELECT 1", {}, psycopg.OperationalError("connection refused"))

    outage.over()  # another test's
    logs.configure("INFO", json_lines=True)
    with capture_logs() as lines:
        for _ in range(50):
            assert not guarded("buy", "claim", away)
        assert guarded("buy", "claim", lambda: None)
    assert [line["event"] for line in lines] == ["database_away", "database_back"]


def test_what_the_database_refuses_is_no_outage() -> None:
    assert not is_away(psycopg.errors.UniqueViolation("twice"))
    assert not is_away(sa.exc.OperationalError("SELECT 1", {}, psycopg.errors.LockNotAvailable("locked")))
    assert is_away(psycopg.errors.AdminShutdown("going down"))
    assert not Outage().note(ValueError("something else"))
