"""The outbox as staff see it: what is to be done in shops and by mail, what cannot be done, and trying it again."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Any

import sqlalchemy as sa
from sqlalchemy.dialects.postgresql import ARRAY, aggregate_order_by
from sqlalchemy.orm import Session

from app.container import Container
from app.db import ROW
from app.errors import Conflict, NotFound, WaybillError
from app.models import (
    Outbox,
    ParcelItem,
    Purchase,
    PurchaseItem,
    ShippedParcel,
    Shop,
    StoreOrder,
    SupplierOrder,
    Task,
)
from app.pipeline.permission import LACKING
from app.pipeline.record import audit

STATES = ("DUE", "DONE", "STUCK")
LATE = timedelta(hours=1)
"""How long after it was asked for an act that fails, or a parcel that is not shown, is told."""
MANY_TRIES = 3
_WAITS = "waits for the merchant: "
"""So begins what is kept of an act that waits for its merchant."""


@dataclass(frozen=True, slots=True)
class LateActs:
    """Acts of one shop that cannot be done, or mails of all (then there is no shop)."""

    shop_id: int | None
    name: str
    kinds: dict[str, int]
    oldest: datetime
    oldest_id: int
    result: str


@dataclass(frozen=True, slots=True)
class Unshown:
    """Parcels of one shop that it does not show."""

    shop_id: int
    name: str
    orders: list[str]
    since: datetime


def listed(
    container: Container, *, state: str = "", shop_id: int | None = None, limit: int = 50
) -> list[dict[str, Any]]:
    """Acts, newest first."""
    wanted = state.upper()
    if wanted and wanted not in STATES:
        raise WaybillError("no_such_state", f"There is no state {state!r}. States: {', '.join(STATES)}.")
    names = ("id", "kind", "shop_id", "order_id", "state", "attempts", "created_at", "run_at", "done_at", "result")
    query = sa.select(*(getattr(Outbox, name) for name in names)).order_by(Outbox.id.desc()).limit(limit)
    if wanted:
        query = query.where(Outbox.state == wanted)
    if shop_id is not None:
        query = query.where(Outbox.shop_id == shop_id)
    with container.database.reading() as session:
        return [dict(row) for row in session.execute(query).mappings()]


def retry(container: Container, outbox_id: int, *, actor: str) -> str:
    """Make an act due now; gives what that means. A worker that is at it goes on: its lease is left alone."""
    with container.database.transaction() as session:
        row = session.get(Outbox, outbox_id, with_for_update=ROW)
        if row is None:
            raise NotFound("no_act", f"There is no act {outbox_id}. `flask outbox list` shows them.")
        if row.state == "DONE":
            raise Conflict("done", f"Act {outbox_id} was done already ({row.result}): nothing is done a second time.")
        before, row.state, row.attempts, row.done_at = row.state, "DUE", 0, None
        row.run_at = sa.func.now()
        audit(session, "outbox", outbox_id, "retry", actor=actor, before=before, after="DUE")
        container.database.after_commit(container.bell.ring)
    if before == "STUCK":
        return "The act is due again; it is done as soon as a worker is free."
    return "The act was due already; it is tried at once instead of later."


def late_acts(container: Container, session: Session) -> list[LateActs]:
    """Acts that were tried often and for long, or given up while nobody has said that he did them."""
    since = sa.func.now() - LATE / container.settings.time_scale
    # One whose act raises keeps what was told of it before, and stands at the time when it was due.
    failing = sa.and_(
        Outbox.state == "DUE",
        Outbox.attempts > MANY_TRIES,
        Outbox.created_at < since,
        ~_waits() | (Outbox.run_at < since),
    )
    given_up = sa.and_(Outbox.state == "STUCK", Outbox.id.in_(_open_tasks()))
    found = [row for which in (failing, given_up) for row in session.execute(_by_kind().where(which))]
    return _together(found)


def unshown(container: Container, session: Session) -> list[Unshown]:
    """Parcels whose number was known for long and is not in the shop. What is told of as an act is left out."""
    key = sa.func.concat("fulfil:", ShippedParcel.id, ":", ShippedParcel.tracking_number)
    # A number that took another's place is as old as its act.
    since = sa.func.coalesce(Outbox.created_at, ShippedParcel.seen_at)
    late = sa.func.now() - LATE / container.settings.time_scale
    other = ShippedParcel.shown_number != ShippedParcel.tracking_number
    ids = session.scalars(_not_shown(key).where(other, ShippedParcel.seen_at < late)).all()
    these = sa.any_(sa.literal(list(ids), ARRAY(sa.BigInteger)))  # one parameter, however many there are
    told = (Outbox.state == "STUCK") | ((Outbox.state == "DUE") & _waits() & (Outbox.run_at >= late))
    holds_something = sa.exists().where(
        ParcelItem.parcel_id == ShippedParcel.id,
        ParcelItem.purchase_item_id == PurchaseItem.id,
        PurchaseItem.position == 1,
    )
    query = (
        sa.select(Shop.id, Shop.name, sa.func.array_agg(StoreOrder.number.distinct()), sa.func.min(since))
        .select_from(ShippedParcel)
        .join(SupplierOrder, SupplierOrder.id == ShippedParcel.supplier_order_id)
        .join(Purchase, Purchase.id == SupplierOrder.purchase_id)
        .join(StoreOrder, StoreOrder.id == Purchase.order_id)
        .join(Shop, Shop.id == Purchase.shop_id)
        .outerjoin(Outbox, Outbox.dedupe_key == key)
        .where(ShippedParcel.id == these, other, Shop.state != "UNINSTALLED")
        .where(since < late, holds_something, Outbox.id.is_(None) | ~told)
        .group_by(Shop.id, Shop.name)
        .order_by(Shop.id)
    )
    return [Unshown(shop_id, name, list(orders), at) for shop_id, name, orders, at in session.execute(query)]


def _not_shown(key: sa.ColumnElement[str]) -> sa.Select[int]:
    """Parcels of shops that are there, but for those that the shop refused: these are told of, or were done by hand.

    Read by themselves, in the order of the index that holds those with another number, and each with what hangs on it:
    the planner takes nearly all parcels to have another number, and would read everything.
    """
    shop = (
        sa.select(Shop.state)
        .join(Purchase, Purchase.shop_id == Shop.id)
        .join(SupplierOrder, SupplierOrder.purchase_id == Purchase.id)
        .where(SupplierOrder.id == ShippedParcel.supplier_order_id)
    )
    act = sa.select(Outbox.state).where(Outbox.dedupe_key == key)
    return (
        sa.select(ShippedParcel.id)
        .where(shop.scalar_subquery() != "UNINSTALLED", act.scalar_subquery().is_distinct_from("STUCK"))
        .order_by(ShippedParcel.seen_at)
    )


def _waits() -> sa.ColumnElement[bool]:
    """Its merchant was told what to do; not so of a permission that only a write in the shop finds lacking."""
    return Outbox.result.startswith(_WAITS) & (Outbox.result != _WAITS + LACKING)


def _open_tasks() -> sa.Select[int]:
    """Acts of which a person has an open task. Their keys are read in the order of bytes that their index keeps."""
    key = Task.dedupe_key
    number = sa.cast(sa.func.substring(key, "^outbox:([0-9]+)$"), sa.BigInteger)
    mine = sa.and_(key.op("~>=~")("outbox:"), key.op("~<~")("outbox;"))
    return sa.select(number).where(mine, ~Task.over, Task.done_at.is_(None))


def _by_kind() -> sa.Select[int | None, str, str, int, datetime, Any, Any]:
    """Acts of each shop and kind; a shop that left wants nothing any more."""

    def of_oldest(column: sa.SQLColumnExpression[Any]) -> sa.ColumnElement[Any]:
        return sa.func.array_agg(aggregate_order_by(column, Outbox.created_at, Outbox.id))[1]

    return (
        sa.select(
            Outbox.shop_id,
            Shop.name,
            Outbox.kind,
            sa.func.count().label("many"),
            sa.func.min(Outbox.created_at).label("oldest"),
            of_oldest(Outbox.id).label("oldest_id"),
            of_oldest(Outbox.result).label("result"),
        )
        .outerjoin(Shop, Shop.id == Outbox.shop_id)
        .where(Shop.id.is_(None) | (Shop.state != "UNINSTALLED"))
        .group_by(Outbox.shop_id, Shop.name, Outbox.kind)
    )


def _together(found: Iterable[sa.Row[Any]]) -> list[LateActs]:
    """One for each shop, and one for all mails: these go through one server, whoever they are for."""
    groups: dict[int | None, list[sa.Row[Any]]] = {}
    for row in sorted(found, key=lambda row: row.oldest):
        groups.setdefault(None if row.kind == "mail" else row.shop_id, []).append(row)
    made = []
    for shop_id, rows in groups.items():
        kinds: dict[str, int] = {}
        for row in rows:
            kinds[row.kind] = kinds.get(row.kind, 0) + row.many
        first = rows[0]
        name = "" if shop_id is None else first.name
        made.append(LateActs(shop_id, name, kinds, first.oldest, first.oldest_id, first.result))
    return made
