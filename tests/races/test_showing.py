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

SHOWING = ("pipeline.fulfil.", "pipeline.acts._done", "pipeline.due.")
"""Points of one who shows it, beside its writes."""
CHANGING = ("pipeline.fulfil._shown", "pipeline.acts._done", "pipeline.track.")
"""Points of one who shows it, and of one who reads its new number, beside their writes."""
RENEWED = "after the commit of app.pipeline.acts._Lease.renew"
"""Between the renewal of the lease and the call. At WooCommerce, whoever stops there until its lease is over is not
stopped from writing twice (docs/never-twice.md, section 5)."""
WRITE = "before the call shopify.FulfillParcel"
NOTES = ("before the call woocommerce.notes.create", "before the call woocommerce.orders.update")
NEW_WRITE = "before the call woocommerce.fulfilments.create"
"""Writes that show it: in Shopify, in WooCommerce without and with the endpoint for fulfilments."""


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

    def gets_number(self) -> None:
        """It gets its final number, which is read."""
        new = f"UA{self.ref}"
        numbers = {"order_id": self.ref, "old": self.number, "new": new}
        self.shop.world.aliexpress.control("renumber", numbers)
        self.number = new
        self.shop.track(self.order)

    def renumber(self) -> None:
        """It gets its final number, which is read and shown."""
        self.gets_number()
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
    assert every_order(shared_world, scene, at=(*SHOWING, RENEWED, WRITE), both=False) > 4


def test_a_worker_whose_lease_is_over_while_it_shows(shop: Shop, shared_world: World) -> None:
    """Nothing is left to be shipped: the shop refuses the second one, who finds what the first has shown."""
    assert (
        every_order(
            shared_world, pair(shop, Parcel.show, Parcel.lease_is_over), at=(*SHOWING, RENEWED, WRITE), both=False
        )
        > 4
    )


def test_showing_and_a_new_number(shop: Shop, shared_world: World) -> None:
    assert every_order(shared_world, pair(shop, Parcel.show, Parcel.renumber), at=(*CHANGING, RENEWED, WRITE)) > 8


def test_two_workers_at_woocommerce(woo: Shop, shared_world: World) -> None:
    assert (
        every_order(shared_world, pair(woo, Parcel.show, Parcel.show), at=(*SHOWING, RENEWED, *NOTES), both=False) > 4
    )


def test_two_workers_at_a_newer_woocommerce(new_woo: Shop, shared_world: World) -> None:
    assert (
        every_order(
            shared_world, pair(new_woo, Parcel.show, Parcel.show), at=(*SHOWING, RENEWED, NEW_WRITE), both=False
        )
        > 3
    )


def test_showing_and_a_new_number_at_woocommerce(woo: Shop, shared_world: World) -> None:
    assert every_order(shared_world, pair(woo, Parcel.show, Parcel.renumber), at=(*CHANGING, *NOTES)) > 8


def test_a_worker_whose_lease_is_over_while_it_shows_at_woocommerce(woo: Shop, shared_world: World) -> None:
    """The shop refuses nothing: whoever lost its lease finds that out before its next call."""
    assert (
        every_order(shared_world, pair(woo, Parcel.show, Parcel.lease_is_over), at=(*SHOWING, *NOTES), both=False) > 4
    )


def test_a_worker_whose_lease_is_over_while_it_shows_at_a_newer_woocommerce(new_woo: Shop, shared_world: World) -> None:
    assert (
        every_order(
            shared_world, pair(new_woo, Parcel.show, Parcel.lease_is_over), at=(*SHOWING, NEW_WRITE), both=False
        )
        > 3
    )


def brought_up_to_date(shop: Shop) -> Callable[[], Scene]:
    """It is shown, and has a new number by now: a worker whose lease is over while it writes that one."""

    def scene() -> Scene:
        parcel = Parcel(shop)
        parcel.show()
        parcel.gets_number()
        return parcel.show, parcel.lease_is_over, parcel.problems

    return scene


def test_a_number_is_brought_up_to_date_by_two(shop: Shop, shared_world: World) -> None:
    write = "before the call shopify.UpdateTracking"
    assert every_order(shared_world, brought_up_to_date(shop), at=(*SHOWING, RENEWED, write), both=False) > 4


def test_a_number_is_brought_up_to_date_by_two_at_woocommerce(woo: Shop, shared_world: World) -> None:
    assert every_order(shared_world, brought_up_to_date(woo), at=(*SHOWING, *NOTES), both=False) > 4


def test_a_number_is_brought_up_to_date_by_two_at_a_newer_woocommerce(new_woo: Shop, shared_world: World) -> None:
    write = "before the call woocommerce.fulfilments.update"
    assert every_order(shared_world, brought_up_to_date(new_woo), at=(*SHOWING, write), both=False) > 3
