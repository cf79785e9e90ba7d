"""The placement breaker: when outcomes turn unclear or reads fail, nothing more is sent (lifecycle, section 6).

Three unclear outcomes within a minute, or failing reads, open it for the supplier or the account. It goes to TRIAL when
reads succeed again: one send at a time, until three clear outcomes in a row close it. Sends in flight and fresh unclear
outcomes together never exceed `CREATES_IN_FLIGHT` (4), so an outage leaves at most that many unclear purchases and one
for the first trial; a failed trial is followed by a pause of ten minutes, then of an hour.
"""

from __future__ import annotations

from collections.abc import Callable
from datetime import timedelta

import sqlalchemy as sa
from sqlalchemy.dialects.postgresql import insert
from sqlalchemy.orm import Session

from app import db
from app.container import Container
from app.db import ROW
from app.models import Breaker, Instance, PlacementFreeze, Purchase
from app.pipeline import server
from app.pipeline.record import alert, audit, end_alerts
from app.ports.errors import OutsideError, TryLater

UNCLEAR_LIMIT = 3
FAILED_READS_LIMIT = 5
CLEAR_TO_CLOSE = 3


def is_outage(error: OutsideError) -> bool:
    """Whether a failed read speaks of the supplier's health: not a limit of ours, not one odd order."""
    return isinstance(error, TryLater) and error.code not in {"ApiCallLimit", "AppCallLimit", "token_being_renewed"}


def scopes(purchase: Purchase) -> tuple[str, str]:
    """The breakers that a purchase passes."""
    return f"account:{purchase.account_id}", f"supplier:{purchase.supplier}"


def check(session: Session, container: Container, purchase: Purchase, *, stop: Callable[[str], Exception]) -> None:
    """Raises what `stop` makes of the reason unless the send may go on. Takes the trial place if there is one."""
    mine = PlacementFreeze.account_id.is_(None) | (PlacementFreeze.account_id == purchase.account_id)
    freeze = sa.exists().where(PlacementFreeze.released_at.is_(None), mine)
    epoch = sa.select(Instance.epoch).scalar_subquery()
    # Another server, or a standby that was promoted, may lack the last sends; `app.boot` freezes it at its next look.
    same = sa.exists().where(Instance.system == server.SYSTEM, Instance.timeline == server.TIMELINE)
    frozen, now, known = session.execute(sa.select(freeze, epoch, same)).one()
    if frozen or not known or _is_older(container, int(now or 0)):
        raise stop("placement_frozen")
    for scope in _disturbed(session, purchase, Breaker.state != "CLOSED"):
        breaker = session.get_one(Breaker, scope, with_for_update=ROW, populate_existing=True)
        if breaker.state == "OPEN":
            raise stop("breaker_open")
        if breaker.state == "TRIAL":
            if _trial_runs(session, breaker, purchase):
                raise stop("breaker_open")
            breaker.trial_purchase_id = purchase.id


def _is_older(container: Container, epoch: int) -> bool:
    """Whether the database is older than this process has seen it: it was restored under us (`app.boot` freezes it)."""
    seen = container.turns.get(_EPOCH, 0)
    container.turns[_EPOCH] = max(seen, epoch)
    return epoch < seen - 1  # another thread may have read the next number between our read and this look


_EPOCH = "epoch seen"


def epoch_seen(container: Container) -> int:
    """The highest epoch that a send of this process has seen."""
    return container.turns.get(_EPOCH, 0)


def _disturbed(session: Session, purchase: Purchase, how: sa.ColumnElement[bool]) -> list[str]:
    """Those of the purchase's breakers that are so, in the order in which they are locked."""
    query = sa.select(Breaker.scope).where(Breaker.scope.in_(scopes(purchase)), how)
    return sorted(session.scalars(query))


def reserve_place(session: Session, container: Container, purchase: Purchase) -> bool:
    """Whether one more send may be in flight. The last thing in T3: its lock is held until the commit."""
    session.execute(sa.text("SELECT pg_advisory_xact_lock(hashtext('waybill:placing'))"))
    flying = (
        sa.select(sa.func.count())
        .select_from(Purchase)
        # Past its deadline too: until its outcome is recorded, or it is taken for unclear, it may be either.
        .where(Purchase.state == "SENDING", Purchase.id != purchase.id)
        .scalar_subquery()
    )
    freshly = sa.select(Breaker.unclear_at).where(Breaker.scope == f"supplier:{purchase.supplier}").scalar_subquery()
    sends, unclear_at, now = session.execute(sa.select(flying, freshly, sa.func.clock_timestamp())).one()
    since = now.timestamp() - container.timers.breaker_window.total_seconds()
    unclear = sum(float(at) > since for at in unclear_at or ())
    return bool(int(sends) + unclear < container.settings.creates_in_flight)


def _trial_runs(session: Session, breaker: Breaker, purchase: Purchase) -> bool:
    if breaker.trial_purchase_id in {None, purchase.id}:
        return False
    state = session.scalar(sa.select(Purchase.state).where(Purchase.id == breaker.trial_purchase_id))
    return state == "SENDING"


def _row(session: Session, scope: str) -> Breaker:
    session.execute(
        insert(Breaker)
        .values(scope=scope, state="CLOSED", unclear_at=[], failed_reads=0, clear_in_a_row=0, unclear_in_a_row=0)
        .on_conflict_do_nothing()
    )
    return session.get_one(Breaker, scope, with_for_update=ROW, populate_existing=True)


def _set(session: Session, breaker: Breaker, state: str, why: str) -> None:
    """Take a locked breaker to a state that it is not in."""
    audit(
        session,
        "breaker",
        0,
        "move",
        actor="breaker",
        before=breaker.state,
        after=state,
        detail={"scope": breaker.scope, "why": why},
    )
    breaker.state = state
    breaker.changed_at = sa.func.clock_timestamp()
    breaker.trial_purchase_id = None
    breaker.clear_in_a_row = 0
    if state == "OPEN":
        alert(
            session,
            f"breaker:{breaker.scope}",
            "supplier_down",
            f"Buying is paused for {breaker.scope}: {why}. It goes on by itself when the supplier answers again.",
        )
    if state == "CLOSED":
        breaker.unclear_at, breaker.failed_reads, breaker.failed_trials = [], 0, 0
        breaker.trial_at = None
        end_alerts(session, f"breaker:{breaker.scope}")


def note_outcome(session: Session, container: Container, purchase: Purchase, *, clear: bool) -> None:
    """A send ended. Called in the transaction that records it; touches no row while all is well."""
    if clear:
        _note_clear(session, purchase)
        return
    for scope in scopes(purchase):
        breaker = _row(session, scope)
        now = db.now(session).timestamp()
        window = container.timers.breaker_window.total_seconds()
        breaker.unclear_at = [at for at in breaker.unclear_at if at > now - window] + [now]
        breaker.clear_in_a_row = 0
        breaker.unclear_in_a_row += 1
        if breaker.state == "TRIAL":
            _set(session, breaker, "OPEN", "the trial send ended unclear")
            _pause(session, container, breaker)
            breaker.failed_trials += 1
        elif breaker.state == "CLOSED" and max(len(breaker.unclear_at), breaker.unclear_in_a_row) >= UNCLEAR_LIMIT:
            _set(session, breaker, "OPEN", f"{UNCLEAR_LIMIT} unclear outcomes within a minute or in a row")
            _pause(session, container, breaker)


def _note_clear(session: Session, purchase: Purchase) -> None:
    for scope in _disturbed(session, purchase, (Breaker.state != "CLOSED") | (Breaker.unclear_in_a_row != 0)):
        breaker = _row(session, scope)
        breaker.clear_in_a_row += 1
        breaker.unclear_in_a_row = 0
        breaker.trial_purchase_id = None
        if breaker.state == "TRIAL" and breaker.clear_in_a_row >= CLEAR_TO_CLOSE:
            _set(session, breaker, "CLOSED", "three clear outcomes in a row")


def _due(session: Session, breaker: Breaker) -> bool:
    return breaker.trial_at is None or breaker.trial_at <= db.now(session)


def accounts_due(container: Container) -> None:
    """Account breakers whose pause is over may try again while the supplier as a whole answers."""
    _accounts_to_trial(container, "its pause is over", _due)


def _accounts_to_trial(container: Container, why: str, may: Callable[[Session, Breaker], bool]) -> None:
    with container.database.transaction() as session:
        for breaker in session.scalars(
            sa.select(Breaker)
            .where(Breaker.scope.startswith("account:"), Breaker.state == "OPEN")
            .order_by(Breaker.scope)
            .with_for_update(key_share=True)
        ):
            if may(session, breaker):
                _set(session, breaker, "TRIAL", why)


def _pause(session: Session, container: Container, breaker: Breaker) -> None:
    minutes = 10 if breaker.failed_trials == 0 else 60
    wait = timedelta(minutes=minutes) / container.settings.time_scale
    breaker.trial_at = db.now(session) + wait


def _is_well(container: Container, scope: str) -> bool:
    with container.database.reading() as session:
        found = session.execute(
            sa.select(Breaker.state, Breaker.failed_reads).where(Breaker.scope == scope)
        ).one_or_none()
    return found is None or (found.state == "CLOSED" and not found.failed_reads)


def note_read(container: Container, supplier: str, *, ok: bool) -> None:
    """A cheap read of the supplier ended. Failing ones open the breaker, a good one lets a trial begin."""
    scope = f"supplier:{supplier}"
    if ok and _is_well(container, scope):
        return
    with container.database.transaction() as session:
        breaker = _row(session, scope)
        breaker.failed_reads = 0 if ok else breaker.failed_reads + 1
        back = ok and breaker.state == "OPEN" and _due(session, breaker)
        if back:
            _set(session, breaker, "TRIAL", "reads succeed again")
        elif breaker.failed_reads >= FAILED_READS_LIMIT and breaker.state != "OPEN":
            _set(session, breaker, "OPEN", "reads fail")
    if back:
        # On its own: sends lock the account's breaker first, the supplier's after it.
        _accounts_to_trial(container, f"{supplier} answers reads", lambda *_: True)
