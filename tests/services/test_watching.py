"""Readiness and metrics: what they tell, also when things are away."""

from __future__ import annotations

import os
from collections import Counter
from collections.abc import Iterator
from datetime import timedelta
from pathlib import Path
from typing import Any

import pytest
import sqlalchemy as sa
from prometheus_client.parser import text_string_to_metric_families

from app import container as containers
from app.container import Container
from app.models import Alert, Breaker, CallStat, Inbox, PeriodicJob
from app.services import health, metrics, placement
from app.services.periods import PERIODS
from tests.flow.world import VAULT


def environment(database_url: str, redis_url: str, folder: Path) -> dict[str, str]:
    return {
        "APP_ENV": "test",
        "DATABASE_URL": database_url,
        "REDIS_URL": redis_url,
        "PUBLIC_URL": "http://127.0.0.1:8000",
        "SECRET_KEY": "for tests only, for tests only, for tests only",
        "VAULT_KEYS": VAULT,
        "STATE_DIR": str(folder),
        "ALIEXPRESS_APP_KEY": "1",
        "ALIEXPRESS_APP_SECRET": "x",
        "SHOPIFY_CLIENT_ID": "x",
        "SHOPIFY_CLIENT_SECRET": "x",
        "MAIL_SERVER": "mail.example",
        "STAFF_EMAIL": "staff@waybill.example",
    }


@pytest.fixture
def parts(database_url: str, redis_url: str, tmp_path: Path) -> Iterator[Container]:
    made = containers.build(environment(database_url, redis_url, tmp_path))
    yield made
    made.close()


def jobs_ended(parts: Container, seconds: float = 0.0) -> None:
    """As if every periodic job had ended so long ago."""
    with parts.database.transaction() as session:
        ended = sa.func.now() - timedelta(seconds=seconds)
        session.execute(sa.delete(PeriodicJob))
        session.add_all(PeriodicJob(name=name, last_finished_at=ended, last_error="") for name in PERIODS)


def test_ready_when_all_is_there(parts: Container) -> None:
    jobs_ended(parts)
    report = health.readiness(parts)
    assert report.ready
    assert report.as_dict()["status"] == "ok"
    assert set(report.as_dict()["checks"]) == {
        "database",
        "migrations",
        "redis",
        "inbox",
        "jobs",
        "state_dir",
        "placement",
        "mail",
    }


def test_jobs_that_nobody_does_are_told(parts: Container) -> None:
    def told() -> dict[str, Any]:
        report = health.readiness(parts)
        assert report.ready, "requests are stored all the same"
        return dict(report.as_dict()["checks"]["jobs"])

    assert "retention has never run" in told()["detail"]
    assert 'waybill_job_age_periods{job="leases"} +Inf' in metrics.render(parts, Counter())
    jobs_ended(parts, 50)
    assert told() == {"state": "ok", "seconds": pytest.approx(50, abs=5)}, "workers may be busy"
    jobs_ended(parts, 100)
    check = told()
    assert (check["state"], check["seconds"]) == ("degraded", pytest.approx(100, abs=5))
    assert "leases ended 100 s ago, due every 5 s: is a worker running?" in check["detail"]
    assert "retention" not in check["detail"]
    assert 'waybill_job_failed{job="mails"} 0.0' in metrics.render(parts, Counter())


def test_a_job_that_fails_is_told(parts: Container) -> None:
    jobs_ended(parts)
    with parts.database.transaction() as session:
        session.execute(sa.update(PeriodicJob).where(PeriodicJob.name == "mails").values(last_error="KeyError"))
    check = health.readiness(parts).as_dict()["checks"]["jobs"]
    assert (check["state"], check["detail"]) == ("degraded", "mails failed (KeyError)")
    assert 'waybill_job_failed{job="mails"} 1.0' in metrics.render(parts, Counter())


def test_redis_away_is_degraded_but_ready(database_url: str, tmp_path: Path) -> None:
    parts = containers.build(environment(database_url, "redis://127.0.0.1:1/0", tmp_path))
    report = health.readiness(parts)
    assert report.ready
    assert report.as_dict()["checks"]["redis"]["state"] == "degraded"
    parts.close()


def test_database_away_is_not_ready_and_no_page_of_metrics_is_lost(redis_url: str, tmp_path: Path) -> None:
    parts = containers.build(environment("postgresql://u:secret@127.0.0.1:1/x", redis_url, tmp_path))
    report = health.readiness(parts)
    assert not report.ready
    assert report.as_dict()["status"] == "not ready"
    assert "secret" not in str(report.as_dict())
    text = metrics.render(parts, Counter({("shopify", "bad_signature"): 3}))
    assert "waybill_database_up 0.0" in text
    labels = f'process="{os.getpid()}",reason="bad_signature",source="shopify"'
    assert f"waybill_deliveries_refused_total{{{labels}}} 3.0" in text
    parts.close()


def test_missing_migrations_are_not_ready(empty_database_url: str, redis_url: str, tmp_path: Path) -> None:
    parts = containers.build(environment(empty_database_url, redis_url, tmp_path))
    report = health.readiness(parts)
    assert not report.ready
    assert "flask db upgrade" in report.as_dict()["checks"]["migrations"]["detail"]
    parts.close()


def test_old_events_and_a_freeze_are_told(parts: Container) -> None:
    with parts.database.transaction() as session:
        session.add(
            Inbox(
                source="x", topic="t", dedupe=b"1", body=b"", received_at=sa.func.now() - sa.text("'1 hour'::interval")
            )
        )
    placement.freeze(parts, "by hand", by="ann")
    report = health.readiness(parts)
    assert report.ready
    checks = report.as_dict()["checks"]
    assert checks["inbox"]["state"] == "degraded"
    assert checks["inbox"]["seconds"] >= 3600
    assert "by hand" in checks["placement"]["detail"]


def test_metrics_are_read_from_the_database(parts: Container) -> None:
    with parts.database.transaction() as session:
        session.add(
            CallStat(
                vendor="v", operation="o", outcome="ok", calls=3, milliseconds=1500, buckets=[1, 1, 2, 2, 3, 3, 3, 3, 3]
            )
        )
        session.add(CallStat(vendor="v", operation="o", outcome="later", calls=1, milliseconds=5, buckets=[]))
        session.add(Breaker(scope="supplier:x", state="OPEN", unclear_at=[]))
        session.add(Alert(dedupe_key="k", kind="k", text="t"))
        session.add(Inbox(source="x", topic="t", dedupe=b"1", body=b""))
    text = metrics.render(parts, Counter())
    samples = {
        (sample.name, tuple(sorted(sample.labels.items()))): sample.value
        for family in text_string_to_metric_families(text)
        for sample in family.samples
    }
    assert samples["waybill_database_up", ()] == 1
    assert samples["waybill_inbox_due", ()] == 1
    assert samples["waybill_unknown_outcomes", ()] == 0
    assert samples["waybill_alerts_open", ()] == 1
    assert samples["waybill_placement_frozen", ()] == 0
    assert samples["waybill_breaker_open", (("scope", "supplier:x"),)] == 1
    key = (("operation", "o"), ("outcome", "ok"), ("vendor", "v"))
    assert samples["waybill_calls_total", key] == 3
    assert samples["waybill_call_seconds_sum", key] == 1.5
    assert samples["waybill_call_seconds_bucket", tuple(sorted([*key, ("le", "0.25")]))] == 2
    assert samples["waybill_purchases", (("reason", ""), ("state", "READY"))] == 0
