"""In which order rows are locked, so that no two steps ever wait for each other.

    account (advisory) → store_order → source_line → purchase → attempt → supplier_order

Importing takes order, lines, purchases. Sending takes order, purchase. Recording, attaching and tracking take the
account first, because an answer and a push about the same new order arrive in the same second.
"""

from __future__ import annotations

import sqlalchemy as sa
from sqlalchemy.orm import Session

from app.errors import NotFound
from app.models import Purchase, StoreOrder


def account(session: Session, account_id: int) -> None:
    """One transaction at a time records or attaches supplier orders of an account; held until its end."""
    session.execute(sa.text("SELECT pg_advisory_xact_lock(hashtext('waybill:account'), :id)"), {"id": account_id})


def purchase(session: Session, purchase_id: int) -> Purchase:
    """A purchase and its order, both locked, the order first. Raises `NotFound`."""
    order_id = session.scalar(sa.select(Purchase.order_id).where(Purchase.id == purchase_id))
    if order_id is None:
        raise NotFound("no_purchase", f"There is no purchase {purchase_id}. `flask purchase list` shows them.")
    session.get_one(StoreOrder, order_id, with_for_update=True, populate_existing=True)
    return session.get_one(Purchase, purchase_id, with_for_update=True, populate_existing=True)
