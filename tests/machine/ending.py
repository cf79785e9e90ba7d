"""How a story ends: what was broken is mended, time goes by, people do what they are asked; then nothing may be open."""

from __future__ import annotations

from typing import TYPE_CHECKING

import sqlalchemy as sa

from app import audit_chain
from app.models import Purchase, ShippedParcel, SupplierOrder
from tests.machine.accounted import OPEN, every_line, every_order
from tests.machine.holds import holds
from tests.machine.shops import SHOPIFY, WOOCOMMERCE
from tests.machine.shown import everything

if TYPE_CHECKING:
    from tests.machine.play import Play

NIGHT = (130, 310, 700, 2700, 3700, 1900)
"""Seconds between two looks while nobody is awake whom Waybill could ask."""
PAUSES = (15, 45, 130, 310, 310, 700, 1000, 1900, 3700, 3700, 1900, 1900, 3700, 3700, 1900, 3700)
"""Seconds between two looks: through the checks of an unclear purchase, its quarantine, and what comes after it."""
UNTOLD = 6 * 3600 + 60
"""Seconds until what the supplier tells nobody of, a new tracking number, has been read."""


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
    every_line(play)
    every_order(play)
    everything(play)
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
