"""T5: what a send answered is recorded: journal first (fsync), then one transaction.

The same function records what the journal kept from a worker that died: an answer counts once, whatever its way.
"""

from __future__ import annotations

from collections.abc import Collection, Mapping
from dataclasses import asdict, fields
from datetime import UTC, datetime, timedelta
from typing import Any

import sqlalchemy as sa
from sqlalchemy.dialects.postgresql import ARRAY
from sqlalchemy.orm import Session

from app.calls import Story
from app.container import Container
from app.db import ROW
from app.domain.purchase_flow import UNCLEAR
from app.errors import NotFound
from app.journal import Entry, Key
from app.logs import logger
from app.models import Attempt, Evidence, Interlock, Purchase, PurchaseItem, SourceLine, Spend, SupplierOrder
from app.pipeline import adopt, breaker, evidence, forgotten, generation, locks, match, recall
from app.pipeline.adopt import adopt_orders
from app.pipeline.buy.claim import WORKER
from app.pipeline.record import alert, audit, end_alerts, end_tasks, move
from app.ports.errors import OutsideError
from app.ports.supplier import PayResult, PlaceOutcome, PlaceResult

log = logger(__name__)
CLEAR = frozenset((PlaceOutcome.PLACED, PlaceOutcome.REJECTED))
NEUTRAL = frozenset((PlaceOutcome.NOT_SENT, PlaceOutcome.NOT_EXECUTED))
"""Says nothing about how the supplier executes: a call limit or a dead token opens no breaker."""


def record(
    container: Container,
    attempt_id: int,
    purchase_id: int,
    result: PlaceResult,
    *,
    sent_at: datetime,
    story: Story,
    source: str,
    number: str = "",
) -> bool:
    """Record an answer to the send of `sent_at` with our order `number`. Gives False if that had been done already."""
    kept = True
    if source == "answer":
        try:
            container.journal.append(Entry(attempt_id, purchase_id, number, plain(result), sent_at.timestamp()))
        except OSError as error:
            kept = False
            log.warning("journal_not_written", error=type(error).__name__, attempt=attempt_id)
    with container.database.transaction() as session:
        if not kept:
            text = "STATE_DIR cannot be written: an answer that the database does not get in time is lost. Make room."
            alert(session, "journal:not-written", "journal_not_written", text)
        recorded = _record(container, session, attempt_id, result, source)
        story.write(session)  # after the locks: its rows refer to the order, which locks that too
        return recorded


def plain(result: PlaceResult) -> dict[str, Any]:
    """A result as JSON-ready data."""
    return {**asdict(result), "order_ids": list(result.order_ids)}


def from_plain(data: dict[str, Any]) -> PlaceResult:
    """The reverse of `plain`, further fields left out. Raises KeyError, TypeError or ValueError for what is none."""
    known = {one.name for one in fields(PlaceResult)}
    return PlaceResult(
        **{
            **{name: value for name, value in data.items() if name in known},
            "outcome": PlaceOutcome(data["outcome"]),
            "pay": PayResult(data["pay"]),
            "order_ids": tuple(data["order_ids"]),
        }
    )


def _record(container: Container, session: Session, attempt_id: int, result: PlaceResult, source: str) -> bool:
    its = sa.select(Attempt.account_id, Attempt.purchase_id).where(Attempt.id == attempt_id)
    account_id, purchase_id = session.execute(its).one()
    locks.account(session, account_id)
    purchase = locks.purchase(session, purchase_id)
    attempt = session.get_one(Attempt, attempt_id, with_for_update=ROW)
    if attempt.outcome not in {"OPEN", "UNKNOWN"} or purchase.state not in UNCLEAR:
        return _late(container, session, attempt, purchase, result)
    if attempt.outcome == "UNKNOWN" and result.outcome == PlaceOutcome.UNKNOWN:
        return False
    attempt.outcome = result.outcome.value
    attempt.finished_at = sa.func.clock_timestamp()
    attempt.code, attempt.message = result.code[:100], result.message[:500]
    attempt.answer, attempt.order_ids = result.answer[:4000], list(result.order_ids)
    session.add(
        Evidence(
            purchase_id=purchase.id,
            account_id=attempt.account_id,
            kind=source,
            supplier_order_ref=",".join(result.order_ids),
            detail={"outcome": result.outcome.value, "code": result.code, "pay": result.pay.value},
        )
    )
    noted = purchase.state != "SENDING" and result.outcome not in CLEAR  # its silence was counted when it was over
    if result.outcome not in NEUTRAL and not noted:
        breaker.note_outcome(session, container, purchase, clear=result.outcome in CLEAR)
    if result.order_ids:
        adopt_orders(container, session, purchase, attempt, result.order_ids, source="answer", pay=result.pay)
    _move_on(container, session, purchase, attempt, result)
    container.database.after_commit(container.bell.ring)
    return True


def _late(container: Container, session: Session, attempt: Attempt, purchase: Purchase, result: PlaceResult) -> bool:
    """An answer for an attempt that was settled otherwise: ids are never thrown away.

    They are late evidence, as in `evidence.give`: of one that a person gave up meanwhile, or for which another order
    was found first. What belongs to this purchase already stays as it is; what belongs to another one is told.
    """
    for external_id in result.order_ids:
        order = adopt.row(session, attempt.account_id, external_id, "answer")
        if order.purchase_id is None:
            order.read_at = None
            evidence.give(container, session, order, purchase, attempt, source="answer")
        else:
            adopt.tell_rival(session, order, purchase.id)
        if order.purchase_id == purchase.id:
            order.pay_failed = order.pay_failed or result.pay == PayResult.FAILED
    return False


def _move_on(container: Container, session: Session, purchase: Purchase, attempt: Attempt, result: PlaceResult) -> None:
    facts: dict[str, Any] = {"code": result.code} if result.code else {}
    if result.message:
        facts["message"] = result.message[:200]
    if result.outcome == PlaceOutcome.PLACED:
        return  # adopt_orders moved it
    if result.outcome == PlaceOutcome.UNKNOWN:
        if purchase.state == "SENDING":
            move(session, purchase, "UNKNOWN", actor=WORKER, reason="outcome_unknown", facts=facts)
        purchase.facts = {**purchase.facts, "hint": result.reason} if result.reason else purchase.facts
        return
    release(session, purchase, attempt)
    end_tasks(session, f"unclear:{purchase.id}", "the supplier's answer")
    end_alerts(session, f"unclear:{purchase.id}")
    if result.outcome == PlaceOutcome.REJECTED:
        _rejected(container, session, purchase, result, facts)
    else:
        _not_executed(container, session, purchase, result, facts)
    if _holds_too_much(session, purchase):  # what may have been bought keeps its pieces: now nothing was
        match.derive_again(container, session, purchase.order_id)


def release(session: Session, purchase: Purchase, attempt: Attempt) -> None:
    """Give back the reservation and the interlock: nothing was bought by this attempt."""
    session.execute(sa.delete(Interlock).where(Interlock.purchase_id == purchase.id))
    session.execute(sa.update(Spend).where(Spend.attempt_id == attempt.id).values(state="RELEASED"))


def _rejected(
    container: Container, session: Session, purchase: Purchase, result: PlaceResult, facts: dict[str, Any]
) -> None:
    reason = result.reason or "needs_person"
    if result.field:
        facts["field"] = result.field
    move(session, purchase, "REJECTED", actor=WORKER, reason=reason, facts=facts)
    heir = generation.next_generation(container, session, purchase, reason=reason, facts=facts)
    if heir is None:
        move(session, purchase, "CANCELLED", actor=WORKER, reason="cancelled_by_shop")


def _not_executed(
    container: Container, session: Session, purchase: Purchase, result: PlaceResult, facts: dict[str, Any]
) -> None:
    """The same row may be sent again: at once READY with a pause, or HELD when a person has to mend something first."""
    if purchase.cancel_requested_at is not None:
        move(session, purchase, "HELD", actor=WORKER, reason="cancelled_by_shop", facts=facts)
        move(session, purchase, "CANCELLED", actor=WORKER, reason="cancelled_by_shop")
        return
    if result.reason in {"token_dead", "config", "account_blocked", "ds_center"}:
        move(session, purchase, "HELD", actor=WORKER, reason=result.reason, facts=facts)
        if result.reason == "config":
            alert(
                session,
                f"config:{purchase.supplier}:{result.code}",
                "config",
                f"The supplier refuses our calls: {result.code}. Check app key, secret and permissions.",
            )
        return
    pause = result.retry_after or min(2.0 ** min(purchase.tries, 8), 300.0)
    move(
        session,
        purchase,
        "READY",
        actor=WORKER,
        reason=result.reason or "supplier_down",
        facts=facts,
        run_at=sa.func.clock_timestamp() + timedelta(seconds=pause) / container.settings.time_scale,  # type: ignore[arg-type]
    )


def _holds_too_much(session: Session, purchase: Purchase) -> bool:
    """Whether pieces were taken back since it was sent; the merchant was asked to have them cancelled."""
    over = sa.select(PurchaseItem.id).join(SourceLine, SourceLine.id == PurchaseItem.source_line_id)
    mine = PurchaseItem.purchase_id == purchase.id, PurchaseItem.position == 1
    return session.scalar(over.where(*mine, PurchaseItem.quantity > SourceLine.to_ship).limit(1)) is not None


def replay(container: Container, *, kept: bool = False) -> int:
    """Record what the journals of dead workers hold (at start, and in every slow sweep).

    `kept`: also what was recorded once and put aside. So it always is while we froze by ourselves: the database may
    have forgotten it.
    """
    with container.database.reading() as session:
        kept = kept or forgotten.suspected(session)
    entries = {entry.key: entry for entry in container.journal.entries(kept=kept)}
    recorded, done = 0, set[Key]()
    attempts = _attempts_of(container, entries)
    results = {key: _understood(container, entries[key]) for key in attempts}
    unknown = _unknown(container, attempts, results)
    for key, row in attempts.items():
        entry, result = entries[key], results[key]
        if result is None:
            continue
        mine = _of_this_send(entry, row)  # else only its ids count: another send is in flight under the number now
        if mine and (row.outcome == "OPEN" or (key in unknown and row.outcome != "VOID")):
            with container.calls.story() as story:
                recorded += record(
                    container,
                    row.id,
                    entry.purchase_id,
                    result,
                    sent_at=row.sent_at,
                    story=story,
                    source="journal",
                    number=entry.number,
                )
        elif (row.outcome == "VOID" or not mine) and not _late_ids(container, row.id, row.account_id, result):
            continue
        done.add(key)
    keep = timedelta(days=container.settings.journal_days)
    container.journal.tidy(done, container.clock.now(), None if kept else keep)
    return recorded


def _attempts_of(container: Container, entries: Mapping[Key, Entry]) -> dict[Key, sa.Row[int, str, str, int, datetime]]:
    """The attempt that each entry answers, as far as it is known or can be put back. The rest freezes ordering."""
    if not entries:
        return {}
    with container.database.transaction() as session:
        ids = sa.literal(sorted({entry.attempt_id for entry in entries.values()}), ARRAY(sa.BigInteger))
        rows = {(row.id, row.out_order_id): row for row in session.execute(_ATTEMPTS.where(Attempt.id == sa.any_(ids)))}
        known = {key: rows[key[:2]] for key in entries if key[:2] in rows and _answered(entries[key], rows[key[:2]])}
        # Another send's number: the database is not the one that this was written for. Those put back are known by it.
        numbers = {entries[key].number for key in entries.keys() - known.keys()}
        again = {row.out_order_id: row for row in session.execute(sent(numbers))}
        known |= {key: again[key[1]] for key in entries.keys() - known.keys() if key[1] in again}
        strange = sorted(entries.keys() - known.keys())
        if strange:
            bought = {key[1] for key in strange if not entries[key].nothing}
            forgotten.journal_knows_more(session, {key[1] for key in strange}, bought)
    recalled = {key: _recalled(container, entries[key]) for key in strange}
    return known | {key: row for key, row in recalled.items() if row is not None}


def _unknown(
    container: Container,
    attempts: Mapping[Key, sa.Row[int, str, str, int, datetime]],
    results: Mapping[Key, PlaceResult | None],
) -> set[Key]:
    """Entries of which an order belongs to nobody: their sends were settled by something else that was found."""
    told = {key: result.order_ids for key, result in results.items() if result is not None}
    named = {(attempts[key].account_id, ref): key for key, refs in told.items() for ref in refs}
    if not named:
        return set()
    refs = sa.literal(sorted({ref for _, ref in named}), ARRAY(sa.Text))
    owned = sa.select(SupplierOrder.account_id, SupplierOrder.external_id).where(
        SupplierOrder.external_id == sa.any_(refs), SupplierOrder.purchase_id.is_not(None)
    )
    with container.database.reading() as session:
        known = {(account_id, ref) for account_id, ref in session.execute(owned)}
    return {key for pair, key in named.items() if pair not in known}


def _answered(entry: Entry, row: sa.Row[int, str, str, int, datetime]) -> bool:
    """Whether this attempt may stand for the entry's: not one of another time that bought nothing, if this did."""
    return entry.nothing or row.outcome not in _UNSENT or _of_this_send(entry, row)


def _recalled(container: Container, entry: Entry) -> sa.Row[int, str, str, int, datetime] | None:
    """The attempt of a send that this database forgot; put back if its purchase is there. None: not known (yet).

    An order that came after the backup is not there before it was read again: the next replay looks once more.
    """
    if entry.nothing:
        return None
    mine = sa.select(Purchase.id, Purchase.account_id).where(Purchase.out_order_id == entry.number)
    with container.database.transaction() as session:
        found = session.execute(mine).one_or_none()
        if found is None:
            return None
        if found.account_id is not None:
            locks.account(session, found.account_id)
        purchase = locks.purchase(session, found.id)
        if recall.may_recall(session, purchase):
            sent_at = datetime.fromtimestamp(entry.at, UTC) if entry.at else container.clock.now()
            recall.recall(container, session, purchase, sent_at=sent_at, by="journal").outcome = "OPEN"
            session.flush()
        return session.execute(sent({entry.number})).first()


_ATTEMPTS = sa.select(Attempt.id, Attempt.outcome, Attempt.out_order_id, Attempt.account_id, Attempt.sent_at)
_SAME = timedelta(milliseconds=1)
"""What a time may lose when it is written as a number."""


def _of_this_send(entry: Entry, row: sa.Row[int, str, str, int, datetime]) -> bool:
    """Whether an entry answers this very attempt: after a restore the same purchase may be sent again, ids repeat too.

    Else an old "not executed" would free a purchase whose new send is on its way, and it would be sent a second time.
    """
    if row.id != entry.attempt_id and entry.nothing:
        return False
    return not entry.at or abs(datetime.fromtimestamp(entry.at, UTC) - row.sent_at) <= _SAME


def sent(numbers: Collection[str]) -> sa.Select[int, str, str, int, datetime]:
    """Attempts with these numbers of ours that may have bought something."""
    named = sa.literal(sorted(numbers), ARRAY(sa.Text))  # one parameter, however many there are
    return _ATTEMPTS.where(Attempt.out_order_id == sa.any_(named), Attempt.outcome.not_in(_UNSENT))


_UNSENT = ("NOT_SENT", "NOT_EXECUTED")


def sent_before(container: Container, number: str) -> bool:
    """Whether our journal holds an answer to a send with this number that the database knows nothing of.

    One that it knows by its time does not count: what became of it is recorded, whatever was answered first.
    """
    entries = container.journal.bought(number)
    if not entries:
        return False
    with container.database.reading() as session:
        known = session.execute(_ATTEMPTS.where(Attempt.out_order_id == number)).all()
    return not all(any(entry.at and _of_this_send(entry, row) for row in known) for entry in entries)


def _understood(container: Container, entry: Entry) -> PlaceResult | None:
    """What an entry says; another release may have written it. One that is not understood stands in no other's way."""
    try:
        return from_plain(entry.result)
    except (KeyError, TypeError, ValueError) as error:
        log.warning("journal_entry_strange", attempt=entry.attempt_id, error=type(error).__name__)
        with container.database.transaction() as session:
            alert(
                session,
                f"journal:{entry.attempt_id}",
                "journal_strange",
                f"The journal's entry about attempt {entry.attempt_id} is not understood: its answer is not recorded. "
                "It stays in STATE_DIR/journal: start the release that wrote it once.",
                purchase_id=None,
            )
        return None


def _late_ids(container: Container, attempt_id: int, account_id: int, result: PlaceResult) -> bool:
    """An answer for a send that a person had given up: its ids are late evidence. False: try again later."""
    try:
        return all(_late_id(container, attempt_id, account_id, ref) for ref in result.order_ids)
    except (OutsideError, NotFound):
        return False


def _late_id(container: Container, attempt_id: int, account_id: int, ref: str) -> bool:
    """Give an order to whom it belongs. False: it cannot be read yet. Raises OutsideError if the account cannot be."""
    if _has_owner(container, attempt_id, account_id, ref):
        return True
    if evidence.look_up(container, account_id, ref, source="journal") is None:
        return False
    _has_owner(container, attempt_id, account_id, ref)  # it may have been given to another one than the entry's
    return True


def _has_owner(container: Container, attempt_id: int, account_id: int, ref: str) -> bool:
    """Whether an order belongs to a purchase; told to a person if that is not the one of this attempt.

    The attempt tells which that is, not the journal's entry: after a restore the ids of purchases repeat.
    """
    mine = sa.select(SupplierOrder).where(SupplierOrder.account_id == account_id, SupplierOrder.external_id == ref)
    with container.database.transaction() as session:
        order = session.scalars(mine).one_or_none()
        if order is None or order.purchase_id is None:
            return False
        adopt.tell_rival(session, order, session.get_one(Attempt, attempt_id).purchase_id)
        return True


def forget_attempt(session: Session, attempt: Attempt, *, by: str) -> None:
    """A person said that nothing was bought: the attempt is VOID."""
    attempt.outcome = "VOID"
    audit(session, "attempt", attempt.id, "void", actor=by)
