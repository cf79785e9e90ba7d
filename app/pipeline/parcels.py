"""Parcels of a supplier order as they are read: one row for each, whatever its number is by now, with its pieces.

The supplier tells only numbers and, perhaps, contents. A number that is no longer told while another one came is the
same parcel under a new number: it updates what the shop shows and never adds to it.

Not promised: a final number that is told beside a provisional one of equal contents, while as many pieces are in no
parcel, is taken for a second bag. If it was the same one, the shop shows a bag that was not sent yet, until that one's
number comes: then it takes the place of the provisional one.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Sequence

import sqlalchemy as sa
from sqlalchemy.orm import Session

from app.models import (
    Outbox,
    ParcelItem,
    Purchase,
    PurchaseItem,
    ShippedParcel,
    SupplierOrder,
    SupplierOrderItem,
    Task,
)
from app.pipeline.record import audit, end_tasks, outbox
from app.ports.supplier import SupplierParcel, SupplierParcelItem

Contents = list[list[object]]
Fits = Callable[[ShippedParcel, SupplierParcel], bool]


def store(session: Session, order: SupplierOrder, reads: Sequence[SupplierParcel]) -> None:
    """Store all parcels of one read and ask for what the shop has to show. The caller locked purchase and order."""
    mine = sa.select(ShippedParcel).where(ShippedParcel.supplier_order_id == order.id).order_by(ShippedParcel.id)
    stored = session.scalars(mine.with_for_update(key_share=True)).all()
    if stored or reads:
        _Reading(session, order, stored, reads).store()


def missing(session: Session, order: SupplierOrder) -> tuple[int, int]:
    """Storefront pieces of this order that live: (those in no parcel of it, all)."""
    left = sum(pieces for child, _, pieces in _children(session, order) if _lives(child))
    return left, sum(pieces for child, _, pieces in _children(session, order, whole=True) if _lives(child))


def contents(read: SupplierParcel) -> Contents:
    """What is inside, in a form that can be compared and kept."""
    return sorted([item.product_id, item.sku_id, item.quantity] for item in read.items)


class _Reading:
    """One read: the parcels that it tells beside those that are stored."""

    def __init__(
        self, session: Session, order: SupplierOrder, stored: Sequence[ShippedParcel], reads: Sequence[SupplierParcel]
    ) -> None:
        self._session = session
        self._order = order
        self._reads = reads
        self._told = {read.tracking_number: read for read in reads}
        packed = sa.select(ParcelItem.parcel_id).where(ParcelItem.parcel_id.in_([parcel.id for parcel in stored]))
        self._full = set(session.scalars(packed)) if stored else set[int]()
        self._rows = {parcel.tracking_number: parcel for parcel in stored}
        self._former = {number for parcel in stored for number in parcel.former_numbers}
        self._again = set[int]()
        """Parcels of which the shop shows another number, or which had no pieces when they were to be shown."""

    def store(self) -> None:
        """Everything that is told gets a row, and what is in it."""
        fresh = [read for read in self._reads if not self._is_known(read)]
        # A number that was replaced may be told on for a while: it is no other parcel's new number.
        new = [read for read in fresh if read.tracking_number not in self._former or self._is_back(read)]
        for fits in (_same, self._is_untold):
            new = self._renumbered(new, fits)
        # What tells its contents first: what does not is said to hold the rest.
        for read in sorted((one for one in fresh if one.tracking_number not in self._told_rows()), key=self._is_vague):
            self._add(read)
        for read in self._reads:
            row = self._rows.get(read.tracking_number)
            if row is not None:
                self._update(row, read)
        for row in self._rows.values():
            if row.shown_number != row.tracking_number and (row.delivered or self._order.closed):
                end_tasks(self._session, f"parcel:{row.id}", "arrived or closed")  # nobody looks for it any more

    def _is_known(self, read: SupplierParcel) -> bool:
        """Whether it has a row that holds something: one that holds nothing may be another one's new number."""
        row = self._rows.get(read.tracking_number)
        return row is not None and (row.id in self._full or row.fulfilment_ref is not None)

    def _is_back(self, read: SupplierParcel) -> bool:
        """Whether a number that was replaced is in use again, the later one being gone. Not a provisional one.

        An answer that is older than the last one may tell that.
        """
        holder = next(row for row in self._rows.values() if read.tracking_number in row.former_numbers)
        return holder.tracking_number not in self._told and not read.provisional

    def _gone(self) -> list[ShippedParcel]:
        """Those that are not told any more, with pieces first. What has arrived keeps its number."""
        gone = [row for row in self._rows.values() if row.tracking_number not in self._told and not row.delivered]
        return sorted(gone, key=lambda row: (row.id not in self._full, row.id))

    def _told_rows(self) -> set[str]:
        return {number for number, row in self._rows.items() if number in self._told and row.id in self._full}

    def _renumbered(self, new: Sequence[SupplierParcel], fits: Fits) -> list[SupplierParcel]:
        """Pair what is gone with what came, in their order. Gives what came and is still nobody's."""
        left = list(new)
        for parcel in self._gone():
            read = next((one for one in left if fits(parcel, one)), None)
            if read is not None:
                left.remove(read)
                self._renumber(parcel, read)
        return left

    def _renumber(self, parcel: ShippedParcel, read: SupplierParcel) -> None:
        empty = self._rows.pop(read.tracking_number, None)
        if empty is not None:
            end_tasks(self._session, f"parcel:{empty.id}", "another parcel's new number")
            self._session.delete(empty)
            self._session.flush()  # its number is unique within the order
        del self._rows[parcel.tracking_number]
        end_tasks(self._session, f"parcel:{parcel.id}", "renumbered")
        numbers = {"from": parcel.tracking_number, "to": read.tracking_number}
        audit(self._session, "parcel", parcel.id, "renumbered", actor="track", detail=numbers)
        kept = [one for one in parcel.former_numbers if one != read.tracking_number]
        parcel.former_numbers = [*kept, parcel.tracking_number]
        parcel.tracking_number = read.tracking_number
        self._rows[read.tracking_number] = parcel
        self._again.add(parcel.id)
        self._session.flush()

    def _is_untold(self, parcel: ShippedParcel, read: SupplierParcel) -> bool:
        """One of the two tells no contents: typed by a person, or not told by the supplier yet."""
        return not parcel.items or self._is_vague(read)

    def _is_vague(self, read: SupplierParcel) -> bool:
        """Whether it tells nothing that is in this order: some of its ids may be of what the seller sent instead."""
        return not _inside(read.items, _children(self._session, self._order, whole=True))

    def _add(self, read: SupplierParcel) -> None:
        """A parcel of its own, or the new number of one whose pieces it would hold."""
        row = self._rows.get(read.tracking_number)
        if row is None and read.provisional and read.tracking_number in self._former:
            return  # told on beside what took its place
        pieces = self._pieces(read)
        if not pieces:
            before = self._replaced_by(read)
            if before is not None and (row is None or row.id not in self._full):
                self._renumber(before, read)
                return
            if read.tracking_number in self._former:
                return
        if row is None:
            row = ShippedParcel(supplier_order_id=self._order.id, tracking_number=read.tracking_number, carrier="")
            row.items, row.former_numbers, row.shown_number = contents(read), [], ""
            self._session.add(row)
            self._session.flush()
            self._rows[read.tracking_number] = row
        elif pieces:
            self._again.add(row.id)
        for item_id, quantity in pieces.items():
            self._session.add(ParcelItem(parcel_id=row.id, purchase_item_id=item_id, quantity=quantity))
            self._full.add(row.id)
        self._session.flush()

    def _replaced_by(self, read: SupplierParcel) -> ShippedParcel | None:
        """Whose pieces it holds: a parcel whose number is gone, or provisional and told on beside the final one."""
        if read.provisional or read.tracking_number in self._former:
            return None
        gone = [row for row in self._gone() if row.id in self._full and _overlap(row, read)]
        told_on = [
            row
            for number, row in self._rows.items()
            if number in self._told and self._told[number].provisional and row.items and _same(row, read)
        ]
        return next(iter([*gone, *told_on]), None)

    def _pieces(self, read: SupplierParcel) -> dict[int, int]:
        """Storefront pieces by purchase item: its contents, or everything that is in no other parcel."""
        left = _children(self._session, self._order)
        if self._is_vague(read):
            return {item.id: pieces for child, item, pieces in left if pieces and _lives(child)}
        inside = _inside(read.items, left)
        return {item.id: min(pieces, -(-inside[item.id] // item.units)) for _, item, pieces in left if inside[item.id]}

    def _update(self, row: ShippedParcel, read: SupplierParcel) -> None:
        row.carrier, row.tracking_url = read.carrier, read.tracking_url
        row.delivered = row.delivered or read.delivered
        row.items = contents(read) or row.items
        if row.last_event_at is None or (read.last_event_at is not None and read.last_event_at >= row.last_event_at):
            row.last_event, row.last_event_at = read.last_event[:200], read.last_event_at
        if row.shown_number != row.tracking_number:
            self._ask(row)

    def _ask(self, row: ShippedParcel) -> None:
        key = f"fulfil:{row.id}:{row.tracking_number}"
        if row.id not in self._again and _done_by_hand(self._session, key):
            return
        purchase = self._session.get_one(Purchase, self._order.purchase_id)
        outbox(
            self._session,
            key,
            "fulfil",
            shop_id=purchase.shop_id,
            order_id=purchase.order_id,
            payload={"parcel_id": row.id},
            repeat=row.id in self._again,
        )


def _done_by_hand(session: Session, key: str) -> bool:
    """Whether the shop refused this act and a person has said that they did it."""
    its = (sa.func.concat("outbox:", Outbox.id), key.replace("fulfil:", "parcel:"))
    said = sa.and_(Task.dedupe_key.in_(its), ~Task.over, Task.done_at.is_not(None))
    stuck = sa.select(Outbox.id).join(Task, said).where(Outbox.dedupe_key == key, Outbox.state == "STUCK")
    return session.scalar(stuck) is not None


def _same(parcel: ShippedParcel, read: SupplierParcel) -> bool:
    return sorted(parcel.items) == contents(read)


def _overlap(parcel: ShippedParcel, read: SupplierParcel) -> bool:
    return bool({row[0] for row in parcel.items} & {item.product_id for item in read.items})


Child = tuple[SupplierOrderItem, PurchaseItem, int]


def _children(session: Session, order: SupplierOrder, *, whole: bool = False) -> list[Child]:
    """Items of the order with those of the purchase and the storefront pieces that are in no parcel yet.

    `whole`: with all of its pieces instead.
    """
    rows = session.execute(
        sa.select(SupplierOrderItem, PurchaseItem)
        .join(PurchaseItem, SupplierOrderItem.purchase_item_id == PurchaseItem.id)
        .where(SupplierOrderItem.supplier_order_id == order.id)
        .order_by(PurchaseItem.id, SupplierOrderItem.id)
    ).all()
    packed = Counter[int]() if whole else _packed(session, [item.id for _, item in rows])
    mine = Counter[int]() if whole else _packed(session, [item.id for _, item in rows], order)
    found: list[Child] = []
    for child, item in rows:
        # A purchase that became several orders: each one's parcels hold no more than that order does.
        share = min(item.quantity, -(-child.quantity // item.units))
        found.append((child, item, max(0, min(item.quantity - packed[item.id], share - mine[item.id]))))
    return found


def _lives(child: SupplierOrderItem) -> bool:
    return not child.closed and not child.given_up


def _packed(session: Session, item_ids: Sequence[int], order: SupplierOrder | None = None) -> Counter[int]:
    """Storefront pieces in parcels by purchase item: all, or those of one order."""
    query = (
        sa.select(ParcelItem.purchase_item_id, sa.func.sum(ParcelItem.quantity))
        .where(ParcelItem.purchase_item_id.in_(item_ids))
        .group_by(ParcelItem.purchase_item_id)
    )
    if order is not None:
        mine = sa.select(ShippedParcel.id).where(ShippedParcel.supplier_order_id == order.id)
        query = query.where(ParcelItem.parcel_id.in_(mine))
    return Counter({item_id: int(pieces) for item_id, pieces in session.execute(query)})


def _inside(rows: Sequence[SupplierParcelItem], children: Sequence[Child]) -> Counter[int]:
    """Supplier pieces by purchase item. Each row is spent once: on its SKU, or without one on what is left."""
    found = Counter[int]()
    unspent = [row.quantity for row in rows]
    for exact in (True, False):
        for place, row in enumerate(rows):
            for child, item, pieces in children:
                if row.product_id not in {child.product_id, item.product_id} or not _is_sku(row, child, item, exact):
                    continue
                spent = min(unspent[place], pieces * item.units - found[item.id])
                found[item.id] += spent
                unspent[place] -= spent
    return +found


def _is_sku(row: SupplierParcelItem, child: SupplierOrderItem, item: PurchaseItem, exact: bool) -> bool:  # noqa: FBT001
    sku_id = child.sku_id or item.sku_id
    return row.sku_id == sku_id if exact else not (row.sku_id and sku_id)
