"""An event says that an order may have changed: read it again with the shop's own token, and store what is true now.

Events are hints. Reordering, duplicates and stale retries cannot matter, because nothing but the fresh read counts;
an older read never takes the place of a newer one (see `newest`).
"""

from __future__ import annotations

import json
from dataclasses import replace
from datetime import datetime, timedelta

import sqlalchemy as sa
from sqlalchemy.dialects.postgresql import insert
from sqlalchemy.orm import Session

from app.calls import Story
from app.container import Container
from app.db import changed, table
from app.errors import NotFound
from app.logs import logger
from app.models import Alert, Inbox, Shop, SourceLine, StoreOrder
from app.pipeline import evidence, leave, locks, match, newest, permission, requests
from app.pipeline.due import Claim
from app.pipeline.newest import Begun
from app.pipeline.receive import open_body
from app.pipeline.record import alert, audit, end_alerts, end_tasks, task
from app.ports.errors import MerchantMustAct, OutsideError, Refused, TryLater
from app.ports.inbound import Hint, HintKind
from app.ports.storefront import Address
from app.ports.storefront import StoreOrder as FreshOrder
from app.shop_access import with_shop

log = logger(__name__)
POLLED = "waybill/poll"
"""Topic of inbox rows that the poller made; their body is the order's id."""
UNREADABLE_AFTER = 5
"""Reads that say that an order is not as it should be, until a person is told."""
TRIES = (5, 15, 60, 300, 900, 3600)
"""Seconds until the next try when the shop cannot be read; the last one repeats for ever: nothing is dropped."""
ANEW = 4
"""Reads in a row that others may overtake, until it is left for later. One finds out whose part an event names."""


def run(container: Container, claim: Claim) -> None:
    """Work off one inbox row: find out what it is about, act, mark it done."""
    with container.database.reading() as session:
        row = session.get_one(Inbox, claim.id)
    if row.state != "DUE" or row.body is None:
        return
    hint = _hint(container, row, open_body(container, row.source, row.shop_id, row.body))
    try:
        result, order_id, again = _act(container, row, hint, claim.claimed_at)
    except MerchantMustAct as error:
        result, order_id, again = f"waits for the merchant: {error.reason}", None, timedelta(minutes=15)
        if error.reason == permission.TOO_OLD:
            again = None  # its purchases look again by themselves
        if row.shop_id is not None:
            with container.database.transaction() as session:
                permission.told(session, row.shop_id, error)
    except Refused as error:
        result, order_id = f"the shop could not be read: {error.code}", None
        again = timedelta(seconds=TRIES[min(row.attempts, len(TRIES)) - 1])
        if row.attempts >= UNREADABLE_AFTER and hint.ref and row.shop_id is not None:
            if ":" not in hint.ref:  # of a part of an order: the order's own event tells it
                _unreadable(container, row, hint.ref, error)
            hint, again = replace(hint, kind=HintKind.NOTHING, odd=True), None
    except (OutsideError, NotFound) as error:
        wait = TRIES[min(row.attempts, len(TRIES)) - 1]
        if isinstance(error, TryLater) and error.retry_after:
            wait = min(wait, max(int(error.retry_after), 1))
        result, order_id, again = f"the shop could not be read: {error.code}", None, timedelta(seconds=wait)
    _finish(container, row, hint, result, order_id, again)


def _unreadable(container: Container, row: Inbox, ref: str, error: Refused) -> None:
    """Asking again helps nobody: a person has to look. The next event about the order tries again."""
    with container.database.transaction() as session:
        shop = session.get(Shop, row.shop_id)
        name = shop.name if shop is not None else row.source
        text = (
            f"Order {ref[:40]} of {name} cannot be read ({error.code} {error.detail[:100]}): nothing is bought for it. "
            f"Look at it in the shop, then `flask inbox replay {row.id}`."
        )
        key = f"unreadable:{row.shop_id}:{ref[:60]}"
        alert(session, key, "order_unreadable", text, shop_id=row.shop_id)
        task(session, key, "order_unreadable", turn="us", text=text, shop_id=row.shop_id)


def _hint(container: Container, row: Inbox, body: bytes) -> Hint:
    if row.topic == POLLED:
        return Hint(HintKind.ORDER, ref=body.decode())
    if container.connectors.specs[row.source].kind == "supplier":
        return container.connectors.suppliers[row.source].read_push(body)
    return container.connectors.storefronts[row.source].read_event(row.topic, body)


def _act(
    container: Container, row: Inbox, hint: Hint, claimed_at: datetime
) -> tuple[str, int | None, timedelta | None]:
    if hint.kind == HintKind.SUPPLIER_ORDER:
        return evidence.push(container, row, hint)
    left = row.shop_id is not None and hint.kind != HintKind.UNINSTALLED and _left(container, row.shop_id)
    if row.shop_id is None or left:
        return "the shop has removed the app" if left else "about no shop", None, None
    if hint.kind in {HintKind.ORDER, HintKind.ORDER_GONE} and hint.ref:
        known = _read_since(container, row, hint.ref)
        if known is not None:
            return "read already after this event came", known, None
        order_id, result = refresh(container, row.shop_id, hint.ref, claimed_at)
        return result, order_id, None
    return _of_the_shop(container, row.shop_id, hint), None, None


def _of_the_shop(container: Container, shop_id: int, hint: Hint) -> str:
    if hint.kind == HintKind.UNINSTALLED:
        return leave.uninstalled(container, shop_id)
    if hint.kind == HintKind.SCOPES:
        with container.database.transaction() as session:
            permission.granted(session, shop_id, "scopes_update")
        return "permissions changed: what waited is tried again"
    return hint.detail or f"nothing to do for {hint.kind.value}"


def _left(container: Container, shop_id: int) -> bool:
    """Whether the shop uninstalled us: its key is gone, and nobody can read its orders any more (S27)."""
    with container.database.reading() as session:
        return session.scalar(sa.select(Shop.state).where(Shop.id == shop_id)) == "UNINSTALLED"


def _read_since(container: Container, row: Inbox, external_id: str) -> int | None:
    """Our id of the order if it was read from the shop after this event (or its last repetition) arrived."""
    with container.database.reading() as session:
        return session.scalar(
            sa.select(StoreOrder.id).where(
                StoreOrder.shop_id == row.shop_id,
                StoreOrder.external_id == external_id,
                StoreOrder.read_at >= row.run_at,
            )
        )


def _finish(
    container: Container,
    row: Inbox,
    hint: Hint,
    result: str,
    order_id: int | None,
    again: timedelta | None,
) -> None:
    state = "ODD" if hint.kind == HintKind.NOTHING and hint.odd else "DONE"
    values: dict[str, object] = {"result": result[:500], "lease_until": None}
    if order_id is not None:
        values["order_id"] = order_id
    if again is not None:
        values["run_at"] = sa.func.clock_timestamp() + again / container.settings.time_scale
    else:
        values |= {"state": state, "processed_at": sa.func.clock_timestamp()}
    with container.database.transaction() as session:
        # A duplicate that came while we worked (run_at moved past our claim) keeps the row due.
        same = sa.update(Inbox).where(Inbox.id == row.id, Inbox.seen == row.seen).values(**values)
        if not changed(session, same):
            again_now = {"lease_until": None, "run_at": sa.func.clock_timestamp(), "result": result[:500]}
            session.execute(sa.update(Inbox).where(Inbox.id == row.id).values(**again_now))


def refresh(
    container: Container, shop_id: int, external_id: str, read_at: datetime | None, *, only_changes: bool = False
) -> tuple[int | None, str]:
    """Re-read one order and store it: (our order id or None, what happened). Raises the port's errors.

    `read_at`: a moment before this by the database's clock; None: this moment. `only_changes`: an order that is as we
    know it has nothing derived from it anew. Raises `TryLater` as well while it cannot be told whether what is read is
    the newest.
    """
    order_id: int | None = None
    for anew in range(ANEW):
        begun = newest.begin(container, shop_id, external_id, order_id)
        if not anew and read_at is not None:
            begun = replace(begun, at=read_at)
        order_id, result = _read(container, shop_id, external_id, begun, only_changes=only_changes)
        if result == newest.OLDER:
            raise TryLater("told_older", result, operation="order", retry_after=newest.LAGS.total_seconds())
        if result != newest.OVERTAKEN:
            return order_id, result
    raise TryLater("read_by_others", newest.OVERTAKEN, operation="order")


def _read(
    container: Container, shop_id: int, external_id: str, begun: Begun, *, only_changes: bool
) -> tuple[int | None, str]:
    with container.calls.story() as story:
        fresh = with_shop(container, shop_id, lambda shop: shop.order(external_id))
        if fresh is None:
            _demand_not_hidden(container, shop_id, external_id)
        if fresh is not None and not fresh.fits:
            raise Refused("unreadable_order", "a number too large to be true")
        with container.database.transaction() as session:
            return store(container, session, shop_id, external_id, fresh, begun, story, only_changes=only_changes)


def _demand_not_hidden(container: Container, shop_id: int, external_id: str) -> None:
    """An order that the shop may hide for its age is not gone. Raises `MerchantMustAct`."""
    with container.database.reading() as session:
        known = sa.select(StoreOrder.placed_at).where(
            StoreOrder.shop_id == shop_id, StoreOrder.external_id == external_id, sa.not_(StoreOrder.gone)
        )
        placed_at = session.scalar(known)
    if placed_at is not None and with_shop(container, shop_id, lambda shop: shop.hides(placed_at)):
        raise MerchantMustAct(permission.TOO_OLD, "not_shown")


def store(
    container: Container,
    session: Session,
    shop_id: int,
    external_id: str,
    fresh: FreshOrder | None,
    begun: Begun,
    story: Story,
    *,
    only_changes: bool = False,
) -> tuple[int | None, str]:
    """Write what was read in the caller's transaction, then derive what is to be bought from it.

    Writes nothing of the order if that may be older than what is known (`newest.OVERTAKEN`, `newest.OLDER`).
    """
    if fresh is None or fresh.ignored:
        shop = session.get_one(Shop, shop_id)
        return _absent(container, session, shop, external_id, begun, fresh.ignored if fresh else "")
    order = _locked(session, shop_id, fresh)
    story.order_id = order.id
    story.write(session)
    doubt = newest.doubt(session, order, begun, fresh, container.settings.time_scale)
    if doubt:
        return order.id, doubt
    first = order.source_version == 0
    moved = _copy(container, order, fresh)
    changed_order = session.is_modified(order)
    newest.stored(order, begun)
    _readable_again(session, f"unreadable:{shop_id}:{external_id[:60]}")
    lines, new_request, changed_lines = _lines(session, order, fresh, first=first)
    if only_changes and not (changed_order or changed_lines):
        return order.id, "as known"
    shop = session.get_one(Shop, shop_id)
    if first:
        audit(session, "order", order.id, "seen", actor="import", detail={"lines": len(lines)})
    match.derive(
        container,
        session,
        shop,
        order,
        lines,
        first=first,
        new_address=moved and not first,
        new_request=new_request and not first,
    )
    container.database.after_commit(container.bell.ring)
    return order.id, "read again" if not first else "new order"


def _readable_again(session: Session, key: str) -> None:
    if session.scalar(sa.select(Alert.id).where(Alert.dedupe_key == key, Alert.ended_at.is_(None))) is not None:
        end_alerts(session, key)
        end_tasks(session, key, "import")


def _absent(
    container: Container, session: Session, shop: Shop, external_id: str, begun: Begun, ignored: str
) -> tuple[int | None, str]:
    order = session.scalar(
        sa.select(StoreOrder)
        .where(StoreOrder.shop_id == shop.id, StoreOrder.external_id == external_id)
        .with_for_update(key_share=True)
    )
    if order is None:
        if ignored:
            return None, f"not an order yet: {ignored}"
        audit(session, "shop", shop.id, "hint_without_order", actor="import", detail={"ref": external_id[:60]})
        return None, "this shop has no such order"
    if not order.gone and not ignored:
        doubt = newest.doubt(session, order, begun, None, container.settings.time_scale)
        if doubt:
            return order.id, doubt
        order.gone = True
        newest.stored(order, begun)
        lines = locks.lines(session, order.id)
        match.derive(container, session, shop, order, lines)
    return order.id, "gone from the shop" if not ignored else f"ignored: {ignored}"


def _locked(session: Session, shop_id: int, fresh: FreshOrder) -> StoreOrder:
    known = (
        sa.select(StoreOrder)
        .where(StoreOrder.shop_id == shop_id, StoreOrder.external_id == fresh.id)
        .with_for_update(key_share=True)
    )
    return session.scalars(known).one_or_none() or _made(session, shop_id, fresh, known)


def _made(session: Session, shop_id: int, fresh: FreshOrder, known: sa.Select[StoreOrder]) -> StoreOrder:
    session.execute(
        insert(table(StoreOrder))
        .values(
            shop_id=shop_id,
            external_id=fresh.id,
            number=fresh.number,
            source_version=0,
            reads=0,
            currency=fresh.currency,
            paid=False,
            unpaid_reason="",
            cancelled=False,
            gone=False,
            hold="",
            test=fresh.test,
            total=fresh.total.minor,
            shipping_paid=fresh.shipping_paid.minor,
            country="",
            address_problem="",
            placed_at=fresh.created_at,
            changed_at=fresh.updated_at,
            read_at=datetime.min.replace(year=2000, tzinfo=fresh.created_at.tzinfo),
        )
        .on_conflict_do_nothing(index_elements=["shop_id", "external_id"])
    )
    return session.scalars(known).one()


def _copy(container: Container, order: StoreOrder, fresh: FreshOrder) -> bool:
    """Take over what was read. Gives whether the address is another one than before."""
    order.number, order.source_version = fresh.number, max(fresh.version, 1)
    order.currency, order.total, order.shipping_paid = fresh.currency, fresh.total.minor, fresh.shipping_paid.minor
    order.kept = fresh.kept.minor if fresh.kept is not None else None
    order.paid, order.unpaid_reason = fresh.paid, fresh.unpaid_reason
    order.cancelled, order.gone, order.test = fresh.cancelled, fresh.gone, fresh.test
    order.hold, order.changed_at = fresh.hold or "", fresh.updated_at
    order.address_problem = fresh.address_problem
    if fresh.address is not None:
        now = json.loads(json.dumps(address_dict(fresh.address)))
        sealed = order.address_sealed
        before = container.vault.open_json(sealed, order.address_place) if sealed is not None else None
        if before == now:
            return False
        order.country = fresh.address.country
        order.address_sealed = container.vault.seal_json(now, order.address_place)
        return True
    if order.purged_at is None:
        order.address_sealed = None
    return False


def address_dict(address: Address) -> dict[str, object]:
    """An address as plain data."""
    values: dict[str, object] = {name: getattr(address, name) for name in Address.__slots__ if name != "identifiers"}
    values["identifiers"] = [list(pair) for pair in address.identifiers]
    return values


def _lines(
    session: Session, order: StoreOrder, fresh: FreshOrder, *, first: bool
) -> tuple[list[SourceLine], bool, bool]:
    """The order's lines as they are now, whether the merchant asked us anew to fulfil one, whether any changed."""
    new_request = False
    known = {line.external_id: line for line in (() if first else locks.lines(session, order.id))}
    for item in fresh.lines:
        line = known.get(item.id)
        if line is None:
            line = SourceLine(
                order_id=order.id,
                shop_id=order.shop_id,
                external_order_id=order.external_id,
                external_id=item.id,
                product_id=item.product_id,
                variant_id=item.variant_id,
                sku=item.sku,
            )
            session.add(line)
            known[item.id] = line
        # The ids of first sight stay: shops drop or change them when a product is deleted.
        line.product_id = line.product_id or item.product_id
        line.variant_id = line.variant_id or item.variant_id
        line.sku = line.sku or item.sku
        line.title, line.quantity, line.to_ship = item.title, item.quantity, item.to_ship
        line.withdrawn = max((line.withdrawn or 0) - max(item.refunded - (line.refunded or 0), 0), 0)
        line.refunded, line.paid = item.refunded, item.paid.minor
        new_request |= item.request == "submitted" != line.request
        line.requires_shipping, line.at_our_location = item.requires_shipping, item.at_our_location
        line.request = item.request
        requests.asked_for(line, item.requested)
        line.kept_back = item.kept_back
        line.source_version = order.source_version
    present = {item.id for item in fresh.lines}
    for external_id, line in known.items():
        if external_id not in present:
            line.to_ship = line.quantity = line.requested = line.kept_back = 0
    lines = list(known.values())
    moved = any(session.is_modified(line) for line in lines)  # new ones are
    session.flush()  # new lines need their ids before purchases refer to them
    return lines, new_request, moved
