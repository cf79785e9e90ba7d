"""Supplier orders are read until they are at their end: payment, price, closing, parcels."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import datetime, timedelta
from typing import Any

import sqlalchemy as sa
from sqlalchemy.orm import Session

from app import db
from app.container import Container
from app.db import ROW
from app.domain.timing import pick
from app.errors import NotFound
from app.models import Alert, Purchase, ShippedParcel, StoreOrder, SupplierOrder
from app.pipeline import breaker, computed, evidence, failing, fit, late, locks, standstill, unverified
from app.pipeline.due import Claim, claim
from app.pipeline.follow import follow
from app.pipeline.parcels import store as store_parcels
from app.pipeline.record import alert, end_alerts, end_tasks, task
from app.pipeline.supplier_read import apply_read
from app.ports.errors import MerchantMustAct, OutsideError
from app.ports.supplier import SupplierOrder as OrderRead
from app.ports.supplier import SupplierParcel
from app.shop_access import with_account

REMINDERS = (0.25, 0.5, 0.75, 0.9)
"""Shares of the payment window at which the merchant is reminded."""

ASSUMED_WINDOW = timedelta(days=20)
"""How long an order may wait to be paid where the supplier does not tell; only to remind, never to conclude."""
AGAIN = timedelta(minutes=15)
KIND = "supplier order"
MOST_TOLD = 10
"""Orders whose reads break that are told one by one."""
UNREAD_AFTER = timedelta(days=1)
"""Supplier orders that could be read and cannot for so long are told."""


def due(container: Container, most: int) -> Sequence[Claim]:
    """Supplier orders whose next read is due."""
    return claim(
        container,
        "supplier_order",
        most,
        due="track_run_at IS NOT NULL",
        run_at="track_run_at",
        lease=container.timers.inbox_lease,
        lease_column="track_lease_until",
        count="tracks = tracks + 1",
    )


def run(container: Container, claimed: Claim) -> None:
    """Read one supplier order and its parcels, and store what is new. A fault that nobody foresaw stands in its row."""
    try:
        _read(container, claimed)
    except Exception as fault:
        if not db.is_away(fault):
            _failed(container, claimed.id, type(fault).__name__)
        raise


def _failed(container: Container, order_id: int, error: str) -> None:
    with container.database.transaction() as session:
        order = session.get_one(SupplierOrder, order_id, with_for_update=ROW)
        told = failing.told(session, KIND) if order.track_error else frozenset()
        if order.track_error and (order.external_id in told or len(told) < MOST_TOLD):
            failing.tell(session, KIND, order.external_id, error)
        elif order.track_error:
            failing.tell_many(session, KIND, error)
        order.track_error, order.track_lease_until = error, None
        order.track_run_at = sa.func.clock_timestamp() + AGAIN / container.settings.time_scale


def _read(container: Container, claimed: Claim) -> None:
    with container.database.reading() as session:
        found = session.execute(
            sa.select(SupplierOrder, Purchase.order_id, Purchase.supplier)
            .outerjoin(Purchase, Purchase.id == SupplierOrder.purchase_id)
            .where(SupplierOrder.id == claimed.id)
        ).one()
    order: SupplierOrder = found.SupplierOrder
    order_id: int | None = found.order_id
    supplier: str | None = found.supplier
    with container.calls.story(order_id, order.purchase_id) as story:
        try:
            read = with_account(container, order.account_id, lambda supplier: supplier.order(order.external_id))
            parcels: tuple[SupplierParcel, ...] = ()
            if read is not None and read.shipping.value != "none":
                parcels = with_account(
                    container, order.account_id, lambda supplier: supplier.parcels(order.external_id)
                )
        except (MerchantMustAct, NotFound):
            _again(container, order, AGAIN / container.settings.time_scale)
            return
        except OutsideError as error:
            if supplier is not None and breaker.is_outage(error):
                breaker.note_read(container, supplier, ok=False)
            wait = getattr(error, "retry_after", None) or min(2.0 ** min(order.tracks, 8), 300.0)
            _again(container, order, timedelta(seconds=wait) / container.settings.time_scale)
            return
        if supplier is not None:
            breaker.note_read(container, supplier, ok=True)
        with container.database.transaction() as session:
            news = _news(session, order, read, parcels)
            _store(container, session, order, read, parcels)
            if news:
                story.write(session)  # after the locks: its rows refer to the order, which locks that too


def _news(session: Session, before: SupplierOrder, read: OrderRead | None, parcels: Sequence[SupplierParcel]) -> bool:
    """Only reads that changed something go into the order's story: it would drown in the others."""
    if read is None or before.read_at is None or read.status != before.status:
        return True
    known = sa.select(sa.func.count()).select_from(ShippedParcel).where(ShippedParcel.supplier_order_id == before.id)
    return bool(parcels) and len(parcels) != session.scalar(known)


def reads_again(session: Session, order: SupplierOrder) -> None:
    """Its reads do not break any more, or nobody reads it any more."""
    order.track_error = ""
    failing.worked(session, KIND, order.external_id)
    others = SupplierOrder.track_run_at.is_not(None), SupplierOrder.track_error != "", SupplierOrder.id != order.id
    if (session.scalar(sa.select(sa.func.count()).where(*others)) or 0) <= MOST_TOLD:
        failing.many_worked(session, KIND)


def _again(container: Container, before: SupplierOrder, wait: timedelta) -> None:
    with container.database.transaction() as session:
        order = session.get_one(SupplierOrder, before.id, with_for_update=ROW)
        order.track_run_at = _earlier(_asked_meanwhile(before, order), sa.func.clock_timestamp() + wait)
        order.track_lease_until = None
        _unreadable(container, session, order)


def _asked_meanwhile(before: SupplierOrder, order: SupplierOrder) -> datetime | None:
    """A push, perhaps, asked for another read since this one began: what it told may be missing in what was read."""
    return order.track_run_at if order.track_run_at != before.track_run_at else None


def _earlier(asked: datetime | None, wanted: sa.ColumnElement[datetime] | None) -> Any:
    """When to read it again, if somebody `asked` for that meanwhile."""
    if asked is None:
        return wanted
    return asked if wanted is None else sa.func.least(asked, wanted)


def _store(
    container: Container,
    session: Session,
    before: SupplierOrder,
    read: OrderRead | None,
    parcels: Sequence[SupplierParcel],
) -> None:
    locks.account(session, before.account_id)
    # Under the lock: nobody attaches it meanwhile.
    purchase_id = session.scalar(sa.select(SupplierOrder.purchase_id).where(SupplierOrder.id == before.id))
    candidates = fit.fitting(container, session, before.account_id, read) if read and not purchase_id else []
    purchase = locks.purchase(session, purchase_id) if purchase_id is not None else None
    order = session.get_one(SupplierOrder, before.id, with_for_update=ROW)
    asked = _asked_meanwhile(before, order)
    order.track_lease_until = None
    if order.track_error:
        reads_again(session, order)
    timers = container.timers
    if order.source == unverified.SOURCE:
        unverified.check_order(container, session, order, read)
    if read is None:
        wanted = sa.func.clock_timestamp() + pick(timers.push_retries, order.tracks - 1)
        order.track_run_at = _earlier(asked, wanted)
        _unreadable(container, session, order)
        return
    if order.tracks > 1 or order.read_at is not None:
        end_alerts(session, f"unread:{order.id}")
        end_alerts(session, f"unread-account:{order.account_id}")
    if order.tracks > 1 and order.read_at is None:
        end_tasks(session, f"unread:{order.id}", "track")
    if purchase is None:
        apply_read(container, session, order, read)
        evidence.attach(container, session, order, read, candidates, source="lookup")
        return
    late.reconsider(container, session, order, purchase, closed=read.closed)
    apply_read(container, session, order, read, purchase)
    if late.surplus(session, purchase):
        follow(container, session, purchase)
    _end_outdated(session, order, purchase)
    store_parcels(session, order, parcels)
    standstill.note(container, session, order, purchase)
    _remind(session, order, purchase, db.now(session), ASSUMED_WINDOW / container.settings.time_scale)
    order.track_run_at = _earlier(asked, _next(container, session, order))
    container.database.after_commit(container.bell.ring)


def _end_outdated(session: Session, order: SupplierOrder, purchase: Purchase) -> None:
    """What a person was asked to do with this order and need not do any more."""
    if order.reminders and not _payable(order, purchase):
        end_tasks(session, f"pay:{order.id}", "track")
    if order.role == "duplicate" and order.closed:
        end_tasks(session, f"duplicate:{order.id}", "closed at the supplier")
        end_alerts(session, f"duplicate:{order.id}")


def _payable(order: SupplierOrder, purchase: Purchase) -> bool:
    unpaid = order.role == "bought" and order.payment == "unpaid"
    return unpaid and not order.closed and purchase.state == "PLACED_UNPAID"


def _unreadable(container: Container, session: Session, order: SupplierOrder) -> None:
    """A number that the supplier gave and nobody can read for an hour: it may wait to be paid unseen, and be closed.

    One that was read before, and is not any more for a day: nobody would see what becomes of it.
    """
    now = db.now(session)
    if order.read_at is not None:
        _lost_sight(container, session, order, now - order.read_at)
        return
    purchase = session.get(Purchase, order.purchase_id) if order.purchase_id else None
    if purchase is None or order.role != "bought" or now - order.recorded_at < container.timers.human_after:
        return
    text = f"Supplier order {order.external_id} was given to us but cannot be read. Look for it in the account there."
    alert(session, f"unread:{order.id}", "order_unread", text, purchase_id=order.purchase_id)
    task(
        session,
        f"unread:{order.id}",
        "order_unread",
        turn="merchant",
        text=f"{text} If it is there and unpaid: {_unseen_price(purchase)}",
        shop_id=purchase.shop_id,
        order_id=purchase.order_id,
        purchase_id=purchase.id,
    )


def _unseen_price(purchase: Purchase) -> str:
    """Whether to pay what nobody could read: the pay list cannot tell."""
    if purchase.cancel_requested_at is not None:
        return "do not pay it, its buyer does not want it any more."
    highest = computed.highest(purchase)
    if highest is None:
        return "look at its price before you pay it there."
    return f"pay it there, unless it costs more than {highest}, with shipping and tax."


def _lost_sight(container: Container, session: Session, order: SupplierOrder, unread: timedelta) -> None:
    # Whoever chose to look rarely has not lost sight of it after one look that failed.
    longest = max(UNREAD_AFTER / container.settings.time_scale, 2 * container.timers.track_poll)
    if order.purchase_id is None or order.role != "bought" or unread < longest:
        return
    since = f"read last at {order.read_at:%Y-%m-%d %H:%M} UTC"
    if _all_unread(session, order, longest):  # not an alert for each of its orders
        text = (
            f"No order of supplier account {order.account_id} can be read any more (order {order.external_id} was "
            f"{since}): nobody sees whether they are paid, closed or shipped. Look whether it is still connected."
        )
        alert(session, f"unread-account:{order.account_id}", "order_unread", text)
        return
    text = (
        f"Supplier order {order.external_id} was {since} and cannot be read any more: nobody sees whether it is paid, "
        "closed or shipped. Look for it in the account."
    )
    alert(session, f"unread:{order.id}", "order_unread", text, purchase_id=order.purchase_id)


def _all_unread(session: Session, order: SupplierOrder, longest: timedelta) -> bool:
    """Whether nothing else that is followed in its account was read for so long either."""
    mine = SupplierOrder.account_id == order.account_id, SupplierOrder.track_run_at.is_not(None)
    told = sa.exists().where(Alert.dedupe_key == f"unread-account:{order.account_id}", Alert.ended_at.is_(None))
    if session.scalar(sa.select(told)):
        return True
    others = sa.select(sa.func.count(), sa.func.max(SupplierOrder.read_at)).where(*mine, SupplierOrder.id != order.id)
    many, newest = session.execute(others).one()
    # Half of that: each of them is read in its turn, so they were not read last all at once.
    return many > 0 and (newest is None or db.now(session) - newest >= longest / 2)


def _next(container: Container, session: Session, order: SupplierOrder) -> sa.ColumnElement[datetime] | None:
    timers = container.timers
    if standstill.is_over(container, session, order):
        return None
    if order.closed_seen == 1:  # seen closed once: the second look makes it certain
        return sa.func.clock_timestamp() + timers.first_read
    return sa.func.clock_timestamp() + (timers.track_poll if order.payment == "paid" else timers.payment_poll)


def _remind(
    session: Session, order: SupplierOrder, purchase: Purchase, now: datetime, window: timedelta = ASSUMED_WINDOW
) -> None:
    """At 25, 50, 75 and 90 % of the payment window the merchant is told, each once.

    `window`: how long it is where the supplier does not tell its end.
    """
    if not _payable(order, purchase):
        return
    begun = order.created_at_supplier or order.recorded_at
    until = order.pay_until or begun + window
    whole = (until - begun).total_seconds()
    gone = (now - begun).total_seconds() / whole if whole > 0 else 1.0
    reached = sum(gone >= share for share in REMINDERS)
    if reached <= order.reminders:
        return
    order.reminders = reached
    shop_order = session.get_one(StoreOrder, purchase.order_id)
    task(
        session,
        f"pay:{order.id}:{reached}",
        "pay_reminder",
        turn="merchant",
        text=f"Order {shop_order.number}: supplier order {order.external_id} is not paid yet and is closed by the "
        f"supplier at {'' if order.pay_until else 'about '}{until:%Y-%m-%d %H:%M} UTC. Pay it from the pay list.",
        shop_id=purchase.shop_id,
        order_id=shop_order.id,
        purchase_id=purchase.id,
    )
