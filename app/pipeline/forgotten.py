"""Signs that the database forgot a send, as after the restore of an older backup: then ordering freezes.

A forgotten purchase looks READY and would be bought a second time. Boot compares epochs and systems (`app.boot`); here
is the third sign: something outside knows a send that the database lacks (lifecycle, section 10).
"""

from __future__ import annotations

import hashlib
import operator
from collections import Counter
from collections.abc import Collection, Sequence
from datetime import timedelta
from typing import Any

import sqlalchemy as sa
from sqlalchemy.dialects.postgresql import insert
from sqlalchemy.orm import Session, aliased

from app import db
from app.container import Container
from app.domain.purchase_flow import PLACED, UNCLEAR
from app.logs import logger
from app.models import (
    Attempt,
    Audit,
    PlacementFreeze,
    Purchase,
    PurchaseItem,
    StoreOrder,
    SupplierOrder,
    SupplierOrderItem,
)
from app.pipeline.record import alert, audit, task
from app.pipeline.supplier_read import window
from app.ports.supplier import SupplierOrder as OrderRead

log = logger(__name__)
NAMED = 5
OWN = ("boot", "journal", "evidence")
"""Who freezes without a person."""


def freeze(
    session: Session, reason: str, *, by: str, account_id: int | None = None, detail: dict[str, Any] | None = None
) -> bool:
    """Stop sending, for one account or for all; once per reason, also after a release. False: known already."""
    if session.scalar(sa.select(PlacementFreeze.id).where(PlacementFreeze.reason == reason).limit(1)) is not None:
        return False
    made = session.scalar(
        insert(PlacementFreeze)
        .values(reason=reason, account_id=account_id, frozen_by=by, released_by="", second="")
        .on_conflict_do_nothing()
        .returning(PlacementFreeze.id)
    )
    if made is None:
        return False
    alert(
        session,
        f"frozen:{reason}",
        "placement_frozen",
        f"Buying is frozen: {reason}. Check, then `flask placement release`.",
    )
    told = {"reason": reason, "account": account_id, **(detail or {})}
    audit(session, "placement", made, "frozen", actor=by, after="FROZEN", detail=told)
    log.error("placement_frozen", reason=reason)
    return True


def suspected(session: Session) -> bool:
    """Whether a freeze stands that Waybill made itself: the database may have forgotten what it knew."""
    its = PlacementFreeze.released_at.is_(None) & PlacementFreeze.frozen_by.in_(OWN)
    return bool(session.scalar(sa.select(sa.exists().where(its))))


def told_by_journals(session: Session) -> set[str]:
    """Numbers of sends that may have bought something, by the journals that made the freezes which stand now.

    Of other hosts too, whose files nobody but they can read.
    """
    its = sa.select(PlacementFreeze.id).where(
        PlacementFreeze.frozen_by == "journal", PlacementFreeze.released_at.is_(None)
    )
    rows = sa.select(Audit.detail["bought"]).where(
        Audit.entity == "placement", Audit.entity_id.in_(its), Audit.action == "frozen"
    )
    return {str(number) for row in session.scalars(rows) for number in row or ()}


def journal_knows_more(session: Session, numbers: Collection[str], bought: Collection[str] = ()) -> None:
    """The journal holds answers to sends that the database does not know; `bought`: that may have bought something.

    One that it froze for before is not told again: whoever released that knew of it.
    """
    its = sa.select(PlacementFreeze.id).where(PlacementFreeze.frozen_by == "journal")
    before = sa.select(Audit.detail["numbers"]).where(
        Audit.entity == "placement", Audit.entity_id.in_(its), Audit.action == "frozen"
    )
    told = {number for row in session.scalars(before) for number in row or ()}
    if told.issuperset(numbers):
        return
    named = sorted(numbers)
    # Freezes are told apart by their reasons, so what is not named is in there as a digest.
    digest = hashlib.sha256(" ".join(named).encode()).hexdigest()[:8]
    more = f" and {len(named) - NAMED} more, list {digest}" if len(named) > NAMED else ""
    freeze(
        session,
        f"the journal knows answers to sends that the database lacks ({', '.join(named[:NAMED])}{more}): "
        "was a backup restored?",
        by="journal",
        detail={"numbers": named, "bought": sorted(bought)},
    )


def unknown_order(
    container: Container, session: Session, order: SupplierOrder, read: OrderRead, *, timely: bool = True
) -> bool:
    """A readable order of our account belongs to no send: is it one that the database forgot?

    It is if it holds exactly what a purchase is about to order that has not been sent. That account stops. An order
    that only resembles a held purchase was perhaps made by hand: it is asked about, see `flask orphan`. Else one that
    holds what was bought for a buyer who had ordered before it was perhaps bought twice: that is told.

    `timely`: the supplier's times are read right. Gives whether it cannot be told yet whose it is.
    """
    unsent = _alike(session, order, read)
    for purchase in unsent:
        if purchase.state in {"READY", "CLAIMED"}:
            freeze(
                session,
                f"supplier order {order.external_id} holds what purchase {purchase.id} is about to order: "
                "was it sent before a backup was restored?",
                by="evidence",
                account_id=order.account_id,
            )
        if not read.closed:
            _ask_whose(session, order, purchase)
    if unsent or read.closed:
        return False
    return not timely or _undecided_or_told(container, session, order, read)


def _ask_whose(session: Session, order: SupplierOrder, purchase: Purchase) -> None:
    task(
        session,
        f"stray:{order.id}:{purchase.id}",
        "stray_order",
        turn="us",
        text=f"Supplier order {order.external_id} holds what purchase {purchase.id} is to order. If it is the one "
        f"for that (sent before a backup was restored, or made by hand), say so: `flask purchase resolve "
        f"{purchase.id} --found {order.external_id}`; if it was made for something else: `flask orphan dismiss "
        f"{order.external_id}`. Until then that waits.",
        shop_id=purchase.shop_id,
        order_id=purchase.order_id,
        purchase_id=purchase.id,
    )


def _undecided_or_told(container: Container, session: Session, order: SupplierOrder, read: OrderRead) -> bool:
    """Tell of an order that was perhaps bought twice. True: not yet, as it may be one's own that is not known whole.

    That is waited for as long as a person would not be asked about it either.
    """
    before, after = window(container)
    alike = _alike(session, order, read, bought_after=after)
    later = {purchase.id for purchase in alike if _sent_later(purchase, read, before)}
    unclear = {purchase.id for purchase in alike if purchase.state in UNCLEAR}
    possible = [purchase.id for purchase in alike if purchase.id not in later]
    if (not unclear.isdisjoint(possible) or _lacking(session, possible, read)) and (
        db.now(session) - order.recorded_at < container.timers.human_after
    ):
        return True
    bought = [purchase for purchase in alike if purchase.id not in unclear]
    if bought:
        _perhaps_twice(session, order, bought, later=later, unclear=sorted(unclear - later))
    return False


def _sent_later(purchase: Purchase, read: OrderRead, before: timedelta) -> bool:
    """Whether it was sent so long after the order was made that this is certainly not its own."""
    times = read.created_at_alternatives or ((read.created_at,) if read.created_at else ())
    return purchase.sent_at is not None and all(purchase.sent_at > at + before for at in times)


def _lacking(session: Session, purchase_ids: Collection[int], read: OrderRead) -> bool:
    """Whether one of these has an order that was not read, or less than all of an item that `read` names."""
    unread = sa.exists().where(SupplierOrder.purchase_id == Purchase.id, SupplierOrder.read_at.is_(None))
    found = (
        sa.select(sa.func.coalesce(sa.func.sum(SupplierOrderItem.quantity), 0))
        .join(SupplierOrder, SupplierOrder.id == SupplierOrderItem.supplier_order_id)
        .where(
            SupplierOrder.purchase_id == PurchaseItem.purchase_id,
            SupplierOrderItem.purchase_item_id == PurchaseItem.id,
            SupplierOrderItem.given_up.is_(False),
        )
        .correlate(PurchaseItem)
        .scalar_subquery()
    )
    short = sa.exists().where(
        PurchaseItem.purchase_id == Purchase.id,
        PurchaseItem.sku_id.in_({item.sku_id for item in read.items}),
        found < PurchaseItem.quantity * PurchaseItem.units,
    )
    mine = sa.select(Purchase.id).where(Purchase.id.in_(purchase_ids), sa.or_(unread, short))
    return session.scalar(mine.limit(1)) is not None


def _perhaps_twice(
    session: Session, order: SupplierOrder, alike: Sequence[Purchase], *, later: set[int], unclear: Sequence[int]
) -> None:
    """One alert and one task, however many buyers bought the same."""
    last = alike[-1]
    how = (
        "bought later: was it sent before a backup was restored?"
        if last.id in later
        else "bought within the hour before it was made: did the supplier make two orders of one call?"
    )
    others = f" (or what {len(alike) - 1} other purchases bought)" if len(alike) > 1 else ""
    whose = ", ".join(map(str, unclear[:NAMED]))
    found = f"`flask purchase resolve ID --found {order.external_id}`"
    else_of = f"If it is the one of purchase {whose}, which is not clear, say so: {found}. " if unclear else ""
    text = (
        f"Supplier order {order.external_id} holds what purchase {last.id}{others} {how} "
        f"If so, the goods are ordered twice: do not pay it; if it is paid, ask the seller to cancel. {else_of}"
        f"If it was made for something else, or you keep it, say so: `flask orphan dismiss {order.external_id}`."
    )
    key = f"stray:{order.id}:twice"
    alert(session, key, "duplicate", text, shop_id=last.shop_id, purchase_id=last.id)
    task(
        session,
        key,
        "stray_order",
        turn="us",
        text=text,
        shop_id=last.shop_id,
        order_id=last.order_id,
        purchase_id=last.id,
    )


def _alike(
    session: Session, order: SupplierOrder, read: OrderRead, *, bought_after: timedelta | None = None
) -> list[Purchase]:
    """Unsent purchases of the account with exactly these items, of shop orders older than this supplier order.

    `bought_after`: instead those that were placed, or may have been, and hold them among others, sent after it was made
    or so long before.
    """
    if read.created_at is None:
        return []
    sent = sa.exists().where(Attempt.purchase_id == Purchase.id, Attempt.outcome.not_in(("NOT_SENT", "NOT_EXECUTED")))
    states = Purchase.state.in_(PLACED | UNCLEAR)
    bought = sa.and_(states, Purchase.sent_at >= read.created_at - (bought_after or timedelta(0)))
    unsent = sa.and_(Purchase.state.in_(("READY", "CLAIMED", "HELD")), ~sent)
    named: Counter[tuple[str, str]] = Counter()
    for child in read.items:
        named[child.product_id, child.sku_id] += child.quantity
    products = {product for product, _ in named}
    # Where all pieces must be the same, one of them tells which purchases to read at all.
    one = aliased(PurchaseItem)
    holds = sa.exists().where(
        one.purchase_id == Purchase.id, one.product_id.in_(products) | one.order_product_id.in_(products)
    )
    rows = session.execute(
        sa.select(Purchase, PurchaseItem)
        .join(PurchaseItem, PurchaseItem.purchase_id == Purchase.id)
        .join(StoreOrder, StoreOrder.id == Purchase.order_id)
        .where(
            Purchase.account_id == order.account_id,
            unsent if bought_after is None else bought,
            StoreOrder.placed_at <= read.created_at,
            PurchaseItem.quantity > 0,
            holds,
        )
        .order_by(Purchase.id)
    ).all()
    purchases: dict[int, Purchase] = {}
    wanted: dict[int, tuple[Counter[tuple[str, str]], Counter[tuple[str, str]]]] = {}
    for purchase, item in rows:
        purchases[purchase.id] = purchase
        # The supplier may name the product by either of its ids.
        linked, ordered = wanted.setdefault(purchase.id, (Counter(), Counter()))
        linked[item.product_id, item.sku_id] += item.pieces
        ordered[item.order_product_id or item.product_id, item.sku_id] += item.pieces
    fits = operator.eq if bought_after is None else operator.le  # one order may become several at the supplier
    return [purchases[number] for number, items in wanted.items() if any(fits(named, one) for one in items)]
