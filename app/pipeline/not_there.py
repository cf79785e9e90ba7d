"""A person looked at the supplier and it is not there: the only way to give up a send that may have happened.

Source: lifecycle, section 8. After quarantine, with proof of where they looked, and by two persons where it costs much.
"""

from __future__ import annotations

from datetime import datetime, timedelta

import sqlalchemy as sa
from sqlalchemy.orm import Session

from app import db
from app.container import Container
from app.domain.purchase_flow import PLACED
from app.errors import Conflict
from app.models import (
    Attempt,
    Evidence,
    Purchase,
    PurchaseItem,
    Shop,
    StoreOrder,
    SupplierOrder,
    SupplierOrderItem,
)
from app.pipeline import closing, evidence, fit, generation, locks, match, reconcile, unverified
from app.pipeline.adopt import open_attempt
from app.pipeline.buy.outcome import forget_attempt, release
from app.pipeline.follow import coverage, follow
from app.pipeline.record import audit, end_alerts, end_tasks, move
from app.pipeline.supplier_read import wrong_clock
from app.ports.errors import OutsideError
from app.ports.money import Money
from app.ports.supplier import SupplierOrder as OrderRead
from app.shop_access import with_account

EMPTY = unverified.EMPTY
LOOKING = timedelta(minutes=15)
"""How long a person may take from loading the list of orders to telling what stands at its top."""


def give_up(
    container: Container,
    purchase_id: int,
    *,
    newest_seen: str,
    by: str,
    confirm_by: str = "",
    unverified_account: bool = False,
) -> Purchase:
    """A person looked and it is not there: VOID, and a newly derived generation.

    Only after quarantine. `newest_seen` is the newest order number that the person sees: it proves where they looked.
    Staff (`by` starting with `staff:`) always need a second person. `unverified_account`: nobody can read the account,
    so nothing is checked now (`app.pipeline.unverified`). Raises `Conflict` saying what is missing.
    """
    account_id = evidence.refuse_settled(container, purchase_id, late="gap")
    _check_number(newest_seen.strip())
    if by.startswith("staff:") and not _confirmed(by, confirm_by):
        raise Conflict("second_person", f"A second person, another one than {by}, has to confirm this (--confirm-by).")
    newest, read = (
        ("", None)
        if unverified_account
        else _verify_newest(container, account_id, newest_seen.strip(), by=by, confirm_by=confirm_by)
    )
    with container.database.transaction() as session:
        locks.account(session, account_id)  # what is let go may just be recorded or tracked
        purchase = locks.purchase(session, purchase_id)
        _refuse_wrong_clock(session)
        found, asked = coverage(session, purchase)
        _refuse_clear(purchase, found, asked)
        if found and closing.bundled(session, purchase):
            raise Conflict(
                "bundle",
                "A part of a bundle was found, and the rest cannot be ordered alone. Order the missing piece at the "
                "supplier by hand and give its number (--found), or refund your buyer.",
            )
        if unverified_account:
            unverified.demand(container, session, purchase.account_id, by=by, confirm_by=confirm_by)
        _alone(session, purchase, by=by, confirm_by=confirm_by)
        now: datetime = session.scalar(sa.select(sa.func.clock_timestamp()))  # type: ignore[assignment]
        if purchase.quarantine_until is None or now < purchase.quarantine_until:
            raise Conflict(
                "quarantine",
                f"Too early: the order may still appear. Look again after {purchase.quarantine_until:%H:%M:%S} UTC.",
            )
        if purchase.state == "UNKNOWN":
            reconcile.to_human(session, purchase, session.get_one(StoreOrder, purchase.order_id))
        _refuse_unread(container, session, purchase, now)
        attempt = open_attempt(session, purchase)
        _refuse_own(container, session, purchase, attempt, newest_seen.strip(), read)
        session.add(
            Evidence(
                purchase_id=purchase.id,
                account_id=purchase.account_id,
                kind="human",
                supplier_order_ref=newest_seen.strip(),
                detail={
                    "said": "not there",
                    "by": by,
                    "second": confirm_by,
                    "newest": newest,
                    "verified": read is not None,
                },
            )
        )
        end_tasks(session, f"unclear:{purchase.id}", by)
        end_alerts(session, f"unclear:{purchase.id}")
        _let_go(session, purchase, by=by)
        if attempt is not None and coverage(session, purchase)[0]:
            return _keep_found(container, session, purchase, attempt, by=by)
        if attempt is not None:
            release(session, purchase, attempt)
            forget_attempt(session, attempt, by=by)
        move(session, purchase, "VOID", actor=by, reason="", facts={"by": by, "newest_seen": newest_seen.strip()})
        heir = generation.next_generation(container, session, purchase)
        if heir is None:
            move(session, purchase, "CANCELLED", actor=by, reason="cancelled_by_shop")
        container.database.after_commit(container.bell.ring)
        return heir or purchase


def _refuse_clear(purchase: Purchase, found: int, asked: int) -> None:
    if purchase.state not in {"UNKNOWN", "HUMAN"} and not (purchase.state in PLACED and found < asked):
        raise Conflict("not_unclear", f"Purchase {purchase.id} is {purchase.state}: there is nothing to resolve.")
    if purchase.state in PLACED and not found:
        raise Conflict(
            "other_items",
            f"The supplier orders of purchase {purchase.id} hold none of the items that were ordered. Look at them "
            "there: this has to be cleared up with the supplier, and is never ordered again by itself.",
        )


def _refuse_wrong_clock(session: Session) -> None:
    if wrong_clock(session):
        raise Conflict(
            "supplier_clock",
            "We read the supplier's times in a wrong zone, so an order that is there would not be recognised. "
            "Staff have an alert about it; nothing can be given up until it is mended.",
        )


def _confirmed(by: str, confirm_by: str) -> bool:
    """Whether another person confirms it."""
    return bool(confirm_by.strip()) and confirm_by.strip().casefold() != by.strip().casefold()


def _check_number(newest_seen: str) -> None:
    if not newest_seen:
        raise Conflict(
            "newest_missing",
            "Give the number of the newest order that you see at the supplier (--newest-seen), "
            f"or “{EMPTY}” if there is no order at all.",
        )
    if not newest_seen.isdigit() and newest_seen != EMPTY:
        raise Conflict("newest_missing", f"{newest_seen[:40]!r} is not an order number: it has digits only.")


def _alone(session: Session, purchase: Purchase, *, by: str, confirm_by: str) -> None:
    """A merchant decides alone up to the shop's limit: being wrong costs the order once more."""
    limit = session.get_one(Shop, purchase.shop_id).alone_cap
    if not _confirmed(by, confirm_by) and (purchase.quote_minor is None or purchase.quote_minor > limit):
        raise Conflict(
            "second_person",
            f"This order costs more than one person may decide about alone ({Money(limit, purchase.quote_currency)}): "
            "a second person has to confirm it (--confirm-by).",
        )


def _refuse_unread(container: Container, session: Session, purchase: Purchase, now: datetime) -> None:
    """Numbers that the supplier gave for it and that were not read yet are proof that something is there.

    After a week without a read (`unreadable_after`) the person's word counts: an unpaid order is closed by then.
    """
    unread = session.scalars(
        sa.select(SupplierOrder.external_id)
        .where(
            SupplierOrder.purchase_id == purchase.id,
            SupplierOrder.role == "bought",
            SupplierOrder.read_at.is_(None),
            SupplierOrder.recorded_at > now - container.timers.unreadable_after,
        )
        .order_by(SupplierOrder.id)
    ).all()
    if unread:
        raise Conflict(
            "it_is_there",
            f"The supplier gave the number {', '.join(unread)} for this purchase; it could not be read yet. "
            "It is read again by itself. Look for that number there.",
        )


def _refuse_own(
    container: Container,
    session: Session,
    purchase: Purchase,
    attempt: Attempt | None,
    ref: str,
    read: OrderRead | None,
) -> None:
    """The order that the person names as the newest may be the very one that is looked for.

    Not one that was known before the send and that a person called foreign: its own time, which is a rough one, may
    fit all the same. (Known before does not suffice: the database's clock may have been put back in between.)
    """
    known = session.scalar(
        sa.select(SupplierOrder).where(
            SupplierOrder.external_id == ref, SupplierOrder.account_id == purchase.account_id
        )
    )
    owner = known.purchase_id if known is not None else None
    lost = attempt is not None and read is not None and fit.fits(container, session, purchase, attempt, read)
    if attempt is not None and known is not None and known.role == "foreign" and known.recorded_at < attempt.sent_at:
        lost = False
    counted = (
        owner == purchase.id and coverage(session, purchase)[0] > 0
    )  # a part that was found; the rest is asked for
    if (owner == purchase.id and not counted) or (owner is None and lost):
        raise Conflict("it_is_there", f"Order {ref} is the one that is missing here: say so with --found {ref}.")


def _let_go(session: Session, purchase: Purchase, *, by: str) -> None:
    """Numbers that could not be read for a week are nobody's now: if one is read after all it is late evidence."""
    for order in session.scalars(
        sa.select(SupplierOrder)
        .where(SupplierOrder.purchase_id == purchase.id, SupplierOrder.read_at.is_(None))
        .with_for_update(key_share=True)
    ):
        order.purchase_id, order.role = None, "orphan"
        end_tasks(session, f"unread:{order.id}", by)
        end_alerts(session, f"unread:{order.id}")
        audit(session, "supplier_order", order.id, "let_go", actor=by, detail={"purchase": purchase.id})
    session.flush()


def _keep_found(container: Container, session: Session, purchase: Purchase, attempt: Attempt, *, by: str) -> Purchase:
    """A part was found, the rest is not there: the purchase ends with what it has, a new part takes the rest."""
    for item in session.scalars(sa.select(PurchaseItem).where(PurchaseItem.purchase_id == purchase.id)):
        found = session.scalar(
            sa.select(sa.func.coalesce(sa.func.sum(SupplierOrderItem.quantity), 0)).where(
                SupplierOrderItem.purchase_item_id == item.id
            )
        )
        item.quantity = int(found or 0) // item.units
    audit(session, "purchase", purchase.id, "kept_what_was_found", actor=by)
    attempt.outcome = "PLACED"
    session.flush()
    follow(container, session, purchase)
    match.derive_again(container, session, purchase.order_id)
    container.database.after_commit(container.bell.ring)
    return purchase


def _verify_newest(
    container: Container, account_id: int, newest: str, *, by: str, confirm_by: str
) -> tuple[str, OrderRead | None]:
    """The newest order, when it was made and what it is: it must be readable under the purchase's account.

    None for an account without any order. That proves nothing about where somebody looked, so two persons say it.
    """
    if newest == EMPTY:
        if not _confirmed(by, confirm_by):
            raise Conflict("second_person", "That there is no order at all, a second person confirms (--confirm-by).")
        with container.database.reading() as session:
            mine = sa.exists().where(SupplierOrder.account_id == account_id, SupplierOrder.read_at.is_not(None))
            has_orders = session.scalar(sa.select(mine))
        if has_orders:
            raise Conflict("not_newest", "There are orders in this account: was it the right one? Look once more.")
        return "no order at all", None
    try:
        read = with_account(container, account_id, lambda supplier: supplier.order(newest))
    except OutsideError as error:
        raise evidence.unreadable(newest, error) from error
    if read is None:
        raise Conflict(
            "wrong_account", f"Order {newest} cannot be read under this purchase's account: was it the right one?"
        )
    if read.created_at is not None and _newer(container, account_id, read.created_at):
        raise Conflict(  # it does not tell which is: whoever looked sees it
            "not_newest",
            f"Order {newest} is not the newest one of this account: another one was made after it. Load the list of "
            "orders there again, look once more, and name the order at its top.",
        )
    return (read.created_at.isoformat() if read.created_at else "time unknown"), read


def _newer(container: Container, account_id: int, than: datetime) -> bool:
    """Whether an order of this account, known to us, was made later: the list that was looked at is an old one.

    Not what was made just now, while the person was looking: an account may order every minute.
    """
    with container.database.reading() as session:
        latest = db.now(session) - LOOKING / container.settings.time_scale
        newer = sa.exists().where(
            SupplierOrder.account_id == account_id,
            SupplierOrder.created_at_supplier > than,
            SupplierOrder.created_at_supplier < latest,
        )
        return bool(session.scalar(sa.select(newer)))
