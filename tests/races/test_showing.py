"""Two show one parcel: the shop shows it once, with its newest number."""

from __future__ import annotations

from collections.abc import Callable, Iterator

import pytest
import sqlalchemy as sa

from app.models import Outbox
from app.pipeline import acts
from tests.flow.world import BOTTLE, World
from tests.races.barrier import Scene, every_order
from tests.races.scene import Shop
from tests.races.woo import WooShop

SHOWING = ("pipeline.fulfil.", "pipeline.acts._done", "pipeline.due.", "before the call")
"""Points of one who shows it."""
CHANGING = ("pipeline.fulfil._shown", "pipeline.acts._done", "pipeline.track.", "before the call")
"""Points of one who shows it, and of one who reads its new number."""


@pytest.fixture(scope="module")
def woo(shared_world: World) -> Iterator[Shop]:
    """A WooCommerce shop without the endpoint for fulfilments."""
    made = WooShop(shared_world, fulfilments=False)
    yield made
    made.close()


@pytest.fixture(scope="module")
def new_woo(shared_world: World) -> Iterator[Shop]:
    """A WooCommerce shop with it."""
    made = WooShop(shared_world, fulfilments=True)
    yield made
    made.close()


@pytest.fixture(scope="module", autouse=True)
def no_pushes(shared_world: World) -> None:
    """Parcels are found by reading the order."""
    shared_world.aliexpress.control("push", {"lost": -1})


class Parcel:
    """A parcel of one piece that is to be shown: its order, its number at the supplier."""

    def __init__(self, shop: Shop, pieces: int = 1) -> None:
        self.shop, self.container = shop, shop.world.container
        self.order = shop.order(pieces)
        known = len(shop.world.created())
        shop.send(self.order)
        self.ref = str(shop.world.created()[known]["order_id"])
        self.number = f"LP{self.ref}"
        shop.world.aliexpress.control("pay", {"order_id": self.ref})
        shop.track(self.order)
        item = {"product_id": BOTTLE[0], "sku_id": BOTTLE[1], "quantity": 1}
        parcel = {"tracking_number": self.number, "items": [item]}
        shop.world.aliexpress.control("ship", {"order_id": self.ref, "parcels": [parcel]})
        shop.track(self.order)

    def show(self) -> None:
        """A worker does what is due."""
        for claimed in acts.due(self.container, 5):
            acts.run(self.container, claimed)

    def lease_is_over(self) -> None:
        """Another worker does it, because the first one's lease is over."""
        with self.container.database.transaction() as session:
            over = sa.func.clock_timestamp() - sa.text("interval '1 second'")
            session.execute(sa.update(Outbox).where(Outbox.lease_until.is_not(None)).values(lease_until=over))
        self.show()

    def renumber(self) -> None:
        """It gets its final number, which is read and shown."""
        new = f"UA{self.ref}"
        numbers = {"order_id": self.ref, "old": self.number, "new": new}
        self.shop.world.aliexpress.control("renumber", numbers)
        self.number = new
        self.shop.track(self.order)
        self.show()

    def problems(self) -> list[str]:
        """Unless the shop shows this number alone, once, and nobody is asked about it."""
        self.shop.finish_acts()
        shown, tasks = self.shop.shown(self.order), self.shop.tasks(self.order)
        return [] if (shown, tasks) == ([self.number], []) else [f"shown {shown} instead of {self.number}, {tasks}"]


def pair(
    shop: Shop, one: Callable[[Parcel], object], other: Callable[[Parcel], object], *, pieces: int = 1
) -> Callable[[], Scene]:
    """Two who show a parcel of an order of so many `pieces`."""

    def scene() -> Scene:
        parcel = Parcel(shop, pieces)
        return lambda: one(parcel), lambda: other(parcel), parcel.problems

    return scene


def test_two_workers(shop: Shop, shared_world: World) -> None:
    """What is still to be shipped would let the shop show it twice."""
    scene = pair(shop, Parcel.show, Parcel.show, pieces=2)
    assert every_order(shared_world, scene, at=SHOWING, both=False) > 4


def test_a_worker_whose_lease_is_over_while_it_shows(shop: Shop, shared_world: World) -> None:
    """Nothing is left to be shipped: the shop refuses the second one, who finds what the first has shown."""
    assert every_order(shared_world, pair(shop, Parcel.show, Parcel.lease_is_over), at=SHOWING, both=False) > 4


def test_showing_and_a_new_number(shop: Shop, shared_world: World) -> None:
    assert every_order(shared_world, pair(shop, Parcel.show, Parcel.renumber), at=CHANGING) > 8


def test_two_workers_at_woocommerce(woo: Shop, shared_world: World) -> None:
    assert every_order(shared_world, pair(woo, Parcel.show, Parcel.show), at=SHOWING, both=False) > 4


def test_two_workers_at_a_newer_woocommerce(new_woo: Shop, shared_world: World) -> None:
    assert every_order(shared_world, pair(new_woo, Parcel.show, Parcel.show), at=SHOWING, both=False) > 3


def test_showing_and_a_new_number_at_woocommerce(woo: Shop, shared_world: World) -> None:
    assert every_order(shared_world, pair(woo, Parcel.show, Parcel.renumber), at=CHANGING) > 8


def test_a_worker_whose_lease_is_over_while_it_shows_at_woocommerce(woo: Shop, shared_world: World) -> None:
    """The shop refuses nothing: whoever lost its lease finds that out before its next call."""
    assert every_order(shared_world, pair(woo, Parcel.show, Parcel.lease_is_over), at=SHOWING, both=False) > 4


def test_a_worker_whose_lease_is_over_while_it_shows_at_a_newer_woocommerce(new_woo: Shop, shared_world: World) -> None:
    assert every_order(shared_world, pair(new_woo, Parcel.show, Parcel.lease_is_over), at=SHOWING, both=False) > 3
