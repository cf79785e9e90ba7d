"""Supplier orders that were closed after all: what a purchase lost by it, and buying just that again.

A purchase of which a part was closed goes on with what it has; a new part holds the rest, by the merchant's act only,
once every order concerned was read again and is closed (lifecycle, section 4).
"""

from __future__ import annotations

from collections import Counter

import sqlalchemy as sa
from sqlalchemy.orm import Session

from app.container import Container
from app.domain.purchase_flow import PLACED
from app.errors import Conflict, NotFound
from app.models import Purchase, PurchaseItem, Shop, StoreOrder, SupplierOrder, SupplierOrderItem
from app.pipeline import locks, match
from app.pipeline.record import audit, end_tasks, task
from app.ports.errors import OutsideError
from app.ports.supplier import SupplierOrder as OrderRead
from app.shop_access import with_account


def lost(session: Session, purchase: Purchase) -> Counter[int]:
    """Supplier pieces by purchase item that stood in an order, or in a child order, which is closed now."""
    rows = session.execute(
        sa.select(SupplierOrderItem.purchase_item_id, sa.func.sum(SupplierOrderItem.quantity))
        .join(SupplierOrder, SupplierOrder.id == SupplierOrderItem.supplier_order_id)
        .where(
            SupplierOrder.purchase_id == purchase.id,
            SupplierOrder.role == "bought",
            SupplierOrderItem.purchase_item_id.is_not(None),
            sa.or_(SupplierOrder.closed, SupplierOrderItem.closed),
            SupplierOrderItem.given_up.is_(False),
        )
        .group_by(SupplierOrderItem.purchase_item_id)
    )
    return Counter({int(item_id or 0): int(pieces) for item_id, pieces in rows})


def note(session: Session, purchase: Purchase) -> None:
    """The rest lives. If a part was closed, the merchant decides about the missing pieces."""
    pieces = sum(lost(session, purchase).values())
    if not pieces:
        return
    order = session.get_one(StoreOrder, purchase.order_id)
    task(
        session,
        f"partly-closed:{purchase.id}:{pieces}",
        "partly_closed",
        turn="merchant",
        text=f"Order {order.number}: the supplier closed {pieces} of the pieces of purchase {purchase.id}; the rest "
        f"goes on. Order the missing pieces again (`flask purchase again {purchase.id}`), or refund your buyer.",
        shop_id=purchase.shop_id,
        order_id=order.id,
        purchase_id=purchase.id,
    )


def whole(session: Session, purchase: Purchase) -> None:
    """Everything was closed after it had been paid: somebody has to tell the merchant.

    Unless they had it all ordered again already, when it had been seen closed once.
    """
    order = session.get_one(StoreOrder, purchase.order_id)
    end_tasks(session, f"partly-closed:{purchase.id}", "closed as a whole")
    holds_any = sa.exists().where(PurchaseItem.purchase_id == purchase.id, PurchaseItem.quantity > 0)
    if not session.scalar(sa.select(holds_any)):
        return
    task(
        session,
        f"closed:{purchase.id}",
        "supplier_cancelled",
        turn="merchant",
        text=f"Order {order.number}: the supplier closed what was paid already. Order it again "
        f"(`flask purchase again {purchase.id}`), or refund your buyer. Look whether your money came back.",
        shop_id=purchase.shop_id,
        order_id=order.id,
        purchase_id=purchase.id,
    )


def buy_rest(container: Container, purchase_id: int, *, by: str) -> Purchase:
    """Order again what a partial closing left uncovered: a new part, the old purchase keeps what it has.

    Raises `Conflict` with what stands in the way.
    """
    with container.database.transaction() as session:
        purchase = locks.purchase(session, purchase_id)
        _refuse(session, purchase)
        refs = _concerned(session, purchase)
        account_id = purchase.account_id or 0
    for ref, skus in refs.items():
        read = _read(container, account_id, ref)
        if not read.closed and any(not item.closed for item in read.items if (item.product_id, item.sku_id) in skus):
            raise Conflict("not_closed", f"Supplier order {ref} is not closed there: nothing is ordered again.")
    with container.database.transaction() as session:
        purchase = locks.purchase(session, purchase_id)
        _refuse(session, purchase)
        made = _split_off(container, session, purchase, by)
        container.database.after_commit(container.bell.ring)
        return made


def _refuse(session: Session, purchase: Purchase) -> None:
    gone = lost(session, purchase)
    if purchase.state not in PLACED or not gone:
        raise Conflict("nothing_lost", f"Purchase {purchase.id} is {purchase.state}: no piece of it was closed.")
    if bundled(session, purchase):
        raise Conflict(
            "bundle", "A part of a bundle was closed. Order the missing piece at the supplier by hand, or refund."
        )


def bundled(session: Session, purchase: Purchase) -> bool:
    """Whether one of its lines is bought as several supplier items: a part of that cannot be ordered again alone."""
    further = sa.exists().where(PurchaseItem.purchase_id == purchase.id, PurchaseItem.position > 1)
    return bool(session.scalar(sa.select(further)))


def _concerned(session: Session, purchase: Purchase) -> dict[str, set[tuple[str, str]]]:
    rows = session.execute(
        sa.select(SupplierOrder.external_id, SupplierOrderItem.product_id, SupplierOrderItem.sku_id)
        .join(SupplierOrderItem, SupplierOrderItem.supplier_order_id == SupplierOrder.id)
        .where(
            SupplierOrder.purchase_id == purchase.id,
            SupplierOrder.role == "bought",
            sa.or_(SupplierOrder.closed, SupplierOrderItem.closed),
            SupplierOrderItem.given_up.is_(False),
        )
    )
    found: dict[str, set[tuple[str, str]]] = {}
    for ref, product_id, sku_id in rows:
        found.setdefault(ref, set()).add((product_id, sku_id))
    return found


def _read(container: Container, account_id: int, ref: str) -> OrderRead:
    try:
        read = with_account(container, account_id, lambda supplier: supplier.order(ref))
    except (OutsideError, NotFound) as error:
        raise Conflict("not_readable", f"Order {ref} could not be read just now ({error.code}). Try again.") from error
    if read is None:
        raise Conflict("not_readable", f"Order {ref} cannot be read just now. Try again.")
    return read


def _split_off(container: Container, session: Session, purchase: Purchase, by: str) -> Purchase:
    order = session.get_one(StoreOrder, purchase.order_id)
    lines = locks.lines(session, order.id)
    before = session.scalar(sa.select(sa.func.max(Purchase.id)).where(Purchase.order_id == order.id)) or 0
    gone = lost(session, purchase)
    for item in session.scalars(sa.select(PurchaseItem).where(PurchaseItem.id.in_(gone))):
        item.quantity = max(item.pieces - gone[item.id], 0) // item.units
    session.execute(
        sa.update(SupplierOrderItem)
        .where(
            SupplierOrderItem.purchase_item_id.in_(gone),
            sa.or_(
                SupplierOrderItem.closed,
                SupplierOrderItem.supplier_order_id.in_(
                    sa.select(SupplierOrder.id).where(SupplierOrder.purchase_id == purchase.id, SupplierOrder.closed)
                ),
            ),
        )
        .values(given_up=True)
    )
    purchase.version += 1
    audit(session, "purchase", purchase.id, "gave_up_what_was_closed", actor=by, detail={"pieces": sum(gone.values())})
    end_tasks(session, f"partly-closed:{purchase.id}", by)
    session.flush()  # the derivation reads the new quantities
    match.derive(container, session, session.get_one(Shop, purchase.shop_id), order, lines)
    session.flush()
    made = session.scalars(
        sa.select(Purchase).where(Purchase.order_id == order.id, Purchase.id > before).order_by(Purchase.id).limit(1)
    ).one_or_none()
    if made is None:
        raise Conflict("nothing_left", "The shop no longer expects these pieces: there is nothing to order.")
    return made
