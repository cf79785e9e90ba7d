"""Parcels are shown in the shop, each once; a new number updates, never adds. Driven by the outbox."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from datetime import timedelta

import sqlalchemy as sa

from app.calls import Story
from app.container import Container
from app.db import changed
from app.errors import NotFound
from app.logs import logger
from app.models import (
    Outbox,
    ParcelItem,
    Purchase,
    PurchaseItem,
    ShippedParcel,
    Shop,
    SourceLine,
    StoreOrder,
    SupplierOrder,
)
from app.pipeline.due import OUTBOX, Claim, claim_due
from app.pipeline.record import audit, task
from app.ports.errors import MerchantMustAct, OutsideError, Refused
from app.ports.storefront import Fulfilment, Parcel, ParcelLine, Request
from app.shop_access import with_shop

log = logger(__name__)
TRIES = (2, 10, 60, 300, 900, 3600)
"""Seconds until an act is tried again; the last one repeats."""


def due(container: Container, most: int) -> Sequence[Claim]:
    """Outbox rows that are due."""
    return claim_due(container, "outbox", OUTBOX, most)


def run(container: Container, claimed: Claim) -> None:
    """Do one act of the outbox."""
    with container.database.transaction() as session:
        row = session.get_one(Outbox, claimed.id)
    if row.state != "DUE":
        return
    with container.calls.story(row.order_id) as story:
        try:
            result = _act(container, row)
            _done(container, row, "DONE", result, story)
        except Refused as error:
            _done(container, row, "STUCK", f"refused: {error.code}", story)
        except MerchantMustAct as error:
            _again(container, row, f"waits for the merchant: {error.reason}", 900, story)
        except (OutsideError, NotFound) as error:
            wait = getattr(error, "retry_after", None) or TRIES[min(row.attempts, len(TRIES)) - 1]
            _again(container, row, f"later: {error.code}", wait, story)


def _act(container: Container, row: Outbox) -> str:
    if row.kind == "fulfil":
        return show(container, int(row.payload["parcel_id"]))
    if row.kind == "reject_request":
        return _reject_request(container, row)
    if row.kind == "answer_cancellation":
        return _answer_cancellation(container, row)
    raise NotFound("unknown_act", f"The outbox holds an act of unknown kind {row.kind!r}.")


def show(container: Container, parcel_id: int) -> str:
    """Show one parcel in its shop, or bring its number up to date there."""
    with container.database.transaction() as session:
        parcel = session.get_one(ShippedParcel, parcel_id)
        order = session.get_one(SupplierOrder, parcel.supplier_order_id)
        purchase = session.get_one(Purchase, order.purchase_id)
        shop = session.get_one(Shop, purchase.shop_id)
        store_order = session.get_one(StoreOrder, purchase.order_id)
        lines = _lines(session, parcel)
    if parcel.shown_number == parcel.tracking_number:
        return "shown already"
    if shop.state == "UNINSTALLED":
        raise MerchantMustAct("shop_gone", "UNINSTALLED")  # kept, without a call: shown after a reinstall
    if not lines:
        return "holds nothing of this order"
    given = Parcel(
        key=f"p{parcel.id}",
        tracking_number=parcel.tracking_number,
        carrier=parcel.carrier,
        tracking_url=parcel.tracking_url,
        lines=lines,
        notify=shop.notify_customer,
    )
    if parcel.fulfilment_ref:
        ref = parcel.fulfilment_ref
        made = with_shop(
            container, shop.id, lambda session: session.update_tracking(store_order.external_id, ref, given)
        )
    else:
        made = with_shop(container, shop.id, lambda session: session.fulfil(store_order.external_id, given))
    _shown(container, parcel_id, given, made)
    return f"shown as {made.id}"


def _lines(session: sa.orm.Session, parcel: ShippedParcel) -> tuple[ParcelLine, ...]:
    rows = session.execute(
        sa.select(SourceLine.external_id, ParcelItem.quantity)
        .join(PurchaseItem, PurchaseItem.id == ParcelItem.purchase_item_id)
        .join(SourceLine, SourceLine.id == PurchaseItem.source_line_id)
        .where(ParcelItem.parcel_id == parcel.id, PurchaseItem.position == 1)
        .order_by(SourceLine.id)
    ).all()
    pieces: Counter[str] = Counter()
    for line_id, quantity in rows:
        pieces[line_id] += int(quantity)
    return tuple(ParcelLine(line_id, quantity) for line_id, quantity in pieces.items())


def _shown(container: Container, parcel_id: int, given: Parcel, made: Fulfilment) -> None:
    with container.database.transaction() as session:
        parcel = session.get_one(ShippedParcel, parcel_id, with_for_update=True)
        parcel.fulfilment_ref, parcel.shown_number = made.id, given.tracking_number
        audit(
            session,
            "parcel",
            parcel.id,
            "shown",
            actor="fulfil",
            detail={"fulfilment": made.id, "number": given.tracking_number},
        )


def _reject_request(container: Container, row: Outbox) -> str:
    with container.database.transaction() as session:
        order = session.get_one(StoreOrder, row.order_id)
        lines = session.scalars(
            sa.select(SourceLine.external_id)
            .join(PurchaseItem, PurchaseItem.source_line_id == SourceLine.id)
            .where(PurchaseItem.purchase_id == int(row.payload["purchase_id"]), SourceLine.at_our_location)
        ).all()
    message, reason = "This cannot be ordered at the supplier.", str(row.payload["reason"])
    _answer(container, order, lines, "fulfilment", accept=False, reason=reason, message=message)
    return "rejected"


def _answer_cancellation(container: Container, row: Outbox) -> str:
    """Rejections first: a request is answered as a whole, and what was sent decides for all of it."""
    with container.database.transaction() as session:
        order = session.get_one(StoreOrder, row.order_id)
    said = []
    for accept, message in ((False, "It was ordered at the supplier already."), (True, "Nothing was ordered yet.")):
        lines = [str(line) for line in row.payload["accept" if accept else "reject"]]
        if lines:
            said.append(f"{'accepted' if accept else 'rejected'} for {len(lines)} lines")
            _answer(container, order, lines, "cancellation", accept=accept, message=message)
    return f"cancellation {', '.join(said)}"


def _answer(
    container: Container,
    order: StoreOrder,
    lines: Sequence[str],
    about: Request,
    *,
    accept: bool,
    message: str,
    reason: str = "other",
) -> None:
    with_shop(
        container,
        order.shop_id,
        lambda shop: shop.answer_request(
            order.external_id, lines, about=about, accept=accept, reason=reason, message=message
        ),
    )


def _done(container: Container, row: Outbox, state: str, result: str, story: Story) -> None:
    with container.database.transaction() as session:
        story.write(session)
        mine = sa.update(Outbox).where(Outbox.id == row.id)
        done = {"state": state, "result": result[:300], "done_at": sa.func.clock_timestamp(), "lease_until": None}
        if not changed(session, mine.where(Outbox.run_at == row.run_at).values(**done)):
            session.execute(mine.values(lease_until=None))  # asked for again meanwhile: it stays due
            return
        if state == "STUCK":
            task(
                session,
                f"outbox:{row.id}",
                "shop_refused",
                turn="us",
                text=f"The shop refused what we wanted to write ({row.kind}): {result}.",
                shop_id=row.shop_id,
                order_id=row.order_id,
            )


def _again(container: Container, row: Outbox, result: str, wait: float, story: Story) -> None:
    with container.database.transaction() as session:
        if row.attempts in {1, 5}:
            story.write(session)
        session.execute(
            sa.update(Outbox)
            .where(Outbox.id == row.id)
            .values(
                result=result[:300],
                lease_until=None,
                run_at=sa.func.clock_timestamp() + timedelta(seconds=wait) / container.settings.time_scale,
            )
        )
