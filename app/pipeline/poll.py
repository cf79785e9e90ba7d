"""What webhooks missed: each shop's changed orders are listed and those we do not know as they are get read again."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import datetime, timedelta
from functools import partial

import sqlalchemy as sa
from sqlalchemy.dialects.postgresql import insert
from sqlalchemy.orm import Session

from app.container import Container
from app.db import ROW, is_away
from app.errors import NotFound
from app.logs import logger
from app.models import Inbox, Shop, StoreOrder
from app.pipeline import failing, hooks, permission
from app.pipeline.due import Claim, claim
from app.pipeline.import_order import POLLED
from app.pipeline.receive import seal_body
from app.pipeline.record import alert, end_alerts
from app.ports.errors import MerchantMustAct, OutsideError, Refused, TryLater
from app.ports.storefront import OrderPage, OrderRef, StorefrontSession
from app.shop_access import with_shop

log = logger(__name__)
PAGES = 400
ENDLESS = 5_000
"""Pages of one second's changes beyond which a list is taken to have no end."""
SHORTEST = timedelta(seconds=1)
"""Shops tell whole seconds: a shorter window would hold the same orders."""
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
        lease=container.timers.poll_lease,
        lease_column="poll_lease_until",
        count="poll_error = ''",
    )


def run(container: Container, claimed: Claim, *, pages: int = PAGES) -> None:
    """Walk one shop's changes; the cursor moves no further than what was read as a whole.

    A walk that takes more than `pages` is ended behind a whole window and goes on at once, when others had their turn.
    """
    with container.database.transaction() as session:
        shop = session.get_one(Shop, claimed.id)
    timers, now = container.timers, claimed.claimed_at
    nightly = shop.poll_full_at is None or now - shop.poll_full_at > timedelta(days=1) / container.settings.time_scale
    since = now - timers.nightly_window
    if shop.poll_cursor is not None:  # nightly, too: what was not read for longer than the window is read as well
        unread = shop.poll_cursor - timers.poll_overlap
        since = min(since, unread) if nightly else unread
    walk = _Walk(container, shop, since, now, pages)
    refused: MerchantMustAct | None = None
    error = ""
    try:
        walk.go()
    except MerchantMustAct as fault:
        error, refused = fault.reason, fault
    except (OutsideError, NotFound) as fault:
        error = fault.code
    except Exception as fault:
        # A fault of ours stands in the shop's row as well: else nobody would hear that it is not read.
        if not is_away(fault):
            _end(container, shop.id, walk, type(fault).__name__, now, nightly=nightly, unforeseen=True)
        raise
    _end(container, shop.id, walk, error, now, nightly=nightly, refused=refused)


def _end(
    container: Container,
    shop_id: int,
    walk: _Walk,
    error: str,
    now: datetime,
    *,
    nightly: bool,
    refused: MerchantMustAct | None = None,
    unforeseen: bool = False,
) -> None:
    """Keep what a walk came to, and when the next one is due."""
    timers = container.timers
    with container.database.transaction() as session:
        # Before the shop is locked: these touch tasks and purchases, and whoever holds one may go on to the shop.
        if refused is not None:
            permission.told(session, shop_id, refused)
        elif not error and session.get_one(Shop, shop_id).poll_failing_since is not None:
            permission.granted(session, shop_id, "poll")
        row = session.get_one(Shop, shop_id, with_for_update=ROW, populate_existing=True)
        if unforeseen and row.poll_failing_since is not None:
            failing.tell(session, "poll", shop_id, error, shop_id=shop_id)
        row.poll_lease_until, row.poll_error = None, error
        _tell(container, session, row, now)
        goes_on = not error and walk.read_until < now
        usual = min(timers.poll, timers.poll_alone) if hooks.are_off(session, shop_id) else timers.poll
        row.poll_run_at = sa.func.clock_timestamp() + (timedelta(0) if goes_on else usual)
        if walk.read_until > walk.since:
            # The next walk begins the overlap before the cursor: as late as what may have been told late allows.
            row.poll_cursor = min(now, walk.read_until + timers.poll_overlap)
            # A night's walk that was not finished goes on from there too. Begun anew it might never come to its end.
            if nightly:
                row.poll_full_at = now


def _tell(container: Container, session: Session, shop: Shop, now: datetime) -> None:
    """A shop that could not be read for an hour: what its webhooks missed is not known."""
    key = f"shop-unread:{shop.id}"
    if not shop.poll_error:
        if shop.poll_failing_since is not None:
            shop.poll_failing_since = None
            end_alerts(session, key)
            failing.worked(session, "poll", shop.id)
        return
    shop.poll_failing_since = shop.poll_failing_since or now
    if now - shop.poll_failing_since >= container.timers.poll_alert:
        text = (
            f"The orders of shop {shop.name} could not be listed since {shop.poll_failing_since:%Y-%m-%d %H:%M} UTC "
            f"({shop.poll_error}): what its webhooks did not tell is not known."
        )
        alert(session, key, "shop_unread", text, shop_id=shop.id)


class _Walk:
    """From `since` to `until`, in windows as long as one can be read in `pages`: in one, for nearly all shops.

    `read_until`: everything that changed before it was read. It only moves behind a whole window, since a storefront
    may list in several passes: the last order that was seen says nothing of what is still to come.
    """

    def __init__(self, container: Container, shop: Shop, since: datetime, until: datetime, pages: int) -> None:
        self.since = self.read_until = since
        self._container, self._shop, self._until, self._most = container, shop, until, pages
        usual = container.timers.poll_overlap + container.timers.poll
        self._thorough = until - since > 2 * usual
        self._pages = 0

    def go(self) -> None:
        """Raises an `OutsideError`; what was read until then counts."""
        end = self._until
        while self.read_until < self._until:
            length = end - self.read_until
            if self._window(end, shortest=length <= SHORTEST):
                self.read_until = end
                # The overlap is read in one go: the next walk would begin before it again.
                if self._pages >= self._most and end <= self._until - self._container.timers.poll_overlap:
                    return
                end = min(self._until, end + 2 * length)
            else:
                log.warning("poll_window_too_long", shop=self._shop.id, seconds=length.total_seconds())
                end = self.read_until + max(length / 2, SHORTEST)

    def _window(self, end: datetime, *, shortest: bool) -> bool:
        """Whether all until `end` was read. The shortest window cannot be narrowed: it is read whatever it takes.

        Raises `TryLater` if that has no end, as where a cache answers every page with the same one.
        """
        cursor: str | None = None
        asked = 0
        while asked < self._most or shortest:
            if asked >= ENDLESS:
                raise TryLater("endless_list", vendor=self._shop.connector)
            call = partial(_changed, self.read_until, end, cursor)
            try:
                page = with_shop(self._container, self._shop.id, call)
            except Refused:
                # So storefronts answer beyond the last page that they give; a first page refused is something else.
                if shortest or cursor is None:
                    raise
                return False
            asked += 1
            self._pages += 1
            note(self._container, self._shop, page.orders, thorough=self._thorough)
            if page.next_cursor is None:
                return True
            cursor = page.next_cursor
        return False


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
            # One that could not be read for a while is tried again by the walks of the night.
            session.execute(
                row.on_conflict_do_update(
                    index_elements=["source", "shop_id", "topic", "dedupe"],
                    set_={"state": "DUE", "run_at": sa.func.now(), "attempts": 0, "processed_at": None},
                    where=(Inbox.state == "ODD") & sa.literal(value=thorough),
                )
            )
        if missed:
            container.database.after_commit(container.bell.ring)
    return len(missed)


def _may_be_new(ref: OrderRef, known: sa.Row[str, datetime, datetime] | None, *, thorough: bool) -> bool:
    # Another time, not a later one: the clocks of a shop may disagree, or be set back.
    if known is None or ref.updated_at != known.changed_at:
        return True
    return thorough and known.read_at <= ref.updated_at + WITHIN
