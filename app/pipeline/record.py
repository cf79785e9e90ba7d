"""Transitions, and what is written beside them in the same transaction: audit, tasks, alerts, outbox."""

from __future__ import annotations

from datetime import datetime, timedelta
from typing import Any

import sqlalchemy as sa
from sqlalchemy.dialects.postgresql import insert
from sqlalchemy.orm import Session

from app.container import Container
from app.db import table
from app.domain.purchase_flow import check_step
from app.domain.reasons import explain
from app.models import Alert, Audit, Outbox, Purchase, Task

_AUDIT, _OUTBOX, _TASK, _ALERT = (insert(table(model)) for model in (Audit, Outbox, Task, Alert))


def audit(
    session: Session,
    entity: str,
    entity_id: int,
    action: str,
    *,
    actor: str,
    before: str = "",
    after: str = "",
    detail: dict[str, Any] | None = None,
) -> None:
    """One line of history. `detail` holds ids and numbers, no personal data."""
    session.execute(
        _AUDIT,
        {
            "actor": actor,
            "entity": entity,
            "entity_id": entity_id,
            "action": action,
            "from_state": before,
            "to_state": after,
            "detail": detail or {},
        },
    )


def move(
    session: Session,
    purchase: Purchase,
    state: str,
    *,
    actor: str,
    reason: str = "",
    facts: dict[str, Any] | None = None,
    run_at: datetime | None = None,
    note: str = "",
) -> None:
    """Take a purchase (locked by the caller) to another state, with its audit row. Same state: only the reason moves.

    Raises `IllegalStep` for a step that the lifecycle does not list.
    """
    before = purchase.state
    if before != state:
        check_step(before, state)
        purchase.state = state
        purchase.state_since = sa.func.now()
    elif purchase.reason == reason and purchase.facts == (facts or {}):
        if run_at is not None:
            purchase.run_at = run_at
        return
    purchase.reason = reason
    purchase.facts = facts or {}
    purchase.version += 1
    if run_at is not None:
        purchase.run_at = run_at
    if state not in {"CLAIMED", "SENDING"}:
        purchase.lease_owner = purchase.lease_until = None
        purchase.lost_claims = 0  # whoever records something has come to an end
    if state != "READY":
        purchase.waiting_for = purchase.waiting_since = None
    _held(purchase, state, reason)
    detail: dict[str, Any] = {"generation": purchase.generation, "part": purchase.part, **(facts or {})}
    if reason:
        detail["reason"] = reason
    if note:
        detail["note"] = note
    audit(session, "purchase", purchase.id, "move", actor=actor, before=before, after=state, detail=detail)


def next_look(container: Container, purchase: Purchase, reason: str) -> timedelta:
    """How long until a purchase that is held for `reason`, from now on or already, is looked at again by itself."""
    held = timedelta(0)
    if purchase.held_since is not None and purchase.held_for == reason:
        held = container.clock.now() - purchase.held_since
    return container.timers.next_look(held, soon=reason == "changed")


def _held(purchase: Purchase, state: str, reason: str) -> None:
    """Keep since when it waits for this reason: a look that finds it unchanged is no new beginning."""
    if state in {"READY", "CLAIMED"}:
        return
    now_for = reason if state == "HELD" else ""
    if purchase.held_for != now_for:
        purchase.held_for, purchase.held_told_at = now_for, None
        purchase.held_since = sa.func.now() if now_for else None


def outbox(
    session: Session,
    key: str,
    kind: str,
    *,
    shop_id: int | None,
    order_id: int | None = None,
    payload: dict[str, Any] | None = None,
    repeat: bool = False,
) -> None:
    """Ask for an act, once per `key`; a stuck one is tried again. `repeat`: so is one that is done or being done."""
    session.execute(
        _OUTBOX.on_conflict_do_update(
            index_elements=["dedupe_key"],
            set_={
                "state": "DUE",
                "run_at": sa.func.now(),
                "payload": _OUTBOX.excluded.payload,
                "done_at": None,
                "attempts": 0,
                "waits": False,
            },
            where=sa.true() if repeat else Outbox.state == "STUCK",
        ),
        {
            "dedupe_key": key,
            "kind": kind,
            "shop_id": shop_id,
            "order_id": order_id,
            "payload": payload or {},
            "state": "DUE",
            "attempts": 0,
            "waits": False,
        },
    )


def task(
    session: Session,
    key: str,
    kind: str,
    *,
    turn: str,
    text: str,
    shop_id: int | None = None,
    order_id: int | None = None,
    purchase_id: int | None = None,
) -> None:
    """Something a person has to do, once per `key` while its cause lasts: `end_tasks` makes room for another one.

    Merchants are mailed about theirs (`app.pipeline.letters`).
    """
    session.execute(
        _TASK.on_conflict_do_nothing(index_elements=["dedupe_key"], index_where=sa.text("NOT over")),
        {
            "dedupe_key": key,
            "kind": kind,
            "turn": turn,
            "text": text,
            "shop_id": shop_id,
            "order_id": order_id,
            "purchase_id": purchase_id,
            "done_by": "",
        },
    )


def end_tasks(session: Session, key: str, by: str) -> None:
    """The cause is gone: of the task of this key and of those of keys below it (`unclear:1:…`, not `unclear:10`)."""
    end_all_tasks(session, _at_or_below(table(Task).c.dedupe_key, key), by)


def end_all_tasks(session: Session, which: sa.ColumnElement[bool], by: str) -> None:
    """As `end_tasks`, of any choice. Who did one before its cause was gone stays named."""
    columns = table(Task).c
    closed = sa.update(table(Task)).where(which, ~columns.over)
    doer = sa.case((columns.done_at.is_(None), by), else_=columns.done_by)
    session.execute(closed.values(over=True, done_at=sa.func.coalesce(columns.done_at, sa.func.now()), done_by=doer))


def _at_or_below(column: sa.ColumnElement[str], key: str) -> sa.ColumnElement[bool]:
    """`key` itself and whatever continues it after a colon, in the order of bytes that the partial indexes keep."""
    below = sa.and_(column.op("~>=~")(key + ":"), column.op("~<~")(key + ";"))  # ";" follows ":"
    return sa.or_(column == key, below)


def alert(
    session: Session, key: str, kind: str, text: str, *, shop_id: int | None = None, purchase_id: int | None = None
) -> None:
    """Tell staff, once per `key` while it lasts; a cause that comes back opens the alert again.

    It stands in `flask alerts` and goes out by mail.
    """
    session.execute(
        _ALERT.on_conflict_do_update(
            index_elements=["dedupe_key"],
            set_={"ended_at": None, "raised_at": sa.func.now(), "text": _ALERT.excluded.text, "mailed_at": None},
            where=Alert.ended_at.is_not(None),
        ),
        {"dedupe_key": key, "kind": kind, "text": text, "shop_id": shop_id, "purchase_id": purchase_id},
    )


def alert_growing(
    session: Session, key: str, kind: str, text: str, *, newest: datetime, now: datetime, shop_id: int | None = None
) -> None:
    """As `alert`, of a cause that others may join: the text is kept as it is now, and told again when one joined.

    `newest`: when the last one joined; `now`: before it all of them had joined of which the text speaks.
    """
    columns = table(Alert).c
    anew = sa.or_(columns.ended_at.is_not(None), columns.raised_at <= newest)
    session.execute(
        _ALERT.on_conflict_do_update(
            index_elements=["dedupe_key"],
            set_={
                "text": _ALERT.excluded.text,
                "ended_at": None,
                "raised_at": sa.case((anew, _ALERT.excluded.raised_at), else_=columns.raised_at),
                "mailed_at": sa.case((anew, None), else_=columns.mailed_at),
            },
            where=sa.or_(anew, columns.text != _ALERT.excluded.text),
        ),
        {"dedupe_key": key, "kind": kind, "text": text, "shop_id": shop_id, "raised_at": now},
    )


def end_alerts(session: Session, key: str) -> None:
    """The cause is gone: of the alert of this key and of those of keys below it, as in `end_tasks`."""
    mine = _at_or_below(table(Alert).c.dedupe_key, key)
    open_ones = sa.update(table(Alert)).where(mine, table(Alert).c.ended_at.is_(None))
    session.execute(open_ones.values(ended_at=sa.func.now()))


def sentence(purchase: Purchase) -> tuple[str, str]:
    """Why a purchase stands where it stands and whose turn it is: (text, turn)."""
    told = explain(purchase.reason, **{str(key): str(value) for key, value in purchase.facts.items()})
    return told.text, told.turn
