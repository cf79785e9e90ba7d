"""Everything that may happen to an order before, while and after it is bought."""

from __future__ import annotations

import threading

from app.jobs.drain import Drain
from app.pipeline import poll
from app.pipeline.due import Claim
from app.services import paylist
from tests.flow.world import BOTTLE, SOCKS, World

SHOP = "bottles.myshopify.com"


def shop(world: World, **asked: object) -> tuple[int, str]:
    """A shop with one linked variant."""
    made = world.shopify_shop(SHOP, **asked)
    variant = world.shopify_variant(SHOP, "BOTTLE")
    world.link(made, variant, BOTTLE)
    return made, variant


def order(world: World, variant: str, quantity: int = 1, **more: object) -> str:
    """A paid order; gives its id."""
    made = world.shopify.control(
        "orders", {"shop": SHOP, "lines": [{"variant_id": variant, "quantity": quantity}], **more}
    )
    return str(made["id"])


def test_duplicates_and_two_workers_give_one_purchase(world: World) -> None:
    _, variant = shop(world)
    order(world, variant)
    world.settle(until=lambda: bool(world.inbox_rows()))
    for _ in range(5):
        world.shopify.control("redeliver", {})
    drains = [Drain(world.container, threads=4) for _ in range(2)]
    threads = [threading.Thread(target=drain.until_idle) for drain in drains]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    for drain in drains:
        drain.close()
    world.settle(until=lambda: world.states() == ["PLACED_UNPAID"])
    assert len(world.created()) == 1


def test_unpaid_order_waits_and_is_bought_when_paid(world: World) -> None:
    _, variant = shop(world)
    number = order(world, variant, financial_status="pending")
    world.settle(until=lambda: world.states() == ["DRAFT"])
    world.shopify.control(f"orders/{number}/pay", {})
    world.settle(until=lambda: world.states() == ["PLACED_UNPAID"], seconds=10)


def test_cancelled_before_it_is_bought_is_never_bought(world: World) -> None:
    _, variant = shop(world)
    number = order(world, variant, financial_status="pending")
    world.settle(until=lambda: world.states() == ["DRAFT"])
    world.shopify.control(f"orders/{number}/cancel", {})
    world.settle(until=lambda: world.states() == ["CANCELLED"], seconds=10)
    assert world.calls_of_create() == 0


def test_cancelled_after_it_was_bought_becomes_a_task_and_is_not_to_be_paid(world: World) -> None:
    _, variant = shop(world)
    number = order(world, variant)
    world.settle(until=lambda: world.states() == ["PLACED_UNPAID"])
    world.shopify.control(f"orders/{number}/cancel", {})
    world.settle(until=lambda: world.tasks() == ["ask_supplier_to_cancel"], seconds=10)
    world.settle(until=lambda: world.states() == ["PAY_BLOCKED"], seconds=20)
    assert len(world.created()) == 1


def test_refund_before_buying_reduces_and_full_refund_cancels(world: World) -> None:
    made, variant = shop(world)
    world.pause_shop(made)
    number = order(world, variant, 3)
    world.settle(until=lambda: world.reasons() == ["shop_paused"])
    world.refund(number, 1)
    world.settle(until=lambda: world.quantities() == [2], seconds=10)
    world.refund(number, 2)
    world.settle(until=lambda: world.states() == ["CANCELLED"], seconds=10)


def test_quantity_raised_after_buying_becomes_a_second_part(world: World) -> None:
    _, variant = shop(world)
    number = order(world, variant)
    world.settle(until=lambda: world.states() == ["PLACED_UNPAID"])
    world.edit(number, 3)
    world.settle(until=lambda: world.states() == ["PLACED_UNPAID", "PLACED_UNPAID"], seconds=20)
    assert world.quantities() == [1, 2]
    assert [item["quantity"] for line in world.created() for item in line["items"]] == [1, 2]


def test_three_lines_over_two_sellers_in_two_purchases(world: World) -> None:
    made, bottle = shop(world)
    socks = world.shopify_variant(SHOP, "SOCKS")
    world.link(made, socks, SOCKS)
    other = world.shopify_variant(SHOP, "OTHER")
    world.link(made, other, ("1005006000000001", world.sku_of("1005006000000001")))
    world.shopify.control(
        "orders",
        {"shop": SHOP, "lines": [{"variant_id": one, "quantity": 1} for one in (bottle, socks, other)]},
    )
    world.settle(until=lambda: world.states() == ["PLACED_UNPAID", "PLACED_UNPAID"], seconds=10)
    assert sorted(len(line["items"]) for line in world.created()) == [1, 2]
    two = next(line for line in world.created() if len(line["items"]) == 2)
    world.aliexpress.control("pay", {"order_ids": [line["order_id"] for line in world.created()]})
    world.settle(until=lambda: set(world.states()) == {"PLACED_PAID"}, seconds=20)
    first, second = two["items"]
    for number, item in (("TRACK-A-1", first), ("TRACK-B-2", second)):
        world.aliexpress.control(
            "ship",
            {
                "order_id": two["order_id"],
                "parcels": [
                    {
                        "tracking_number": number,
                        "carrier": "Cainiao",
                        "items": [
                            {"product_id": item["product_id"], "sku_id": item["sku_id"], "quantity": item["quantity"]}
                        ],
                    }
                ],
            },
        )
    world.settle(until=lambda: len(world.shown_parcels()) == 2, seconds=20)
    assert sorted(sum(line["quantity"] for line in parcel["lines"]) for parcel in world.shown_parcels()) == [1, 1]
    world.settle()
    assert len(world.shown_parcels()) == 2


def test_price_over_the_margin_is_held_before_anything_is_ordered(world: World) -> None:
    made = world.shopify_shop(SHOP)
    variant = world.shopify_variant(SHOP, "CHEAP", "3.00")
    world.link(made, variant, BOTTLE)
    order(world, variant)
    world.settle(until=lambda: world.reasons() == ["margin"])
    assert world.calls_of_create() == 0


def test_price_that_rises_while_ordering_blocks_payment(world: World) -> None:
    _, variant = shop(world)
    world.aliexpress.control("faults", [{"op": "order.create", "kind": "price_change", "times": 1, "factor": 5}])
    order(world, variant)
    world.settle(until=lambda: world.states() == ["PAY_BLOCKED"], seconds=20)
    assert world.reasons() == ["price_over_limit"]


def test_dead_token_holds_and_a_renewed_account_goes_on(world: World) -> None:
    _, variant = shop(world)
    world.aliexpress.control("kill_token", {"refresh": True})
    order(world, variant)
    world.settle(until=lambda: world.reasons() == ["token_dead"], seconds=10)
    world.reconnect_account()
    world.settle(until=lambda: world.states() == ["PLACED_UNPAID"], seconds=20)
    assert len(world.created()) == 1


def test_refused_address_is_repaired_as_a_new_generation(world: World) -> None:
    _, variant = shop(world)
    world.aliexpress.control(
        "faults",
        [
            {
                "op": "order.create",
                "kind": "error",
                "times": 1,
                "code": "B_DROPSHIPPER_DELIVERY_ADDRESS_VALIDATE_FAIL",
                "execute": False,
            }
        ],
    )
    order(world, variant)
    world.settle(until=lambda: world.states() == ["REJECTED", "HELD"], seconds=10)
    assert world.reasons()[1] == "address_refused"
    world.retry(world.purchases()[1].id)
    world.settle(until=lambda: world.states() == ["REJECTED", "PLACED_UNPAID"], seconds=10)
    assert len(world.created()) == 1


def test_unpaid_order_that_expires_is_ordered_again_once(world: World) -> None:
    _, variant = shop(world)
    order(world, variant)
    world.settle(until=lambda: world.states() == ["PLACED_UNPAID"])
    world.aliexpress.control("close", {"order_id": world.created()[0]["order_id"]})
    world.settle(until=lambda: world.states() == ["EXPIRED", "PLACED_UNPAID"], seconds=30)
    world.aliexpress.control("close", {"order_id": world.created()[1]["order_id"]})
    world.settle(until=lambda: world.states() == ["EXPIRED", "EXPIRED", "HELD"], seconds=30)
    assert world.reasons()[2] == "expired_unpaid"
    assert len(world.created()) == 2


def test_poller_finds_an_order_whose_webhooks_never_came(world: World) -> None:
    made, variant = shop(world)
    order(world, variant, webhooks=False)
    poll.run(world.container, Claim(made, world.container.clock.now()))
    world.settle(until=lambda: world.states() == ["PLACED_UNPAID"], seconds=10)


def test_event_with_another_shops_header_does_nothing_there(world: World) -> None:
    """S06: the shop header is not signed; the order does not exist in the other shop."""
    made, variant = shop(world)
    other = world.shopify_shop("other.myshopify.com")
    number = order(world, variant, webhooks=False)
    from app.pipeline import import_order  # noqa: PLC0415

    found, what = import_order.refresh(world.container, other, number, world.container.clock.now())
    assert (found, what) == (None, "this shop has no such order")
    assert world.states() == []
    assert made != other


def test_unmapped_line_is_held_and_goes_on_when_it_is_linked(world: World) -> None:
    made = world.shopify_shop(SHOP)
    variant = world.shopify_variant(SHOP, "LATER")
    order(world, variant)
    world.settle(until=lambda: world.reasons() == ["mapping_missing"])
    world.link(made, variant, BOTTLE)
    world.retry(world.purchases()[0].id)
    world.settle(until=lambda: world.states() == ["PLACED_UNPAID"], seconds=10)


def test_changed_sku_is_held_and_never_guessed(world: World) -> None:
    _, variant = shop(world)
    world.aliexpress.control(
        "products", {"product_id": BOTTLE[0], "sku_changes": {BOTTLE[1]: {"sku_attr": "14:999999#Other"}}}
    )
    order(world, variant)
    world.settle(until=lambda: world.reasons() == ["mapping_changed"])
    assert world.calls_of_create() == 0


def test_refund_of_one_line_leaves_the_other_to_be_bought(world: World) -> None:
    """Two lines in one purchase; the buyer gives one back after ordering: the rest is not given up."""
    made, bottle = shop(world)
    other = world.shopify_variant(SHOP, "OTHER", "39.90")
    world.link(made, other, ("1005006000000009", world.sku_of("1005006000000009")))
    made_order = world.shopify.control(
        "orders", {"shop": SHOP, "lines": [{"variant_id": one, "quantity": 1} for one in (bottle, other)]}
    )
    world.settle(until=lambda: world.states() == ["PLACED_UNPAID"])
    world.refund(str(made_order["id"]), 1)
    world.settle(until=lambda: world.tasks() == ["ask_supplier_to_cancel"], seconds=10)
    world.settle()
    assert [purchase.cancel_requested_at for purchase in world.purchases()] == [None]
    [text] = world.task_texts()
    assert "cancel that order there" in text
    listed = paylist.listed(world.container)
    assert [one["note"] for one in listed["pay"]] == [text]
    assert listed["pay_all_urls"] == {}
    world.aliexpress.control("close", {"order_id": world.created()[0]["order_id"]})  # as its merchant decides
    world.settle(until=lambda: world.states() == ["EXPIRED", "PLACED_UNPAID"], seconds=30)
    first, anew = world.created()
    assert (len(first["items"]), len(anew["items"])) == (2, 1)
    assert world.tasks() == []


def test_same_sku_on_two_lines_is_bought_in_two_purchases(world: World) -> None:
    _, bottle = shop(world)
    world.shopify.control(
        "orders",
        {"shop": SHOP, "lines": [{"variant_id": bottle, "quantity": 1}, {"variant_id": bottle, "quantity": 2}]},
    )
    world.settle(until=lambda: world.states() == ["PLACED_UNPAID", "PLACED_UNPAID"], seconds=20)
    assert sorted(item["quantity"] for line in world.created() for item in line["items"]) == [1, 2]
