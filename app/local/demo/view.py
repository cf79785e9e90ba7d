"""What Waybill itself believes: read from its database, to be told in the story and compared with the ledgers."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import sqlalchemy as sa

from app.container import Container
from app.domain.purchase_flow import UNCLEAR
from app.models import Alert, Audit, Inbox, PlacementFreeze, Purchase, Shop, StoreOrder, SupplierOrder
from app.services import standing

_OVER = frozenset(("VOID", "REJECTED", "CANCELLED"))


@dataclass(frozen=True, slots=True)
class Believed:
    """A supplier order as Waybill has it."""

    order_id: str
    paid: bool
    role: str


@dataclass(frozen=True, slots=True)
class Stand:
    """One storefront order as Waybill has it. `states` of its purchases that are not over; `why` in a sentence."""

    order_id: int
    purchases: tuple[int, ...]
    states: tuple[str, ...]
    reasons: tuple[str, ...]
    why: str
    supplier_orders: tuple[Believed, ...]
    path: frozenset[str]
    actors: frozenset[str]
    deliveries: int


class View:
    """Questions to the database."""

    def __init__(self, container: Container) -> None:
        self._container = container

    def stand(self, external_id: str, connector: str) -> Stand | None:
        """Where an order stands, None if Waybill does not know it yet."""
        with self._container.database.transaction() as session:
            order = session.scalars(
                sa.select(StoreOrder)
                .join(Shop, Shop.id == StoreOrder.shop_id)
                .where(StoreOrder.external_id == external_id, Shop.connector == connector)
            ).one_or_none()
            if order is None:
                return None
            purchases = session.scalars(
                sa.select(Purchase).where(Purchase.order_id == order.id).order_by(Purchase.id)
            ).all()
            ids = [purchase.id for purchase in purchases]
            orders = session.scalars(
                sa.select(SupplierOrder).where(SupplierOrder.purchase_id.in_(ids)).order_by(SupplierOrder.id)
            ).all()
            moves = session.scalars(sa.select(Audit).where(Audit.entity == "purchase", Audit.entity_id.in_(ids))).all()
            seen = session.scalar(sa.select(sa.func.sum(Inbox.seen)).where(Inbox.order_id == order.id))
            gates = standing.gates(session)
        alive = [purchase for purchase in purchases if purchase.state not in _OVER]
        sentences = [_sentence(purchase, gates, orders) for purchase in alive]
        return Stand(
            order_id=order.id,
            purchases=tuple(purchase.id for purchase in alive),
            states=tuple(purchase.state for purchase in alive),
            reasons=tuple(purchase.reason for purchase in alive),
            why=" ".join(dict.fromkeys(sentences)),
            supplier_orders=tuple(Believed(row.external_id, row.payment == "paid", row.role) for row in orders),
            path=frozenset({row.to_state for row in moves} | {str(row.detail.get("reason", "")) for row in moves}),
            actors=frozenset(row.actor for row in moves),
            deliveries=int(seen or 0),
        )

    def unclear(self) -> list[Purchase]:
        """Purchases whose outcome is not known."""
        with self._container.database.transaction() as session:
            return list(session.scalars(sa.select(Purchase).where(Purchase.state.in_(UNCLEAR)).order_by(Purchase.id)))

    def news(self, after: int) -> list[Audit]:
        """Audit rows of purchases with an id above `after`."""
        with self._container.database.transaction() as session:
            return list(
                session.scalars(sa.select(Audit).where(Audit.id > after, Audit.entity == "purchase").order_by(Audit.id))
            )

    def order_of(self, purchase_id: int) -> tuple[str, str] | None:
        """(connector, external order id) of a purchase."""
        with self._container.database.transaction() as session:
            found = session.execute(
                sa.select(Shop.connector, StoreOrder.external_id)
                .join(StoreOrder, StoreOrder.shop_id == Shop.id)
                .join(Purchase, Purchase.order_id == StoreOrder.id)
                .where(Purchase.id == purchase_id)
            ).one_or_none()
        return None if found is None else (str(found[0]), str(found[1]))

    def known_supplier_orders(self) -> set[str]:
        """Numbers of all supplier orders that belong to a purchase."""
        with self._container.database.transaction() as session:
            return set(
                session.scalars(sa.select(SupplierOrder.external_id).where(SupplierOrder.purchase_id.is_not(None)))
            )

    def troubles(self) -> list[str]:
        """What staff would have to look at: frozen placement, alerts about duplicates or attribution."""
        with self._container.database.transaction() as session:
            frozen = session.scalars(sa.select(PlacementFreeze.reason).where(PlacementFreeze.released_at.is_(None)))
            alerts = session.scalars(sa.select(Alert.text).where(Alert.kind.in_(("duplicate", "attribution"))))
            return [*(f"placement is frozen: {reason}" for reason in frozen), *alerts]


def _sentence(purchase: Purchase, gates: standing.Gates, orders: Sequence[SupplierOrder]) -> str:
    return standing.of(purchase, gates, [order for order in orders if order.purchase_id == purchase.id]).text
