"""Which of two reads of an order is the newer one. Workers may be stopped at any moment, and shops' clocks err.

The shop's own version cannot tell: a WooCommerce shop writes the time of a change by the clock of whichever front-end
makes it, and clocks disagree, are put right and are restored. What tells is our own count of the reads that were
stored. It is looked at before a read begins, and once more, under the order's lock, when what was read is to be stored:

* The count is the same: what is known had been stored before this read began, so this one is newer, whatever its
  version.
* Another read was stored meanwhile: nobody can tell which of the two is newer. What was read is thrown away, and read
  anew.

A newer read may still be answered from a copy of the shop's data that lags behind. So a lower version is not believed
until what is known is older than copies lag; until then it is asked for again, and nothing is bought. If believing it
would undo what keeps us from buying (cancelled, gone, on hold, refunded), that takes an hour instead of seconds.
"""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime, timedelta

import sqlalchemy as sa
from sqlalchemy.orm import Session

from app.container import Container
from app.models import SourceLine, StoreOrder
from app.ports.storefront import StoreOrder as Fresh

OVERTAKEN = "another read was stored meanwhile"
OLDER = "the shop tells an older state than before"
LAGS = timedelta(seconds=30)
"""How long after a read a lower version is taken for that of a copy which lags behind."""
UNDOES_AFTER = timedelta(hours=1)
"""The same, if it would have something bought that the shop wanted no more."""


@dataclass(frozen=True, slots=True)
class Begun:
    """A read that begins. `at`: a moment before it, by the database's clock; `reads`: those stored by then."""

    at: datetime
    reads: int


def begin(container: Container, shop_id: int, external_id: str, order_id: int | None = None) -> Begun:
    """To be called before the shop is asked. `order_id`: ours, if it is known: an event may name a part of an order."""
    mine = StoreOrder.id == order_id
    if order_id is None:
        mine = sa.and_(StoreOrder.shop_id == shop_id, StoreOrder.external_id == external_id)
    known = sa.select(StoreOrder.reads).where(mine)
    with container.database.reading() as session:
        at, reads = session.execute(sa.select(sa.func.clock_timestamp(), known.scalar_subquery())).one()
    return Begun(at, reads or 0)


def doubt(session: Session, order: StoreOrder, begun: Begun, fresh: Fresh | None, time_scale: float) -> str:
    """Why this read must not be stored; "" if it is the newer one. The caller has locked `order`.

    `fresh` None: the shop has no such order any more. A copy that lags behind would still have it.
    """
    if order.reads != begun.reads:
        return OVERTAKEN
    if fresh is None or fresh.version > order.source_version:
        return ""
    if fresh.version == order.source_version and (fresh.gone or not order.gone):
        return ""  # what is gone has no version of its own
    lags = UNDOES_AFTER if _undoes(session, order, fresh) else LAGS
    return OLDER if begun.at < order.read_at + lags / time_scale else ""


def _undoes(session: Session, order: StoreOrder, fresh: Fresh) -> bool:
    """Whether it says that something is wanted which the shop wanted no more."""
    known = sa.select(SourceLine.external_id, SourceLine.refunded).where(SourceLine.order_id == order.id)
    refunded = {line.external_id: line.refunded for line in session.execute(known)}
    return (
        (order.cancelled and not fresh.cancelled)
        or (order.gone and not fresh.gone)
        or (order.hold != "" and not fresh.hold)
        or any(line.refunded < refunded.get(line.id, 0) for line in fresh.lines)
    )


def stored(order: StoreOrder, begun: Begun) -> None:
    """This read is what is known from now on."""
    order.reads += 1
    # It began after the one before it had been stored, so also after that one's moment.
    order.read_at = max(order.read_at, begun.at)
