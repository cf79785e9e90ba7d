"""Replies that are lost, and how they are resolved: by evidence, or by a person, never by a second send."""

from __future__ import annotations

import pytest

from app.errors import Conflict
from app.jobs import sweep
from app.models import Breaker
from app.pipeline import evidence, reconcile
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
        reconcile.not_there(world.container, unclear, newest_seen="", by="merchant:1")
    with pytest.raises(Conflict, match="second person"):
        reconcile.not_there(world.container, unclear, newest_seen=newest, by="staff:ann")
    with pytest.raises(Conflict, match="Too early"):
        reconcile.not_there(world.container, unclear, newest_seen=newest, by="merchant:1")
    world.pass_time("quarantine")
    heir = reconcile.not_there(world.container, unclear, newest_seen=newest, by="staff:ann", confirm_by="staff:bob")
    assert (heir.generation, heir.previous_id) == (2, unclear)
    world.settle(until=lambda: world.states() == ["PLACED_UNPAID", "VOID", "PLACED_UNPAID"], seconds=20)
    assert len(world.created()) == 2


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
    reconcile.not_there(world.container, unclear.id, newest_seen=world.created()[0]["order_id"], by="merchant:1")
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
    world.settle()
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


def test_an_outage_leaves_few_unclear_purchases(world: World) -> None:
    """Everything answers 503: the breaker opens, nothing is sent to find out, and buying goes on by itself."""
    shop = world.shopify_shop(SHOP)
    skus = [("1005006000000008", "12000036000000801"), ("1005006000000002", "12000036000000201")]
    for place, target in enumerate(skus):
        world.link(shop, world.shopify_variant(SHOP, f"S{place}"), target)
    variants = list(world.variant_ids.values())
    world.aliexpress.control("faults", [{"op": "*", "kind": "outage", "times": -1}])
    for place in range(12):
        world.shopify.control("orders", {"shop": SHOP, "lines": [{"variant_id": variants[place % 2], "quantity": 1}]})
    for _ in range(4):
        world.settle()
    unclear = [state for state in world.states() if state in {"SENDING", "UNKNOWN", "HUMAN"}]
    assert len(unclear) <= 5
    assert len(world.states()) == 12
    world.aliexpress.control("faults", [])
    sweep.probe(world.container)
    world.settle(
        until=lambda: all(state in {"PLACED_UNPAID", "UNKNOWN", "HUMAN"} for state in world.states()), seconds=60
    )
    assert len(world.created()) + len(unclear) >= 12


def test_the_lost_order_itself_is_no_proof_that_it_is_not_there(world: World) -> None:
    world.aliexpress.control("push", {"lost": 1000})
    fault(world, "drop_after")
    order(world)
    world.settle(until=lambda: world.states() == ["UNKNOWN"], seconds=20)
    world.pass_time("quarantine")
    lost = world.created()[0]["order_id"]
    with pytest.raises(Conflict, match="--found"):
        reconcile.not_there(world.container, world.purchases()[0].id, newest_seen=lost, by="merchant:1")
    assert len(world.created()) == 1


def test_account_breaker_gets_its_trial_when_its_pause_is_over(world: World) -> None:
    order(world)
    world.settle(until=lambda: world.states() == ["PLACED_UNPAID"])
    with world.container.database.transaction() as session:
        session.add(Breaker(scope="account:1", state="OPEN", unclear_at=[]))
    order(world)
    world.settle()
    assert world.states() == ["PLACED_UNPAID", "READY"]
    sweep.probe(world.container)
    world.settle(until=lambda: world.states() == ["PLACED_UNPAID", "PLACED_UNPAID"], seconds=20)
