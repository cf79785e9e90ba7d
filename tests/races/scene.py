"""What races are about: a shop, an order that stands just before a step, and what must be true at its end."""

from __future__ import annotations

from collections.abc import Sequence

import sqlalchemy as sa

from app.jobs.drain import Drain
from app.models import Purchase, StoreOrder, Task
from app.pipeline import import_order
from app.pipeline.buy import run as buy
from app.pipeline.buy.claim import claim, free_expired
from tests.flow.world import BOTTLE, World

SHOP = "bottles.myshopify.com"
ENDS = frozenset(("PLACED_UNPAID", "PAY_BLOCKED", "CANCELLED"))


class Shop:
    """One shop with a linked variant in a world that several races share, one after another."""

    def __init__(self, world: World) -> None:
        self.world = world
        self.id = world.shopify_shop(SHOP)
        self.variant = world.shopify_variant(SHOP, "BOTTLE")
        world.link(self.id, self.variant, BOTTLE)
        kinds = [kind for kind in world.drain._kinds if kind.name != "buy"]
        self._before = Drain(world.container, threads=4, kinds=kinds)

    def close(self) -> None:
        """Give the threads back."""
        self._before.close()

    def order(self, pieces: int) -> str:
        """A paid order whose purchase is READY and not yet claimed; its id in the shop."""
        world = self.world
        lines = [{"variant_id": self.variant, "quantity": pieces}]
        made = str(world.shopify.control("orders", {"shop": SHOP, "lines": lines})["id"])
        self.read(made)
        self._before.until_idle()
        assert self.states(made) == ["READY"]
        return made

    def read(self, external_id: str) -> None:
        """A worker reads the order again."""
        with self.world.container.database.transaction() as session:
            now = session.execute(sa.select(sa.func.clock_timestamp())).scalar_one()
        import_order.refresh(self.world.container, self.id, external_id, now)

    def place(self) -> None:
        """A worker claims what is READY and buys it."""
        for claimed in claim(self.world.container, 1):
            buy(self.world.container, claimed)

    def send(self, external_id: str) -> None:
        """Its purchase is sent, however often a busy machine holds the worker up past its deadline."""
        for _ in range(20):
            self.place()
            if set(self.states(external_id)).isdisjoint(("READY", "CLAIMED")):
                return
            with self.world.container.database.transaction() as session:
                now = sa.func.clock_timestamp()
                session.execute(sa.update(Purchase).where(Purchase.state == "READY").values(run_at=now))
        raise AssertionError(self.world.tell())

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

    def finish(self, external_id: str) -> None:
        """Work until each of its purchases is at an end."""
        self.world.settle(seconds=30, until=lambda: set(self.states(external_id)) <= ENDS)

    def tasks(self, external_id: str) -> list[str]:
        """Kinds of open tasks about it."""
        query = sa.select(Task.kind).join(StoreOrder, StoreOrder.id == Task.order_id)
        with self.world.container.database.transaction() as session:
            return list(session.scalars(query.where(StoreOrder.external_id == external_id, Task.done_at.is_(None))))

    def bought(self, known: int) -> list[int]:
        """Pieces of each order that the supplier created after its first `known` ones."""
        return [sum(int(item["quantity"]) for item in line["items"]) for line in self.world.created()[known:]]
