"""Ways to buy twice, to lose an order or to pass a cap that a review found; each was seen to happen."""

from __future__ import annotations

import time
from datetime import timedelta
from pathlib import Path
from typing import Any

import pytest
import sqlalchemy as sa

from app import boot
from app.errors import Conflict
from app.jobs import sweep
from app.models import Alert, Audit, PlacementFreeze, ProductLink
from app.pipeline import evidence, import_order, match, not_there
from app.pipeline.buy.claim import claim
from app.pipeline.buy.commit import commit
from app.pipeline.buy.preflight import check
from app.services import paylist
from tests.flow.test_order_changes import SHOP, order, shop
from tests.flow.test_several_orders import GLASS, two_lines
from tests.flow.world import BOTTLE, SOCKS, World, running


def sql(world: World, text: str, **values: Any) -> None:
    with world.container.database.transaction() as session:
        session.execute(sa.text(text), values)


def look_again(world: World) -> None:
    """Everything that is held or waits is looked at now."""
    sql(world, "UPDATE purchase SET run_at = now() - interval '1 day' WHERE state IN ('HELD', 'READY')")
    sweep.recheck_held(world.container)
    world.settle()


def pieces(world: World) -> list[int]:
    """What was really ordered, in pieces."""
    return [item["quantity"] for made in world.created() for item in made["items"]]


@pytest.mark.security("S66")
def test_the_cap_of_an_order_is_for_all_its_purchases_together(world: World) -> None:
    made, bottle = shop(world)
    socks = world.shopify_variant(SHOP, "SOCKS")
    world.link(made, socks, SOCKS)
    sql(world, "UPDATE shop SET order_cap = 1000")
    lines = [{"variant_id": variant, "quantity": 1} for variant in (bottle, socks)]
    world.shopify.control("orders", {"shop": SHOP, "lines": lines})
    world.settle(until=lambda: "cap_order" in world.reasons(), seconds=10)
    placed = [purchase.quote_minor or 0 for purchase in world.purchases() if purchase.state == "PLACED_UNPAID"]
    assert placed
    assert sum(placed) <= 1000


def test_the_heir_of_a_refused_purchase_goes_on_when_what_it_waits_for_is_over(world: World) -> None:
    _, variant = shop(world)
    refusal = "B_DROPSHIPPER_DELIVERY_ADDRESS_VALIDATE_FAIL"
    fault = {"op": "order.create", "kind": "error", "times": 1, "code": refusal, "execute": False}
    world.aliexpress.control("faults", [fault])
    order(world, variant)
    world.settle(until=lambda: world.states() == ["REJECTED", "HELD"], seconds=10)
    look_again(world)
    assert world.states() == ["REJECTED", "HELD"], "a refusal is not sent again because time went by"
    sql(world, "UPDATE shop SET day_cap = 1")
    world.retry(2)
    world.settle(until=lambda: world.reasons()[-1] == "cap_day", seconds=10)
    sql(world, "UPDATE shop SET day_cap = 500000")
    look_again(world)
    world.settle(until=lambda: world.states() == ["REJECTED", "PLACED_UNPAID"], seconds=10)


def test_sends_whose_end_is_not_recorded_yet_count_as_in_flight(world: World) -> None:
    """Eight calls that hang: the first four are past their deadline, and none of the others may begin."""
    made = world.shopify_shop(SHOP)
    sql(world, "INSERT INTO placement_freeze (reason, frozen_by, released_by, second) VALUES ('x', 't', '', '')")
    for place in (1, 2, 3, 4, 5, 6, 8, 9):
        product = f"100500600000000{place}"
        variant = world.shopify_variant(SHOP, f"P{place}", "199.00")
        world.link(made, variant, (product, world.sku_of(product)))
        world.shopify.control("orders", {"shop": SHOP, "lines": [{"variant_id": variant, "quantity": 1}]})
    world.settle(until=lambda: world.states() == ["READY"] * 8, seconds=20)
    sql(world, "DELETE FROM placement_freeze")
    sql(world, "UPDATE purchase SET run_at = now() - interval '1 day'")
    checked = []
    for one in claim(world.container, 10):
        with world.container.calls.story(one.order_id, one.id) as story:
            checked.append((one, check(world.container, one), story))
    assert len(checked) == 8
    begun = [commit(world.container, *one) is not None for one in checked[:4]]
    sql(world, "UPDATE purchase SET sent_deadline = clock_timestamp() - interval '1 second' WHERE state = 'SENDING'")
    begun += [commit(world.container, *one) is not None for one in checked[4:]]
    assert begun == [True] * 4 + [False] * 4


def test_pieces_of_a_cancelled_part_are_not_given_to_another_part(world: World) -> None:
    _, variant = shop(world)
    number = order(world, variant)
    world.settle(until=lambda: world.states() == ["PLACED_UNPAID"], seconds=10)
    first = world.created()[0]["order_id"]
    world.aliexpress.control("pay", {"order_ids": [first]})
    world.settle(until=lambda: world.states() == ["PLACED_PAID"], seconds=20)
    sql(world, "UPDATE shop SET day_cap = 1")
    world.edit(number, 3)
    world.settle(until=lambda: world.reasons()[1:] == ["cap_day"], seconds=20)
    world.aliexpress.control("cancel", {"order_id": first})
    world.settle(until=lambda: world.states()[0] == "SUPPLIER_CANCELLED", seconds=30)
    sql(world, "UPDATE shop SET day_cap = 500000")
    import_order.refresh(world.container, 1, world.orders()[0].external_id, world.container.clock.now())
    look_again(world)
    world.settle(until=lambda: len(world.created()) == 2, seconds=10)
    assert pieces(world) == [1, 2]


def test_an_order_that_was_cancelled_and_restored_is_paid_and_bought_again_as_any_other(world: World) -> None:
    _, variant = shop(world)
    order(world, variant)
    world.settle(until=lambda: world.states() == ["PLACED_UNPAID"], seconds=10)
    for cancelled in (True, False):
        with world.container.database.transaction() as session:
            session.execute(sa.text("UPDATE store_order SET cancelled = :v"), {"v": cancelled})
            match.derive_again(world.container, session, 1)
    world.settle(until=lambda: world.states() == ["PLACED_UNPAID"], seconds=10)
    listed = paylist.listed(world.container)
    assert (len(listed["pay"]), listed["do_not_pay"]) == (1, [])
    assert world.tasks() == []
    world.aliexpress.control("close", {"order_id": world.created()[0]["order_id"]})
    world.settle(until=lambda: world.states() == ["EXPIRED", "PLACED_UNPAID"], seconds=30)


@pytest.mark.parametrize("found", [0, 1])
def test_the_missing_half_of_a_bundle_is_no_reason_to_order_the_other_again(world: World, found: int) -> None:
    made, variant = shop(world)
    with world.container.database.transaction() as session:
        session.add(
            ProductLink(
                shop_id=made, variant_id=variant, position=2, supplier="aliexpress", product_id=SOCKS[0],
                sku_id=SOCKS[1], sku_attributes="14:691#Grey", seller_id="1101234567",
            )
        )  # fmt: skip
    world.aliexpress.control("push", {"lost": 1000})
    other = world.shopify_variant(SHOP, "GLASS", "99.00")
    world.link(made, other, (GLASS, world.sku_of(GLASS)))
    order(world, other)
    world.settle(until=lambda: world.states() == ["PLACED_UNPAID"], seconds=10)
    newest = world.created()[0]["order_id"]
    world.aliexpress.control("faults", [{"op": "order.create", "times": 1, "kind": "drop_after"}])
    order(world, variant)
    world.settle(until=lambda: world.states()[1:] == ["UNKNOWN"], seconds=20)
    halves = [made["order_id"] for made in world.created()[1:]]
    evidence.look_up(world.container, 1, halves[found], source="push")
    world.settle()
    world.pass_time("quarantine")
    sql(world, "UPDATE supplier_order SET created_at_supplier = now() - interval '1 day' WHERE purchase_id = 2")
    with pytest.raises(Conflict, match="bundle"):
        not_there.give_up(world.container, 2, newest_seen=newest, by="merchant:1", confirm_by="x")
    world.settle()
    assert len(world.created()) == 3


def test_a_placed_purchase_with_a_gap_has_a_way_out(world: World) -> None:
    """One of two orders turns up after "not there": the other one can be given up as well, and is ordered anew."""
    world.aliexpress.control("push", {"lost": 1000})
    world.woocommerce_shop("socks")
    bottle = world.woocommerce_product("socks", "B")
    world.link(1, bottle, BOTTLE)
    world.woocommerce_order("socks", [{"product_id": int(bottle), "quantity": 1}])
    world.settle(until=lambda: world.states() == ["PLACED_UNPAID"], seconds=20)
    newest = world.created()[0]["order_id"]
    socks, glass = world.woocommerce_product("socks", "SOCKS"), world.woocommerce_product("socks", "GLASS", "49.90")
    world.link(1, socks, SOCKS)
    world.link(1, glass, (GLASS, world.sku_of(GLASS)))
    world.aliexpress.control("faults", [{"op": "order.create", "times": 1, "kind": "drop_after", "split": True}])
    world.woocommerce_order("socks", [{"product_id": int(one), "quantity": 1} for one in (socks, glass)])
    world.settle(until=lambda: world.states()[1:] == ["UNKNOWN"], seconds=20)
    world.pass_time("quarantine")
    world.pause_shop()
    not_there.give_up(world.container, 2, newest_seen=newest, by="merchant:1", confirm_by="ann")
    evidence.look_up(world.container, 1, world.created()[1]["order_id"], source="push")
    world.settle()
    assert world.states() == ["PLACED_UNPAID", "PLACED_UNPAID", "CANCELLED"]
    assert "partly_placed" in world.tasks()
    sql(world, "UPDATE shop SET state = 'ACTIVE'")
    named = world.created()[1]["order_id"]
    not_there.give_up(world.container, 2, newest_seen=named, by="merchant:1", confirm_by="ann")
    world.settle(until=lambda: world.states()[-1] == "PLACED_UNPAID", seconds=20)
    assert "partly_placed" not in world.tasks()
    again = [item["product_id"] for item in world.created()[-1]["items"]]
    assert again in ([SOCKS[0]], [GLASS])


def alerts(world: World) -> list[str]:
    with world.container.database.transaction() as session:
        return list(session.scalars(sa.select(Alert.kind).where(Alert.ended_at.is_(None)).order_by(Alert.id)))


def test_a_database_that_is_restored_under_running_workers_freezes_buying(world: World) -> None:
    for _ in range(5):
        boot.advance(world.container)
    sql(world, "UPDATE instance SET epoch = 1")
    boot.advance(world.container)
    with world.container.database.transaction() as session:
        assert session.scalars(sa.select(PlacementFreeze.reason)).all() != []
    assert "placement_frozen" in alerts(world)


def test_nothing_is_sent_after_a_restore_even_before_the_job_notices(world: World) -> None:
    for _ in range(5):
        boot.advance(world.container)
    _, variant = shop(world)
    order(world, variant)
    world.settle(until=lambda: world.states() == ["PLACED_UNPAID"], seconds=10)
    sql(world, "UPDATE instance SET epoch = 0")
    order(world, variant)
    world.settle(until=lambda: len(world.states()) == 2, seconds=10)
    world.settle()
    assert (world.states()[1], world.reasons()[1]) == ("READY", "placement_frozen")
    assert len(world.created()) == 1


def test_late_evidence_stops_the_part_that_took_its_place(world: World) -> None:
    """The rest was called "not there"; it turns up before the new part for it is sent, and a person gives it to that."""
    world.aliexpress.control("push", {"lost": 1000})
    two_lines(world, {"kind": "partial_ids", "split": True})
    world.settle(until=lambda: world.reasons() == ["partly_found"], seconds=20)
    world.pass_time("quarantine")
    unclear, (first, rest) = world.purchases()[0], (line["order_id"] for line in world.created())
    world.pause_shop()
    not_there.give_up(world.container, unclear.id, newest_seen=first, by="merchant:1")
    evidence.look_up(world.container, unclear.account_id or 0, rest, source="push")
    sql(world, "UPDATE shop SET state = 'ACTIVE'")
    for _ in range(3):
        look_again(world)
    assert len(world.created()) == 2
    assert world.reasons()[-1] == "late_evidence"
    part = world.purchases()[-1]
    assert part.facts == {"supplier_order": rest, "purchase": part.id}
    assert "duplicate" in world.tasks()
    assert evidence.confirm(world.container, part.id, rest, by="merchant:1") == "PLACED_UNPAID"
    world.settle()
    assert world.states() == ["PLACED_UNPAID", "PLACED_UNPAID"]
    assert (len(world.created()), "duplicate" in world.tasks()) == (2, False)
    with world.container.database.transaction() as session:
        told = session.scalars(sa.select(Audit.actor).where(Audit.action == "detached")).all()
    assert told == ["merchant:1"]


def test_an_order_that_is_closed_unpaid_is_no_partial_closing(world: World) -> None:
    _, variant = shop(world)
    order(world, variant)
    world.settle(until=lambda: world.states() == ["PLACED_UNPAID"], seconds=10)
    world.aliexpress.control("close", {"order_id": world.created()[0]["order_id"]})
    world.settle(until=lambda: world.states() == ["EXPIRED", "PLACED_UNPAID"], seconds=30)
    assert world.tasks() == []


def test_what_expires_while_a_part_of_it_was_never_seen_is_not_ordered_again_by_itself(world: World) -> None:
    _, variant = shop(world)
    order(world, variant, 3)
    world.settle(until=lambda: world.states() == ["PLACED_UNPAID"], seconds=10)
    world.read_again()
    world.settle()
    sql(world, "UPDATE supplier_order_item SET quantity = 1")  # as if the supplier had split it and named the first
    world.aliexpress.control("close", {"order_id": world.created()[0]["order_id"]})
    world.settle(until=lambda: world.states()[0] == "EXPIRED", seconds=30)
    look_again(world)
    assert world.states() == ["EXPIRED"]
    assert "expired_unpaid" in world.tasks()
    assert len(world.created()) == 1


def test_a_number_that_nobody_can_read_is_told(world: World) -> None:
    _, variant = shop(world)
    world.aliexpress.control("faults", [{"op": "order.get", "kind": "status", "status": 503, "times": -1}])
    order(world, variant)
    world.settle(until=lambda: world.states() == ["PLACED_UNPAID"], seconds=10)
    sql(world, "UPDATE supplier_order SET recorded_at = recorded_at - interval '3 days'")
    world.read_again()
    world.settle()
    assert "order_unread" in alerts(world)
    assert "order_unread" in world.tasks()


def test_a_wrong_time_zone_is_noticed_and_nothing_is_given_up_by_it(
    database_url: str, redis_url: str, tmp_path: Path
) -> None:
    with running(database_url, redis_url, tmp_path, ALIEXPRESS_GMT_CREATE_ZONE="UTC") as world:
        _, variant = shop(world)
        order(world, variant)
        world.settle(until=lambda: world.states() == ["PLACED_UNPAID"], seconds=10)
        world.read_again()
        world.settle(until=lambda: "supplier_clock" in alerts(world), seconds=10)
        world.aliexpress.control("push", {"lost": 1000})
        world.aliexpress.control("faults", [{"op": "order.create", "times": 1, "kind": "drop_after"}])
        order(world, variant)
        world.settle(until=lambda: world.states()[1:] == ["UNKNOWN"], seconds=20)
        world.pass_time("quarantine")
        lost = world.created()[1]["order_id"]
        with pytest.raises(Conflict, match="wrong zone"):
            not_there.give_up(world.container, 2, newest_seen=lost, by="merchant:1", confirm_by="ann")
        assert len(world.created()) == 2


def test_not_there_is_refused_where_other_items_came(world: World) -> None:
    """What the supplier made for it holds none of its items: no state of the lifecycle, so nothing is guessed."""
    _, variant = shop(world)
    order(world, variant)
    world.settle(until=lambda: world.states() == ["PLACED_UNPAID"], seconds=10)
    world.read_again()
    world.settle()
    sql(world, "UPDATE supplier_order_item SET purchase_item_id = NULL, product_id = '777'")
    sql(world, "UPDATE purchase SET quarantine_until = now() - interval '1 minute'")
    newest = world.created()[0]["order_id"]
    with pytest.raises(Conflict, match="none of the items"):
        not_there.give_up(world.container, 1, newest_seen=newest, by="merchant:1", confirm_by="ann")
    assert world.states() == ["PLACED_UNPAID"]


def test_a_list_that_was_loaded_just_now_is_new_enough(world: World, monkeypatch: pytest.MonkeyPatch) -> None:
    """An account may order every minute: what was made while the person looked does not send them back."""
    world.aliexpress.control("push", {"lost": 1000})
    _, variant = shop(world)
    world.aliexpress.control("faults", [{"op": "order.create", "times": 1, "kind": "drop_before"}])
    order(world, variant)
    world.settle(until=lambda: world.states() == ["UNKNOWN"], seconds=20)
    socks = world.shopify_variant(SHOP, "SOCKS")
    world.link(1, socks, SOCKS)
    for many in (1, 2):
        order(world, socks)
        placed = ["PLACED_UNPAID"] * many
        world.settle(until=lambda placed=placed: world.states()[1:] == placed, seconds=20)  # type: ignore[misc]
        time.sleep(1.1)  # the supplier tells whole seconds
    world.read_again()
    world.settle()
    world.pass_time("quarantine")
    seen = str(world.created()[0]["order_id"])
    monkeypatch.setattr(not_there, "LOOKING", timedelta(0))
    with pytest.raises(Conflict, match="not the newest"):
        not_there.give_up(world.container, 1, newest_seen=seen, by="merchant:1", confirm_by="ann")
    monkeypatch.setattr(not_there, "LOOKING", timedelta(hours=1))
    not_there.give_up(world.container, 1, newest_seen=seen, by="merchant:1", confirm_by="ann")
    assert world.states()[0] == "VOID"


def test_a_shop_whose_own_keys_are_dead_is_its_owners_task(world: World) -> None:
    shop(world)
    sql(world, "UPDATE credential SET state = 'DEAD' WHERE shop_id IS NOT NULL")
    sweep.watch(world.container)
    assert world.tasks() == ["keys_dead"]
    sql(world, "UPDATE credential SET state = 'LIVE'")
    sweep.watch(world.container)
    assert world.tasks() == []
