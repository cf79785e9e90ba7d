"""The inbox as support sees it: what arrived, what came of it, and working a row again."""

from __future__ import annotations

from typing import Any

import sqlalchemy as sa

from app.container import Container
from app.db import ROW
from app.domain.purchase_flow import PLACED
from app.errors import Conflict, NotFound, WaybillError
from app.models import Inbox, Purchase
from app.pipeline.record import audit

STATES = ("DUE", "DONE", "ODD")


def listed(
    container: Container, *, state: str = "", shop_id: int | None = None, limit: int = 50
) -> list[dict[str, Any]]:
    """Rows, newest first. Bodies are never shown."""
    wanted = state.upper()
    if wanted and wanted not in STATES:
        raise WaybillError("no_such_state", f"There is no state {state!r}. States: {', '.join(STATES)}.")
    columns = (
        Inbox.id,
        Inbox.source,
        Inbox.shop_id,
        Inbox.topic,
        Inbox.state,
        Inbox.seen,
        Inbox.verified,
        Inbox.attempts,
        Inbox.received_at,
        Inbox.run_at,
        Inbox.processed_at,
        Inbox.order_id,
        Inbox.result,
    )
    query = sa.select(*columns).order_by(Inbox.id.desc()).limit(limit)
    if wanted:
        query = query.where(Inbox.state == wanted)
    if shop_id is not None:
        query = query.where(Inbox.shop_id == shop_id)
    with container.database.transaction() as session:
        return [dict(row) for row in session.execute(query).mappings()]


def replay(container: Container, inbox_id: int, *, actor: str) -> str:
    """Make a row due once more; gives what that means. An event only says "look again", so nothing is bought twice."""
    with container.database.transaction() as session:
        row = session.get(Inbox, inbox_id, with_for_update=ROW)
        if row is None:
            raise NotFound("no_event", f"There is no inbox row {inbox_id}. `flask inbox list` shows them.")
        if row.body is None:
            raise Conflict("purged", f"The body of row {inbox_id} was deleted when its time was over.")
        pending = row.state == "DUE"
        row.state, row.attempts, row.lease_until = "DUE", 0, None
        row.run_at = sa.func.now()
        audit(session, "inbox", inbox_id, "replay", actor=actor)
        states = (
            session.scalars(sa.select(Purchase.state).where(Purchase.order_id == row.order_id)).all()
            if row.order_id
            else []
        )
        container.database.after_commit(container.bell.ring)
    if pending:
        return "The row was due already; it is worked as soon as a worker is free."
    if states and all(state in PLACED for state in states):
        return "Its order is bought already: it is read again, and nothing is ordered a second time."
    return "The row is due again; its order is read afresh from the shop."
