"""What a person says about an account that nobody can read (lifecycle, section 8).

If the connection has been dead for a week, the merchant may say with a second person what became of an unclear purchase
there, and give the tracking number by hand. It is kept as unverified, and checked when the account is connected again.
"""

from __future__ import annotations

from collections.abc import Sequence

import sqlalchemy as sa
from sqlalchemy.orm import Session

from app.container import Container
from app.db import ROW
from app.domain.purchase_flow import PLACED, UNCLEAR
from app.errors import Conflict, NotFound, WaybillError
from app.models import (
    Attempt,
    Credential,
    Evidence,
    ParcelItem,
    Purchase,
    PurchaseItem,
    ShippedParcel,
    SupplierOrder,
)
from app.pipeline import evidence, fit, locks
from app.pipeline.adopt import belongs, open_attempt, resolved, row
from app.pipeline.follow import follow
from app.pipeline.record import alert, audit, move, outbox
from app.ports.errors import OutsideError
from app.ports.supplier import SupplierOrder as OrderRead
from app.shop_access import with_account

EMPTY = "none"
"""Said in place of a number: the list of orders there holds nothing."""
SOURCE = "unverified"
LONGEST_NUMBER = 64
"""Characters of a tracking number."""


def demand(container: Container, session: Session, account_id: int | None, *, by: str, confirm_by: str) -> None:
    """Raises `Conflict` unless two persons speak and the account has been unreadable for the whole time."""
    if not confirm_by.strip() or confirm_by.strip().casefold() == by.strip().casefold():
        raise Conflict("second_person", "Nobody can check this: a second person has to confirm it (--confirm-by).")
    dead = session.execute(
        sa.select(Credential.state, sa.func.clock_timestamp() - Credential.dead_since).where(
            Credential.account_id == account_id
        )
    ).one_or_none()
    if dead is not None and dead[0] != "DEAD":
        raise Conflict(
            "readable", "The supplier account can be read: what is there is found and checked without such a statement."
        )
    if dead is not None and (dead[1] is None or dead[1] < container.timers.unreadable_after):
        raise Conflict(
            "not_yet",
            f"The account's connection died less than {container.timers.unreadable_after.days or 'a few'} days ago. "
            "Connect it again (`flask account connect`): then the order can be read.",
        )


def found(container: Container, purchase_id: int, refs: Sequence[str], *, by: str, confirm_by: str) -> None:
    """Two persons say which orders it became. Raises `Conflict`."""
    with container.database.transaction() as session:
        account_id = session.scalar(sa.select(Purchase.account_id).where(Purchase.id == purchase_id))
        if account_id is None:
            raise NotFound("no_purchase", f"There is no purchase {purchase_id}. `flask purchase list` shows them.")
        locks.account(session, account_id)
        purchase = locks.purchase(session, purchase_id)
        demand(container, session, purchase.account_id, by=by, confirm_by=confirm_by)
        attempt = open_attempt(session, purchase)
        if attempt is None or purchase.state not in UNCLEAR - {"SENDING"}:
            raise Conflict("not_unclear", f"Purchase {purchase_id} is {purchase.state}: there is nothing to resolve.")
        for ref in refs:
            _attach(container, session, purchase, ref, by=by, confirm_by=confirm_by)
        attempt.outcome = "PLACED"
        resolved(session, purchase)
        move(session, purchase, "PLACED_UNPAID", actor=by, reason="unverified", facts={"orders": ", ".join(refs)})


def _attach(container: Container, session: Session, purchase: Purchase, ref: str, *, by: str, confirm_by: str) -> None:
    if not (ref.isascii() and ref.isdigit()):
        raise WaybillError("bad_number", f"{ref[:40]!r} is not an order number: it has digits only.")
    order = row(session, purchase.account_id or 0, ref, SOURCE)
    if order.purchase_id not in {None, purchase.id}:
        raise Conflict("other_purchase", f"Order {ref} belongs to purchase {order.purchase_id} already.")
    belongs(session, order, purchase, source=by)
    order.source, order.read_at = SOURCE, None  # until it is read again, nothing of it is known
    order.track_run_at = sa.func.clock_timestamp() + container.timers.recheck_held
    say(session, purchase, ref, "found", by=by, confirm_by=confirm_by)


def say(session: Session, purchase: Purchase, ref: str, what: str, *, by: str, confirm_by: str) -> None:
    """Keep the statement as evidence that nobody has checked."""
    session.add(
        Evidence(
            purchase_id=purchase.id,
            account_id=purchase.account_id,
            kind="human",
            supplier_order_ref=ref,
            detail={"said": what, "by": by, "second": confirm_by, "verified": False},
        )
    )


def track(
    container: Container, purchase_id: int, number: str, *, carrier: str = "", ref: str = "", by: str, confirm_by: str
) -> None:
    """Two persons give a parcel's tracking number by hand; it is shown in the shop. Raises `Conflict`."""
    if not number.strip() or len(number.strip()) > LONGEST_NUMBER:
        raise WaybillError("bad_number", f"A tracking number has 1 to {LONGEST_NUMBER} characters.")
    with container.database.transaction() as session:
        purchase = locks.purchase(session, purchase_id)
        demand(container, session, purchase.account_id, by=by, confirm_by=confirm_by)
        order = _order(session, purchase, ref)
        its = {"supplier_order_id": order.id, "tracking_number": number.strip()}
        if session.scalar(sa.select(ShippedParcel.id).filter_by(**its)) is not None:
            raise Conflict("known_number", f"Parcel {number.strip()} of order {order.external_id} is known already.")
        parcel = ShippedParcel(**its, carrier=carrier.strip()[:60], items=[])
        parcel.shown_number = ""
        session.add(parcel)
        session.flush()  # its contents and the act below name it
        if not _pack_rest(session, purchase, parcel):
            raise Conflict("nothing_left", "Every piece of this purchase is in a parcel already.")
        # The supplier ships nothing that is not paid.
        order.payment, order.shipping, order.source = "paid", "shipped", SOURCE
        audit(
            session,
            "purchase",
            purchase.id,
            "tracked_by_hand",
            actor=by,
            detail={"parcel": parcel.id, "second": confirm_by},
        )
        session.flush()
        follow(container, session, purchase)
        outbox(
            session,
            f"fulfil:{parcel.id}:{number.strip()}",
            "fulfil",
            shop_id=purchase.shop_id,
            order_id=purchase.order_id,
            payload={"parcel_id": parcel.id},
        )
        container.database.after_commit(container.bell.ring)


def _order(session: Session, purchase: Purchase, ref: str) -> SupplierOrder:
    orders = session.scalars(
        sa.select(SupplierOrder).where(SupplierOrder.purchase_id == purchase.id).order_by(SupplierOrder.id)
    ).all()
    if purchase.state not in PLACED or not orders:
        raise Conflict("not_placed", f"Purchase {purchase.id} is {purchase.state}: there is no order to ship yet.")
    named = [order for order in orders if ref in {"", order.external_id}]
    if len(named) != 1:
        numbers = ", ".join(order.external_id for order in orders)
        raise Conflict("which_order", f"Say which order the parcel belongs to (--order): {numbers}.")
    return named[0]


def _pack_rest(session: Session, purchase: Purchase, parcel: ShippedParcel) -> int:
    pieces = 0
    for item in session.scalars(sa.select(PurchaseItem).where(PurchaseItem.purchase_id == purchase.id)):
        packed = session.scalar(
            sa.select(sa.func.coalesce(sa.func.sum(ParcelItem.quantity), 0)).where(
                ParcelItem.purchase_item_id == item.id
            )
        )
        left = item.quantity - int(packed or 0)
        if left > 0:
            session.add(ParcelItem(parcel_id=parcel.id, purchase_item_id=item.id, quantity=left))
            pieces += left
    session.flush()
    return pieces


def check_order(container: Container, session: Session, order: SupplierOrder, read: OrderRead | None) -> None:
    """The account can be read again: what was said about this order is checked. Caller locked order and purchase."""
    purchase = session.get_one(Purchase, order.purchase_id)
    attempt = open_attempt(session, purchase)
    if read is None or attempt is None or not fit.fits(container, session, purchase, attempt, read, known=order):
        what = "cannot be read under that account" if read is None else "is not what purchase {0} asked for"
        _wrong(session, purchase, f"order-{order.id}", f"Order {order.external_id} {what.format(purchase.id)}")
    if read is not None:
        order.source, order.payment, order.shipping = "human", "checking", "none"
        audit(session, "supplier_order", order.id, "checked", actor="track", detail={"purchase": purchase.id})


def _wrong(session: Session, purchase: Purchase, key: str, text: str) -> None:
    alert(
        session,
        f"unverified:{key}",
        "unverified_wrong",
        f"{text}, as two persons had said while the account was dead. Look into it.",
        shop_id=purchase.shop_id,
        purchase_id=purchase.id,
    )


def unchecked(most: int | None = None) -> sa.Select[int]:
    """Statements that something is not there, of accounts that can be read again; looked for longest ago first."""
    return (
        sa.select(Evidence.id)
        .join(Credential, Credential.account_id == Evidence.account_id)
        .where(
            Evidence.kind == "human",
            Evidence.detail["verified"].as_boolean().is_(False),
            Evidence.detail["said"].as_string() == "not there",
            Credential.state == "LIVE",
        )
        .order_by(Evidence.looked_at.asc().nulls_first(), Evidence.id)
        .limit(most)
    )


def look_later(session: Session, evidence_id: int) -> None:
    """Others first."""
    session.execute(sa.update(Evidence).where(Evidence.id == evidence_id).values(looked_at=sa.func.clock_timestamp()))


def check(container: Container, evidence_id: int) -> None:
    """Look for what one of these statements says is not there. One that cannot be looked into is left for later."""
    with container.database.transaction() as session:
        said = session.get_one(Evidence, evidence_id)
        account_id, purchase_id, ref = said.account_id or 0, said.purchase_id or 0, said.supplier_order_ref
        sent_at = session.scalar(
            sa.select(sa.func.min(Attempt.sent_at)).where(
                Attempt.purchase_id == purchase_id, Attempt.outcome.not_in(("NOT_SENT", "NOT_EXECUTED"))
            )
        )
        look_later(session, evidence_id)
    try:
        empty = ref == EMPTY
        newest = None if empty else with_account(container, account_id, lambda supplier: supplier.order(ref))
        if sent_at is not None:
            listed = with_account(
                container, account_id, lambda supplier: supplier.paid_orders(sent_at, container.clock.now())
            )
            for one in listed:
                evidence.look_up(container, account_id, one.order_id, source="lookup")
    except OutsideError:
        return
    with container.database.transaction() as session:
        kept = session.get_one(Evidence, evidence_id, with_for_update=ROW)
        holds = _was_empty(session, kept) if empty else newest is not None
        kept.detail = {**kept.detail, "verified": holds or None}
        if not holds:
            purchase = session.get_one(Purchase, purchase_id)
            text = (
                "There are older orders in that account" if empty else f"Order {ref} cannot be read under that account"
            )
            _wrong(session, purchase, f"newest-{evidence_id}", text)


def _was_empty(session: Session, said: Evidence) -> bool:
    """Whether no order that we know of this account is older than the word that it had none."""
    older = sa.exists().where(
        SupplierOrder.account_id == said.account_id,
        SupplierOrder.read_at.is_not(None),
        SupplierOrder.created_at_supplier < said.at,
    )
    return not session.scalar(sa.select(older))
