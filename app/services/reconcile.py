"""`flask reconcile`: one day of a shop, told: store count = ours = placed + held + refused + not ours, and each gap."""

from __future__ import annotations

from datetime import date
from typing import Any

import sqlalchemy as sa

from app.container import Container
from app.domain.accounting import EARLIEST, GAPS, Gap, Share, why_not_ours
from app.errors import NotFound, WaybillError
from app.models import OrderGap, Shop
from app.pipeline import day_book
from app.pipeline.day_book import DayBook, Entry
from app.pipeline.record import sentence
from app.ports.errors import OutsideError
from app.services.faults import said


def days(container: Container, *, shop_id: int | None, day: date | None) -> list[dict[str, Any]]:
    """A day (None: the shop's today) of one shop or of each that has not left; read from the shops, nothing is written.

    With one shop its fault is raised as a `WaybillError`; with all, a shop that cannot be read, or where the day has
    not begun, says so in `error`.
    """
    with container.database.transaction() as session:
        query = sa.select(Shop).order_by(Shop.id)
        chosen = session.scalars(
            query.where(Shop.state != "UNINSTALLED") if shop_id is None else query.where(Shop.id == shop_id)
        ).all()
        if shop_id is not None and not chosen:
            raise NotFound("no_shop", f"There is no shop {shop_id}. `flask shop list` shows them.")
        now = session.execute(sa.select(sa.func.now())).scalar_one()
    if day is not None and day < EARLIEST:
        raise WaybillError("day_too_old", f"{day} is too long ago: days are counted from {EARLIEST} to today.")
    told = []
    for shop in chosen:
        today = now.astimezone(day_book.zone_of(shop)).date()
        asked = day or today
        try:
            told.append(_told(container, _read(container, shop, asked, today)))
        except (OutsideError, WaybillError) as fault:
            problem = said(fault) if isinstance(fault, OutsideError) else fault
            if shop_id is not None:
                raise problem from fault
            told.append({"shop": shop.id, "name": shop.name, "day": asked, "error": problem.code, "text": str(problem)})
    return told


def _read(container: Container, shop: Shop, day: date, today: date) -> DayBook:
    if day > today:
        raise WaybillError("future_day", f"{day} has not begun yet in shop {shop.name}.")
    return day_book.read(container, shop, day)


def _told(container: Container, book: DayBook) -> dict[str, Any]:
    with container.database.reading() as session:
        open_ones = sa.select(OrderGap.external_id, OrderGap.kind, OrderGap.since).where(
            OrderGap.shop_id == book.shop.id, OrderGap.ended_at.is_(None)
        )
        since = {(row.external_id, row.kind): row.since for row in session.execute(open_ones)}
    listed = None if book.hidden else book.listed
    counts = {share.value: book.count(share) for share in Share if share != Share.GAP}
    return {
        "shop": book.shop.id,
        "name": book.shop.name,
        "day": book.day,
        "timezone": str(book.since.tzinfo),
        "since": book.since,
        "until": book.until,
        "store": listed,
        "ours": sum(entry.order is not None and not entry.deleted for entry in book.entries),
        "deleted": sum(entry.deleted for entry in book.entries),
        **counts,
        "gap": len(book.gaps),
        "balanced": not book.gaps and not book.hidden,
        "orders": [_order(entry, since) for entry in book.entries],
    }


def _order(entry: Entry, since: dict[tuple[str, str], Any]) -> dict[str, Any]:
    return {
        "external_id": entry.external_id,
        "order": entry.order.id if entry.order is not None else None,
        "number": entry.order.number if entry.order is not None else None,
        "share": entry.share.value,
        "gap": entry.gap.value if entry.gap is not None else None,
        "since": since.get((entry.external_id, str(entry.gap))) if entry.gap is not None else None,
        "text": _text(entry),
    }


def _text(entry: Entry) -> str:
    if entry.gap is not None:
        return GAPS[Gap(entry.gap)]
    if entry.share == Share.NOT_OURS and entry.facts is not None:
        return why_not_ours(entry.facts)
    return "; ".join(f"purchase {one.id} {one.state}: {sentence(one)[0]}".rstrip(": ") for one in entry.purchases)
