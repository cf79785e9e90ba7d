"""Whether orders are sent at all: freeze, breakers, what is in flight and what is unclear."""

from __future__ import annotations

from typing import Any

import sqlalchemy as sa
from sqlalchemy.dialects.postgresql import insert

from app.container import Container
from app.errors import Conflict, WaybillError
from app.models import Breaker, PlacementFreeze
from app.pipeline.record import audit, end_alerts

_COUNTS = sa.text("""
SELECT count(*) FILTER (WHERE state = 'SENDING' AND sent_deadline > clock_timestamp()) AS in_flight,
       count(*) FILTER (WHERE state <> 'SENDING' OR sent_deadline <= clock_timestamp()) AS unclear,
       min(sent_at) FILTER (WHERE state <> 'SENDING' OR sent_deadline <= clock_timestamp()) AS oldest
FROM purchase WHERE state IN ('SENDING', 'UNKNOWN', 'HUMAN')
""")


def status(container: Container) -> dict[str, Any]:
    """The state of ordering as a whole."""
    with container.database.transaction() as session:
        freezes = session.scalars(
            sa.select(PlacementFreeze).where(PlacementFreeze.released_at.is_(None)).order_by(PlacementFreeze.id)
        ).all()
        breakers = session.scalars(sa.select(Breaker).order_by(Breaker.scope)).all()
        counts = session.execute(_COUNTS).one()
        ready = session.scalar(sa.text("SELECT count(*) FROM purchase WHERE state = 'READY'"))
    return {
        "frozen": any(one.account_id is None for one in freezes),
        "freezes": [
            {"reason": one.reason, "by": one.frozen_by, "since": one.frozen_at, "account": one.account_id}
            for one in freezes
        ],
        "breakers": [
            {
                "scope": one.scope,
                "state": one.state,
                "since": one.changed_at,
                "failed_reads": one.failed_reads,
                "trial_at": one.trial_at,
            }
            for one in breakers
        ],
        "waiting": ready or 0,
        "in_flight": counts.in_flight,
        "at_most_in_flight": container.settings.creates_in_flight,
        "unclear": counts.unclear,
        "oldest_unclear_sent_at": counts.oldest,
    }


def freeze(container: Container, reason: str, *, by: str) -> None:
    """Send nothing more until two people release it. Raises `Conflict` if this reason holds already."""
    if not reason.strip() or not by.strip():
        raise WaybillError("nameless", "Say why (--reason) and who you are (--by).")
    with container.database.transaction() as session:
        made = session.scalar(
            insert(PlacementFreeze)
            .values(reason=reason.strip()[:300], frozen_by=by.strip(), released_by="", second="")
            .on_conflict_do_nothing()
            .returning(PlacementFreeze.id)
        )
        if made is None:
            raise Conflict("already", "Ordering is frozen for this reason already.")
        audit(session, "placement", made, "frozen", actor=by.strip(), after="FROZEN", detail={"reason": reason[:300]})


def release(container: Container, *, by: str, second: str) -> int:
    """Let orders be sent again: the act of two different people. Gives how many freezes ended."""
    first, other = by.strip(), second.strip()
    if not first or not other or first.casefold() == other.casefold():
        raise WaybillError("second_person", "Two different people release a freeze: name both (--by, --second).")
    with container.database.transaction() as session:
        freezes = session.scalars(
            sa.select(PlacementFreeze).where(PlacementFreeze.released_at.is_(None)).with_for_update()
        ).all()
        if not freezes:
            raise Conflict("not_frozen", "Ordering is not frozen.")
        for one in freezes:
            one.released_at = sa.func.now()
            one.released_by, one.second = first, other
            audit(
                session,
                "placement",
                one.id,
                "released",
                actor=first,
                before="FROZEN",
                detail={"second": other, "reason": one.reason},
            )
        end_alerts(session, "frozen")
        container.database.after_commit(container.bell.ring)
        return len(freezes)
