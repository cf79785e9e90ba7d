"""In which order rows are locked, so that no two steps ever wait for each other.

    account (advisory) → store_order → source_line → purchase → attempt → supplier_order

Importing takes order, lines, purchases. Sending takes order, purchase. Recording, attaching and tracking take the
account first, because an answer and a push about the same new order arrive in the same second.
"""

from __future__ import annotations

import sqlalchemy as sa
from sqlalchemy.orm import Session

from app.db import ROW
from app.errors import NotFound
from app.models import Purchase, SourceLine, StoreOrder


def account(session: Session, account_id: int) -> None:
    """One transaction at a time records or attaches supplier orders of an account; held until its end."""
    session.execute(sa.text("SELECT pg_advisory_xact_lock(hashtext('waybill:account'), :id)"), {"id": account_id})


def purchase(session: Session, purchase_id: int) -> Purchase:
    """A purchase and its order, both locked, the order first. Raises `NotFound`."""
    return with_order(session, purchase_id)[0]


def lines(session: Session, order_id: int) -> list[SourceLine]:
    """The lines of an order that is locked, locked too."""
    query = sa.select(SourceLine).where(SourceLine.order_id == order_id).order_by(SourceLine.id)
    return list(session.scalars(query.with_for_update(key_share=True)))


def with_order(session: Session, purchase_id: int) -> tuple[Purchase, StoreOrder]:
    """`purchase`, with the order that was locked for it."""
    its_order = sa.select(Purchase.order_id).where(Purchase.id == purchase_id).scalar_subquery()
    query = sa.select(StoreOrder).where(StoreOrder.id == its_order).with_for_update(key_share=True)
    order = session.scalars(query, execution_options={"populate_existing": True}).one_or_none()
    if order is None:
        raise NotFound("no_purchase", f"There is no purchase {purchase_id}. `flask purchase list` shows them.")
    return session.get_one(Purchase, purchase_id, with_for_update=ROW, populate_existing=True), order
