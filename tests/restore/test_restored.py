"""A database that is put back to an older state forgets sends. It freezes, catches up, and buys nothing twice.

With PostgreSQL's own programs: a dump into another database, a dump onto another server with a new host's empty
STATE_DIR, and a copy of the data folder.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest
import sqlalchemy as sa

from app.db_migrate import upgrade
from app.errors import Conflict
from app.journal import HOST
from app.models import PlacementFreeze, Purchase, Shop, StoreOrder
from app.pipeline import poll
from app.pipeline.buy import outcome
from app.services import paylist, placement, purchases
from tests.flow.world import BOTTLE, SOCKS, World, running
from tests.restore.backups import Backup, backup

SHOPIFY, WOOCOMMERCE = "bottles.myshopify.com", "socks"


class Trade:
    """Two shops that sell one thing each, to buyers with names of their own."""

    def __init__(self, world: World) -> None:
        self.world = world
        self.shops = [world.shopify_shop(SHOPIFY), world.woocommerce_shop(WOOCOMMERCE)]
        self.bottle = world.shopify_variant(SHOPIFY, "BOTTLE")
        self.socks = world.woocommerce_product(WOOCOMMERCE, "SOCKS")
        world.link(self.shops[1], self.socks, SOCKS)

    def link_bottle(self) -> None:
        self.world.link(self.shops[0], self.bottle, BOTTLE)

    def order_bottle(self, pieces: int = 1) -> None:
        line = {"variant_id": self.bottle, "quantity": pieces}
        self.world.shopify.control("orders", {"shop": SHOPIFY, "lines": [line]})

    def order_socks(self, pieces: int = 1) -> None:
        self.world.woocommerce_order(WOOCOMMERCE, [{"product_id": int(self.socks), "quantity": pieces}])

    def bought(self) -> Counter[tuple[str, int]]:
        """(SKU, pieces) of every order that the supplier really made."""
        items = (item for made in self.world.created() for item in made["items"])
        return Counter((str(item["sku_id"]), int(item["quantity"])) for item in items)

    def until(self, *states: str) -> None:
        self.world.settle(until=lambda: sorted(self.world.states()) == sorted(states), seconds=20)

    def read_all_orders(self) -> None:
        """The poll of both shops, as workers do it."""
        with self.world.container.database.transaction() as session:
            session.execute(sa.update(Shop).values(poll_run_at=sa.func.now(), poll_lease_until=None))
        for claimed in poll.due(self.world.container, 10):
            poll.run(self.world.container, claimed)
        self.world.settle()


@contextmanager
def trading(kept: Backup, redis_url: str, folder: Path) -> Iterator[Trade]:
    upgrade(kept.url)
    folder.mkdir()
    with running(kept.url, redis_url, folder) as world:
        yield Trade(world)


def freezes(world: World) -> list[str]:
    with world.container.database.transaction() as session:
        query = sa.select(PlacementFreeze.reason).where(PlacementFreeze.released_at.is_(None))
        return sorted(session.scalars(query.order_by(PlacementFreeze.id)))


def numbers(world: World) -> list[str]:
    """Supplier orders in the pay list."""
    return sorted(str(row["supplier_order"]) for row in paylist.listed(world.container)["pay"])


OLDER = "the database is older than what this instance remembers: was a backup restored?"
ELSEWHERE = "another database than at the last start"


@pytest.mark.timeout(240)
@pytest.mark.parametrize(
    ("how", "state", "why"),
    [("dump", "kept", OLDER), ("dump_elsewhere", "lost", ELSEWHERE), ("copy", "kept", OLDER)],
)
def test_nothing_is_bought_twice_after_a_restore(
    how: str, state: str, why: str, redis_url: str, tmp_path: Path
) -> None:
    with backup(how, tmp_path / "database") as kept, trading(kept, redis_url, tmp_path / "world") as trade:
        world = trade.world
        trade.order_socks(1)
        trade.until("PLACED_UNPAID")
        trade.order_bottle(1)  # known before the backup, bought after it
        trade.until("PLACED_UNPAID", "HELD")
        world.shut()
        kept.take()
        world.reopen()
        assert freezes(world) == []
        _after_the_backup(trade)
        _deploy(world)
        before, listed = trade.bought(), numbers(world)
        world.shut()
        where = kept.restore()
        more: dict[str, Any] = {} if state == "kept" else {"STATE_DIR": str(tmp_path / "new host")}
        world.reopen(DATABASE_URL=where, **more)

        assert any(why in reason for reason in freezes(world))
        trade.link_bottle()
        world.settle()
        assert trade.bought() == before, "frozen: nothing is sent"
        with pytest.raises(Conflict, match="have not been read since"):
            placement.release(world.container, by="ann", second="bob")

        trade.read_all_orders()
        outcome.replay(world.container)
        world.settle()
        assert len(world.states()) == 5
        if state == "kept":
            assert sorted(world.states()) == ["PLACED_UNPAID"] * 4 + ["UNKNOWN"], "put back, out of our own journal"
            world.settle(until=lambda: numbers(world) == listed, seconds=10)
        for purchase in world.purchases():
            if purchase.state != "PLACED_UNPAID":
                _person_finds(trade, purchase)
        world.settle(until=lambda: world.states() == ["PLACED_UNPAID"] * 5, seconds=20)
        assert len(numbers(world)) == 5

        placement.release(world.container, by="ann", second="bob")
        trade.order_socks(7)
        world.settle(until=lambda: world.states() == ["PLACED_UNPAID"] * 6, seconds=20)
        assert trade.bought() == before + Counter({(SOCKS[1], 7): 1}), "each once, and buying goes on"


def _after_the_backup(trade: Trade) -> None:
    """What the backup will not know: a held order is bought, two new ones are, and one more whose answer is lost."""
    world = trade.world
    trade.link_bottle()
    world.retry(2)
    trade.until("PLACED_UNPAID", "PLACED_UNPAID")
    trade.order_socks(2)
    trade.order_bottle(3)
    trade.until(*["PLACED_UNPAID"] * 4)
    world.aliexpress.control("push", {"lost": 1000})
    world.aliexpress.control("faults", [{"op": "order.create", "times": 1, "kind": "drop_after"}])
    trade.order_socks(5)
    trade.until(*["PLACED_UNPAID"] * 4, "UNKNOWN")
    assert len(world.created()) == 5


def _deploy(world: World) -> None:
    """Other processes take the place of those that sent, which are gone; what they wrote down was recorded long ago."""
    world.shut()
    for place, file in enumerate(sorted((world.folder / "state" / "journal").glob("*.jsonl"))):
        file.rename(file.with_name(f"{HOST}-999999999-{place + 1}.jsonl"))
    world.reopen()
    outcome.replay(world.container)
    assert list(world.container.journal.entries()) == []


def _person_finds(trade: Trade, purchase: Purchase) -> None:
    """They look into the account's list of orders; a number that is not this purchase's is refused."""
    world = trade.world
    with world.container.database.transaction() as session:
        wanted = session.scalars(
            sa.text("SELECT sku_id || ' x ' || quantity FROM purchase_item WHERE purchase_id = :id"),  # type: ignore[call-overload]
            {"id": purchase.id},
        ).all()
    mine, others = [], []
    for made in world.created():
        told = [f"{item['sku_id']} x {item['quantity']}" for item in made["items"]]
        (mine if told == list(wanted) else others).append(str(made["order_id"]))
    for number in others:
        with pytest.raises(Conflict):
            purchases.resolve_found(world.container, purchase.id, [number], by="ann")
    [now] = [one for one in world.purchases() if one.id == purchase.id]
    assert now.state == purchase.state, "a wrong number changes nothing"
    purchases.resolve_found(world.container, purchase.id, mine, by="ann")


def test_a_new_host_alone_freezes_nothing(database_url: str, redis_url: str, tmp_path: Path) -> None:
    with running(database_url, redis_url, tmp_path) as world:
        world.shut()
        world.reopen(STATE_DIR=str(tmp_path / "new host"))
        assert freezes(world) == []
        with world.container.database.transaction() as session:
            assert session.scalar(sa.select(sa.func.count()).select_from(StoreOrder)) == 0
