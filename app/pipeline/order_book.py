"""What is held of one store order: its purchases with their items, and how much of each line we are to ship in all."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import sqlalchemy as sa
from sqlalchemy.orm import Session

from app.domain.purchase_flow import FOLLOWED, LIVE
from app.models import ParcelItem, Purchase, PurchaseItem, ShippedParcel, SourceLine, StoreOrder


@dataclass(frozen=True, slots=True)
class Pieces:
    """How many pieces of a line, when a parcel was being shown while the order was read.

    `least` without what the read may not have held, `most` with it. They are the same when nothing was going on.
    """

    least: int = 0
    most: int = 0


class Book:
    """The purchases of one order with their items. `shown`: pieces by item that the shop shows as shipped by us."""

    def __init__(
        self,
        purchases: Sequence[Purchase] = (),
        items: Sequence[PurchaseItem] = (),
        shown: dict[int, Pieces] | None = None,
    ) -> None:
        self.purchases = purchases
        self.by_id = {purchase.id: purchase for purchase in purchases}
        self.items = items
        self._shown = shown or {}
        self._followed = {purchase.previous_id for purchase in purchases if not purchase.gave_way}

    @property
    def current(self) -> tuple[Purchase, ...]:
        """Those that no later generation replaced."""
        return tuple(one for one in self.purchases if one.id not in self._followed and not one.gave_way)

    def shown(self, line: SourceLine) -> Pieces:
        """Pieces that the shop shows as shipped by us."""
        mine = [self._in_parcels(item) for item in self._firsts(line)]
        return Pieces(sum(pieces.least for pieces in mine), sum(pieces.most for pieces in mine))

    def _in_parcels(self, item: PurchaseItem) -> Pieces:
        return self._shown.get(item.id, Pieces())

    def under_way(self, line: SourceLine) -> list[tuple[Purchase, int]]:
        """What is alive of it: (purchase, its pieces that are in no parcel for certain)."""
        return [
            (purchase, max(item.quantity - self._in_parcels(item).least, 0)) for purchase, item in self.covering(line)
        ]

    def covering(self, line: SourceLine) -> list[tuple[Purchase, PurchaseItem]]:
        """Live items of a line, first position only (a bundle's further items repeat the quantity)."""
        return [
            (self.by_id[item.purchase_id], item)
            for item in self._firsts(line)
            if self.by_id[item.purchase_id].state in LIVE
        ]

    def _firsts(self, line: SourceLine) -> list[PurchaseItem]:
        return [item for item in self.items if item.source_line_id == line.id and item.position == 1]

    def of(self, line: SourceLine) -> list[Purchase]:
        """All purchases that ever held the line."""
        ids = {item.purchase_id for item in self.items if item.source_line_id == line.id}
        return [self.by_id[purchase_id] for purchase_id in sorted(ids)]

    def settled_elsewhere(self, line: SourceLine) -> int:
        """Pieces of dead generations that wait for a person's decision: nothing new is made for them by itself."""
        return sum(item.quantity for item in self._firsts(line) if self._waits(self.by_id[item.purchase_id]))

    def _waits(self, purchase: Purchase) -> bool:
        return purchase.state in FOLLOWED and purchase.id not in self._followed

    def _stands(self, purchase: Purchase) -> bool:
        return purchase.state in LIVE or self._waits(purchase)

    def wanted(self, order: StoreOrder, line: SourceLine) -> Pieces:
        """Pieces that the shop still expects of purchases that stand, those they shipped already included.

        What others shipped before another generation followed them is not open, and is not to be made up for.
        """
        if order.cancelled or order.gone or not line.requires_shipping:
            return Pieces()
        mine, others = self._shipped_by(line, standing=True), Pieces()
        if line.withdrawn:  # what is taken back may be open as well, at a location of the merchant's
            others = self._shipped_by(line, standing=False)
        return Pieces(
            max(min(line.to_ship + mine.least, line.for_us - others.most), 0),
            max(min(line.to_ship + mine.most, line.for_us - others.least), 0),
        )

    def expected(self, order: StoreOrder, line: SourceLine) -> int:
        """As `wanted`, to be compared with what is `held`: here a refund is none of what the shop shows as open.

        Which piece a refund is of, counts do not tell. Buying goes by that of an open one, this by what Shopify says.
        """
        if order.cancelled or order.gone or not line.requires_shipping:
            return 0
        others = self._shipped_by(line, standing=False).least if line.withdrawn else 0
        mine = self._shipped_by(line, standing=True).least
        return max(min(line.to_ship + mine, line.quantity - line.withdrawn - others), 0)

    def held(self, line: SourceLine) -> int:
        """Pieces of purchases that stand."""
        return sum(item.quantity for item in self._firsts(line) if self._stands(self.by_id[item.purchase_id]))

    def still(self, order: StoreOrder, line: SourceLine) -> int:
        """Pieces that purchases which are alive may hold without being too much."""
        if order.cancelled or order.gone:
            return 0
        others = self._shipped_by(line, standing=False).least
        return max(line.for_us - others, self.wanted(order, line).most)

    def _shipped_by(self, line: SourceLine, *, standing: bool) -> Pieces:
        least = most = 0
        for item in self._firsts(line):
            if self._stands(self.by_id[item.purchase_id]) is standing:
                shown = self._in_parcels(item)
                least += min(shown.least, item.quantity)
                most += min(shown.most, item.quantity)
        return Pieces(least, most)

    def to_order(self, line: SourceLine) -> int:
        """Pieces that are open in the shop, are for us to ship, and that nothing which is alive will bring."""
        # While some are taken back, nobody can tell which of the open ones these are.
        limit = line.for_us - self.shown(line).least if line.withdrawn else line.to_ship
        brought = sum(max(item.quantity - self._in_parcels(item).most, 0) for _, item in self.covering(line))
        return max(min(line.to_ship, limit) - brought, 0)


def read(session: Session, order: StoreOrder, *, lock: bool = False) -> Book:
    """The order is locked; `lock`: so are its purchases from now on."""
    query = sa.select(Purchase).where(Purchase.order_id == order.id).order_by(Purchase.id)
    purchases = session.scalars(query.with_for_update(key_share=True) if lock else query).all()
    if not purchases:
        return Book()
    items = session.scalars(
        sa.select(PurchaseItem).where(PurchaseItem.purchase_id.in_([purchase.id for purchase in purchases]))
    ).all()
    return Book(purchases, items, in_parcels(session, PurchaseItem.id.in_([item.id for item in items])))


def in_parcels(session: Session, these: sa.ColumnElement[bool]) -> dict[int, Pieces]:
    """Pieces that the shop shows, by item of `these`, as of the moment at which the order was read."""
    certain = ShippedParcel.shown_at <= StoreOrder.read_at
    rows = session.execute(
        sa.select(
            PurchaseItem.id,
            sa.func.coalesce(sa.func.sum(ParcelItem.quantity).filter(certain), 0),
            sa.func.sum(ParcelItem.quantity),
        )
        .join(ParcelItem, ParcelItem.purchase_item_id == PurchaseItem.id)
        .join(ShippedParcel, ShippedParcel.id == ParcelItem.parcel_id)
        .join(Purchase, Purchase.id == PurchaseItem.purchase_id)
        .join(StoreOrder, StoreOrder.id == Purchase.order_id)
        .where(ShippedParcel.show_began_at.is_not(None), PurchaseItem.position == 1, these)
        .group_by(PurchaseItem.id)
    )
    return {item_id: Pieces(int(least), int(most)) for item_id, least, most in rows}
