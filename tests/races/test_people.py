"""What people do while a worker places an order, and two who press the same button."""

from __future__ import annotations

import contextlib
import itertools
from collections.abc import Callable
from datetime import datetime

import sqlalchemy as sa

from app.errors import Conflict
from app.models import Purchase, SupplierAccount, SupplierOrder
from app.services import accounts, placement, purchases
from tests.flow.world import World
from tests.races.barrier import Scene, every_order
from tests.races.points import PLACING
from tests.races.scene import Shop

ACTING = (*PLACING, "services.")
"""Points of a placement and of a person's act."""
numbers = itertools.count(1)


def test_placement_and_freeze(shop: Shop, shared_world: World) -> None:
    """Once it is frozen no send begins: what is sent all the same was past the point of no return."""
    container = shared_world.container

    def scene() -> Scene:
        order, known = shop.order(1), len(shared_world.created())
        frozen_at = list[datetime]()

        def freeze() -> None:
            placement.freeze(container, f"race {next(numbers)}", by="ann")
            frozen_at.append(shop.now())

        def problems() -> list[str]:
            wrong = ["sent after it was frozen"] if shop.sent_after(order, frozen_at[0]) else []
            placement.release(container, by="ann", second="bob")
            shop.finish(order)
            bought = shop.bought(known)
            return wrong if bought == [1] else [*wrong, f"{bought} bought"]

        return shop.place, freeze, problems

    assert every_order(shared_world, scene, at=ACTING) > 8


def test_placement_and_another_account(shop: Shop, shared_world: World) -> None:
    """It is bought once, and followed in the account that bought it."""
    container = shared_world.container

    def scene() -> Scene:
        order, known = shop.order(1), len(shared_world.created())
        fresh = shared_world.aliexpress.control("accounts", {})

        def connect() -> None:
            tokens = fresh["access_token"], fresh["refresh_token"]
            accounts.connect(container, shop.id, *tokens, user_id=str(fresh["user_id"]), actor="test")
            shop.read(order)

        def problems() -> list[str]:
            shop.finish(order)
            made = [(line["order_id"], str(line["account"])) for line in shared_world.created()[known:]]
            ids = [purchase.id for purchase in shop.purchases(order)]
            kept = (
                sa.select(SupplierOrder.external_id, SupplierAccount.user_id)
                .join(SupplierAccount, SupplierAccount.id == SupplierOrder.account_id)
                .where(SupplierOrder.purchase_id.in_(ids))
            )
            with container.database.transaction() as session:
                followed = [(row.external_id, row.user_id) for row in session.execute(kept)]
            return [] if len(made) == 1 and followed == made else [f"bought {made}, followed {followed}"]

        return shop.place, connect, problems

    points = ("buy.commit.", "order.create", "buy.outcome.", "services.accounts.")
    assert every_order(shared_world, scene, at=points) > 8


def hold(shop: Shop, order: str, reason: str) -> int:
    """Its purchase is held for this reason, which does not hold any more; gives its id."""
    (purchase,) = shop.purchases(order)
    with shop.world.container.database.transaction() as session:
        mine = sa.update(Purchase).where(Purchase.id == purchase.id)
        facts = {"quote": "4.00 USD"}
        session.execute(mine.values(state="HELD", reason=reason, held_for=reason, facts=facts))
    return purchase.id


PRESSING = ("services.purchases.", "buy.claim.claim", "buy.commit.")
"""Points of a person's act, and of the placement that follows it until it cannot be turned back."""


def two_press(shop: Shop, reason: str, press: Callable[[int], object]) -> Callable[[], Scene]:
    """Two people press one button; after the second one a worker places what is READY."""

    def scene() -> Scene:
        order, known = shop.order(1), len(shop.world.created())
        purchase = hold(shop, order, reason)

        def one() -> None:
            with contextlib.suppress(Conflict):  # told that there is nothing to do any more
                press(purchase)

        def other() -> None:
            one()
            shop.place()

        def problems() -> list[str]:
            shop.finish(order)
            bought, states = shop.bought(known), shop.states(order)
            return [] if (bought, states) == ([1], ["PLACED_UNPAID"]) else [f"{bought} bought, {states}"]

        return one, other, problems

    return scene


def test_two_press_retry(shop: Shop, shared_world: World) -> None:
    scene = two_press(
        shop, "needs_person", lambda purchase: purchases.retry(shared_world.container, purchase, actor="staff:ann")
    )
    assert every_order(shared_world, scene, at=PRESSING) > 6


def test_two_press_approve(shop: Shop, shared_world: World) -> None:
    scene = two_press(
        shop, "margin", lambda purchase: purchases.approve(shared_world.container, purchase, actor="merchant:1")
    )
    assert every_order(shared_world, scene, at=PRESSING) > 6


def test_two_press_order_again(shop: Shop, shared_world: World) -> None:
    """What the supplier cancelled is bought once more, not twice more."""

    def scene() -> Scene:
        order, known = shop.order(1), len(shared_world.created())
        shop.send(order)
        ref = shared_world.created()[known]["order_id"]
        shared_world.aliexpress.control("pay", {"order_id": ref})
        shared_world.aliexpress.control("cancel", {"order_id": ref})
        shared_world.settle(seconds=30, until=lambda: shop.states(order) == ["SUPPLIER_CANCELLED"])
        (dead,) = shop.purchases(order)

        def again() -> None:
            with contextlib.suppress(Conflict):
                purchases.again(shared_world.container, dead.id, actor="merchant:1")

        def problems() -> list[str]:
            shared_world.settle(seconds=30, until=lambda: "PLACED_UNPAID" in shop.states(order))
            bought, states = shop.bought(known), shop.states(order)
            ends = ["SUPPLIER_CANCELLED", "PLACED_UNPAID"]
            return [] if (bought, states) == ([1, 1], ends) else [f"{bought} bought, {states}"]

        return again, again, problems

    assert every_order(shared_world, scene, at=("services.", "reconcile.buy_again"), both=False) > 1
