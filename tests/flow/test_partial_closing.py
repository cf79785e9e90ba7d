"""What was closed of a purchase is ordered again only when it is surely closed, still wanted, and not half a bundle."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from typing import Any

import pytest
import sqlalchemy as sa

from app.errors import WaybillError
from app.models import Purchase, PurchaseItem, SourceLine, SupplierOrder
from app.pipeline import closing, reconcile
from app.services import orders, standing, story
from app.shop_access import with_account
from tests.flow.test_several_orders import pay_all, two_lines
from tests.flow.world import SOCKS, World


@pytest.fixture
def partly(world: World) -> str:
    """Two supplier orders of one purchase, paid, of which one is closed; gives its number."""
    world.variants["socks"], world.variants["glass"] = two_lines(world, {"kind": "split"})
    world.settle(until=lambda: world.states() == ["PLACED_UNPAID"], seconds=20)
    pay_all(world)
    number = str(world.created()[0]["order_id"])
    world.aliexpress.control("cancel", {"order_id": number})
    world.settle(until=lambda: "partly_closed" in world.tasks(), seconds=30)
    return number


def no(world: World) -> str:
    """The code of the no to "order again"; nothing is changed by it."""
    before = (world.states(), world.quantities())
    with pytest.raises(WaybillError) as said:
        reconcile.buy_again(world.container, 1, by="merchant:1")
    assert (world.states(), world.quantities()) == before
    return said.value.code


def read_as(world: World, monkeypatch: pytest.MonkeyPatch, bend: Callable[[Any], Any]) -> None:
    """The supplier tells something else about the order when it is read once more."""

    def read(container: Any, account: int, act: Any) -> Any:
        return bend(with_account(container, account, act))

    monkeypatch.setattr(closing, "with_account", read)


def test_what_is_not_closed_there_any_more_is_not_ordered_again(
    world: World, partly: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    def alive(read: Any) -> Any:
        return replace(read, closed=False, items=tuple(replace(item, closed=False) for item in read.items))

    read_as(world, monkeypatch, alive)
    assert no(world) == "not_closed", partly


def test_an_order_whose_lost_piece_is_closed_may_go_on_with_others(
    world: World, partly: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    def others_alive(read: Any) -> Any:
        gone = tuple(replace(item, closed=True) for item in read.items)
        more = replace(gone[0], product_id="1", sku_id="1", closed=False)
        return replace(read, closed=False, items=(*gone, more))

    read_as(world, monkeypatch, others_alive)
    assert reconcile.buy_again(world.container, 1, by="merchant:1").part == 2, partly


def test_what_cannot_be_read_is_not_ordered_again(world: World, partly: str, monkeypatch: pytest.MonkeyPatch) -> None:
    world.aliexpress.control("faults", [{"op": "*", "kind": "outage", "times": -1}])
    assert no(world) == "not_readable"
    world.aliexpress.control("faults", [])
    read_as(world, monkeypatch, lambda _: None)
    assert no(world) == "not_readable", partly


def test_half_a_bundle_is_not_ordered_alone(world: World, partly: str) -> None:
    with world.container.database.transaction() as session:
        one = session.scalars(sa.select(PurchaseItem).order_by(PurchaseItem.id)).first()
        assert one is not None
        values = {
            name: getattr(one, name) for name in ("purchase_id", "source_line_id", "part", "generation", "quantity")
        }
        session.add(PurchaseItem(**values, position=2, units=1, product_id="1", sku_id="1"))
    assert no(world) == "bundle", partly


def test_what_the_buyer_does_not_want_any_more_is_not_ordered_again(world: World, partly: str) -> None:
    with world.container.database.transaction() as session:
        session.execute(sa.update(SourceLine).values(to_ship=0))
    assert no(world) == "nothing_left", partly


def test_what_was_given_up_is_ordered_once_with_its_own_pieces(world: World, partly: str) -> None:
    lost = next(line for line in world.created() if str(line["order_id"]) == partly)["items"][0]
    made = reconcile.buy_again(world.container, 1, by="merchant:1")
    assert no(world) == "nothing_lost"
    world.settle(until=lambda: world.states() == ["PLACED_PAID", "PLACED_UNPAID"], seconds=20)
    again = world.created()[-1]["items"]
    assert [(item["sku_id"], item["quantity"]) for item in again] == [(lost["sku_id"], lost["quantity"])]
    assert (made.part, made.generation, made.previous_id) == (2, 1, None)
    assert sorted(world.quantities()) == [0, 1, 1]


def test_only_the_orders_of_this_purchase_are_asked_about(
    world: World, partly: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Another purchase lost something too; that it cannot be read is no obstacle here."""
    asked = list[str]()
    whole = closing._read

    def read(container: Any, account: int, ref: str) -> Any:
        asked.append(ref)
        return whole(container, account, ref)

    monkeypatch.setattr(closing, "_read", read)
    world.woocommerce_order(
        "socks", [{"product_id": int(variant), "quantity": 1} for variant in world.variants.values()]
    )
    world.settle(until=lambda: world.states() == ["PLACED_PAID", "PLACED_UNPAID"], seconds=20)
    with world.container.database.transaction() as session:
        session.execute(sa.update(SupplierOrder).where(SupplierOrder.purchase_id == 2).values(closed=True))
    reconcile.buy_again(world.container, 1, by="merchant:1")
    assert asked == [partly]


@pytest.mark.parametrize("state", ["EXPIRED", "SUPPLIER_CANCELLED", "REFUNDED"])
def test_each_end_may_be_ordered_again(world: World, partly: str, state: str) -> None:
    with world.container.database.transaction() as session:
        session.execute(sa.update(Purchase).values(state=state))
    heir = reconcile.buy_again(world.container, 1, by="merchant:1")
    assert (heir.generation, heir.previous_id) == (2, 1), partly
    with pytest.raises(WaybillError, match="cannot be ordered again"):
        reconcile.buy_again(world.container, 1, by="merchant:1")


def test_who_ordered_all_of_it_again_after_the_first_look_is_not_asked_to_do_so_once_more(world: World) -> None:
    shop = world.shopify_shop()
    world.link(shop, world.shopify_variant("bottles.myshopify.com", "SOCKS"), SOCKS)
    world.shopify.control("orders", {"shop": "bottles.myshopify.com", "lines": [{"sku": "SOCKS", "quantity": 1}]})
    world.settle(until=lambda: world.states() == ["PLACED_UNPAID"], seconds=20)
    pay_all(world)
    world.settle(until=lambda: world.states() == ["PLACED_PAID"], seconds=20)
    world.aliexpress.control("cancel", {"order_id": world.created()[0]["order_id"]})
    world.settle(until=lambda: seen_closed(world) == (1, False), seconds=20)
    assert reconcile.buy_again(world.container, 1, by="merchant:1").part == 2
    world.settle(until=lambda: world.states()[0] == "SUPPLIER_CANCELLED", seconds=30)
    assert "supplier_cancelled" not in world.tasks()
    with world.container.database.transaction() as session:
        assert standing.heirs(session, [1, 2]) == {1: 2}, "nor by the words of where it stands"
        ref = str(session.get_one(Purchase, 1).order_id)
    stands = story.tell(world.container, ref)["stands"], orders.listed(world.container)[0]
    assert "order_again" not in {one["remedy"] for one in stands}
    with pytest.raises(WaybillError, match="nothing to order"):
        reconcile.buy_again(world.container, 1, by="merchant:1")
    world.settle(until=lambda: len(world.created()) > 1, seconds=20)
    assert len(world.created()) == 2


def test_what_is_closed_after_a_part_was_ordered_again_still_waits_for_the_merchant(world: World, partly: str) -> None:
    assert reconcile.buy_again(world.container, 1, by="merchant:1").part == 2
    other = next(str(line["order_id"]) for line in world.created() if str(line["order_id"]) != partly)
    world.aliexpress.control("cancel", {"order_id": other})
    world.settle(until=lambda: world.states()[0] == "SUPPLIER_CANCELLED", seconds=30)
    assert "supplier_cancelled" in world.tasks()
    with world.container.database.transaction() as session:
        assert standing.heirs(session, [1]) == {}
        ref = str(session.get_one(Purchase, 1).order_id)
    stands = story.tell(world.container, ref)["stands"]
    assert (stands["turn"], stands["remedy"]) == ("merchant", "order_again")


def seen_closed(world: World) -> tuple[int, bool] | None:
    """(looks that saw the first supplier order closed, whether that is certain)."""
    with world.container.database.transaction() as session:
        found = session.execute(
            sa.select(SupplierOrder.closed_seen, SupplierOrder.closed).order_by(SupplierOrder.id)
        ).first()
    return (found[0], found[1]) if found else None
