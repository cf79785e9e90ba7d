"""What races are about: a shop, an order that stands just before a step, and what must be true at its end."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from datetime import datetime, timedelta

import sqlalchemy as sa

from app import db
from app.container import Container
from app.jobs.drain import KINDS, Drain
from app.models import Attempt, Outbox, Purchase, PurchaseItem, StoreOrder, SupplierOrder, Task
from app.pipeline import import_order, track
from app.pipeline.buy import run as buy
from app.pipeline.buy.claim import claim, free_expired
from app.pipeline.due import Claim
from app.shop_access import with_shop
from tests.flow.world import BOTTLE, World

SHOP = "bottles.myshopify.com"
ENDS = frozenset(("PLACED_UNPAID", "PAY_BLOCKED", "CANCELLED", "VOID"))


class Shop:
    """One shop with a linked variant in a world that several races share, one after another."""

    def __init__(self, world: World, number: int, variant: str) -> None:
        self.world, self.id, self.variant = world, number, variant
        kinds = [kind for kind in KINDS if kind.name in {"inbox", "track", "act", "reconcile"}]
        self._before = Drain(world.container, threads=4, kinds=kinds)

    def close(self) -> None:
        """Give the threads back."""
        self._before.close()

    def made(self, pieces: int) -> str:
        """A paid order that nobody told us about; its id in the shop."""
        asked = {"shop": SHOP, "lines": [{"variant_id": self.variant, "quantity": pieces}], "webhooks": False}
        return str(self.world.shopify.control("orders", asked)["id"])

    def order(self, pieces: int) -> str:
        """A paid order whose purchase is READY and not yet claimed; its id in the shop."""
        with self.world.container.database.transaction() as session:
            # Those of earlier races need not be read any more: on a busy machine that would never come to its end.
            session.execute(sa.update(SupplierOrder).values(track_run_at=None))
        made = self.made(pieces)
        self.read(made)
        self._before.until_idle()
        assert self.states(made) == ["READY"]
        return made

    def cancel(self, external_id: str) -> None:
        """The whole order is cancelled in the shop."""
        self.world.shopify.control(f"orders/{external_id}/cancel", {})

    def refund(self, external_id: str) -> None:
        """An order of one piece is refunded in the shop."""
        self.world.refund(external_id, 1)

    def read(self, external_id: str) -> None:
        """A worker reads the order again."""
        with self.world.container.database.transaction() as session:
            now = session.execute(sa.select(sa.func.clock_timestamp())).scalar_one()
        import_order.refresh(self.world.container, self.id, external_id, now)

    def place(self) -> None:
        """A worker claims what is READY and buys it."""
        self._place(self.world.container)

    def place_too_late(self) -> None:
        """As `place`, by a worker whose deadline is over whenever it would send."""
        container = self.world.container
        self._place(replace(container, timers=replace(container.timers, send_deadline=timedelta(0))))

    @staticmethod
    def _place(container: Container) -> None:
        for claimed in claim(container, 1):
            buy(container, claimed)

    def send(self, external_id: str) -> None:
        """Its purchase is sent, however often a busy machine holds the worker up past its deadline."""
        for _ in range(20):
            self.place()
            if set(self.states(external_id)).isdisjoint(("READY", "CLAIMED")):
                return
            self._ready_now()
        raise AssertionError(self.world.tell())

    def now(self) -> datetime:
        """By the database's clock."""
        with self.world.container.database.transaction() as session:
            return db.now(session)

    def sent_after(self, external_id: str, moment: datetime) -> bool:
        """Whether a send of its purchases passed the point of no return after this moment."""
        ids = [purchase.id for purchase in self.purchases(external_id)]
        late = sa.exists().where(Attempt.purchase_id.in_(ids), Attempt.sent_at > moment)
        with self.world.container.database.transaction() as session:
            return bool(session.scalar(sa.select(late)))

    def sweep_and_place(self) -> None:
        """Every lease is over: the sweeper frees it, and another worker goes on."""
        with self.world.container.database.transaction() as session:
            over = sa.func.clock_timestamp() - sa.text("interval '1 second'")
            session.execute(sa.update(Purchase).where(Purchase.state == "CLAIMED").values(lease_until=over))
        free_expired(self.world.container)
        self.place()

    def purchases(self, external_id: str) -> Sequence[Purchase]:
        """Of this order, oldest first."""
        mine = sa.select(Purchase).join(StoreOrder, StoreOrder.id == Purchase.order_id).order_by(Purchase.id)
        with self.world.container.database.transaction() as session:
            return session.scalars(
                mine.where(StoreOrder.shop_id == self.id, StoreOrder.external_id == external_id)
            ).all()

    def states(self, external_id: str) -> list[str]:
        """States of its purchases."""
        return [purchase.state for purchase in self.purchases(external_id)]

    def wanted(self, external_id: str) -> list[int]:
        """Pieces of each item of its purchases."""
        mine = [purchase.id for purchase in self.purchases(external_id)]
        query = sa.select(PurchaseItem.quantity).where(PurchaseItem.purchase_id.in_(mine)).order_by(PurchaseItem.id)
        with self.world.container.database.transaction() as session:
            return list(session.scalars(query))

    def track(self, external_id: str) -> None:
        """A worker reads its supplier orders."""
        container, ids = self.world.container, [purchase.id for purchase in self.purchases(external_id)]
        with container.database.transaction() as session:
            orders = session.scalars(sa.select(SupplierOrder.id).where(SupplierOrder.purchase_id.in_(ids))).all()
        for order_id in orders:
            track.run(container, Claim(order_id, container.clock.now()))

    def finish_acts(self) -> None:
        """Work until nothing is to be written into shops any more."""

        def idle() -> bool:
            with self.world.container.database.transaction() as session:
                return session.scalar(sa.select(Outbox.id).where(Outbox.state == "DUE").limit(1)) is None

        self.world.settle(seconds=30, until=idle)

    def shown(self, external_id: str) -> list[str]:
        """Tracking numbers of the parcels that the shop shows for it."""
        found = with_shop(self.world.container, self.id, lambda session: session.fulfilments(external_id))
        return [number for parcel in found for number in parcel.tracking_numbers]

    def finish(self, external_id: str) -> None:
        """Work until each of its purchases is at an end."""

        def ended() -> bool:
            self._ready_now()
            return set(self.states(external_id)) <= ENDS

        self.world.settle(seconds=60, until=ended)

    def _ready_now(self) -> None:
        """What a busy machine held up past its deadline is tried again at once, not after a pause that grows."""
        with self.world.container.database.transaction() as session:
            now = sa.func.clock_timestamp()
            session.execute(sa.update(Purchase).where(Purchase.state == "READY").values(run_at=now))

    def tasks(self, external_id: str) -> list[str]:
        """Kinds of open tasks about it."""
        query = sa.select(Task.kind).join(StoreOrder, StoreOrder.id == Task.order_id)
        with self.world.container.database.transaction() as session:
            return list(session.scalars(query.where(StoreOrder.external_id == external_id, Task.done_at.is_(None))))

    def bought(self, known: int) -> list[int]:
        """Pieces of each order that the supplier created after its first `known` ones."""
        return [sum(int(item["quantity"]) for item in line["items"]) for line in self.world.created()[known:]]


def bottles(world: World) -> Shop:
    """A Shopify shop that sells bottles."""
    shop, variant = world.shopify_shop(SHOP), world.shopify_variant(SHOP, "BOTTLE")
    world.link(shop, variant, BOTTLE)
    return Shop(world, shop, variant)
