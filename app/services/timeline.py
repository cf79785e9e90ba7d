"""What happened to an order, from every table that noted it, in one line of time and in plain words."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from datetime import datetime
from typing import Any

import sqlalchemy as sa
from sqlalchemy.orm import Session

from app.domain.reasons import REASONS, explain
from app.logs import redact
from app.models import Alert, Attempt, Audit, Call, Evidence, Inbox, Outbox, Purchase, StoreOrder, Task
from app.services.standing import STATE_WORDS

MOST = 1000
"""Rows taken of each table; the newest ones."""
OURS = "waybill/"
"""Topics of events that we made ourselves begin so."""


def entries(
    session: Session,
    order_id: int,
    purchases: Sequence[int],
    bought: Sequence[tuple[int, str]],
    parcels: Sequence[int],
) -> list[dict[str, Any]]:
    """Entries oldest first: `at`, `kind`, `text`, and `detail` with what else is known.

    `bought`: our id and the supplier's of each supplier order.
    """
    ids = [row_id for row_id, _ in bought]
    names = dict(bought)
    found = [
        *_inbox(session, order_id),
        *_audit(session, order_id, purchases, ids, parcels, names),
        *_calls(session, order_id),
        *_attempts(session, purchases),
        *_evidence(session, purchases, [name for _, name in bought]),
        *_outbox(session, order_id),
        *_people(session, order_id, purchases),
    ]
    return sorted(found, key=lambda entry: entry["at"])


def _entry(at: datetime, kind: str, text: str, **detail: Any) -> dict[str, Any]:
    kept = {key: value for key, value in detail.items() if value not in (None, "", [], {})}
    return {"at": at, "kind": kind, "text": text, "detail": kept}


def _inbox(session: Session, order_id: int) -> Iterator[dict[str, Any]]:
    rows = session.execute(
        sa.select(
            Inbox.id, Inbox.source, Inbox.topic, Inbox.seen, Inbox.state, Inbox.received_at, Inbox.processed_at,
            Inbox.attempts, Inbox.result,
        )
        .where(Inbox.order_id == order_id)
        .order_by(Inbox.id.desc())
        .limit(MOST)
    )  # fmt: skip
    for row in rows:
        times = "" if row.seen == 1 else f" ({row.seen} times)"
        who = "Our poll found a change" if row.topic.startswith(OURS) else f"{row.source} told us: {row.topic}"
        yield _entry(row.received_at, "webhook", f"{who}{times}.", inbox=row.id, topic=row.topic, seen=row.seen)
        if row.processed_at is not None:
            yield _entry(
                row.processed_at,
                "import",
                f"{_event(row.topic)} was dealt with: {row.result or 'done'}.",
                inbox=row.id,
                tries=row.attempts,
            )


def _event(topic: str) -> str:
    return "The change" if topic.startswith(OURS) else f"The event {topic}"


def _audit(
    session: Session,
    order_id: int,
    purchases: Sequence[int],
    bought: Sequence[int],
    parcels: Sequence[int],
    names: Mapping[int, str],
) -> Iterator[dict[str, Any]]:
    attempts = sa.select(Attempt.id).where(Attempt.purchase_id.in_(purchases))
    accounts = sa.select(Purchase.account_id).where(Purchase.id.in_(purchases))
    since = sa.select(StoreOrder.first_seen_at).where(StoreOrder.id == order_id).scalar_subquery()
    rows = session.scalars(
        sa.select(Audit)
        .where(
            sa.or_(
                sa.and_(Audit.entity == "order", Audit.entity_id == order_id),
                sa.and_(Audit.entity == "purchase", Audit.entity_id.in_(purchases)),
                sa.and_(Audit.entity == "supplier_order", Audit.entity_id.in_(bought)),
                sa.and_(Audit.entity == "parcel", Audit.entity_id.in_(parcels)),
                sa.and_(Audit.entity == "attempt", Audit.entity_id.in_(attempts)),
                sa.and_(Audit.entity == "account", Audit.entity_id.in_(accounts), Audit.at >= since),
            )
        )
        .order_by(Audit.id.desc())
        .limit(MOST)
    )
    for row in rows:
        text = _words(row, names)
        detail = _flat(row.detail) | ({"purchase": row.entity_id} if row.entity == "purchase" else {})
        yield _entry(row.at, row.entity, text, by=row.actor, state=row.to_state, **detail)


def _flat(detail: Mapping[str, Any]) -> dict[str, Any]:
    """Details cannot take the names that an entry has already."""
    return {("about" if key in {"by", "state", "at", "kind", "text"} else key): value for key, value in detail.items()}


def _words(row: Audit, names: Mapping[int, str]) -> str:
    if row.entity == "purchase" and row.action == "move":
        return _moved(row)
    told = _ACTIONS.get((row.entity, row.action))
    if told is not None:
        return told(row, row.detail, names)
    return f"{row.entity.replace('_', ' ').capitalize()} {row.entity_id}: {row.action.replace('_', ' ')}."


def _moved(row: Audit) -> str:
    text = f"Purchase {row.entity_id} is now {STATE_WORDS.get(row.to_state, row.to_state)}"
    if row.to_state == "SENDING":
        text += f" (quote {row.detail.get('quote', 'unknown')}, limit {row.detail.get('limit', 'unknown')})"
    if row.to_state == row.from_state:
        text = f"Purchase {row.entity_id} is still {STATE_WORDS.get(row.to_state, row.to_state)}"
    if row.detail.get("orders") and row.to_state != "CANCELLED":
        text += f", as {row.detail['orders']}"
    reason = str(row.detail.get("reason", ""))
    if reason in REASONS and row.to_state != "HUMAN":  # its sentence is about looking, which is over
        facts = {key: str(value) for key, value in row.detail.items() if key != "reason"}
        return f"{text}: {explain(reason, **facts).text.strip()}"
    return f"{text}."


_Told = Callable[[Audit, Mapping[str, Any], Mapping[int, str]], str]


def _attached(row: Audit, detail: Mapping[str, Any], names: Mapping[int, str]) -> str:
    return f"Supplier order {names.get(row.entity_id, row.entity_id)} belongs to purchase {detail.get('purchase')}."


def _derived(row: Audit, detail: Mapping[str, Any], _names: Mapping[int, str]) -> str:
    if detail.get("after"):
        return (
            f"Purchase {row.entity_id} takes the place of purchase {detail['after']} (try {detail.get('generation')})."
        )
    many = len(detail.get("lines", []))
    return f"Purchase {row.entity_id} was made for {many} line{'' if many == 1 else 's'} of the order."


def _turned_up(seen: Any) -> str:
    if not seen:
        return "nothing has told us of an order that could be it (the account's whole list cannot be read)"
    return "an order has turned up in the account" if seen == 1 else f"{seen} orders have turned up in the account"


_ACTIONS: dict[tuple[str, str], _Told] = {
    ("order", "seen"): lambda _, detail, __: (
        f"The order was read for the first time ({detail.get('lines')} line{'' if detail.get('lines') == 1 else 's'})."
    ),
    ("order", "address_fixed"): lambda row, detail, _: (
        f"{row.actor} corrected the address: {', '.join(detail.get('fields', []))}."
    ),
    ("purchase", "derived"): _derived,
    ("purchase", "quantity"): lambda row, detail, _: (
        f"Purchase {row.entity_id} now wants {detail.get('quantity')} of line {detail.get('line')}: the order changed."
    ),
    ("purchase", "cancel_requested"): lambda row, _, __: (
        f"The shop cancelled what purchase {row.entity_id} had already sent to the supplier."
    ),
    ("purchase", "approved"): lambda row, detail, _: (
        f"{row.actor} approved the price of purchase {row.entity_id}"
        + (f": {detail['amount']}." if detail.get("amount") else ".")
    ),
    ("purchase", "retry"): lambda row, _, __: f"{row.actor} asked for another try of purchase {row.entity_id}.",
    ("purchase", "found"): lambda row, detail, _: (
        f"{row.actor} said: purchase {row.entity_id} is supplier order {detail.get('supplier_order')}."
    ),
    ("purchase", "buy_again"): lambda row, detail, _: (
        f"{row.actor} asked to order purchase {row.entity_id} again (purchase {detail.get('heir')})."
    ),
    ("purchase", "looked"): lambda row, detail, _: (
        f"Look {detail.get('look')} for purchase {row.entity_id}: {_turned_up(detail.get('seen'))}. "
        f"Next look at {detail.get('next')}."
    ),
    ("account", "token_dead"): lambda row, detail, _: (
        f"The connection to supplier account {row.entity_id} ended: {detail.get('why')}."
    ),
    ("account", "connected"): lambda row, _, __: f"{row.actor} connected supplier account {row.entity_id}.",
    ("account", "refreshed"): lambda row, _, __: f"{row.actor} renewed the token of supplier account {row.entity_id}.",
    ("supplier_order", "attached"): _attached,
    ("parcel", "shown"): lambda _, detail, __: (
        f"The shop shows the parcel {detail.get('number')} (fulfilment {detail.get('fulfilment')})."
    ),
    ("attempt", "void"): lambda row, _, __: f"Attempt {row.entity_id} counts as never executed: {row.actor} said so.",
}


def _calls(session: Session, order_id: int) -> Iterator[dict[str, Any]]:
    rows = session.scalars(sa.select(Call).where(Call.order_id == order_id).order_by(Call.id.desc()).limit(MOST))
    for row in rows:
        status = f", HTTP {row.status}" if row.status else ""
        yield _entry(
            row.at,
            "call",
            f"Asked {row.vendor} {row.operation}: {row.outcome} ({row.milliseconds} ms{status}).",
            request=_masked(row.request),
            answer=_masked(row.answer),
            request_id=row.request_id,
            purchase=row.purchase_id,
        )


def _masked(text: str) -> str:
    """Connectors redact what they note; what looks like a token all the same does not get out (S24)."""
    return str(redact(None, "", {"told": text})["told"])


def _attempts(session: Session, purchases: Sequence[int]) -> Iterator[dict[str, Any]]:
    rows = session.scalars(sa.select(Attempt).where(Attempt.purchase_id.in_(purchases)).order_by(Attempt.id))
    for row in rows:
        pieces = sum(int(item[2]) for item in row.items)
        plural = "" if pieces == 1 else "s"
        pay = "to be paid at once" if row.autopay else "to be paid later"
        yield _entry(
            row.sent_at,
            "attempt",
            f"Purchase {row.purchase_id} was written down to be sent once, as number {row.out_order_id}: "
            f"{pieces} piece{plural}, {pay}.",
            attempt=row.id,
            worker=row.worker,
            items=row.items,
        )
        if row.finished_at is not None:
            # An unclear answer that evidence resolved later still was an unclear answer.
            outcome = "UNKNOWN" if row.outcome in {"PLACED", "VOID"} and not row.order_ids else row.outcome
            ids = f" as {', '.join(map(str, row.order_ids))}" if row.order_ids else ""
            said = f" ({row.code} {_masked(row.message)})".replace(" )", ")") if row.code or row.message else ""
            yield _entry(
                row.finished_at,
                "attempt",
                f"The supplier's answer to purchase {row.purchase_id}: {_OUTCOMES.get(outcome, outcome)}{ids}{said}.",
                attempt=row.id,
                outcome=row.outcome,
                answer=_masked(row.answer),
            )


_OUTCOMES = {
    "OPEN": "none yet",
    "PLACED": "ordered",
    "NOT_SENT": "nothing was sent",
    "NOT_EXECUTED": "refused at the door, nothing was done",
    "REJECTED": "refused",
    "UNKNOWN": "not clear whether it was ordered",
    "VOID": "not clear; a person said later that nothing was ordered",
}


def _evidence(session: Session, purchases: Sequence[int], refs: Sequence[str]) -> Iterator[dict[str, Any]]:
    rows = session.scalars(
        sa.select(Evidence)
        .where(sa.or_(Evidence.purchase_id.in_(purchases), Evidence.supplier_order_ref.in_(refs)))
        .order_by(Evidence.id.desc())
        .limit(MOST)
    )
    for row in rows:
        not_there = row.detail.get("said") == "not there"
        if row.kind == "answer" or (not_there and row.purchase_id not in purchases):
            continue  # the attempt tells it better; another order's person saw this one as the newest
        text = _not_there(row) if not_there else _found(row)
        yield _entry(row.at, "evidence", f"{text}.", evidence=row.id, **_flat(row.detail))


def _not_there(row: Evidence) -> str:
    who = row.detail.get("by") or "A person"
    second = f", confirmed by {row.detail['second']}" if row.detail.get("second") else ""
    return f"{who} looked and said that it is not there{second}; the newest order there was {row.supplier_order_ref}"


def _found(row: Evidence) -> str:
    kind, _, who = row.kind.partition(":")
    source = _KINDS.get(kind, f"Evidence ({kind})").format(who=row.detail.get("by") or who or "A person")
    status = f": {row.detail['status']}" if row.detail.get("status") else ""
    if not row.supplier_order_ref:
        return f"{source} something{status}"
    ours = " is this purchase" if row.detail.get("attached") else ""
    return f"{source} supplier order {row.supplier_order_ref}{ours}{status}"


_KINDS = {
    "push": "A push of the supplier names",
    "lookup": "A look into the account found that",
    "journal": "The journal of a worker that died names",
    "human": "{who} said that",
}


def _outbox(session: Session, order_id: int) -> Iterator[dict[str, Any]]:
    rows = session.scalars(sa.select(Outbox).where(Outbox.order_id == order_id).order_by(Outbox.id.desc()).limit(MOST))
    names = {
        "fulfil": "The shop is to be told of a parcel",
        "reject_request": "The shop's fulfilment request is to be rejected",
        "answer_cancellation": "The shop's cancellation request is to be answered",
    }
    for row in rows:
        yield _entry(row.created_at, "outbox", f"{names.get(row.kind, row.kind)}.", outbox=row.id)
        if row.done_at is not None:
            stuck = "did not work" if row.state == "STUCK" else "is done"
            yield _entry(
                row.done_at,
                "outbox",
                f"That {stuck}: {row.result or row.state.lower()}.",
                outbox=row.id,
                tries=row.attempts,
            )
        elif row.result:
            yield _entry(
                row.created_at, "outbox", f"That is tried again at {row.run_at:%H:%M:%S}: {row.result}.", outbox=row.id
            )


def _people(session: Session, order_id: int, purchases: Sequence[int]) -> Iterator[dict[str, Any]]:
    for task in session.scalars(sa.select(Task).where(Task.order_id == order_id).order_by(Task.id)):
        yield _entry(task.created_at, "task", f"Task: {task.text}", task=task.id, turn=task.turn)
        if task.done_at is not None:
            yield _entry(task.done_at, "task", f"That task is done (by {task.done_by or 'nobody'}).", task=task.id)
    for alert in session.scalars(sa.select(Alert).where(Alert.purchase_id.in_(purchases)).order_by(Alert.id)):
        yield _entry(alert.raised_at, "alert", f"Alert: {alert.text}", alert=alert.id)
        if alert.ended_at is not None:
            yield _entry(alert.ended_at, "alert", "The cause of that alert is gone.", alert=alert.id)
