"""Whether orders are sent at all: freeze, breakers, what is in flight and what is unclear."""

from __future__ import annotations

from collections.abc import Collection, Sequence
from datetime import UTC, datetime
from typing import Any

import sqlalchemy as sa
from sqlalchemy.dialects.postgresql import insert
from sqlalchemy.orm import Session

from app.container import Container
from app.errors import Conflict, WaybillError
from app.models import Breaker, Inbox, PlacementFreeze, Shop, Task
from app.pipeline import forgotten
from app.pipeline.buy import outcome
from app.pipeline.import_order import POLLED
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
        "to_clear_up": open_questions(container),
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


def open_questions(container: Container) -> list[str]:
    """What is still to be cleared up before a freeze that Waybill made itself is released, one sentence each.

    A database that is older than the world has to catch up first: orders that came after the backup are read again,
    answers in the journal find their purchases, and supplier orders that nobody knows are given to theirs.
    """
    with container.database.reading() as session:
        return _questions(container, session)


def _questions(container: Container, session: Session, despite_shops: Collection[int] = ()) -> list[str]:
    frozen = session.execute(
        sa.select(PlacementFreeze.frozen_by, sa.func.max(PlacementFreeze.frozen_at))
        .where(PlacementFreeze.released_at.is_(None), PlacementFreeze.frozen_by.in_(forgotten.OWN))
        .group_by(PlacementFreeze.frozen_by)
    )
    since = {row[0]: row[1] for row in frozen}
    if not since:
        return []
    unread = _unread(session, since["boot"], despite_shops) if "boot" in since else []
    stray = session.scalars(
        sa.select(Task.text).where(Task.kind == "stray_order", Task.over.is_(False)).order_by(Task.id)
    ).all()
    entries = dict.fromkeys(forgotten.told_by_journals(session), "") | _bought(container)
    known = {row.out_order_id for row in session.execute(outcome.sent(entries))}
    told = []
    if unread:
        told.append(
            f"Orders of {_some(unread)} have not been read since it was frozen: a worker does it, wait for it. "
            "A shop that cannot be read (`flask shop list` shows why) has to be connected again first, or is left out "
            "by two people who know that nothing of it was forgotten: --despite-shop with its number."
        )
    if lost := [f"{number}{entries[number]}" for number in sorted(entries.keys() - known)]:
        told.append(
            f"The journal holds answers to sends of which the database knows no order yet ({_some(lost)}): they are "
            "put back by themselves within a minute after their shop orders were read again. One that stays has no "
            "purchase any more, as when the buyer cancelled since: look at it at AliExpress, and do not pay it unless "
            "it is wanted."
        )
    return [*told, *stray]


def _unread(session: Session, since: datetime, but: Collection[int]) -> list[str]:
    """Names and numbers of shops whose orders were not all read since then: listed, and every listed one looked at."""
    waits = sa.exists().where(Inbox.shop_id == Shop.id, Inbox.topic == POLLED, Inbox.state == "DUE")
    rows = session.execute(
        sa.select(Shop.name, Shop.id)
        .where(
            Shop.state == "ACTIVE",
            Shop.id.not_in(but),
            sa.or_(sa.func.coalesce(Shop.poll_cursor, _NEVER) < since, waits),
        )
        .order_by(Shop.id)
    )
    return [f"{name} (shop {shop_id})" for name, shop_id in rows]


def _bought(container: Container) -> dict[str, str]:
    """Our numbers of sends that may have bought something, by the journal, with the supplier orders that it names."""
    found: dict[str, str] = {}
    for entry in container.journal.entries(kept=True):
        if entry.nothing:
            continue
        made = ", ".join(str(one) for one in entry.result.get("order_ids") or ())
        found[entry.number] = f", supplier order {made}" if made else found.get(entry.number, "")
    return found


_NEVER = sa.literal(datetime(2000, 1, 1, tzinfo=UTC))


def _some(names: Sequence[str]) -> str:
    return ", ".join(names[:NAMED]) + (f" and {len(names) - NAMED} more" if len(names) > NAMED else "")


NAMED = 5


def release(
    container: Container, *, by: str, second: str, despite: bool = False, despite_shops: Collection[int] = ()
) -> int:
    """Let orders be sent again: the act of two different people. Gives how many freezes ended.

    Raises `Conflict` while something is to be cleared up (`open_questions`), unless they say `despite` it;
    `despite_shops`: although the orders of these shops were not read since.
    """
    first, other = by.strip(), second.strip()
    if not first or not other or first.casefold() == other.casefold():
        raise WaybillError("second_person", "Two different people release a freeze: name both (--by, --second).")
    with container.database.transaction() as session:
        # The questions are asked of these freezes: one that is made meanwhile stays.
        freezes = session.scalars(
            sa.select(PlacementFreeze).where(PlacementFreeze.released_at.is_(None)).with_for_update(key_share=True)
        ).all()
        if not freezes:
            raise Conflict("not_frozen", "Ordering is not frozen.")
        questions = _questions(container, session, despite_shops)
        if questions and not despite:
            raise Conflict(
                "not_cleared_up",
                f"{' '.join(questions)} Goods that the database forgot would be bought a second time. Clear this up "
                "first; whoever knows that it is none of that says --despite.",
            )
        for one in freezes:
            one.released_at = sa.func.now()
            one.released_by, one.second = first, other
            end_alerts(session, f"frozen:{one.reason}")
            audit(
                session,
                "placement",
                one.id,
                "released",
                actor=first,
                before="FROZEN",
                detail={
                    "second": other,
                    "reason": one.reason,
                    "despite": questions,
                    "despite_shops": sorted(despite_shops),
                },
            )
        container.database.after_commit(container.bell.ring)
        return len(freezes)
