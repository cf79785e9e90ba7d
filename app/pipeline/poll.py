"""What webhooks missed: each shop's changed orders are listed and those we do not know as they are get read again."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import datetime, timedelta
from functools import partial

import sqlalchemy as sa
from sqlalchemy.dialects.postgresql import insert

from app.container import Container
from app.errors import NotFound
from app.logs import logger
from app.models import Inbox, Shop, StoreOrder
from app.pipeline.due import Claim, claim
from app.pipeline.import_order import POLLED
from app.pipeline.receive import seal_body
from app.ports.errors import MerchantMustAct, OutsideError
from app.ports.storefront import OrderPage, OrderRef, StorefrontSession
from app.shop_access import with_shop

log = logger(__name__)
PAGES = 400
WITHIN = timedelta(seconds=3)
"""The second that a time of change counts, and how far the shop's clock may be from ours."""


def due(container: Container, most: int) -> Sequence[Claim]:
    """Shops whose turn it is."""
    return claim(
        container,
        "shop",
        most,
        due="state <> 'UNINSTALLED'",
        run_at="poll_run_at",
        lease=timedelta(minutes=10),
        lease_column="poll_lease_until",
        count="poll_error = ''",
    )


def run(container: Container, claimed: Claim) -> None:
    """Walk one shop's window of changes; the cursor moves no further than what was read."""
    with container.database.transaction() as session:
        shop = session.get_one(Shop, claimed.id)
    timers, now = container.timers, claimed.claimed_at
    nightly = shop.poll_full_at is None or now - shop.poll_full_at > timedelta(days=1) / container.settings.time_scale
    since = (
        now - timers.nightly_window if nightly or shop.poll_cursor is None else shop.poll_cursor - timers.poll_overlap
    )
    error, read_until = "", since
    try:
        read_until = _walk(container, shop, since, now, thorough=nightly)
    except MerchantMustAct as fault:
        error = fault.reason
    except (OutsideError, NotFound) as fault:
        error = fault.code
    with container.database.transaction() as session:
        row = session.get_one(Shop, shop.id, with_for_update=True)
        row.poll_lease_until, row.poll_error = None, error
        row.poll_run_at = sa.func.clock_timestamp() + timers.poll
        if not error:
            row.poll_cursor = read_until
            # A night's walk that is too long goes on from where it stopped, as a usual one.
            if nightly:
                row.poll_full_at = now


def _walk(container: Container, shop: Shop, since: datetime, until: datetime, *, thorough: bool) -> datetime:
    """Gives until when everything was read: `until`, or the last change of a window that is longer than one walk."""
    last = since
    cursor: str | None = None
    for _ in range(PAGES):
        page = with_shop(container, shop.id, partial(_changed, since, until, cursor))
        note(container, shop, page.orders, thorough=thorough)
        if page.next_cursor is None:
            return until
        cursor = page.next_cursor
        last = max([last, *(ref.updated_at for ref in page.orders)])
    log.warning("poll_window_too_long", shop=shop.id)
    return last


def _changed(since: datetime, until: datetime, cursor: str | None, session: StorefrontSession) -> OrderPage:
    return session.orders_changed(since, until, cursor)


def note(container: Container, shop: Shop, refs: Sequence[OrderRef], *, thorough: bool = False) -> int:
    """Make an inbox row due for each order that changed after we last read it. Gives how many.

    Shops tell the time of a change in whole seconds: what was read within such a second may have changed once more in
    it. `thorough` takes these as changed too; read once more, later, they are known for good.
    """
    if not refs:
        return 0
    with container.database.transaction() as session:
        query = sa.select(StoreOrder.external_id, StoreOrder.changed_at, StoreOrder.read_at).where(
            StoreOrder.shop_id == shop.id, StoreOrder.external_id.in_([ref.id for ref in refs])
        )
        known = {row.external_id: row for row in session.execute(query)}
        missed = [ref for ref in refs if _may_be_new(ref, known.get(ref.id), thorough=thorough)]
        for ref in missed:
            body, row_known = ref.id.encode(), known.get(ref.id)
            seen = f"@{ref.updated_at.timestamp():.0f}@{row_known.read_at.timestamp() if row_known else 0:.3f}"
            row = insert(Inbox).values(
                shop_id=shop.id,
                source=shop.connector,
                topic=POLLED,
                dedupe=body + seen.encode(),
                body=seal_body(container, shop.connector, shop.id, body),
            )
            session.execute(row.on_conflict_do_nothing(index_elements=["source", "shop_id", "topic", "dedupe"]))
        if missed:
            container.database.after_commit(container.bell.ring)
    return len(missed)


def _may_be_new(ref: OrderRef, known: sa.Row[str, datetime, datetime] | None, *, thorough: bool) -> bool:
    if known is None or ref.updated_at > known.changed_at:
        return True
    return thorough and known.read_at <= ref.updated_at + WITHIN
