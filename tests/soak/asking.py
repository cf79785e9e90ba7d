"""The one question to Waybill, is every line accounted for? It answers as it answers people: states, turns, tasks."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import sqlalchemy as sa
from sqlalchemy.orm import aliased

from app.container import Container
from app.domain.purchase_flow import PLACED, STATES
from app.models import Audit, Evidence, Purchase, PurchaseItem, Shop, SourceLine, StoreOrder, SupplierOrder
from app.services import purchases, todo
from tests.soak.books import Key

Line = tuple[Key, str]
"""A line of a storefront's order: (order, line id)."""
_ALL = 10**6


@dataclass(frozen=True, slots=True)
class Said:
    """One purchase as `flask purchase list` tells it, and the kinds of open tasks that people have because of it."""

    state: str
    turn: str = ""
    text: str = ""
    tasks: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True)
class Account:
    """What Waybill says about one line: its purchases that stand, and the supplier orders that it has for it."""

    said: tuple[Said, ...]
    orders: frozenset[str] = frozenset()

    @property
    def states(self) -> list[str]:
        """In which its purchases are."""
        return sorted({one.state for one in self.said})


def ask(container: Container) -> dict[Line, Account]:
    """For each line, which purchases it has and how they stand, and which supplier orders they have."""
    heir = aliased(Purchase)
    replaced = sa.exists().where(
        heir.previous_id == Purchase.id, ~heir.gave_way
    )  # what became of its pieces its heir says
    query = (
        sa.select(
            Shop.connector, Shop.address, StoreOrder.external_id, SourceLine.external_id,
            sa.func.array_remove(sa.func.array_agg(sa.distinct(sa.case((~replaced, Purchase.id)))), None),
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
        states = {number: state for number, state in session.execute(sa.select(Purchase.id, Purchase.state))}
    said = _said(container, states)
    return {
        ((kind, address.rstrip("/").rpartition("/")[2], order_id), line): Account(
            tuple(said[number] for number in sorted(numbers)), frozenset(orders)
        )
        for kind, address, order_id, line, numbers, orders in rows
    }


def _said(container: Container, states: Mapping[int, str]) -> dict[int, Said]:
    """By purchase. Those that are placed are not asked about one by one: their supplier orders speak."""
    said = {number: Said(state) for number, state in states.items()}
    tasks = defaultdict[int, list[str]](list)
    for one in todo.tasks(container, limit=_ALL):
        if one["purchase_id"] is not None and one["turn"] in {"merchant", "us"}:
            tasks[one["purchase_id"]].append(one["kind"])
    for state in [one for one in STATES if one not in PLACED - {"PAY_BLOCKED"} and one in states.values()]:
        for row in purchases.listed(container, state=state, limit=_ALL):
            number = row["id"]
            said[number] = Said(row["state"], row["turn"], row["text"], tuple(sorted(tasks[number])))
    return said


def plain(told: Mapping[Line, Account]) -> list[Any]:
    """For JSON: the whole answer, to be kept beside the ledgers."""
    return [
        [*key, line, sorted(there.orders), [[one.state, one.turn, one.text, list(one.tasks)] for one in there.said]]
        for (key, line), there in told.items()
    ]


def read(rows: list[Any]) -> dict[Line, Account]:
    """What `plain` gave."""
    return {
        ((kind, shop, order_id), line): Account(
            tuple(Said(state, turn, text, tuple(tasks)) for state, turn, text, tasks in said), frozenset(orders)
        )
        for kind, shop, order_id, line, orders, said in rows
    }


def unclear(container: Container) -> dict[str, int]:
    """How often the hard case came, as Waybill wrote it down: figures beside the verdict, no part of it."""
    moved = sa.select(sa.func.count()).where(
        Audit.entity == "purchase", Audit.to_state == "UNKNOWN", Audit.detail["reason"].astext == "outcome_unknown"
    )
    kept = sa.select(sa.func.count()).where(Evidence.kind == "journal", Evidence.detail.has_key("outcome"))
    with container.database.transaction() as session:
        return {
            "sends with an unclear end": session.scalar(moved) or 0,
            "sends whose worker never told": session.scalar(moved.where(Audit.actor == "reconcile")) or 0,
            "answers from the journal of a dead worker": session.scalar(kept) or 0,
        }
