"""Parcels: several per order, renumbered ones, and the same on a storefront that keeps them in one field."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import pytest
import sqlalchemy as sa

from app.pipeline import fulfil, import_order, newest, reconcile
from app.services import outbox
from app.shop_access import with_shop
from tests.flow.test_order_changes import order as bottles
from tests.flow.test_order_changes import shop
from tests.flow.world import BOTTLE, SOCKS, World


def bought(world: World) -> dict[str, Any]:
    """A WooCommerce order of two bottles and a pair of socks, bought and paid; the bottles' supplier order."""
    shop = world.woocommerce_shop("socks")
    bottle, socks = world.woocommerce_product("socks", "BOTTLE"), world.woocommerce_product("socks", "SOCKS")
    world.link(shop, bottle, BOTTLE)
    world.link(shop, socks, SOCKS)
    world.woocommerce_order(
        "socks", [{"product_id": int(bottle), "quantity": 2}, {"product_id": int(socks), "quantity": 1}]
    )
    world.settle(until=lambda: world.states() == ["PLACED_UNPAID", "PLACED_UNPAID"], seconds=20)
    world.aliexpress.control("pay", {"order_ids": [line["order_id"] for line in world.created()]})
    world.settle(until=lambda: set(world.states()) == {"PLACED_PAID"}, seconds=20)
    return next(line for line in world.created() if line["items"][0]["product_id"] == BOTTLE[0])


def ship(world: World, order: dict[str, Any], number: str, quantity: int) -> None:
    """One parcel with so many pieces."""
    item = {"product_id": BOTTLE[0], "sku_id": BOTTLE[1], "quantity": quantity}
    parcel = {"tracking_number": number, "carrier": "Cainiao", "items": [item]}
    world.aliexpress.control("ship", {"order_id": order["order_id"], "parcels": [parcel]})


def notes(world: World) -> list[str]:
    """Texts of the notes in the shop."""
    return [str(line) for line in world.woocommerce.control("ledger") if line["event"] == "note_created"]


def test_one_line_in_two_parcels_is_shown_twice_with_its_pieces(world: World) -> None:
    order = bought(world)
    ship(world, order, "PARCEL-1", 1)
    world.settle(until=lambda: len(notes(world)) == 1, seconds=20)
    assert sorted(world.states()) == ["PART_SHIPPED", "PLACED_PAID"]
    ship(world, order, "PARCEL-2", 1)
    world.settle(until=lambda: len(notes(world)) == 2, seconds=20)
    world.settle(until=lambda: sorted(world.states()) == ["PLACED_PAID", "SHIPPED"], seconds=20)
    world.settle()
    assert len(notes(world)) == 2


def test_provisional_number_is_replaced_and_never_added(world: World) -> None:
    order = bought(world)
    ship(world, order, "LP00000000000001", 2)
    world.settle(until=lambda: len(notes(world)) == 1, seconds=20)
    world.aliexpress.control(
        "renumber", {"order_id": order["order_id"], "old": "LP00000000000001", "new": "UA000000001CN"}
    )
    world.read_again()
    world.settle(until=lambda: world.parcel_numbers() == ["UA000000001CN"], seconds=20)
    world.settle(until=lambda: world.shown_numbers() == ["UA000000001CN"], seconds=20)


def renumber(world: World, order: dict[str, Any], old: str, new: str) -> None:
    """A parcel gets another number at the supplier, who tells nobody."""
    world.aliexpress.control("renumber", {"order_id": order["order_id"], "old": old, "new": new})


def test_any_number_may_be_replaced(world: World) -> None:
    """Both bags hold the same, and neither number looked as if it would not stay."""
    order = bought(world)
    ship(world, order, "CN-1", 1)
    ship(world, order, "CN-2", 1)
    world.settle(until=lambda: world.shown_numbers() == ["CN-1", "CN-2"], seconds=20)
    renumber(world, order, "CN-1", "US-1")
    renumber(world, order, "CN-2", "US-2")
    world.read_again()
    world.settle(until=lambda: world.shown_numbers() == ["US-1", "US-2"], seconds=20)
    assert world.tasks() == []
    texts = notes(world)
    assert len(texts) == 4
    assert "US-1" in texts[2]
    assert "US-2" in texts[3]


def test_a_number_that_the_shop_cannot_show_is_the_merchant_s(world: World) -> None:
    order = bought(world)
    ship(world, order, "CN-1", 2)
    world.settle(until=lambda: world.shown_numbers() == ["CN-1"], seconds=20)
    with world.container.database.transaction() as session:  # what has arrived keeps its number
        session.execute(sa.text("UPDATE shipped_parcel SET delivered = true"))
    renumber(world, order, "CN-1", "US-1")
    world.read_again()
    world.settle(until=lambda: world.tasks() == ["parcel_not_shown"], seconds=20)
    assert "US-1" in world.task_texts()[0]
    assert world.shown_numbers() == ["CN-1", ""]


def test_supplier_cancels_after_payment_and_the_merchant_orders_again(world: World) -> None:
    order = bought(world)
    world.aliexpress.control("cancel", {"order_id": order["order_id"]})
    world.settle(until=lambda: "SUPPLIER_CANCELLED" in world.states(), seconds=30)
    gone = next(one for one in world.purchases() if one.state == "SUPPLIER_CANCELLED")
    heir = reconcile.buy_again(world.container, gone.id, by="merchant:1")
    assert heir.generation == 2
    world.settle(until=lambda: world.states().count("PLACED_UNPAID") == 1, seconds=20)
    assert len(world.created()) == 3


def test_split_into_two_supplier_orders_is_one_purchase(world: World) -> None:
    """The supplier answers with fewer ids than it made: the rest is found by its push and attached."""
    shop = world.woocommerce_shop("socks")
    bottle = world.woocommerce_product("socks", "BOTTLE")
    world.link(shop, bottle, BOTTLE)
    world.aliexpress.control("faults", [{"op": "order.create", "kind": "ids_with_error", "times": 1}])
    world.woocommerce_order("socks", [{"product_id": int(bottle), "quantity": 1}])
    world.settle(until=lambda: world.states() == ["PLACED_UNPAID"], seconds=30)
    assert world.outcomes() == ["PLACED"]
    assert world.calls_of_create() == 1


def paid_bottles(world: World, quantity: int) -> tuple[int, str]:
    """A Shopify order of so many bottles, bought and paid: the shop and the order's id. Further events are lost."""
    made, variant = shop(world)
    number = bottles(world, variant, quantity)
    world.settle(until=lambda: world.states() == ["PLACED_UNPAID"], seconds=20)
    world.aliexpress.control("pay", {"order_ids": [world.created()[0]["order_id"]]})
    world.settle(until=lambda: world.states() == ["PLACED_PAID"], seconds=20)
    world.shopify.control("webhook_url", {"url": f"{world.app.url}/nowhere"})
    return made, number


def test_what_was_read_before_a_parcel_was_shown_does_not_count_its_pieces_twice(world: World) -> None:
    """Read, shown, recorded, and only then is stored what was read: its pieces to ship are on their way already."""
    made, number = paid_bottles(world, 3)
    with world.container.database.transaction() as session:  # the merchant shipped one of four from his own shelf
        session.execute(sa.text("UPDATE source_line SET quantity = 4"))
    begun = newest.begin(world.container, made, number)
    fresh = with_shop(world.container, made, lambda opened: opened.order(number))
    assert fresh is not None
    fresh = replace(fresh, lines=tuple(replace(line, quantity=4) for line in fresh.lines))
    ship(world, world.created()[0], "PARCEL-1", 1)
    world.settle(until=lambda: world.shown_numbers() == ["PARCEL-1"], seconds=20)
    with world.container.calls.story() as story, world.container.database.transaction() as session:
        told = import_order.store(world.container, session, made, number, fresh, begun, story)
    assert told[1] == "read again"
    assert world.quantities() == [3]


def test_what_is_read_after_a_parcel_was_shown_and_before_it_is_recorded_gives_nothing_up(
    world: World, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The shop expects one piece less, and nothing tells yet that it was ours: what waits to be bought stays."""
    made, number = paid_bottles(world, 2)
    world.pause_shop()
    world.edit(number, 3)
    import_order.refresh(world.container, made, number, world.container.clock.now())
    assert (world.states(), world.quantities()) == (["PLACED_PAID", "HELD"], [2, 1])
    whole, read = fulfil.with_shop, list[str]()

    def shown(*given: Any) -> Any:
        done = whole(*given)
        read.append(import_order.refresh(world.container, made, number, world.container.clock.now())[1])
        read.extend(world.states())
        return done

    monkeypatch.setattr(fulfil, "with_shop", shown)
    ship(world, world.created()[0], "PARCEL-1", 2)
    world.settle(until=lambda: world.shown_numbers() == ["PARCEL-1"], seconds=20)
    assert read[0] == "read again"
    assert read[2] == "HELD"
    import_order.refresh(world.container, made, number, world.container.clock.now())
    assert (world.states(), world.quantities()) == (["SHIPPED", "HELD"], [2, 1])


def test_the_parcel_of_an_order_that_its_shop_cancelled_is_the_merchant_s(world: World) -> None:
    """Nothing of it is open in the shop any more. Nothing that staff could do: they are not told, nor asked twice."""
    _, number = paid_bottles(world, 2)
    world.shopify.control(f"orders/{number}/cancel", {})
    ship(world, world.created()[0], "PARCEL-1", 2)
    world.settle(until=lambda: "parcel_not_shown" in world.tasks(), seconds=20)
    world.read_again()
    world.settle()
    assert sorted(world.tasks()) == ["parcel_not_shown"]
    [text] = world.task_texts()
    assert "PARCEL-1" in text
    assert "cancelled" in text
    with world.container.database.transaction() as session:
        assert outbox.late_acts(world.container, session) == []
        assert outbox.unshown(world.container, session) == []
    world.aliexpress.control("deliver", {"order_id": world.created()[0]["order_id"]})
    world.read_again()
    world.settle(until=lambda: world.states() == ["DELIVERED"], seconds=20)
    assert world.tasks() == []
