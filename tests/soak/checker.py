"""The verdict, from what the shops and the supplier wrote down. Waybill is asked one thing: is every line accounted for?"""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping
from dataclasses import dataclass, field

import sqlalchemy as sa
from sqlalchemy.orm import aliased

from app.container import Container
from app.models import Audit, Evidence, Purchase, PurchaseItem, Shop, SourceLine, StoreOrder, SupplierOrder
from tests.soak.books import Books, Key, Sold

Line = tuple[Key, str]
"""A line of a storefront's order: (order, line id)."""
EXPLAINED = frozenset(("HELD", "HUMAN", "REJECTED", "EXPIRED", "PAY_BLOCKED", "SUPPLIER_CANCELLED", "REFUNDED"))
"""States of lines that are not bought, in which Waybill says what happens next (I11 of the lifecycle document)."""


@dataclass(frozen=True, slots=True)
class Account:
    """What Waybill says about one line: states of its purchases, and supplier orders that it has for it."""

    states: frozenset[str]
    orders: frozenset[str] = frozenset()


@dataclass
class Verdict:
    """Sentences about what is wrong, by kind. `waiting`: not bought, but Waybill says why and whose turn it is."""

    lines: int = 0
    orders: int = 0
    twice: list[str] = field(default_factory=list)
    lost: list[str] = field(default_factory=list)
    wrong: list[str] = field(default_factory=list)
    waiting: list[str] = field(default_factory=list)

    @property
    def good(self) -> bool:
        """Nothing bought twice, nothing lost, nothing at the wrong customer."""
        return not (self.twice or self.lost or self.wrong)


def judge(books: Books, told: Mapping[Line, Account]) -> Verdict:
    """Compare. `told`: Waybill's account of each line (`ask`); everything else is the ledgers' word."""
    verdict = Verdict(*books.sizes())
    have: dict[str, Counter[str]] = {}
    made = {one.order_id: one for one in books.bought}
    for one in books.bought:
        if one.order_id not in books.closed:
            have.setdefault(one.buyer, Counter()).update(one.pieces)
    buyers = {sold.buyer: sold for sold in books.sold.values()}
    verdict.twice += [
        f"order {one.order_id} is for nobody who ordered" for one in made.values() if one.buyer not in buyers
    ]
    for key, sold in books.sold.items():
        bought = have.get(sold.buyer, Counter())
        left = Counter(bought)
        for line, (sku_id, pieces) in sold.lines.items():
            name, there = f"{' '.join(key)} line {line}", told.get((key, line))
            if left[sku_id] >= pieces:
                left[sku_id] -= pieces
                if there is None or not there.orders:
                    verdict.lost.append(f"{name} is bought, and Waybill does not know its order")
            elif there is not None and there.states & EXPLAINED:
                verdict.waiting.append(f"{name}: {sorted(there.states)}")
            else:
                states = "unknown to Waybill" if there is None else str(sorted(there.states))
                verdict.lost.append(f"{name} wanted {pieces}, bought {bought[sku_id]}: {states}")
            verdict.wrong += _attached(books, sold.buyer, name, there)
    verdict.twice += _too_many(books, buyers)
    verdict.wrong += _parcels(books)
    return verdict


def _too_many(books: Books, buyers: Mapping[str, Sold]) -> list[str]:
    """Orders that were created while those before held all that their buyer wants. Closed later or not: twice is twice."""
    live: dict[str, dict[str, Counter[str]]] = {}
    owner, told = dict[str, str](), list[str]()
    for one in books.history:
        if isinstance(one, str):
            live.get(owner.get(one, ""), {}).pop(one, None)
        elif one.buyer in buyers:
            owner[one.order_id] = one.buyer
            mine = live.setdefault(one.buyer, {})
            mine[one.order_id] = one.pieces
            sold = buyers[one.buyer]
            over = sum(mine.values(), Counter[str]()) - sold.wanted
            told += [
                f"{' '.join(sold.key)}: {n} of {sku} too many with order {one.order_id}" for sku, n in over.items()
            ]
    return told


def _attached(books: Books, buyer: str, name: str, there: Account | None) -> list[str]:
    """Supplier orders that Waybill has for a line of somebody else."""
    mine = {one.order_id for one in books.bought if one.buyer == buyer} if there and there.orders else set()
    return [f"{name} has the order {number} of somebody else" for number in (there.orders - mine if there else ())]


def _parcels(books: Books) -> list[str]:
    """Parcels that a shop shows at somebody else's order, or twice."""
    made = {one.order_id: one.buyer for one in books.bought}
    wrong, seen = [], Counter[tuple[Key, str]]()
    for parcel in books.shown:
        buyer = made.get(books.owner.get(parcel.tracking, ""), "nobody")
        if buyer != books.sold[parcel.key].buyer:
            wrong.append(f"parcel {parcel.tracking} is shown at {' '.join(parcel.key)}, and is not that buyer's")
        seen[parcel.key, parcel.tracking] += 1
    return wrong + [f"parcel {tracking} is shown {n} times" for (_, tracking), n in seen.items() if n > 1]


def ask(container: Container) -> dict[Line, Account]:
    """The one question to Waybill: for each line, which purchases it has, and which supplier orders they have."""
    heir = aliased(Purchase)
    replaced = sa.exists().where(
        heir.previous_id == Purchase.id, ~heir.gave_way
    )  # what became of its pieces its heir says
    query = (
        sa.select(
            Shop.connector, Shop.address, StoreOrder.external_id, SourceLine.external_id,
            sa.func.array_remove(sa.func.array_agg(sa.distinct(sa.case((~replaced, Purchase.state)))), None),
            sa.func.array_remove(sa.func.array_agg(sa.distinct(SupplierOrder.external_id)), None),
        )
        .select_from(SourceLine)
        .join(StoreOrder, StoreOrder.id == SourceLine.order_id)
        .join(Shop, Shop.id == StoreOrder.shop_id)
        .join(PurchaseItem, PurchaseItem.source_line_id == SourceLine.id)
        .join(Purchase, Purchase.id == PurchaseItem.purchase_id)
        .outerjoin(SupplierOrder, SupplierOrder.purchase_id == Purchase.id)
        .group_by(Shop.connector, Shop.address, StoreOrder.external_id, SourceLine.external_id)
    )  # fmt: skip
    container.database.dispose()  # its connections are those of before the last restart of the database
    with container.database.transaction() as session:
        rows = session.execute(query).all()
    return {
        ((kind, address.rstrip("/").rpartition("/")[2], order_id), line): Account(frozenset(states), frozenset(orders))
        for kind, address, order_id, line, states, orders in rows
    }


def unclear(container: Container) -> dict[str, int]:
    """How often the hard case came, as Waybill wrote it down: figures beside the verdict, no part of it."""
    moved = sa.select(sa.func.count()).where(Audit.entity == "purchase", Audit.to_state == "UNKNOWN")
    kept = sa.select(sa.func.count()).where(Evidence.kind == "journal", Evidence.detail.has_key("outcome"))
    with container.database.transaction() as session:
        return {
            "sends with an unclear end": session.scalar(moved) or 0,
            "sends whose worker never told": session.scalar(moved.where(Audit.actor == "reconcile")) or 0,
            "answers from the journal of a dead worker": session.scalar(kept) or 0,
        }
