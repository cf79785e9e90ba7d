"""A shop with a long backlog takes turns with all others, in the inbox, the outbox and among purchases (S15)."""

from __future__ import annotations

from collections.abc import Sequence

import pytest
import sqlalchemy as sa

from app.models import Inbox, Outbox, Shop
from app.pipeline.buy.claim import claim as claim_purchases
from app.pipeline.due import INBOX, OUTBOX, claim_due
from tests.flow.test_order_changes import order, shop
from tests.flow.world import World

BACKLOG = 300


@pytest.fixture
def shops(world: World) -> list[int]:
    """Three shops; what they sent so far is done."""
    made = [world.shopify_shop(f"shop-{number}.myshopify.com") for number in range(3)]
    with world.container.database.transaction() as session:
        session.execute(sa.delete(Inbox))
    return made


def fill(world: World, shop_id: int | None, pieces: int) -> None:
    """Put due events of a shop into the inbox."""
    with world.container.database.transaction() as session:
        session.add_all(
            Inbox(shop_id=shop_id, source="shopify", topic="t", dedupe=f"{shop_id}:{piece}".encode(), body=b"x")
            for piece in range(pieces)
        )


def owners(world: World, ids: Sequence[int]) -> list[int | None]:
    """Whose inbox rows these are, sorted."""
    with world.container.database.transaction() as session:
        found = session.scalars(sa.select(Inbox.shop_id).where(Inbox.id.in_(ids))).all()
    return sorted(found, key=lambda owner: owner or 0)


def take(world: World, most: int) -> list[int]:
    """Claim inbox rows; gives their ids."""
    return [claimed.id for claimed in claim_due(world.container, "inbox", INBOX, most)]


def test_a_backlog_delays_no_other_shop(world: World, shops: list[int]) -> None:
    fill(world, shops[0], BACKLOG)
    fill(world, shops[1], 1)
    fill(world, shops[2], 1)
    fill(world, None, 1)
    taken = owners(world, take(world, 8))
    assert len(taken) == 8, "the places that the others do not need are not left empty"
    assert {None, shops[1], shops[2]} < set(taken)


def test_one_place_goes_round_the_shops(world: World, shops: list[int]) -> None:
    for shop_id in shops:
        fill(world, shop_id, BACKLOG)
    turns = [owners(world, take(world, 1))[0] for _ in range(6)]
    assert turns[:3] == turns[3:]
    assert sorted(turns[:3], key=str) == sorted(shops, key=str)


def test_everything_is_claimed_once_and_leases_are_respected(world: World, shops: list[int]) -> None:
    for shop_id in [*shops, None]:
        fill(world, shop_id, 7)
    taken: list[int] = []
    while found := take(world, 5):
        taken += found
    assert len(taken) == len(set(taken)) == 28
    with world.container.database.transaction() as session:
        session.execute(sa.update(Inbox).where(Inbox.id == taken[0]).values(lease_until=sa.func.now()))
        later = sa.func.now() + sa.text("interval '1 hour'")
        session.execute(sa.update(Inbox).where(Inbox.id == taken[1]).values(lease_until=None, run_at=later))
    assert take(world, 5) == [taken[0]]


def test_acts_on_one_order_go_one_after_another_and_shops_take_turns(world: World, shops: list[int]) -> None:
    _, variant = shop(world)
    order(world, variant)
    world.settle(until=lambda: world.states() == ["PLACED_UNPAID"])
    with world.container.database.transaction() as session:
        for number in range(20):
            session.add(Outbox(dedupe_key=f"a{number}", kind="x", shop_id=shops[0], order_id=None))
        for number in range(3):
            session.add(Outbox(dedupe_key=f"b{number}", kind="x", shop_id=4, order_id=1))
    claimed = [row.id for row in claim_due(world.container, "outbox", OUTBOX, 6)]
    with world.container.database.transaction() as session:
        orders = [session.get_one(Outbox, row_id).order_id for row_id in claimed]
    assert (len(claimed), orders.count(1)) == (6, 1)


def test_a_shop_with_many_ready_purchases_does_not_hold_up_another(world: World) -> None:
    first, variant = shop(world)
    world.pause_shop(first)
    for _ in range(6):
        order(world, variant)
    world.settle(until=lambda: world.reasons() == ["shop_paused"] * 6)
    with world.container.database.transaction() as session:
        session.execute(sa.insert(Shop).from_select(["merchant_id", "connector", "address", "name"], _copy_of(first)))
        second = session.scalars(sa.select(Shop.id).order_by(Shop.id.desc())).first()
        session.execute(sa.text("UPDATE purchase SET state = 'READY', run_at = now() - interval '1 hour'"))
        session.execute(sa.text("UPDATE purchase SET shop_id = :shop, run_at = now() WHERE id = 6"), {"shop": second})
    assert 6 in [claimed.id for claimed in claim_purchases(world.container, 2)]


def _copy_of(shop_id: int) -> sa.Select[tuple[int, str, sa.ColumnElement[str], str]]:
    return sa.select(Shop.merchant_id, Shop.connector, Shop.address + "x", Shop.name).where(Shop.id == shop_id)
