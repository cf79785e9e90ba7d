"""Replies that are lost, and how they are resolved: by evidence, or by a person, never by a second send."""

from __future__ import annotations

from functools import partial

import pytest
import sqlalchemy as sa

from app.errors import Conflict
from app.jobs import sweep
from app.models import Purchase
from app.pipeline import evidence, not_there
from tests.flow.world import BOTTLE, World

SHOP = "bottles.myshopify.com"


def order(world: World, quantity: int = 1) -> None:
    """One paid order of a linked bottle."""
    if not world.variants:
        shop = world.shopify_shop(SHOP)
        world.variants["bottle"] = world.shopify_variant(SHOP, "BOTTLE")
        world.link(shop, world.variants["bottle"], BOTTLE)
    world.shopify.control(
        "orders", {"shop": SHOP, "lines": [{"variant_id": world.variants["bottle"], "quantity": quantity}]}
    )


def fault(world: World, kind: str, **more: object) -> None:
    """A fault of the next order.create."""
    world.aliexpress.control("faults", [{"op": "order.create", "kind": kind, "times": 1, **more}])


def test_reply_lost_after_execution_is_resolved_by_the_push(world: World) -> None:
    fault(world, "drop_after")
    order(world)
    world.settle(until=lambda: world.states() == ["PLACED_UNPAID"], seconds=20)
    assert len(world.created()) == 1
    assert world.outcomes() == ["PLACED"]


@pytest.mark.parametrize("kind", ["cut", "html", "empty", "success_without_ids"])
def test_answers_that_say_nothing_are_unknown_and_resolved_by_the_push(world: World, kind: str) -> None:
    fault(world, kind)
    order(world)
    world.settle(until=lambda: world.states() != [] and world.states()[0] not in {"READY", "CLAIMED", "SENDING"})
    created = world.created()
    if created:
        world.settle(until=lambda: world.states() == ["PLACED_UNPAID"], seconds=20)
    else:
        assert world.states()[0] in {"UNKNOWN", "HUMAN"}
    assert len(created) <= 1
    assert world.calls_of_create() == 1


def test_lost_push_too_ends_with_a_person_who_names_the_order(world: World) -> None:
    world.aliexpress.control("push", {"lost": 1000})
    fault(world, "drop_after")
    order(world)
    world.settle(until=lambda: world.states() == ["UNKNOWN"], seconds=20)
    world.pass_time("human")
    world.settle(until=lambda: world.states() == ["HUMAN"], seconds=20)
    made = world.created()[0]["order_id"]
    state = evidence.confirm(world.container, world.purchases()[0].id, made, by="merchant:1")
    assert state == "PLACED_UNPAID"
    assert world.outcomes() == ["PLACED"]
    assert world.calls_of_create() == 1


def test_not_there_needs_quarantine_proof_and_a_second_person(world: World) -> None:
    order(world)
    world.settle(until=lambda: world.states() == ["PLACED_UNPAID"])
    fault(world, "drop_before")
    order(world)
    world.settle(until=lambda: world.states() == ["PLACED_UNPAID", "UNKNOWN"], seconds=20)
    unclear, newest = world.purchases()[1].id, world.created()[0]["order_id"]
    with pytest.raises(Conflict, match="newest order"):
        not_there.give_up(world.container, unclear, newest_seen="", by="merchant:1")
    with pytest.raises(Conflict, match="second person"):
        not_there.give_up(world.container, unclear, newest_seen=newest, by="staff:ann")
    with pytest.raises(Conflict, match="Too early"):
        not_there.give_up(world.container, unclear, newest_seen=newest, by="merchant:1")
    world.pass_time("quarantine")
    heir = not_there.give_up(world.container, unclear, newest_seen=newest, by="staff:ann", confirm_by="staff:bob")
    assert (heir.generation, heir.previous_id) == (2, unclear)
    world.settle(until=lambda: world.states() == ["PLACED_UNPAID", "VOID", "PLACED_UNPAID"], seconds=20)
    assert len(world.created()) == 2


def test_an_account_without_any_order_is_said_to_be_empty_by_two(world: World) -> None:
    """A new account: there is no newest number to give."""
    world.aliexpress.control("push", {"lost": 1000})
    fault(world, "drop_before")
    order(world)
    world.settle(until=lambda: world.states() == ["UNKNOWN"], seconds=20)
    world.pass_time("quarantine")
    say = partial(not_there.give_up, world.container, 1, newest_seen="none", by="merchant:1")
    with pytest.raises(Conflict, match="second person"):
        say()
    say(confirm_by="ann")
    world.settle(until=lambda: world.states() == ["VOID", "PLACED_UNPAID"], seconds=20)
    world.read_again()
    world.settle()
    fault(world, "drop_before")
    order(world)
    world.settle(until=lambda: world.states()[2:] == ["UNKNOWN"], seconds=20)
    world.pass_time("quarantine")
    with pytest.raises(Conflict, match="There are orders"):
        not_there.give_up(world.container, 3, newest_seen="none", by="merchant:1", confirm_by="ann")


def test_late_evidence_freezes_the_next_generation(world: World) -> None:
    """The order turns up after "not there": the heir, not sent yet, gives way."""
    world.aliexpress.control("push", {"lost": 1000})
    order(world)
    world.settle(until=lambda: world.states() == ["PLACED_UNPAID"])
    fault(world, "drop_after")
    order(world)
    world.settle(until=lambda: world.states() == ["PLACED_UNPAID", "UNKNOWN"], seconds=20)
    unclear = world.purchases()[1]
    world.pass_time("quarantine")
    world.pause_shop()
    not_there.give_up(world.container, unclear.id, newest_seen=world.created()[0]["order_id"], by="merchant:1")
    assert world.states() == ["PLACED_UNPAID", "VOID", "HELD"]
    evidence.look_up(world.container, unclear.account_id or 0, world.created()[1]["order_id"], source="push")
    assert world.states() == ["PLACED_UNPAID", "PLACED_UNPAID", "CANCELLED"]
    assert len(world.created()) == 2


def test_two_unclear_purchases_of_one_sku_never_run_at_once(world: World) -> None:
    world.aliexpress.control("push", {"lost": 1000})
    fault(world, "drop_after")
    order(world)
    world.settle(until=lambda: world.states() == ["UNKNOWN"], seconds=20)
    order(world)
    world.settle(until=lambda: len(world.states()) == 2, seconds=20)
    world.settle()
    assert world.states() == ["UNKNOWN", "READY"]
    assert world.calls_of_create() == 1
    evidence.confirm(world.container, world.purchases()[0].id, world.created()[0]["order_id"], by="merchant:1")
    world.settle(until=lambda: world.states() == ["PLACED_UNPAID", "PLACED_UNPAID"], seconds=20)
    assert len(world.created()) == 2


def test_stock_error_after_execution_is_not_believed(world: World) -> None:
    fault(world, "error", code="INVENTORY_HOLD_ERROR", execute=True)
    order(world)
    world.settle(until=lambda: world.states() == ["PLACED_UNPAID"], seconds=20)
    assert world.calls_of_create() == 1


@pytest.mark.parametrize("kind", ["outage", "drop_after"])
def test_an_outage_leaves_few_unclear_purchases(world: World, kind: str) -> None:
    """Creates fail while reads are well: the breaker opens after a few, and nothing is sent to find out."""
    shop = world.shopify_shop(SHOP)
    for place in (1, 2, 3, 4, 5, 6, 8, 9):
        product = f"100500600000000{place}"
        world.link(shop, world.shopify_variant(SHOP, f"P{place}", "199.00"), (product, world.sku_of(product)))
    world.aliexpress.control("push", {"lost": 1000})
    world.aliexpress.control("faults", [{"op": "order.create", "kind": kind, "times": -1}])
    for variant in world.variant_ids.values():
        world.shopify.control("orders", {"shop": SHOP, "lines": [{"variant_id": variant, "quantity": 1}]})
    world.settle(until=lambda: len(world.states()) == 8, seconds=20)
    for _ in range(20):
        sweep.probe(world.container)
        with world.container.database.transaction() as session:
            session.execute(sa.update(Purchase).where(Purchase.state == "READY").values(run_at=sa.func.now()))
        world.settle()
    unclear = [state for state in world.states() if state in {"SENDING", "UNKNOWN", "HUMAN"}]
    assert 3 <= len(unclear) <= 5
    assert len(set(world.states())) > 1, "the others wait"


def test_after_an_outage_buying_goes_on_by_itself(world: World) -> None:
    order(world)
    world.settle(until=lambda: world.states() == ["PLACED_UNPAID"], seconds=20)
    world.aliexpress.control("faults", [{"op": "*", "kind": "outage", "times": -1}])
    for _ in range(6):
        order(world)
    for _ in range(4):
        world.settle()
    sent = len(world.created())
    world.aliexpress.control("faults", [])
    sweep.probe(world.container)
    world.settle(
        until=lambda: all(state in {"PLACED_UNPAID", "UNKNOWN", "HUMAN"} for state in world.states()), seconds=60
    )
    assert len(world.created()) > sent
