"""Every order of a shop accounted for: days are compared with the shop's own list, gaps are kept and read again.

A gap that stays for an hour is told to staff, and so is a shop that could not be compared for so long.
`flask reconcile` shows a day as it is now.
"""

from __future__ import annotations

from collections.abc import Sequence
from datetime import date, datetime, timedelta

import sqlalchemy as sa
from sqlalchemy.dialects.postgresql import insert
from sqlalchemy.orm import Session

from app.container import Container
from app.db import ROW, is_away
from app.domain.accounting import GAPS, Gap
from app.errors import NotFound
from app.models import OrderGap, Shop
from app.pipeline import day_book, failing, poll
from app.pipeline.day_book import DayBook
from app.pipeline.due import Claim, claim
from app.pipeline.record import alert, alert_growing, end_alerts
from app.ports.errors import OutsideError
from app.ports.storefront import OrderRef

DAYS, NIGHTLY_DAYS = 2, 7
"""Days that are compared: today and yesterday, and once in a night the last week."""
NAMED = 5


def due(container: Container, most: int) -> Sequence[Claim]:
    """Shops whose turn it is."""
    return claim(
        container,
        "shop",
        most,
        due="state <> 'UNINSTALLED'",
        run_at="account_run_at",
        lease=container.timers.poll_lease,
        lease_column="account_lease_until",
        count="account_error = ''",
    )


def run(container: Container, claimed: Claim) -> None:
    """Compare one shop's latest days with its list. A shop that cannot be read is tried again the next time."""
    with container.database.transaction() as session:
        shop = session.get_one(Shop, claimed.id)
    now = claimed.claimed_at
    night = timedelta(days=1) / container.settings.time_scale
    nightly = shop.account_full_at is None or now - shop.account_full_at > night
    today = now.astimezone(day_book.zone_of(shop)).date()
    error = ""
    try:
        for day in _days(container, shop, today, now, nightly=nightly):
            _compare(container, day_book.read(container, shop, day), now)
    except (OutsideError, NotFound) as fault:
        error = fault.code
    except Exception as fault:
        # A fault of ours stands in the shop's row as well: else nobody would hear that it is not compared.
        if not is_away(fault):
            _end(container, shop.id, type(fault).__name__, now, nightly=nightly, unforeseen=True)
        raise
    _end(container, shop.id, error, now, nightly=nightly)


def _end(
    container: Container, shop_id: int, error: str, now: datetime, *, nightly: bool, unforeseen: bool = False
) -> None:
    """Keep what a comparison came to, and when the next one is due."""
    with container.database.transaction() as session:
        row = session.get_one(Shop, shop_id, with_for_update=ROW)
        if unforeseen and row.account_failing_since is not None:
            failing.tell(session, "account", shop_id, error, shop_id=shop_id)
        row.account_lease_until, row.account_error = None, error
        row.account_run_at = sa.func.clock_timestamp() + container.timers.account
        if nightly and not error:
            row.account_full_at = now
        _tell_failing(container, session, row, now)
        if not error:  # else a gap may have ended unseen
            _tell(container, session, row, now)


def _days(container: Container, shop: Shop, today: date, now: datetime, *, nightly: bool) -> list[date]:
    """The latest days, and each other one with an open gap: it would neither end nor be read again by itself.

    One that has stayed for a day is looked at in the night only: there may be many of them, for as long as they stay.
    """
    days = {today - timedelta(days=back) for back in range(NIGHTLY_DAYS if nightly else DAYS)}
    query = sa.select(OrderGap.day).where(OrderGap.shop_id == shop.id, OrderGap.ended_at.is_(None)).distinct()
    if not nightly:
        query = query.where(OrderGap.since > now - timedelta(days=1) / container.settings.time_scale)
    with container.database.reading() as session:
        return sorted(days.union(session.scalars(query)), reverse=True)


def _compare(container: Container, book: DayBook, now: datetime) -> None:
    """Keep this day's gaps, end those that are no more, and have each order in a gap read again."""
    gaps = {(entry.external_id, str(entry.gap)) for entry in book.gaps}
    with container.database.transaction() as session:
        open_ones = session.scalars(
            sa.select(OrderGap).where(
                OrderGap.shop_id == book.shop.id, OrderGap.day == book.day, OrderGap.ended_at.is_(None)
            )
        )
        for row in open_ones:
            if (row.external_id, row.kind) not in gaps:
                row.ended_at = sa.func.now()
        for external_id, kind in sorted(gaps):
            values = {"shop_id": book.shop.id, "external_id": external_id, "kind": kind, "day": book.day}
            session.execute(insert(OrderGap).values(**values).on_conflict_do_nothing())
    poll.note(container, book.shop, [OrderRef(external_id, now) for external_id in sorted({one for one, _ in gaps})])


def _tell_failing(container: Container, session: Session, shop: Shop, now: datetime) -> None:
    """A shop that cannot be compared for as long as a gap may stay: whether all its orders are there is not known."""
    key = f"uncompared:{shop.id}"
    if not shop.account_error:
        shop.account_failing_since = None
        end_alerts(session, key)
        failing.worked(session, "account", shop.id)
        return
    shop.account_failing_since = shop.account_failing_since or now
    if now - shop.account_failing_since >= container.timers.gap_alert:
        text = (
            f"The orders of shop {shop.name} could not be compared with its own list since "
            f"{shop.account_failing_since:%Y-%m-%d %H:%M} UTC ({shop.account_error}): whether one is missing is not "
            f"known. `flask reconcile --shop {shop.id}` tries it now."
        )
        alert(session, key, "shop_uncompared", text, shop_id=shop.id)


def _tell(container: Container, session: Session, shop: Shop, now: datetime) -> None:
    key = f"unaccounted:{shop.id}"
    old = session.scalars(
        sa.select(OrderGap)
        .where(
            OrderGap.shop_id == shop.id,
            OrderGap.ended_at.is_(None),
            OrderGap.since < now - container.timers.gap_alert,
        )
        .order_by(OrderGap.since, OrderGap.id)
    ).all()
    if not old:
        end_alerts(session, key)
        return
    named = "; ".join(f"{one.external_id}: {GAPS[Gap(one.kind)]}" for one in old[:NAMED])
    more = f"; and {len(old) - NAMED} more" if len(old) > NAMED else ""
    text = (
        f"{len(old)} order(s) of shop {shop.name} are not accounted for since {old[0].since:%Y-%m-%d %H:%M} UTC: "
        f"{named}{more}. `flask reconcile --shop {shop.id} --day {old[0].day}` shows the day."
    )
    newest = max(one.since for one in old) + container.timers.gap_alert
    alert_growing(session, key, "orders_unaccounted", text, newest=newest, now=now, shop_id=shop.id)
