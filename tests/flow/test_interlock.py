"""The interlock: while the end of a send is unclear, nothing that could be taken for it is sent."""

from __future__ import annotations

from datetime import timedelta

import pytest
import sqlalchemy as sa

from app.jobs import sweep
from app.models import Alert, Interlock, Purchase
from app.pipeline import evidence
from app.services import purchases
from tests.flow.world import SOCKS, World

SHEARS = "1005006000000007"
SHEARS_IN_US = "3256805700000007"


def held_items(world: World) -> set[str]:
    """The products that are kept for one purchase."""
    with world.container.database.transaction() as session:
        return set(session.scalars(sa.select(Interlock.product_id)))


def sell(world: World, slug: str, product: str) -> str:
    """A second or first shop on the same account that sells this product; gives the variant."""
    shop = world.woocommerce_shop(slug)
    variant = world.woocommerce_product(slug, f"SKU-{slug}", "49.90")
    world.link(shop, variant, (product, world.sku_of(product)))
    return variant


def buy(world: World, slug: str, variant: str, **more: object) -> None:
    """A paid order of one piece."""
    world.woocommerce_order(slug, [{"product_id": int(variant), "quantity": 1}], **more)


def lose_the_answer(world: World) -> None:
    """The next order is made, nobody learns of it: no answer, no push."""
    world.aliexpress.control("push", {"lost": 1000})
    world.aliexpress.control("faults", [{"op": "order.create", "times": 1, "kind": "drop_after"}])


def test_the_us_id_and_the_id_of_the_link_are_both_kept(world: World) -> None:
    """What is ordered in the US has another id than the link; the next order waits whichever of both is compared."""
    variant = sell(world, "shears", SHEARS)
    lose_the_answer(world)
    buy(world, "shears", variant)
    world.settle(until=lambda: world.states() == ["UNKNOWN"], seconds=20)
    assert held_items(world) == {SHEARS, SHEARS_IN_US}
    buy(world, "shears", variant)
    world.settle(until=lambda: len(world.states()) == 2, seconds=20)
    assert (world.states()[1], world.calls_of_create()) == ("READY", 1)
    world.pass_time("human")
    world.settle(until=lambda: world.states() == ["HUMAN", "READY"], seconds=20)
    made = world.created()[0]["order_id"]
    purchases.resolve_found(world.container, world.purchases()[0].id, [made], by="merchant:1")
    world.settle(until=lambda: world.states() == ["PLACED_UNPAID", "PLACED_UNPAID"], seconds=20)
    assert [line["items"][0]["product_id"] for line in world.created()] == [SHEARS_IN_US] * 2
    assert held_items(world) == set()


def test_another_country_with_the_other_id_waits_as_well(world: World) -> None:
    """The account's list tells only what was bought, so both ids of the product are one thing to it."""
    variant = sell(world, "shears", SHEARS)
    lose_the_answer(world)
    buy(world, "shears", variant)
    world.settle(until=lambda: world.states() == ["UNKNOWN"], seconds=20)
    germany = {"state": "DE-BE", "postcode": "10115", "country": "DE", "city": "Berlin", "phone": "+49 30 5550100"}
    address = {"first_name": "Ada", "last_name": "Example", "address_1": "1 Sample Street", **germany}
    buy(world, "shears", variant, billing=address)
    world.settle(until=lambda: len(world.states()) == 2, seconds=20)
    assert world.states() == ["UNKNOWN", "READY"]
    assert world.calls_of_create() == 1


@pytest.mark.parametrize("same", [True, False])
def test_it_is_the_account_that_is_locked_not_the_shop(world: World, same: bool) -> None:
    """Two shops that order with one account are one buyer to AliExpress; with two accounts they are strangers."""
    first = sell(world, "one", SOCKS[0])
    if not same:
        world.account = world.aliexpress.control("accounts", {})
    second = sell(world, "two", SOCKS[0])
    lose_the_answer(world)
    buy(world, "one", first)
    world.settle(until=lambda: world.states() == ["UNKNOWN"], seconds=20)
    buy(world, "two", second)
    if same:
        world.settle(until=lambda: len(world.states()) == 2, seconds=20)
        assert world.states() == ["UNKNOWN", "READY"]
    else:
        world.settle(until=lambda: world.states() == ["UNKNOWN", "PLACED_UNPAID"], seconds=20)
    assert world.calls_of_create() == (1 if same else 2)


def test_a_purchase_that_is_left_out_of_claims_says_for_which_it_waits_and_alerts(world: World) -> None:
    """The claim skips it, so nobody else would write down why it stands still."""
    variant = sell(world, "shears", SHEARS)
    lose_the_answer(world)
    buy(world, "shears", variant)
    world.settle(until=lambda: world.states() == ["UNKNOWN"], seconds=20)
    buy(world, "shears", variant)
    world.settle(until=lambda: len(world.states()) == 2, seconds=20)
    sweep.watch(world.container)
    unclear, waits = world.purchases()
    assert (waits.state, waits.waiting_for) == ("READY", unclear.id)
    told = purchases.told(world.container, waits.id)
    assert f"purchase {unclear.id}" in told["text"]
    with world.container.database.transaction() as session:
        session.execute(sa.update(Purchase).values(waiting_since=Purchase.waiting_since - timedelta(hours=1)))
    sweep.watch(world.container)
    assert alerts(world) == ["interlocked"]
    evidence.confirm(world.container, unclear.id, world.created()[0]["order_id"], by="merchant")
    sweep.watch(world.container)
    assert world.purchases()[1].waiting_for is None
    assert alerts(world) == []


def alerts(world: World) -> list[str]:
    """Open alerts about waiting."""
    query = sa.select(Alert.kind).where(Alert.ended_at.is_(None), Alert.kind == "interlocked")
    with world.container.database.transaction() as session:
        return list(session.scalars(query))
