"""What a person does with orders: looks, pays, approves, resolves, corrects, stops and starts."""

from __future__ import annotations

import json
from typing import Any

import pytest
import sqlalchemy as sa

from app.errors import Conflict, NotFound, WaybillError
from app.models import Breaker, Inbox
from app.pipeline import breaker
from app.services import inbox, orders, paylist, placement, purchases, story, todo
from tests.flow.world import BOTTLE, World

SHOP = "bottles.myshopify.com"


def bought(world: World, *, until: str = "PLACED_UNPAID", **asked: Any) -> dict[str, Any]:
    """One order of a linked bottle, worked until its purchase is in this state."""
    shop = world.shopify_shop(SHOP)
    variant = world.shopify_variant(SHOP, "BOTTLE", str(asked.pop("price", "19.90")))
    world.link(shop, variant, BOTTLE)
    made: dict[str, Any] = world.shopify.control(
        "orders", {"shop": SHOP, "lines": [{"variant_id": variant, "quantity": 1}], **asked}
    )
    world.settle(until=lambda: world.states() == [until], seconds=20)
    return made


def paid_list(world: World) -> dict[str, Any]:
    """The pay list, once the supplier's orders have been read."""
    world.settle(until=lambda: bool(_both(world)), seconds=20)
    return paylist.listed(world.container)


def _both(world: World) -> list[Any]:
    data = paylist.listed(world.container)
    return [*data["pay"], *data["do_not_pay"]]


def test_story_of_an_order_explains_it_without_personal_data(world: World) -> None:
    made = bought(world)
    created = world.created()[0]["order_id"]
    world.aliexpress.control("pay", {"order_ids": [created]})
    world.settle(until=lambda: world.states() == ["PLACED_PAID"])
    world.aliexpress.control("ship", {"order_id": created})
    world.settle(until=lambda: world.states() == ["SHIPPED"], seconds=15)
    world.settle(until=lambda: bool(world.shown_parcels()), seconds=15)
    [row] = orders.listed(world.container)
    number = world.shown_parcels()[0]
    assert number
    data = story.tell(world.container, str(row["id"]))
    parcel = data["parcels"][0]["tracking_number"]
    for ref in (row["number"], str(made["id"]), created, parcel, world.purchases()[0].out_order_id):
        assert story.tell(world.container, ref)["order"]["id"] == row["id"], ref
    replaced = 'UPDATE shipped_parcel SET former_numbers = \'["OLDER-1", "OLDER-2"]\''
    with world.container.database.transaction() as session:
        session.execute(sa.text(replaced))
    assert story.tell(world.container, "OLDER-2")["order"]["id"] == row["id"]
    with pytest.raises(NotFound):
        story.tell(world.container, "OLDER-3")
    assert data["stands"]["state"] == "SHIPPED"
    assert created in data["stands"]["text"]
    assert data["stands"]["turn"] == "supplier"
    assert data["parcels"][0]["shown_in_shop"]
    kinds = {entry["kind"] for entry in data["timeline"]}
    assert {"webhook", "purchase", "call", "attempt", "outbox", "parcel"} <= kinds
    times = [entry["at"] for entry in data["timeline"]]
    assert times == sorted(times)
    text = json.dumps(data, default=str)
    with world.container.database.transaction() as session:
        sealed = session.execute(sa.text("SELECT address_sealed FROM store_order")).scalar_one()
    address = world.container.vault.open_json(sealed, world.orders()[0].address_place)
    for name in ("name", "line1", "phone", "email"):
        assert address[name] == "" or address[name] not in text, name
    assert world.account["access_token"] not in text


def test_story_says_what_holds_a_waiting_order(world: World) -> None:
    shop = world.shopify_shop(SHOP)
    variant = world.shopify_variant(SHOP, "BOTTLE")
    placement.freeze(world.container, "a backup was restored", by="ann")
    world.link(shop, variant, BOTTLE)
    world.shopify.control("orders", {"shop": SHOP, "lines": [{"variant_id": variant, "quantity": 1}]})
    world.settle(until=lambda: world.reasons() == ["placement_frozen"] or world.states() == ["READY"])
    ref = str(world.orders()[0].id)
    assert story.tell(world.container, ref)["stands"]["remedy"] == "release_placement"
    assert placement.status(world.container)["frozen"]
    with pytest.raises(Conflict, match="already"):
        placement.freeze(world.container, "a backup was restored", by="ann")
    for second in ("", "Ann", "ann "):
        with pytest.raises(WaybillError, match="Two different people"):
            placement.release(world.container, by="ann", second=second)
    assert placement.release(world.container, by="ann", second="ben") == 1
    with pytest.raises(Conflict, match="not frozen"):
        placement.release(world.container, by="ann", second="ben")
    with world.container.database.transaction() as session:
        session.add(Breaker(scope="supplier:aliexpress", state="OPEN", trial_at=None, unclear_at=[]))
    told = story.tell(world.container, ref)["stands"]
    if told["state"] == "READY":
        assert "having trouble" in told["text"]
        assert told["turn"] == "us"
    breaker.note_read(world.container, "aliexpress", ok=True)
    world.settle(until=lambda: world.states() == ["PLACED_UNPAID"], seconds=20)


def test_several_orders_with_one_number_are_named(world: World) -> None:
    with pytest.raises(NotFound):
        story.tell(world.container, "nothing")
    bought(world)
    number = world.orders()[0].number
    with world.container.database.transaction() as session:
        session.execute(
            sa.text(
                "INSERT INTO store_order (shop_id, external_id, number, source_version, currency, paid, unpaid_reason,"
                " cancelled, gone, hold, test, total, shipping_paid, country, address_problem, placed_at, changed_at)"
                " SELECT shop_id, '4242', number, 1, currency, true, '', false, false, '', false, 1, 0, '', '',"
                " now(), now() FROM store_order"
            )
        )
    with pytest.raises(Conflict, match="Several orders"):
        story.tell(world.container, number)
    assert story.tell(world.container, "4242")["stands"]["turn"] == ""


def test_pay_list_names_deadline_total_and_link(world: World) -> None:
    bought(world)
    data = paid_list(world)
    [entry] = data["pay"]
    created = world.created()[0]["order_id"]
    assert (entry["supplier_order"], entry["shop_id"]) == (created, 1)
    assert entry["pay_until"] is not None
    assert entry["pay_url"].startswith("http")
    assert list(data["totals"].values()) == [entry["total"]]
    assert data["do_not_pay"] == []
    assert paylist.listed(world.container, shop_id=99)["pay"] == []


def test_price_over_the_limit_is_not_paid_until_approved(world: World) -> None:
    bought(world)
    with world.container.database.transaction() as session:
        session.execute(sa.text("UPDATE purchase SET limit_minor = 1"))
        session.execute(sa.text("UPDATE supplier_order SET track_run_at = now()"))
    world.settle(until=lambda: world.states() == ["PAY_BLOCKED"], seconds=20)
    data = paylist.listed(world.container)
    assert data["pay"] == []
    assert "above your limit" in data["do_not_pay"][0]["reason"]
    told = purchases.approve(world.container, world.purchases()[0].id, actor="ann")
    assert told["state"] == "PLACED_UNPAID"
    assert [row["purchase_id"] for row in paylist.listed(world.container)["pay"]] == [told["id"]]
    with pytest.raises(Conflict, match="no price to approve"):
        purchases.approve(world.container, told["id"], actor="ann")


def test_order_below_the_margin_is_bought_once_approved(world: World) -> None:
    bought(world, until="HELD", price="0.50")
    [row] = purchases.listed(world.container, state="held")
    assert row["reason"] == "margin"
    assert row["remedy"] == "approve_price"
    assert purchases.retry(world.container, row["id"], actor="ann")["state"] == "READY"
    world.settle(until=lambda: world.reasons() == ["margin"])
    assert purchases.approve(world.container, row["id"], actor="ann")["state"] == "READY"
    world.settle(until=lambda: world.states() == ["PLACED_UNPAID"])


def test_unclear_purchase_is_resolved_by_a_person(world: World) -> None:
    world.aliexpress.control("push", {"lost": 1.0})
    world.aliexpress.control("faults", [{"op": "order.create", "kind": "drop_after", "times": 1}])
    bought(world, until="UNKNOWN")
    purchase = world.purchases()[0].id
    assert placement.status(world.container)["unclear"] == 1
    with pytest.raises(Conflict):
        purchases.resolve_not_there(world.container, purchase, newest_seen="", by="merchant")
    with pytest.raises(Conflict, match="only one that is held"):
        purchases.retry(world.container, purchase, actor="ann")
    with pytest.raises(NotFound):
        purchases.resolve_found(world.container, purchase, ["1"], by="merchant")
    made = world.created()[0]["order_id"]
    told = purchases.resolve_found(world.container, purchase, [made], by="merchant")
    assert told["state"] == "PLACED_UNPAID"
    assert any("merchant said" in entry["text"] for entry in story.tell(world.container, made)["timeline"])
    assert len(world.created()) == 1


def test_address_is_corrected_field_by_field(world: World) -> None:
    address = {
        "first_name": "Ada", "last_name": "Example", "address_1": "1 Sample Street", "city": "Springfield",
        "state": "IL", "postcode": "62701", "country": "US", "phone": "not a number",
    }  # fmt: skip
    shop = world.woocommerce_shop("socks")
    product = world.woocommerce_product("socks", "BOTTLE")
    world.link(shop, product, BOTTLE)
    world.woocommerce_order("socks", [{"product_id": int(product), "quantity": 1}], billing=address)
    world.settle(until=lambda: world.reasons() == ["address_invalid"])
    ref = str(world.orders()[0].id)
    orders.fix_address(world.container, ref, {"zip": ""}, actor="ann")
    assert "corrected the address" not in json.dumps(story.tell(world.container, ref), default=str), "nothing was"
    before = orders.fix_address(world.container, ref, {}, actor="ann")
    assert [one["field"] for one in before["problems"]] == ["mobile_no"]
    with pytest.raises(WaybillError, match="no field"):
        orders.fix_address(world.container, ref, {"shoe_size": "44"}, actor="ann")
    after = orders.fix_address(world.container, ref, {"mobile_no": "2175550100", "phone_country": "+1"}, actor="ann")
    assert after["problems"] == []
    assert after["went_on"] == [world.purchases()[0].id]
    told = json.dumps(story.tell(world.container, ref), default=str)
    assert "corrected the address" in told
    assert "2175550100" not in told
    world.settle(until=lambda: world.states() == ["PLACED_UNPAID"])


def test_events_can_be_dealt_with_once_more(world: World) -> None:
    bought(world)
    rows = inbox.listed(world.container, state="done")
    row = next(one for one in rows if one["order_id"])
    assert "bought already" in inbox.replay(world.container, row["id"], actor="ann")
    world.settle(until=lambda: not inbox.listed(world.container, state="DUE"))
    assert len(world.created()) == 1
    with pytest.raises(NotFound):
        inbox.replay(world.container, 999_999, actor="ann")
    with world.container.database.transaction() as session:
        session.execute(sa.update(Inbox).values(body=None))
    with pytest.raises(Conflict, match="deleted"):
        inbox.replay(world.container, row["id"], actor="ann")


def test_states_that_do_not_exist_are_named(world: World) -> None:
    for act in (
        lambda: inbox.listed(world.container, state="x"),
        lambda: purchases.listed(world.container, state="x"),
    ):
        with pytest.raises(WaybillError, match="There is no state"):
            act()
    with pytest.raises(NotFound, match="no purchase 7"):
        purchases.retry(world.container, 7, actor="ann")


def test_tasks_are_done_once(world: World) -> None:
    with world.container.database.transaction() as session:
        session.execute(
            sa.text("INSERT INTO task (dedupe_key, kind, turn, text, done_by) VALUES ('k', 'k', 'us', 'Look.', '')")
        )
        session.execute(sa.text("INSERT INTO alert (dedupe_key, kind, text) VALUES ('k', 'k', 'Trouble.')"))
    [task] = todo.tasks(world.container)
    assert [row["text"] for row in todo.alerts(world.container)] == ["Trouble."]
    todo.finish(world.container, task["id"], actor="ann")
    assert todo.tasks(world.container) == []
    assert [row["done_by"] for row in todo.tasks(world.container, done=True)] == ["ann"]
    with pytest.raises(Conflict, match="by ann"):
        todo.finish(world.container, task["id"], actor="ben")
