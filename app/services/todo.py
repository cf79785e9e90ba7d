"""What people have to do and what staff must know: tasks and alerts."""

from __future__ import annotations

from typing import Any

import sqlalchemy as sa
from sqlalchemy.orm import Session

from app.container import Container
from app.db import ROW
from app.domain.purchase_flow import UNCLEAR
from app.domain.reasons import REASONS
from app.errors import Conflict, NotFound
from app.models import Alert, Purchase, Task
from app.pipeline.record import audit


def alerts(container: Container, *, ended: bool = False, limit: int = 100) -> list[dict[str, Any]]:
    """Open alerts, newest first; with `ended` those that are over as well."""
    query = sa.select(Alert).order_by(Alert.id.desc()).limit(limit)
    if not ended:
        query = query.where(Alert.ended_at.is_(None))
    names = ["id", "kind", "text", "shop_id", "purchase_id", "raised_at", "ended_at"]
    with container.database.transaction() as session:
        return [{name: getattr(row, name) for name in names} for row in session.scalars(query)]


def tasks(
    container: Container, *, done: bool = False, shop_id: int | None = None, limit: int = 100
) -> list[dict[str, Any]]:
    """Open tasks, oldest first; with `done` those that are done as well."""
    query = sa.select(Task).order_by(Task.id).limit(limit)
    if not done:
        query = query.where(Task.done_at.is_(None))
    if shop_id is not None:
        query = query.where(Task.shop_id == shop_id)
    names = ["id", "kind", "turn", "text", "shop_id", "order_id", "purchase_id", "created_at", "done_at", "done_by"]
    with container.database.transaction() as session:
        return [{name: getattr(row, name) for name in names} for row in session.scalars(query)]


def held(container: Container, *, shop_id: int | None = None) -> int:
    """How many purchases are held until somebody acts: they are no tasks, `flask purchase list` says what to do."""
    query = sa.select(sa.func.count()).where(Purchase.state == "HELD", Purchase.reason.not_in(_WAITS))
    if shop_id is not None:
        query = query.where(Purchase.shop_id == shop_id)
    with container.database.reading() as session:
        return session.scalar(query) or 0


_WAITS = tuple(code for code, reason in REASONS.items() if reason.turn not in {"merchant", "us"})
"""Reasons of which nobody here has the turn."""


def finish(container: Container, task_id: int, *, actor: str) -> None:
    """A person says that a task is done. Raises `NotFound`, `Conflict`."""
    with container.database.transaction() as session:
        task = session.get(Task, task_id, with_for_update=ROW)
        if task is None:
            raise NotFound("no_task", f"There is no task {task_id}.")
        if task.done_at is not None:
            raise Conflict("already", f"Task {task_id} was done already, by {task.done_by}.")
        _refuse_unclear(session, task, "the task")
        task.done_at, task.done_by = sa.func.now(), actor
        audit(session, "task", task_id, "done", actor=actor)


def _refuse_unclear(session: Session, asked: Alert | Task, what: str) -> None:
    """What an unclear purchase asks is asked once: a word does not end it before the purchase is settled."""
    if not asked.dedupe_key.startswith("unclear:") or asked.purchase_id is None:
        return
    unclear = session.get(Purchase, asked.purchase_id)
    if unclear is not None and unclear.state in UNCLEAR:
        raise Conflict(
            "still_unclear",
            f"Purchase {unclear.id} is unclear still: {what} ends by itself when somebody says what became of it "
            f"(`flask purchase resolve {unclear.id}`).",
        )


def end_alert(container: Container, alert_id: int, *, actor: str) -> None:
    """A person says that the cause of an alert is over; the same cause raises it again.

    What an unclear purchase raises lasts while that is unclear, as its clocks ring once. Raises `NotFound`, `Conflict`.
    """
    with container.database.transaction() as session:
        alert = session.get(Alert, alert_id, with_for_update=ROW)
        if alert is None:
            raise NotFound("no_alert", f"There is no alert {alert_id}. `flask alerts` shows them.")
        if alert.ended_at is not None:
            raise Conflict("already", f"Alert {alert_id} has ended already.")
        _refuse_unclear(session, alert, "the alert")
        alert.ended_at = sa.func.now()
        audit(session, "alert", alert_id, "ended", actor=actor, detail={"kind": alert.kind})
