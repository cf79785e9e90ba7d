"""How a story ends: what was broken is mended, time goes by, people do what they are asked; then nothing may be open."""

from __future__ import annotations

from collections import Counter
from typing import TYPE_CHECKING

import sqlalchemy as sa

from app import audit_chain
from app.domain.purchase_flow import PLACED
from app.local.demo.ledgers import fulfilment
from app.models import (
    Purchase,
    PurchaseItem,
    ShippedParcel,
    SourceLine,
    StoreOrder,
    SupplierOrder,
    Task,
)
from tests.machine.holds import holds
from tests.machine.shops import SHOPIFY, SLUG, WOOCOMMERCE, Order

if TYPE_CHECKING:
    from tests.machine.play import Play

NIGHT = (130, 310, 700, 2700, 3700, 1900)
"""Seconds between two looks while nobody is awake whom Waybill could ask."""
PAUSES = (15, 45, 130, 310, 310, 700, 1000, 1900, 3700, 3700, 1900, 1900, 3700, 3700, 1900, 3700)
"""Seconds between two looks: through the checks of an unclear purchase, its quarantine, and what comes after it."""
UNTOLD = 6 * 3600 + 60
"""Seconds until what the supplier tells nobody of, a new tracking number, has been read."""
OPEN = frozenset(("DRAFT", "READY", "CLAIMED", "SENDING", "UNKNOWN"))
"""States in which no paid line may be once all is quiet (I11)."""


def end(play: Play) -> None:
    """Raises `Broken`."""
    play.hear()
    play.work(200)
    play.after_step()
    _mend(play)
    for pause in NIGHT if play.scene.night else ():
        _machines(play)
        play.pass_time(pause)
        play.sweep()
    before = None
    for count, pause in enumerate(PAUSES):
        _everybody(play)
        after = _standing(play)
        if count >= 2 and before == after and not _something_open(play):
            break
        before = after
        play.pass_time(pause)
    if any(bought.renumbered for bought in play.ledger.orders.values()):
        play.pass_time(UNTOLD)
        _machines(play)
    play.poll_now()
    play.work(400)
    play.after_step()
    _accounted_for(play)
    _nothing_unknown(play)
    _shown(play)
    audit_chain.seal(play.container)
    verdict = audit_chain.verify(play.container)
    holds(verdict.intact, f"I9: {verdict}")


def _mend(play: Play) -> None:
    play.pass_time(play.scene.stall)
    for worker in play.workers:
        if play.scene.deaths:
            play.kill(worker)
        play.go(worker, 0)
    play.world.aliexpress.control("faults", [])
    play.supplier("push", {"lost": 0})
    for server in (play.world.shopify, play.world.woocommerce):
        server.call("DELETE", "/_control/faults")
    play.market.as_before()
    for shop in (SHOPIFY, WOOCOMMERCE):
        play.connections.revive_account(shop)
        play.connections.come_back(shop)
        play.money.choose(shop, "large")
    play.people.freeze(stop=False)
    play.after_step()


def _machines(play: Play) -> None:
    """What can be done without anybody."""
    play.poll_now()
    for _ in range(8):
        play.after_step()
        letters = len(play.postbox.waiting)
        play.deliver_all()
        if not play.work(200) and not letters:
            break


def _everybody(play: Play) -> None:
    """What there is to do now."""
    _machines(play)
    play.sweep()
    people = play.people
    for act in (people.look_into_unclear, people.dismiss_strays, people.retry, people.again, people.pay, people.ship):
        act()
    play.after_step()
    play.work(200)


def _something_open(play: Play) -> bool:
    with play.container.database.transaction() as session:
        unclear = sa.select(sa.func.count()).where(Purchase.state.in_((*OPEN, "HUMAN")))
        return bool(session.scalar(unclear.select_from(Purchase))) or bool(play.postbox.waiting)


def _standing(play: Play) -> object:
    """Everything that may still change while people do what they are asked."""
    with play.container.database.transaction() as session:
        orders = session.execute(
            sa.select(SupplierOrder.external_id, SupplierOrder.payment, SupplierOrder.shipping, SupplierOrder.closed)
        )
        parcels = session.execute(sa.select(ShippedParcel.tracking_number, ShippedParcel.shown_number))
        return (
            session.execute(sa.select(Purchase.id, Purchase.state).order_by(Purchase.id)).all(),
            sorted(map(tuple, orders)),
            sorted(map(tuple, parcels)),
            len(play.world.aliexpress.control("ledger")),
        )


def _accounted_for(play: Play) -> None:
    """I11, P2: every paid line stands somewhere, and what is said to be placed is at the supplier."""
    with play.container.database.transaction() as session:
        for order in play.shops.orders:
            if not +order.wanted:
                continue
            row = session.scalar(sa.select(StoreOrder).where(StoreOrder.external_id == order.external_id))
            holds(row is not None, f"P2: the paid order of {order.buyer} is not known")
            assert row is not None
            query = (
                sa.select(Purchase, PurchaseItem, SourceLine.external_id)
                .join(PurchaseItem, PurchaseItem.purchase_id == Purchase.id)
                .join(SourceLine, SourceLine.id == PurchaseItem.source_line_id)
                .where(Purchase.order_id == row.id, Purchase.state != "CANCELLED", PurchaseItem.quantity > 0)
            )
            found = [(purchase, item, str(line)) for purchase, item, line in session.execute(query)]
            replaced = {purchase.previous_id for purchase, _, _ in found}
            living = [one for one in found if one[0].id not in replaced]
            tasks = session.scalar(sa.select(sa.func.count()).select_from(Task).where(Task.order_id == row.id)) or 0
            _order_accounted_for(play, order, living, asked=bool(tasks))


def _order_accounted_for(
    play: Play, order: Order, living: list[tuple[Purchase, PurchaseItem, str]], *, asked: bool
) -> None:
    for purchase, _, _ in living:
        holds(
            purchase.state not in OPEN,
            f"I11: purchase {purchase.id} of {order.buyer} is {purchase.state} ({purchase.reason}) at the end",
        )
    live = play.ledger.live_of(order.name_hash)
    for line_id, sku in order.lines:
        wanted = order.wanted[sku]
        stands = sum(item.quantity for _, item, line in living if line == line_id)
        holds(stands >= wanted or asked, f"P2: {wanted} of {sku} for {order.buyer} are paid, {stands} accounted for")
        elsewhere = asked or any(line == line_id and purchase.state not in PLACED for purchase, _, line in living)
        holds(
            live[sku] >= wanted or elsewhere,
            f"P2: {order.buyer}'s {sku} is said to be placed; the supplier has {live[sku]} of {wanted}",
        )


def _nothing_unknown(play: Play) -> None:
    """I7: every order in the supplier's ledger is attached, or in the list of those that belong to nobody."""
    with play.container.database.transaction() as session:
        known = set(session.scalars(sa.select(SupplierOrder.external_id)))
        human = session.scalar(
            sa.select(sa.func.count()).select_from(Purchase).where(Purchase.state.in_(("HUMAN", "UNKNOWN", "SENDING")))
        )
    lost = sorted(set(play.ledger.orders) - known)
    holds(not lost or bool(human), f"I7: nobody knows of {lost}")


def _shown(play: Play) -> None:
    """I13: a shop shows only parcels that were shipped, each once; and all of them where nothing was changed."""
    renumbered: dict[str, str] = {}
    for bought in play.ledger.orders.values():
        renumbered |= bought.renumbered
    shown: Counter[str] = Counter()
    for shop, server in ((SHOPIFY, play.world.shopify), (WOOCOMMERCE, play.world.woocommerce)):
        for line in server.control("ledger"):
            read = fulfilment(shop, line)
            if read is not None:
                shown[_newest(read[0], renumbered)] += 1
    shipped = {number for bought in play.ledger.orders.values() for number in bought.parcels}
    for number, times in shown.items():
        holds(number in shipped, f"I13: a shop shows parcel {number}, which nobody shipped")
        holds(times == 1, f"I13: parcel {number} is shown {times} times")
    there = _numbers_now(play)
    untouched = {order.name_hash for order in play.shops.orders if len(order.history) == 1 and not order.changed}
    for bought in play.ledger.orders.values():
        for number in bought.parcels if bought.name_hash in untouched and not bought.closed else ():
            holds(shown[number] == 1, f"I13: parcel {number} was shipped and is not shown")
            holds(number in there | bought.too_late, f"I13: parcel {number} is shown by a number that is no more")


def _numbers_now(play: Play) -> set[str]:
    """Tracking numbers as both shops show them in the end."""
    orders = play.world.shopify.control("state")["orders"]
    shopify = {info["number"] for order in orders for one in order["fulfillments"] for info in one["tracking"]}
    rows = play.world.woocommerce.control("state")["shops"][SLUG]["fulfilments"].values()
    metas = [meta for row in rows for meta in row["meta_data"] if meta["key"] == "_tracking_number"]
    return {str(number) for number in shopify} | {str(meta["value"]) for meta in metas}


def _newest(number: str, renumbered: dict[str, str]) -> str:
    while number in renumbered:
        number = renumbered[number]
    return number
