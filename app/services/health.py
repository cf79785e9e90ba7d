"""Whether this process can work: what `/readyz` answers."""

from __future__ import annotations

import os
import shutil
from dataclasses import dataclass
from math import isinf
from typing import Any

import redis
import sqlalchemy as sa

from app import db_migrate
from app.container import Container
from app.models import PlacementFreeze
from app.queue import connect
from app.services import job_ages
from app.services.job_ages import Age

OLD_INBOX = 300.0
"""Seconds (at TIME_SCALE 1) after which an unprocessed event is a reason to look."""
LEAST_FREE = 10 * 1024 * 1024
"""Bytes that the journal's disk should have left."""


@dataclass(frozen=True, slots=True)
class Check:
    """One thing that was looked at: `ok`, `degraded` (works, look at it) or `down`."""

    state: str
    detail: str = ""
    value: float | None = None


@dataclass(frozen=True, slots=True)
class Readiness:
    """All checks. Not ready as soon as one is down."""

    checks: dict[str, Check]

    @property
    def ready(self) -> bool:
        """Whether requests may be sent here."""
        return all(check.state != "down" for check in self.checks.values())

    def as_dict(self) -> dict[str, Any]:
        """For the answer: no address, no secret."""
        states = {check.state for check in self.checks.values()}
        status = next((state for state in ("down", "degraded") if state in states), "ok")
        return {
            "status": "not ready" if status == "down" else status,
            "checks": {
                name: {"state": check.state}
                | ({"detail": check.detail} if check.detail else {})
                | ({"seconds": round(check.value, 1)} if check.value is not None else {})
                for name, check in self.checks.items()
            },
        }


def readiness(container: Container) -> Readiness:
    """Look at everything. Never raises for a thing that is away; takes a few seconds at most."""
    checks = {"state_dir": _state_dir(container), "redis": _redis(container), "mail": _mail(container)}
    try:
        checks |= _twice(container)
    except sa.exc.SQLAlchemyError as error:
        checks["database"] = Check("down", f"the database does not answer ({type(error).__name__})")
    return Readiness(checks)


def _twice(container: Container) -> dict[str, Check]:
    """A connection that a restarted database left behind says nothing about the database: it is replaced."""
    try:
        return _database(container)
    except sa.exc.OperationalError as error:
        if not error.connection_invalidated:
            raise
        return _database(container)


def _database(container: Container) -> dict[str, Check]:
    found, head = db_migrate.current(container.database.engine), db_migrate.head()
    if found != head:
        problem = f"the schema is at {found or 'nothing'}, the program needs {head}: run `flask db upgrade`"
        return {"database": Check("ok"), "migrations": Check("down", problem)}
    with container.database.transaction() as session:
        session.execute(sa.text("SET LOCAL statement_timeout = '2s'"))
        age = session.scalar(
            sa.text(
                "SELECT extract(epoch FROM clock_timestamp() - min(received_at))::float8 FROM inbox WHERE state = 'DUE'"
            )
        )
        ages = job_ages.read(container, session)
        frozen = session.scalar(sa.select(PlacementFreeze.reason).where(PlacementFreeze.released_at.is_(None)).limit(1))
    old = age is not None and age > OLD_INBOX / container.settings.time_scale
    return {
        "database": Check("ok"),
        "migrations": Check("ok"),
        "inbox": Check("degraded" if old else "ok", "events wait: is a worker running?" if old else "", age or 0.0),
        "jobs": _jobs(ages),
        "placement": Check("degraded", f"frozen: {frozen}") if frozen else Check("ok"),
    }


def _jobs(ages: list[Age]) -> Check:
    """`value`: how long ago the one ended that is the latest, counted in its own periods."""
    wrong = "; ".join(str(one) for one in ages if one.late or one.error)
    value = None if isinf(ages[0].seconds) else ages[0].seconds
    return Check("degraded" if wrong else "ok", wrong, value)


def _mail(container: Container) -> Check:
    if not container.mailer.configured:
        return Check("degraded", "MAIL_SERVER is not set: nobody is mailed, look at `flask alerts` and `flask tasks`")
    if not container.mailer.staff:
        return Check("degraded", "STAFF_EMAIL is not set: alerts are not mailed")
    return Check("ok")


def _redis(container: Container) -> Check:
    try:
        with connect(container.settings.redis_url.get_secret_value()) as client:
            client.ping()
    except (redis.RedisError, OSError) as error:
        return Check("degraded", f"Redis does not answer ({type(error).__name__}); the database drives by itself")
    return Check("ok")


def _state_dir(container: Container) -> Check:
    if container.settings.state_dir is None:
        return Check("degraded", "STATE_DIR is not set: journal and epoch are lost with this folder (var/state)")
    folder = container.settings.folder
    if not folder.is_dir() or not (folder / "journal").is_dir():
        return Check("degraded", "STATE_DIR is not there, or not as it was made: restart the workers")
    if not os.access(folder / "journal", os.W_OK | os.X_OK):
        return Check("degraded", "STATE_DIR cannot be written: answers of the supplier are kept in the database only")
    free = shutil.disk_usage(folder).free
    if free < LEAST_FREE:
        return Check("degraded", f"STATE_DIR is nearly full: {free // 1024} kB are free")
    return Check("ok")
