"""Mails about what waits for a person: to the shop's owner, and to staff. Many things, one mail.

`ask` (periodic) puts a mail into the outbox when there is something to tell that was not told, and not too soon after
the last one; `send` is the outbox's act. A task or alert is told once; held orders again every day.
"""

from __future__ import annotations

import hashlib
from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from itertools import groupby
from typing import Any
from urllib.parse import urlsplit
from zoneinfo import ZoneInfo, ZoneInfoNotFoundError

import sqlalchemy as sa
from sqlalchemy.dialects.postgresql import ARRAY, insert
from sqlalchemy.orm import Session

from app.container import Container
from app.domain.reasons import REASONS
from app.mailer import Letter
from app.models import Alert, EmailLog, Outbox, Purchase, Shop, StoreOrder, Task
from app.pipeline.record import alert, outbox, sentence
from app.ports.errors import Refused

GATHER = timedelta(seconds=30)
"""What happens within it goes into one mail."""
SHOP_GAP, STAFF_GAP = timedelta(hours=1), timedelta(minutes=10)
"""Least time between two mails to the same people."""
HELD_AGE, HELD_AGAIN = timedelta(minutes=10), timedelta(days=1)
"""How long an order is held before its owner is told, and when again."""
MOST = 50
"""Rows of one kind in a mail to a shop."""
NAMED = 10
"""Alerts of one kind that a mail to staff names; of the others it gives the number."""
GRAVEST = (
    "duplicate",
    "attribution",
    "unverified_wrong",
    "outcome_unknown_old",
    "outcome_unknown",
    "partly_placed",
    "placement_frozen",
    "journal_strange",
    "journal_not_written",
    "orders_unaccounted",
    "order_unreadable",
    "shop_uncompared",
    "shop_unread",
    "autopay_over_limit",
    "order_unread",
    "supplier_clock",
    "supplier_down",
    "config",
)
"""Kinds that staff read of first: bought twice, unclear, lost; the rest comes behind them."""
_WAITS = [name for name, reason in REASONS.items() if reason.turn in {"merchant", "buyer"}]


@dataclass(frozen=True, slots=True)
class _Draft:
    """What there is to tell, and which rows are told by it."""

    to: tuple[str, ...]
    subject: str
    values: dict[str, Any]
    tasks: Sequence[int] = ()
    alerts: Sequence[sa.Row[Any]] = ()
    held: Sequence[int] = ()


def ask(container: Container) -> int:
    """Put a mail into the outbox for everybody who has not heard of something. Gives how many."""
    if not container.mailer.configured:
        return 0
    scale = container.settings.time_scale
    with container.database.transaction() as session:
        found = [*_shops_with_tasks(session, scale), *_shops_with_held(session, scale)]
        for shop_id, mark in found:
            outbox(session, f"mail:shop:{shop_id}:{mark}", "mail", shop_id=shop_id, payload={"to": "shop"})
        newest = _untold_alert(session, scale) if container.mailer.staff else None
        if newest is not None:
            outbox(session, f"mail:staff:{newest}", "mail", shop_id=None, payload={"to": "staff"})
    if found or newest is not None:
        container.bell.ring()
    return len(found) + (newest is not None)


def _quiet(shop_id: sa.SQLColumnExpression[int] | None, gap: timedelta) -> sa.ColumnElement[bool]:
    """Nothing was mailed to them within the gap, and no mail is under way: two would tell the same."""
    sent = sa.select(EmailLog.id).where(
        EmailLog.sent_at > sa.func.now() - gap, EmailLog.shop_id.is_not_distinct_from(shop_id)
    )
    under_way = sa.select(Outbox.id).where(
        Outbox.state == "DUE", Outbox.kind == "mail", Outbox.shop_id.is_not_distinct_from(shop_id)
    )
    return sa.and_(~sent.exists(), ~under_way.exists())


def told_anew(session: Session, shop_id: int) -> None:
    """The shop has another address: what the old one could not be told is asked for again."""
    session.execute(sa.delete(Outbox).where(Outbox.shop_id == shop_id, Outbox.kind == "mail", Outbox.state == "DONE"))


def _shops_with_tasks(session: Session, scale: float) -> list[tuple[int, str]]:
    rows = session.execute(
        sa.select(Task.shop_id, sa.func.min(Task.id), sa.func.max(Task.id))
        .join(Shop, Shop.id == Task.shop_id)
        .where(Task.turn == "merchant", Task.done_at.is_(None), Task.mailed_at.is_(None), Shop.contact_email != "")
        .where(_quiet(Shop.id, SHOP_GAP / scale))
        .group_by(Task.shop_id)
        .having(sa.func.max(Task.created_at) < sa.func.now() - GATHER / scale)
    )
    # A mail tells the oldest: what is left over has the same newest one, and is another mail all the same.
    return [(int(shop_id or 0), f"t{oldest}-{newest}") for shop_id, oldest, newest in rows]


def _held(scale: float) -> sa.ColumnElement[bool]:
    """Held for a person for a while, and not told of yet or for a day."""
    return sa.and_(
        Purchase.state == "HELD",
        Purchase.reason.in_(_WAITS),
        Purchase.held_since < sa.func.now() - HELD_AGE / scale,
        sa.func.coalesce(Purchase.held_told_at, sa.func.to_timestamp(0)) < sa.func.now() - HELD_AGAIN / scale,
    )


def _shops_with_held(session: Session, scale: float) -> list[tuple[int, str]]:
    rows = session.execute(
        sa.select(Purchase.shop_id, sa.func.max(Purchase.id), sa.func.extract("epoch", sa.func.now()))
        .join(Shop, Shop.id == Purchase.shop_id)
        .where(_held(scale), Shop.contact_email != "", Shop.state != "UNINSTALLED", _quiet(Shop.id, SHOP_GAP / scale))
        .group_by(Purchase.shop_id)
    )
    gap = (SHOP_GAP / scale).total_seconds()  # one mark for each mail that may be sent
    return [(shop_id, f"h{newest}:{int(float(epoch) // gap)}") for shop_id, newest, epoch in rows]


def _untold_alert(session: Session, scale: float) -> str | None:
    row = session.execute(
        sa.select(sa.func.max(Alert.raised_at), sa.func.count())
        .where(Alert.mailed_at.is_(None), Alert.ended_at.is_(None))
        .where(_quiet(None, STAFF_GAP / scale))
    ).one()
    return f"{row[0].timestamp():.3f}:{row[1]}" if row[1] else None


def send(container: Container, row: Outbox) -> str:
    """Write the mail and hand it over. Raises `TryLater` while the mail server does not take it.

    A crash between its acceptance and our record sends it again under the same Message-ID; the log counts the tries.
    """
    if not container.mailer.configured:
        return "mail is not set up (MAIL_SERVER)"
    with container.database.transaction() as session:
        draft = _for_shop(container, session, row.shop_id) if row.shop_id else _for_staff(container, session)
        if draft is None:
            return "nothing new to tell"
        log_id, letter = _logged(container, session, row, draft)
    try:
        container.mailer.send(letter)
    except Refused as error:
        _refused(container, row, log_id, error.code)
        return f"refused for ever: {error.code}"
    with container.database.transaction() as session:
        session.execute(
            sa.update(EmailLog).where(EmailLog.id == log_id).values(state="SENT", sent_at=sa.func.clock_timestamp())
        )
        _told(session, draft)
    return f"mailed to {'staff' if row.shop_id is None else 'the shop'}: {draft.subject}"


def _told(session: Session, draft: _Draft) -> None:
    """Purchases first and each by its number, as all others take them."""
    for table, ids, column in ((Purchase, draft.held, "held_told_at"), (Task, draft.tasks, "mailed_at")):
        if ids:
            session.execute(
                sa.select(table.id).where(table.id.in_(ids)).order_by(table.id).with_for_update(key_share=True)
            )
            session.execute(sa.update(table).where(table.id.in_(ids)).values({column: sa.func.clock_timestamp()}))
    if draft.alerts:  # any number, each as it was told: one that was raised anew meanwhile is not
        keys = sa.literal([one.id for one in draft.alerts], ARRAY(sa.BigInteger))
        raised = sa.literal([one.raised_at for one in draft.alerts], ARRAY(sa.DateTime(timezone=True)))
        told = sa.func.unnest(keys, raised).table_valued("id", "raised_at").render_derived(name="told")
        same = (Alert.id == told.c.id, Alert.raised_at == told.c.raised_at)
        session.execute(sa.update(Alert).where(*same).values(mailed_at=sa.func.clock_timestamp()))


def _logged(container: Container, session: Session, row: Outbox, draft: _Draft) -> tuple[int, Letter]:
    host = urlsplit(container.settings.public_url).hostname or "waybill"
    message_id = f"<{hashlib.sha256(row.dedupe_key.encode()).hexdigest()[:32]}@{host}>"
    entry = insert(EmailLog).values(
        dedupe_key=row.dedupe_key,
        shop_id=row.shop_id,
        kind="digest",
        subject=draft.subject,
        message_id=message_id,
        state="SENDING",
        tries=1,
        detail="",
    )
    log_id = session.scalar(
        entry.on_conflict_do_update(
            index_elements=["dedupe_key"],
            set_={"tries": EmailLog.tries + 1, "subject": draft.subject, "state": "SENDING"},
        ).returning(EmailLog.id)
    )
    headers = {"Reply-To": container.mailer.staff[0]} if row.shop_id is not None and container.mailer.staff else {}
    return int(log_id or 0), Letter(draft.to, draft.subject, "digest", draft.values, message_id, headers)


def _refused(container: Container, row: Outbox, log_id: int, code: str) -> None:
    with container.database.transaction() as session:
        session.execute(sa.update(EmailLog).where(EmailLog.id == log_id).values(state="REFUSED", detail=code))
        if row.shop_id is not None:
            alert(
                session,
                f"mail-refused:{row.shop_id}",
                "mail_refused",
                f"The mail to the owner of shop {row.shop_id} was refused ({code}). Ask for another address: "
                f"`flask shop set {row.shop_id} --contact-email …`.",
                shop_id=row.shop_id,
            )


def _for_shop(container: Container, session: Session, shop_id: int) -> _Draft | None:
    shop = session.get_one(Shop, shop_id)
    open_tasks = (Task.shop_id == shop_id, Task.turn == "merchant", Task.done_at.is_(None), Task.mailed_at.is_(None))
    tasks = session.scalars(sa.select(Task).where(*open_tasks).order_by(Task.id).limit(MOST)).all()
    held = session.execute(
        sa.select(Purchase, StoreOrder.number)
        .join(StoreOrder, StoreOrder.id == Purchase.order_id)
        .where(Purchase.shop_id == shop_id, _held(container.settings.time_scale))
        .order_by(Purchase.held_told_at.nulls_first(), Purchase.id)
        .limit(MOST)
    ).all()
    if not shop.contact_email or not (tasks or held):
        return None
    groups = []
    if tasks:
        rows = [{"text": task.text, "since": _when(task.created_at, shop.timezone)} for task in tasks]
        groups.append({"title": "To do", "rows": rows})
    if held:
        groups.append({"title": "Orders that wait for you", "rows": _held_rows(held, shop)})
    count = len(tasks) + len({purchase.order_id for purchase, _ in held})
    things = "1 thing needs" if count == 1 else f"{count} things need"
    values = {
        "about": _plain(shop.name),
        "title": f"{things} your attention",
        "lead": f"Shop {_plain(shop.name)}: nothing is lost. Each point below says what to do.",
        "groups": groups,
        "foot": "Waybill sends this at most once an hour, when there is something new to decide; orders that still "
        "wait for you are named again every day."
        + (" You can answer this mail: tell us what to do and we do it for you." if container.mailer.staff else ""),
    }
    about = _only_order(session, tasks, [number for _, number in held])
    subject = f"{about}{things} your attention in {_plain(shop.name)}"[:150]
    told = [purchase.id for purchase, _ in held]
    return _Draft((shop.contact_email,), subject, values, tasks=[task.id for task in tasks], held=told)


def _only_order(session: Session, tasks: Sequence[Task], held: Sequence[str]) -> str:
    """How a subject begins whose mail is about one order only, else nothing."""
    ids = {task.order_id for task in tasks if task.order_id is not None}
    numbers = {*held, *session.scalars(sa.select(StoreOrder.number).where(StoreOrder.id.in_(ids)))}
    only = len(numbers) == 1 and all(task.order_id is not None for task in tasks)
    return f"Order {_plain(numbers.pop())}: " if only else ""


def _held_rows(held: Sequence[sa.Row[Purchase, str]], shop: Shop) -> list[dict[str, str]]:
    """One row for each reason with the orders that it holds, oldest first."""
    by_text: dict[str, list[tuple[Purchase, str]]] = {}
    for purchase, number in held:
        by_text.setdefault(sentence(purchase)[0], []).append((purchase, number))
    return [
        {
            "text": text,
            "act": f"Orders: {', '.join(dict.fromkeys(number for _, number in rows))}",
            "since": _when(min(purchase.stands_since for purchase, _ in rows), shop.timezone),
        }
        for text, rows in by_text.items()
    ]


def _for_staff(container: Container, session: Session) -> _Draft | None:
    place = sa.func.row_number().over(partition_by=Alert.kind, order_by=(Alert.raised_at.desc(), Alert.id.desc()))
    gravity = sa.case({kind: at for at, kind in enumerate(GRAVEST)}, value=Alert.kind, else_=len(GRAVEST))
    untold = session.execute(
        sa.select(Alert.id, Alert.raised_at, Alert.kind, place.label("place"))
        .where(Alert.mailed_at.is_(None), Alert.ended_at.is_(None))
        .order_by(gravity, Alert.kind, place)
    ).all()
    if not untold or not container.mailer.staff:
        return None
    count = Counter(one.kind for one in untold)
    named = [one.id for one in untold if one.place <= NAMED]
    alerts = {one.id: one for one in session.scalars(sa.select(Alert).where(Alert.id.in_(named)))}
    title = "1 alert" if len(untold) == 1 else f"{len(untold)} alerts"
    values = {
        "about": "for staff",
        "title": title,
        "lead": "What each kind means and what to do stands in docs/operations.md under “Alerts”.",
        "groups": [{"title": "Open now", "rows": _alert_rows([alerts[key] for key in named if key in alerts], count)}],
        "foot": f"Sent by {urlsplit(container.settings.public_url).hostname}. All open alerts: flask alerts.",
    }
    return _Draft(container.mailer.staff, f"Waybill: {title} ({', '.join(count)})"[:150], values, alerts=untold)


def _alert_rows(alerts: Sequence[Alert], count: Mapping[str, int]) -> list[dict[str, str]]:
    """One row for each, and behind those of a kind of which there are more, one that says how many."""
    rows: list[dict[str, str]] = []
    for kind, same in groupby(alerts, key=lambda one: one.kind):
        of_kind = [
            {
                "text": one.text,
                "act": f"flask purchase list --shop {one.shop_id}" if one.shop_id else "flask alerts",
                "since": f"{kind}, {_when(one.raised_at, 'UTC')}",
            }
            for one in same
        ]
        more = count[kind] - len(of_kind)
        if more > 0:
            of_kind.append({"text": f"And {more} more of {kind}, older than these.", "act": "flask alerts"})
        rows += of_kind
    return rows


def _plain(name: str) -> str:
    """A shop's name on one line: shops call themselves what they like."""
    return " ".join("".join(each if each.isprintable() else " " for each in name).split())[:80]


def _when(at: datetime, zone: str) -> str:
    from babel.dates import format_datetime  # noqa: PLC0415 - megabytes that web processes never need

    try:
        there = ZoneInfo(zone or "UTC")
    except (ZoneInfoNotFoundError, ValueError):
        there = ZoneInfo("UTC")
    return f"since {format_datetime(at.astimezone(UTC), 'd MMM yyyy, HH:mm zzz', tzinfo=there, locale='en')}"
