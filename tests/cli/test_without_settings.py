"""What must work before anything is set up: the simulators, and a message that names what is missing."""

from __future__ import annotations

import http.client
import json
import os
import signal
import subprocess
import sys
from pathlib import Path
from typing import Any

import psycopg
import pytest
import sqlalchemy as sa

from app.cli.output import _database_fault
from app.registry import find

HERE = Path(__file__).parents[2]


def flask(*words: str, **environment: str) -> subprocess.Popen[str]:
    path = os.environ.get("PATH", "")
    return subprocess.Popen(
        [sys.executable, "-m", "flask", "--app", "wsgi", *words],
        cwd=HERE,
        env={"PATH": path, "PYTHONUNBUFFERED": "1", **environment},
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
    )


@pytest.mark.parametrize("name", sorted(find()))
def test_simulator_needs_no_settings_and_ends_on_sigterm(name: str, tmp_path: Path) -> None:
    ledger = tmp_path / "ledger.jsonl"
    with flask(
        "simulate", name, "--port", "0", "--ledger", str(ledger), "--option", "time-scale=60", "--json"
    ) as process:
        assert process.stdout is not None
        ready: dict[str, Any] = json.loads(process.stdout.readline())
        connection = http.client.HTTPConnection("127.0.0.1", ready["port"], timeout=10)
        connection.request("GET", "/_control/state")
        answer = connection.getresponse()
        answer.read()
        assert (answer.status, answer.version) == (200, 11)
        connection.close()
        process.send_signal(signal.SIGTERM)
        _, err = process.communicate(timeout=15)
    assert process.returncode == 0, err
    assert "Traceback" not in err


@pytest.mark.parametrize(
    ("words", "told"),
    [
        (("simulate", "nothing", "--port", "0"), "There is no simulator"),
        (("simulate", "aliexpress", "--port", "0", "--option", "dedupe=perhaps"), "dedupe must be one of"),
        (("simulate", "aliexpress", "--port", "0", "--option", "dedupe"), "name=value"),
    ],
)
def test_simulator_says_why_it_does_not_start(words: tuple[str, ...], told: str) -> None:
    with flask(*words) as process:
        _, err = process.communicate(timeout=30)
    assert process.returncode == 1
    assert told in err
    assert "Traceback" not in err


@pytest.mark.parametrize("words", [("shop", "list"), ("worker",), ("scheduler",), ("db", "upgrade")])
def test_missing_settings_are_all_named_and_exit_2(words: tuple[str, ...]) -> None:
    with flask(*words) as process:
        out, err = process.communicate(timeout=30)
    assert process.returncode == 2
    assert out == ""
    for name in ("DATABASE_URL", "REDIS_URL", "PUBLIC_URL", "SECRET_KEY", "VAULT_KEYS"):
        assert name in err
    assert "Traceback" not in err


def test_database_that_is_away_is_one_line(tmp_path: Path) -> None:
    environment = {
        "APP_ENV": "test",
        "DATABASE_URL": "postgresql://u:p@127.0.0.1:1/x",
        "REDIS_URL": "redis://127.0.0.1:1/0",
        "PUBLIC_URL": "http://127.0.0.1:8000",
        "SECRET_KEY": "for tests only, for tests only, for tests only",
        "VAULT_KEYS": "k1:" + "A" * 43 + "=",
        "STATE_DIR": str(tmp_path),
        "ALIEXPRESS_APP_KEY": "1",
        "ALIEXPRESS_APP_SECRET": "x",
        "SHOPIFY_CLIENT_ID": "x",
        "SHOPIFY_CLIENT_SECRET": "x",
    }
    with flask("shop", "list", "--json", **environment) as process:
        out, err = process.communicate(timeout=30)
    assert process.returncode == 1
    assert json.loads(out)["error"] == "database_down"
    assert "Traceback" not in err


@pytest.mark.parametrize(
    ("fault", "code"),
    [
        (psycopg.errors.DeadlockDetected, "busy"),
        (psycopg.errors.UniqueViolation, "busy"),
        (psycopg.errors.LockNotAvailable, "busy"),
        (psycopg.errors.AdminShutdown, "database_down"),
        (psycopg.errors.DiskFull, "database_down"),
        (psycopg.errors.UndefinedTable, "no_schema"),
        (psycopg.errors.UndefinedColumn, None),
    ],
)
def test_two_who_met_are_not_told_that_the_database_is_away(fault: type[psycopg.Error], code: str | None) -> None:
    told = _database_fault(sa.exc.DBAPIError.instance("SELECT 1", {}, fault(""), psycopg.Error))  # type: ignore[arg-type]
    assert (told and told[0]) == code
