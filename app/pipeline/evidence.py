"""Pushes and other hints about supplier orders: kept, confirmed by reading the order, attached only when sure.

An id that cannot be read yet is tried again for an hour; "not readable" proves nothing (lifecycle, sections 1 and 8).
"""

from __future__ import annotations

from datetime import datetime, timedelta
from typing import Literal

import sqlalchemy as sa
from sqlalchemy.orm import Session

from app import db
from app.calls import Story
from app.container import Container
from app.domain.purchase_flow import FOLLOWED, PLACED, UNCLEAR
from app.domain.timing import pick
from app.errors import Conflict, NotFound, WaybillError
from app.models import (
    Attempt,
    Evidence,
    Inbox,
    Purchase,
    StoreOrder,
    SupplierAccount,
    SupplierOrder,
)
from app.pipeline import fit, forgotten, late, locks, recall
from app.pipeline.adopt import belongs, open_attempt, row
from app.pipeline.follow import coverage
from app.pipeline.record import end_alerts, end_tasks, task
from app.pipeline.supplier_read import apply_read, wrong_clock
from app.ports.errors import MerchantMustAct, OutsideError
from app.ports.inbound import Hint
from app.ports.supplier import OrderShipping
from app.ports.supplier import SupplierOrder as OrderRead
from app.shop_access import with_account

DEAD_MOST = timedelta(days=30)
"""How long a push waits for a dead account that it may belong to: anybody can send one that is unsigned."""
LATE_MOST = timedelta(days=7)
"""How long the accounts of sends that were given up are asked about pushes that name no buyer; longer while nobody
could check that the order was not there."""
ORPHAN_FOR = timedelta(days=30)
"""How long an order that belongs to nobody is looked at again: by then it is paid and shipped, or closed."""
ACCOUNTS_MOST = 20
"""Accounts that are asked about one push at a time; the next try asks the next ones."""


def push(container: Container, event: Inbox, hint: Hint) -> tuple[str, int | None, timedelta | None]:
    """A push about a supplier order: (what came of it, our order, when to look again or None)."""
    ref = hint.ref or ""
    with container.database.transaction() as session:
        known = session.scalars(sa.select(SupplierOrder).where(SupplierOrder.external_id == ref)).first()
        if known is not None and known.purchase_id is not None:
            known.track_run_at = sa.func.clock_timestamp()
            container.database.after_commit(container.bell.ring)
            order_id = session.scalar(sa.select(Purchase.order_id).where(Purchase.id == known.purchase_id))
            return "known order, read again", order_id, None
        _keep(session, event, hint)
        accounts = _accounts(session, event.source, hint.account_ref, turn=event.attempts - 1)
    dead = False
    for account_id in accounts:
        try:
            found = look_up(container, account_id, ref, source="push")
        except MerchantMustAct:
            dead = True  # whether it is this account's shows when it is connected again
            continue
        if found:
            return found, _order_of(container, ref), None
    if dead and container.clock.now() - event.received_at < DEAD_MOST:
        wait = min(timedelta(minutes=15) * event.attempts, timedelta(hours=6))
        return "an account that it may belong to cannot be read", None, wait
    if event.attempts <= len(container.timers.push_retries):
        wait = pick(container.timers.push_retries, event.attempts - 1)
        return "not readable yet, kept", None, wait * container.settings.time_scale
    return "foreign: none of our accounts can read it", None, None


def _order_of(container: Container, ref: str) -> int | None:
    with container.database.transaction() as session:
        return session.scalar(
            sa.select(Purchase.order_id)
            .join(SupplierOrder, SupplierOrder.purchase_id == Purchase.id)
            .where(SupplierOrder.external_id == ref)
            .limit(1)
        )


def _keep(session: Session, event: Inbox, hint: Hint) -> None:
    if event.attempts > 1:
        return
    session.add(
        Evidence(
            kind="push",
            supplier_order_ref=hint.ref or "",
            detail={"status": hint.status or "", "verified": event.verified, "inbox": event.id},
        )
    )


def _accounts(session: Session, supplier: str, buyer: str | None, *, turn: int) -> list[int]:
    """The account that the push names, else those with an unresolved attempt: `ACCOUNTS_MOST` others in each turn."""
    if buyer:
        named = session.scalar(
            sa.select(SupplierAccount.id).where(SupplierAccount.supplier == supplier, SupplierAccount.user_id == buyer)
        )
        if named is not None:
            return [named]
    unchecked = sa.exists().where(
        Evidence.purchase_id == Purchase.id,
        Evidence.kind == "human",
        Evidence.detail["said"].as_string() == "not there",
        Evidence.detail["verified"].as_boolean().is_(False),
        Evidence.at > sa.func.now() - DEAD_MOST,
    )
    given_up = sa.or_(Attempt.sent_at > sa.func.now() - LATE_MOST, unchecked)
    unresolved = session.scalars(
        sa.select(Attempt.account_id)
        .join(Purchase, Purchase.id == Attempt.purchase_id)
        .where(
            sa.and_(Attempt.outcome.in_(("OPEN", "UNKNOWN")), Purchase.state.in_(UNCLEAR))
            | sa.and_(Attempt.outcome == "VOID", given_up),
            Purchase.supplier == supplier,
        )
        .group_by(Attempt.account_id)
        .order_by(sa.func.max(Attempt.sent_at).desc())
    ).all()
    start = turn * ACCOUNTS_MOST % max(len(unresolved), 1)
    return [*unresolved[start:], *unresolved[:start]][:ACCOUNTS_MOST]


def look_up(container: Container, account_id: int, ref: str, *, source: str) -> str | None:
    """Read an order under an account and attach it if it fits exactly one unresolved attempt. None: not readable."""
    with container.calls.story() as story:
        try:
            read = with_account(container, account_id, lambda supplier: supplier.order(ref))
        except NotFound:
            return None
        if read is None:
            return None
        with container.database.transaction() as session:
            locks.account(session, account_id)
            candidates = fit.fitting(container, session, account_id, read)
            order = row(session, account_id, ref, source)
            if order.purchase_id is not None:
                return "attached already"
            apply_read(container, session, order, read)
            said = attach(container, session, order, read, candidates, source=source)
            _tell(session, story, order)
            return said


def _tell(session: Session, story: Story, order: SupplierOrder) -> None:
    """The call that found it belongs to the story of the order that it was given to."""
    if order.purchase_id is not None:
        story.purchase_id = order.purchase_id
        story.order_id = session.scalar(sa.select(Purchase.order_id).where(Purchase.id == order.purchase_id))
        story.write(session)


def attach(
    container: Container,
    session: Session,
    order: SupplierOrder,
    read: OrderRead,
    candidates: list[tuple[Purchase, Attempt]],
    *,
    source: str,
) -> str:
    """Give a readable, unattached order to the one attempt that it fits; else it stays an orphan for a person."""
    sending = [purchase for purchase, _ in candidates if purchase.state == "SENDING" and _in_time(session, purchase)]
    if sending:
        order.track_run_at = sa.func.clock_timestamp() + container.timers.unknown_checks[0]
        return "a send is on its way, looked at again after it"
    if order.role == "foreign":  # a person's word; only an answer of the supplier's or another word is stronger
        order.track_run_at = None
        return "belongs to no purchase of ours"
    wrong = wrong_clock(session)
    if len(candidates) == 1 and not wrong:
        purchase, attempt = candidates[0]
        give(container, session, order, purchase, attempt, source=source, closed=read.closed)
        session.flush()
        apply_read(container, session, order, read)
        return f"attached to purchase {purchase.id}"
    order.role = "orphan"
    order.track_run_at = None if _is_over(container, session, order, read) else _next_look(container)
    if order.closed:
        end_tasks(session, f"stray:{order.id}", "closed at the supplier")
        end_alerts(session, f"stray:{order.id}")
    ids = ", ".join(str(purchase.id) for purchase, _ in candidates)
    if candidates and wrong:
        said = f"may be of {ids}, but times are read in a wrong zone"
        task(
            session,
            f"orphan:{order.id}:clock",
            "several_purchases_fit",
            turn="us",
            text=f"Supplier order {order.external_id} {said}. Set that right first, or end the alert about it if it is "
            "right: then the order is looked at again by itself.",
        )
        _soon(container, order)
        return said
    end_tasks(session, f"orphan:{order.id}:clock" if candidates else f"orphan:{order.id}", source)
    if candidates:
        task(
            session,
            f"orphan:{order.id}",
            "several_purchases_fit",
            turn="us",
            text=f"Supplier order {order.external_id} fits several unclear purchases ({ids}). "
            "A person must say whose it is.",
        )
        return f"fits several purchases: {ids}"
    if forgotten.unknown_order(container, session, order, read, timely=not wrong):
        _soon(container, order)
    return "belongs to no purchase of ours"


def _soon(container: Container, order: SupplierOrder) -> None:
    """Whose it is may be clear in a moment."""
    if order.track_run_at is not None:
        soon = min(pick(container.timers.push_retries, order.tracks - 1), container.timers.track_poll)
        order.track_run_at = sa.func.clock_timestamp() + soon


def _is_over(container: Container, session: Session, order: SupplierOrder, read: OrderRead) -> bool:
    """Nothing becomes of it any more: only a push, or a purchase that is unclear, has it read once more."""
    old = db.now(session) - order.recorded_at > ORPHAN_FOR / container.settings.time_scale
    # Seen closed once, only the second look makes it certain.
    return order.closed or (order.closed_seen != 1 and (read.shipping == OrderShipping.DELIVERED or old))


def _next_look(container: Container) -> sa.ColumnElement[datetime]:
    return sa.func.clock_timestamp() + container.timers.track_poll


def _in_time(session: Session, purchase: Purchase) -> bool:
    return bool(
        session.scalar(sa.select(Purchase.sent_deadline > sa.func.clock_timestamp()).where(Purchase.id == purchase.id))
    )


def give(
    container: Container,
    session: Session,
    order: SupplierOrder,
    purchase: Purchase,
    attempt: Attempt,
    *,
    source: str,
    closed: bool = False,
) -> None:
    """Attach an order to a purchase. Late evidence for a VOID generation is the case of section 8.

    `closed`: as it was read just now.
    """
    session.add(
        Evidence(
            purchase_id=purchase.id,
            account_id=order.account_id,
            kind=source,
            supplier_order_ref=order.external_id,
            detail={"attached": True},
        )
    )
    found, wanted = coverage(session, purchase)
    belongs(session, order, purchase, source=source)
    order.track_run_at = sa.func.clock_timestamp()
    if purchase.state == "VOID":
        late.turned_up(container, session, order, purchase, attempt, source, closed=closed)
    elif purchase.state == "CANCELLED":
        when = "after an earlier one was found" if purchase.gave_way else "after the shop had cancelled it"
        late.duplicate(session, order, purchase, f"which was given up, {when}")
    elif purchase.state in FOLLOWED:
        late.duplicate(session, order, purchase, "which had come to its end already")
    elif purchase.state in PLACED and found >= wanted:
        # The rest was called "not there" and a new part took its place, or another order was found first.
        late.duplicate(session, order, purchase, late.WHOLE)


def unattached(session: Session, account_id: int, sent_at: datetime | None) -> list[str]:
    """Ids that turned up under this account since a send and belong to no purchase yet."""
    return list(
        session.scalars(
            sa.select(SupplierOrder.external_id).where(
                SupplierOrder.account_id == account_id,
                SupplierOrder.purchase_id.is_(None),
                SupplierOrder.role == "orphan",
                SupplierOrder.recorded_at >= (sent_at or fit.EARLY) - timedelta(minutes=2),
            )
        )
    )


def refuse_settled(container: Container, purchase_id: int, *, late: Literal["void", "gap"]) -> int:
    """The account of a purchase about which a person may say something; before anybody outside is asked.

    Of an unclear one, and of one that holds only a part; `late` "void": also of one that was given up, or that the
    database takes for unsent. Raises `Conflict` if there is nothing to resolve.
    """
    with container.database.reading() as session:
        purchase = session.get(Purchase, purchase_id)
        if purchase is None:
            raise NotFound("no_purchase", f"There is no purchase {purchase_id}. `flask purchase list` shows them.")
        found, wanted = coverage(session, purchase)
        still = (purchase.state in PLACED and found < wanted) or (
            late == "void" and (purchase.state == "VOID" or recall.may_recall(session, purchase))
        )
    if purchase.account_id is None or not (purchase.state in UNCLEAR or still):
        raise Conflict("not_unclear", f"Purchase {purchase_id} is {purchase.state}: there is nothing to resolve.")
    return purchase.account_id


def unreadable(ref: str, error: OutsideError) -> WaybillError:
    """An order that a person names could not be read: what to do about it."""
    if isinstance(error, MerchantMustAct):
        text = f"Order {ref} cannot be read ({error.code}). Connect the account again first: `flask account connect`."
        return Conflict(error.reason, text)
    return NotFound("not_readable", f"Order {ref} could not be read just now ({error.code}). Try again in a minute.")


def confirm(container: Container, purchase_id: int, ref: str, *, by: str) -> str:
    """A person says "it is number …": verified by reading it under the purchase's account, then attached.

    Raises `NotFound` if it cannot be read there, and a `WaybillError` if it does not fit.
    """
    if not (ref.isascii() and ref.isdigit()):
        raise WaybillError("bad_number", f"{ref[:40]!r} is not an order number: it has digits only.")
    account_id = refuse_settled(container, purchase_id, late="void")
    try:
        read = with_account(container, account_id, lambda supplier: supplier.order(ref))
    except OutsideError as error:
        raise unreadable(ref, error) from error
    if read is None:
        raise NotFound(
            "not_readable",
            f"Order {ref} cannot be read under this purchase's account. Check the number and the account.",
        )
    with container.database.transaction() as session:
        locks.account(session, account_id)
        sends = fit.fitting(container, session, account_id, read, named=purchase_id)
        fitting = [one for one, _ in sends if one.id != purchase_id]
        _refuse_sending(ref, fitting)
        rivals = [one.id for one in fitting]
        purchase = locks.purchase(session, purchase_id)
        if purchase.account_id != account_id:
            raise Conflict("changed", f"The account of purchase {purchase_id} was changed just now. Look once more.")
        attempt = open_attempt(session, purchase)
        order = row(session, account_id, ref, "human")
        if recall.may_recall(session, purchase):
            late.spare(session, order, purchase, by=by)
        if order.purchase_id is not None and order.purchase_id != purchase_id:
            raise Conflict("other_purchase", f"Order {ref} belongs to purchase {order.purchase_id} already.")
        if recall.may_recall(session, purchase):
            _refuse_rivals(ref, rivals)
            attempt = _recalled(container, session, purchase, read, by=by)
        found, wanted = coverage(session, purchase)
        open_still = purchase.state in UNCLEAR | {"VOID"} or (purchase.state in PLACED and found < wanted)
        if attempt is None or not open_still:
            raise Conflict("not_unclear", f"Purchase {purchase_id} is {purchase.state}: there is nothing to resolve.")
        unread_own = order if order.purchase_id == purchase_id and order.read_at is None else None
        if not fit.fits(container, session, purchase, attempt, read, known=unread_own):
            raise Conflict(
                "does_not_fit",
                f"Order {ref} does not fit purchase {purchase_id}: "
                "products, SKUs, counts and time must be those of the send.",
            )
        give(container, session, order, purchase, attempt, source=f"human:{by}", closed=read.closed)
        session.flush()
        apply_read(container, session, order, read)
        return purchase.state


def _refuse_sending(ref: str, fitting: list[Purchase]) -> None:
    """The answer to a send names its order for certain, and may come any moment."""
    sending = next((one.id for one in fitting if one.state == "SENDING"), None)
    if sending is not None:
        raise Conflict(
            "being_sent",
            f"Order {ref} fits what is being sent for purchase {sending} just now. Its answer tells in a minute "
            "whose it is: say it again then.",
        )


def _refuse_rivals(ref: str, rivals: list[int]) -> None:
    """What a purchase that was not sent is given must not be what another one, which was sent, is looking for."""
    if rivals:
        one, named = rivals[0], ", ".join(map(str, rivals))
        raise Conflict(
            "fits_another",
            f"Order {ref} fits what was sent for purchase {named}, and that is unclear. Say first what became of it: "
            f"`flask purchase resolve {one} --found {ref}`, or another number.",
        )


def _recalled(container: Container, session: Session, purchase: Purchase, read: OrderRead, *, by: str) -> Attempt:
    """A person names the order of a purchase that is not known to be sent: forgotten by a restore, or made by hand."""
    placed_at = session.scalar(sa.select(StoreOrder.placed_at).where(StoreOrder.id == purchase.order_id))
    if read.created_at is None or placed_at is None or read.created_at < placed_at - container.timers.match_before:
        raise Conflict(
            "does_not_fit",
            f"Supplier order {read.order_id} was made before the buyer ordered, so it cannot be the one for "
            f"purchase {purchase.id}.",
        )
    return recall.recall(container, session, purchase, sent_at=read.created_at, by=f"human:{by}", cost=read.total)
