"""A shop's day: each order that the shop lists beside what we know of it, each in one column (`app.domain.accounting`).

The shop's own list is asked first and our rows are read after it, so an order that arrives meanwhile is no gap.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from datetime import date, datetime, time, timedelta
from functools import partial
from typing import TypeVar
from zoneinfo import ZoneInfo, ZoneInfoNotFoundError

import sqlalchemy as sa
from sqlalchemy.dialects.postgresql import ARRAY
from sqlalchemy.orm import Session

from app.container import Container
from app.domain.accounting import Gap, Line, OrderFacts, Share, judge
from app.models import Purchase, PurchaseItem, Shop, SourceLine, StoreOrder
from app.pipeline import order_book, requests
from app.pipeline.order_book import Book
from app.ports.errors import TryLater
from app.ports.storefront import PlacedPage, StorefrontSession
from app.shop_access import with_shop

Row = TypeVar("Row")
Value = TypeVar("Value", str, int)
PAGES = 5_000
"""Pages beyond which a list is taken to have no end."""


@dataclass(frozen=True, slots=True)
class Entry:
    """One order of the day. `order` None: the shop has it and we do not."""

    external_id: str
    order: StoreOrder | None
    share: Share
    gap: Gap | None
    facts: OrderFacts | None
    purchases: tuple[Purchase, ...] = ()

    @property
    def deleted(self) -> bool:
        """Whether it is deleted for good: the shop lists what is in its trash, and no longer what is not."""
        return self.order is not None and self.order.gone and self.facts is not None and not self.facts.listed


@dataclass(frozen=True, slots=True)
class DayBook:
    """A day of a shop. `hidden`: the shop does not show orders of that age to us, so nothing can be compared."""

    shop: Shop
    day: date
    since: datetime
    until: datetime
    listed: int
    hidden: bool
    entries: tuple[Entry, ...]

    def count(self, share: Share) -> int:
        """Orders in a column, without those that are deleted for good."""
        return sum(entry.share == share and not entry.deleted for entry in self.entries)

    @property
    def gaps(self) -> list[Entry]:
        """Orders in no column."""
        return [entry for entry in self.entries if entry.share == Share.GAP]


def zone_of(shop: Shop) -> ZoneInfo:
    """The zone of the shop's days: its own, or UTC where it tells none that we know."""
    try:
        return ZoneInfo(shop.timezone or "UTC")
    except (ZoneInfoNotFoundError, ValueError):
        return ZoneInfo("UTC")


def bounds(shop: Shop, day: date) -> tuple[datetime, datetime]:
    """[begin, end) of a day as the shop counts it; 23 or 25 hours where clocks change."""
    zone = zone_of(shop)
    return datetime.combine(day, time(), zone), datetime.combine(day + timedelta(days=1), time(), zone)


def read(container: Container, shop: Shop, day: date) -> DayBook:
    """Ask the shop for its orders of that day, and put each in its column. Raises the port's errors."""
    since, until = bounds(shop, day)
    with container.database.reading() as session:
        asked_at = session.execute(sa.select(sa.func.clock_timestamp())).scalar_one()
    listed = _listed(container, shop, since, until)
    hidden = with_shop(container, shop.id, lambda session: session.hides(since))
    with container.database.transaction() as session:
        entries = _entries(session, shop, (since, until), listed, asked_at, hidden=hidden)
    return DayBook(shop, day, since, until, len(listed), hidden, tuple(entries))


def _listed(container: Container, shop: Shop, since: datetime, until: datetime) -> set[str]:
    found: set[str] = set()
    cursor: str | None = None
    for _ in range(PAGES):
        page = with_shop(container, shop.id, partial(_placed, since, until, cursor))
        found.update(page.ids)
        if page.next_cursor is None:
            return found
        cursor = page.next_cursor
    raise TryLater("endless_list", vendor=shop.connector)


def _placed(since: datetime, until: datetime, cursor: str | None, session: StorefrontSession) -> PlacedPage:
    return session.orders_placed(since, until, cursor)


def _entries(
    session: Session,
    shop: Shop,
    day: tuple[datetime, datetime],
    listed: set[str],
    asked_at: datetime,
    *,
    hidden: bool,
) -> list[Entry]:
    mine = sa.or_(
        sa.and_(StoreOrder.placed_at >= day[0], StoreOrder.placed_at < day[1]),
        _among(StoreOrder.external_id, sorted(listed)),
    )
    orders = session.scalars(
        sa.select(StoreOrder).where(StoreOrder.shop_id == shop.id, mine).order_by(StoreOrder.placed_at, StoreOrder.id)
    ).all()
    books = _Books(session, orders)
    entries = []
    for order in orders:
        # One that came after the shop was asked, or that the shop may hide for its age, cannot be missed in its list.
        seen = order.external_id in listed or hidden or order.first_seen_at >= asked_at
        facts = books.facts(order, listed=seen)
        share, gap = judge(facts)
        entries.append(Entry(order.external_id, order, share, gap, facts, books.purchases_of(order)))
    known = {order.external_id for order in orders}
    missing = sorted(listed - known)
    return entries + [Entry(one, None, Share.GAP, Gap.MISSING, None) for one in missing]


def _among(column: sa.orm.InstrumentedAttribute[Value], values: Sequence[Value]) -> sa.ColumnElement[bool]:
    """`IN` with one parameter, however many values: a statement may have 65,535 of them."""
    return column == sa.any_(sa.literal([*values], ARRAY(column.type)))


def _by(column: str, rows: Iterable[Row]) -> dict[int, list[Row]]:
    found: dict[int, list[Row]] = {}
    for row in rows:
        found.setdefault(getattr(row, column), []).append(row)
    return found


class _Books:
    """Lines and purchases of some orders, read in a few statements."""

    def __init__(self, session: Session, orders: Sequence[StoreOrder]) -> None:
        ids = [order.id for order in orders]
        lines = session.scalars(sa.select(SourceLine).where(_among(SourceLine.order_id, ids))).all()
        self._lines = _by("order_id", lines)
        query = sa.select(Purchase).where(_among(Purchase.order_id, ids)).order_by(Purchase.id)
        purchases = _by("order_id", session.scalars(query))
        mine = [purchase.id for some in purchases.values() for purchase in some]
        items = _by(
            "purchase_id", session.scalars(sa.select(PurchaseItem).where(_among(PurchaseItem.purchase_id, mine)))
        )
        shown = order_book.in_parcels(session, _among(PurchaseItem.purchase_id, mine))
        self._books = {
            order_id: Book(some, [item for purchase in some for item in items.get(purchase.id, ())], shown)
            for order_id, some in purchases.items()
        }
        self._left_out = requests.left_out(session, [line for line in lines if line.kept_back])

    def purchases_of(self, order: StoreOrder) -> tuple[Purchase, ...]:
        """Those that no later generation replaced."""
        return self._book(order).current

    def facts(self, order: StoreOrder, *, listed: bool) -> OrderFacts:
        """What `judge` needs."""
        lines = [self.line(order, line) for line in self._lines.get(order.id, ())]
        states = [purchase.state for purchase in self.purchases_of(order)]
        return OrderFacts(listed, order.gone, order.cancelled, lines, states)

    def line(self, order: StoreOrder, line: SourceLine) -> Line:
        """What the shop expects of a line, and what is bought of it or is to be."""
        book = self._book(order)
        # What the shop still expects, though nobody orders it, is a gap until its merchant was told.
        told = not line.kept_back or line.id in self._left_out
        taken_back = told and requests.withdrawn(line, book.of(line))
        return Line(0 if taken_back else book.expected(order, line), book.held(line))

    def _book(self, order: StoreOrder) -> Book:
        return self._books.get(order.id, _EMPTY)


_EMPTY = Book()
