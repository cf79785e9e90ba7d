"""What `/metrics` tells: read from the database at scrape, from partial indexes and small tables only."""

from __future__ import annotations

import os
from collections import Counter
from collections.abc import Iterable, Iterator
from typing import Any

import sqlalchemy as sa
from prometheus_client import CollectorRegistry, generate_latest
from prometheus_client.core import CounterMetricFamily, GaugeMetricFamily, HistogramMetricFamily, Metric
from prometheus_client.registry import Collector
from sqlalchemy.orm import Session

from app.calls import BUCKETS
from app.container import Container
from app.models import Breaker, CallStat, PlacementFreeze
from app.services import job_ages

# States are written out: a bound parameter would keep the planner from the partial indexes.
_INBOX = sa.text("""
SELECT count(*) AS due,
       coalesce(extract(epoch FROM clock_timestamp() - min(received_at)), 0)::float8 AS oldest
FROM inbox WHERE state = 'DUE'
""")
_OUTBOX = sa.text("""
SELECT count(*) AS due, count(*) FILTER (WHERE attempts > 3 AND (result NOT LIKE 'waits for the merchant: %'
    OR result = 'waits for the merchant: shop_permission')) AS failing
FROM outbox WHERE state = 'DUE'
""")
# Each act that was given up has a task: open tasks are read from their index, the outbox of years has none for it.
_STUCK = sa.text("""
SELECT count(*) FROM task WHERE NOT over AND done_at IS NULL AND kind = 'shop_refused'
    AND dedupe_key ~>=~ 'outbox:' AND dedupe_key ~<~ 'outbox;'
""")
_UNCLEAR = sa.text("""
SELECT CASE WHEN state = 'SENDING' AND sent_deadline <= clock_timestamp() THEN 'UNKNOWN' ELSE state END AS state,
       count(*) AS many
FROM purchase WHERE state IN ('SENDING', 'UNKNOWN', 'HUMAN') GROUP BY 1
""")
_READY = sa.text("SELECT count(*) FROM purchase WHERE state = 'READY'")
_CLAIMED = sa.text("SELECT count(*) FROM purchase WHERE state = 'CLAIMED'")
_HELD = sa.text("SELECT reason, count(*) AS many FROM purchase WHERE state = 'HELD' GROUP BY reason")
_UNPAID = sa.text("""
SELECT state, count(*) AS many FROM purchase WHERE state IN ('PLACED_UNPAID', 'PAY_BLOCKED') GROUP BY state
""")
_ALERTS = sa.text("SELECT count(*) FROM alert WHERE ended_at IS NULL")


class _Numbers(Collector):
    """One scrape's metrics, given to the library as they are."""

    def __init__(self, metrics: list[Metric]) -> None:
        self._metrics = metrics

    def collect(self) -> Iterable[Metric]:
        """What the library asks for."""
        return self._metrics


def render(container: Container, refusals: Counter[tuple[str, str]]) -> str:
    """The text of a scrape. With the database away it tells that, and what this process counted itself."""
    metrics = [_refused(refusals)]
    up = GaugeMetricFamily("waybill_database_up", "Whether the database answered this scrape")
    try:
        with container.database.transaction() as session:
            session.execute(sa.text("SET LOCAL statement_timeout = '5s'"))
            metrics += list(_read(container, session))
        up.add_metric([], 1)
    except (sa.exc.OperationalError, sa.exc.TimeoutError):
        up.add_metric([], 0)
    registry = CollectorRegistry(auto_describe=False)
    registry.register(_Numbers([up, *metrics]))
    return generate_latest(registry).decode()


def _refused(refusals: Counter[tuple[str, str]]) -> Metric:
    family = CounterMetricFamily(
        "waybill_deliveries_refused", "Deliveries that were not stored", labels=["source", "reason", "process"]
    )
    for (source, reason), count in sorted(refusals.items()):
        family.add_metric([source, reason, str(os.getpid())], count)
    return family


def _gauge(name: str, text: str, value: float) -> Metric:
    family = GaugeMetricFamily(name, text)
    family.add_metric([], value)
    return family


def _read(container: Container, session: Session) -> Iterator[Metric]:
    inbox = session.execute(_INBOX).one()
    yield _gauge("waybill_inbox_due", "Events that are stored and not yet dealt with", inbox.due)
    yield _gauge("waybill_inbox_oldest_seconds", "Age of the oldest of them", inbox.oldest)
    acts = session.execute(_OUTBOX).one()
    yield _gauge("waybill_outbox_due", "Acts in shops and mails that are not done yet", acts.due)
    yield _gauge("waybill_outbox_failing", "Those of them that failed more than three times", acts.failing)
    yield _gauge("waybill_outbox_stuck", "Acts that a shop refused and nobody did by hand", session.scalar(_STUCK) or 0)
    yield from _purchases(session)
    yield from _jobs(container, session)
    yield from _calls(session)
    breakers = GaugeMetricFamily("waybill_breaker_open", "1 open, 0.5 on trial, 0 closed", labels=["scope"])
    for scope, state in session.execute(sa.select(Breaker.scope, Breaker.state).order_by(Breaker.scope)):
        breakers.add_metric([scope], {"OPEN": 1.0, "TRIAL": 0.5}.get(state, 0.0))
    yield breakers
    frozen = session.scalar(sa.select(PlacementFreeze.id).where(PlacementFreeze.released_at.is_(None)).limit(1))
    yield _gauge("waybill_placement_frozen", "Whether ordering is stopped by hand or by a check", frozen is not None)
    yield _gauge("waybill_alerts_open", "Alerts whose cause is not over", session.scalar(_ALERTS) or 0)


def _purchases(session: Session) -> Iterator[Metric]:
    family = GaugeMetricFamily("waybill_purchases", "Purchases that are not at rest", labels=["state", "reason"])
    unclear = dict.fromkeys(("SENDING", "UNKNOWN", "HUMAN"), 0) | _pairs(session, _UNCLEAR)
    unpaid = dict.fromkeys(("PLACED_UNPAID", "PAY_BLOCKED"), 0) | _pairs(session, _UNPAID)
    single = {"READY": session.scalar(_READY) or 0, "CLAIMED": session.scalar(_CLAIMED) or 0}
    for state, many in {**single, **unclear, **unpaid}.items():
        family.add_metric([state, ""], many)
    for reason, many in sorted(_pairs(session, _HELD).items()):
        family.add_metric(["HELD", reason], many)
    yield family
    yield _gauge(
        "waybill_unknown_outcomes",
        "Orders sent of which it is not known whether they were executed",
        unclear["UNKNOWN"] + unclear["HUMAN"],
    )


def _jobs(container: Container, session: Session) -> Iterator[Metric]:
    age = GaugeMetricFamily("waybill_job_age_periods", "Since a job last ended, in its periods", labels=["job"])
    failed = GaugeMetricFamily("waybill_job_failed", "Whether its last run failed", labels=["job"])
    for one in sorted(job_ages.read(container, session), key=lambda one: one.name):
        age.add_metric([one.name], one.periods)
        failed.add_metric([one.name], 1.0 if one.error else 0.0)
    yield age
    yield failed


def _pairs(session: Session, query: sa.TextClause) -> dict[str, int]:
    return {str(name): int(many) for name, many in session.execute(query)}


def _calls(session: Session) -> Iterator[Metric]:
    labels = ["vendor", "operation", "outcome"]
    counted = CounterMetricFamily("waybill_calls", "Calls to the outside", labels=labels)
    seconds = HistogramMetricFamily("waybill_call_seconds", "How long they took", labels=labels)
    for row in session.scalars(sa.select(CallStat).order_by(CallStat.vendor, CallStat.operation, CallStat.outcome)):
        key = [row.vendor, row.operation, row.outcome]
        counted.add_metric(key, row.calls)
        seconds.add_metric(key, buckets=_buckets(row.buckets, row.calls), sum_value=row.milliseconds / 1000)
    yield counted
    yield seconds


def _buckets(stored: list[Any], calls: int) -> list[tuple[str, float]]:
    """The stored numbers are cumulative already."""
    numbers = [int(number) for number in stored] + [0] * (len(BUCKETS) - len(stored))
    return [
        *((str(bound), float(number)) for bound, number in zip(BUCKETS, numbers, strict=False)),
        ("+Inf", float(calls)),
    ]
