"""Parcels: several per order, renumbered ones, and the same on a storefront that keeps them in one field."""

from __future__ import annotations

from typing import Any

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


def test_supplier_cancels_after_payment_and_the_merchant_orders_again(world: World) -> None:
    order = bought(world)
    world.aliexpress.control("cancel", {"order_id": order["order_id"]})
    world.settle(until=lambda: "SUPPLIER_CANCELLED" in world.states(), seconds=30)
    gone = next(one for one in world.purchases() if one.state == "SUPPLIER_CANCELLED")
    from app.pipeline import reconcile  # noqa: PLC0415

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
