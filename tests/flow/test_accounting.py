"""Every store order accounted for: the shop's own count beside ours, each gap with its row, and an alert after an hour."""

from __future__ import annotations

from datetime import timedelta
from typing import Any
from zoneinfo import ZoneInfo

import pytest
import sqlalchemy as sa

from app.errors import WaybillError
from app.models import Alert, OrderGap, Purchase, PurchaseItem, Shop, StoreOrder
from app.pipeline import accounting, day_book
from app.services import reconcile
from tests.flow.test_money_back import Front
from tests.flow.world import World


@pytest.fixture(params=["shopify", "woocommerce"])
def front(request: pytest.FixtureRequest, world: World) -> Front:
    return Front(world, request.param)


def told(world: World) -> dict[str, Any]:
    [found] = reconcile.days(world.container, shop_id=1, day=None)
    return found


def shares(world: World) -> tuple[int | None, int, dict[str, int]]:
    found = told(world)
    return found["store"], found["ours"], {name: found[name] for name in ("placed", "held", "refused", "not_ours")}


def look(world: World, *, hours: float = 0) -> None:
    """The periodic comparison; `hours` later than the gaps were first seen."""
    with world.container.database.transaction() as session:
        back = timedelta(hours=hours) / world.container.settings.time_scale
        session.execute(sa.update(OrderGap).values(since=OrderGap.since - back))
        session.execute(sa.update(Shop).values(account_run_at=sa.func.now(), account_lease_until=None))
    for claimed in accounting.due(world.container, 10):
        accounting.run(world.container, claimed)


def open_alerts(world: World, kind: str = "orders_unaccounted") -> list[str]:
    with world.container.database.transaction() as session:
        query = sa.select(Alert.text).where(Alert.kind == kind, Alert.ended_at.is_(None))
        return list(session.scalars(query))


def lose(world: World) -> None:
    """The database forgets its orders, as if no event of them had ever come."""
    with world.container.database.transaction() as session:
        for table in ("inbox", "purchase_item", "audit", "task", "call", "purchase", "source_line", "store_order"):
            session.execute(sa.text(f"DELETE FROM {table}"))


def test_held_then_placed_then_cancelled(front: Front) -> None:
    world = front.world
    order = front.order()
    assert shares(world) == (1, 1, {"placed": 0, "held": 1, "refused": 0, "not_ours": 0})
    front.link()
    world.settle(until=lambda: world.states() == ["PLACED_UNPAID"])
    assert shares(world) == (1, 1, {"placed": 1, "held": 0, "refused": 0, "not_ours": 0})
    assert told(world)["balanced"]
    [row] = told(world)["orders"]
    assert (row["external_id"], row["share"]) == (order, "placed")
    assert "PLACED_UNPAID" in row["text"]


def test_an_order_that_the_shop_trashed_is_not_ours(world: World) -> None:
    front = Front(world, "woocommerce")
    order = front.order()
    world.woocommerce.control(f"orders/{order}/trash", {"shop": "bottles"})
    world.settle(until=lambda: world.states() == ["CANCELLED"])
    assert shares(world) == (1, 1, {"placed": 0, "held": 0, "refused": 0, "not_ours": 1})
    assert told(world)["orders"][0]["text"] == "deleted in the shop"


def test_an_order_deleted_for_good_is_told_and_disturbs_no_sum(world: World) -> None:
    front = Front(world, "shopify")
    order = front.order()
    world.shopify.control(f"orders/{order}/delete", {})
    world.settle(until=lambda: world.states() == ["CANCELLED"])
    found = told(world)
    assert (found["store"], found["ours"], found["deleted"], found["balanced"]) == (0, 0, 1, True)


def test_a_missing_order_is_a_gap_that_heals_itself(front: Front) -> None:
    world = front.world
    order = front.order()
    lose(world)
    found = told(world)
    assert (found["store"], found["ours"], found["gap"], found["balanced"]) == (1, 0, 1, False)
    [row] = found["orders"]
    assert (row["external_id"], row["gap"], row["text"]) == (
        order,
        "missing",
        "the shop has this order and we have not read it yet",
    )
    look(world)
    world.settle(until=lambda: world.reasons() == ["mapping_missing"])
    look(world)
    assert told(world)["balanced"]
    with world.container.database.transaction() as session:
        assert session.scalars(sa.select(OrderGap.ended_at)).one() is not None


def test_pieces_in_no_purchase_are_a_gap_and_an_alert_after_an_hour(world: World) -> None:
    front = Front(world, "shopify")
    front.order(2)
    with world.container.database.transaction() as session:
        session.execute(sa.update(PurchaseItem).values(quantity=1))
        session.execute(sa.text("DELETE FROM inbox"))
    # What would mend it by itself is kept away: the order cannot be read again.
    world.shopify.control("faults", [{"op": "Order", "kind": "status", "status": 500, "times": 1000}])
    look(world)
    assert [(row["gap"], row["text"]) for row in told(world)["orders"]] == [
        ("uncovered", "pieces of it are in no purchase")
    ]
    assert open_alerts(world) == []
    look(world, hours=0.9)
    assert open_alerts(world) == [], "younger than an hour"
    look(world, hours=0.2)
    [text] = open_alerts(world)
    assert text.startswith("1 order(s) of shop ")
    assert "pieces of it are in no purchase" in text
    assert "`flask reconcile --shop 1 --day " in text
    with world.container.database.transaction() as session:
        session.execute(sa.update(PurchaseItem).values(quantity=2))
    look(world)
    assert open_alerts(world) == []


def test_a_gap_that_joins_others_is_in_the_text_and_told_again(world: World) -> None:
    Front(world, "shopify").order()
    now = world.container.clock.now()
    hour = timedelta(hours=1) / world.container.settings.time_scale

    def later(hours: float) -> tuple[str, bool]:
        """What is told as of then, and whether a mail of it is still to be sent."""
        with world.container.database.transaction() as session:
            accounting._tell(world.container, session, session.get_one(Shop, 1), now + hours * hour)
        with world.container.database.transaction() as session:
            found = session.scalars(sa.select(Alert).where(Alert.kind == "orders_unaccounted")).one()
            untold, found.mailed_at = found.mailed_at is None, sa.func.now()
            return found.text.partition(" not accounted")[0], untold

    with world.container.database.transaction() as session:
        for number, begins in (("1", 0.0), ("2", 0.5)):
            session.add(OrderGap(shop_id=1, external_id=number, kind="missing", day=now.date()))
            session.flush()
            session.execute(sa.update(OrderGap).where(OrderGap.external_id == number).values(since=now + begins * hour))
    assert later(1.1) == ("1 order(s) of shop bottles are", True)
    assert later(1.4) == ("1 order(s) of shop bottles are", False)
    assert later(1.6) == ("2 order(s) of shop bottles are", True)
    assert later(1.7) == ("2 order(s) of shop bottles are", False)
    with world.container.database.transaction() as session:
        session.execute(sa.update(OrderGap).where(OrderGap.external_id == "2").values(ended_at=sa.func.now()))
    assert later(1.8) == ("1 order(s) of shop bottles are", False), "nothing new to tell"


def test_an_order_that_the_shop_does_not_list_is_a_gap(world: World) -> None:
    front = Front(world, "shopify")
    front.order()
    with world.container.database.transaction() as session:
        session.execute(sa.update(StoreOrder).values(external_id="4711", first_seen_at=sa.func.now()))
        session.execute(sa.text("DELETE FROM inbox"))
    found = told(world)
    assert (found["store"], found["ours"], found["gap"]) == (1, 1, 2)
    assert sorted(row["gap"] for row in found["orders"]) == ["missing", "unknown_to_shop"]


def test_a_refused_order_is_refused_and_its_repair_is_held(world: World) -> None:
    front = Front(world, "shopify")
    code = "B_DROPSHIPPER_DELIVERY_ADDRESS_VALIDATE_FAIL"
    world.aliexpress.control("faults", [{"op": "order.create", "kind": "error", "times": 1, "code": code}])
    front.order()
    front.link()
    world.settle(until=lambda: world.states() == ["REJECTED", "HELD"])
    assert shares(world)[2] == {"placed": 0, "held": 1, "refused": 0, "not_ours": 0}, "the repair waits for a person"
    with world.container.database.transaction() as session:
        [heir] = session.scalars(sa.select(Purchase).where(Purchase.state == "HELD"))
        session.execute(sa.delete(PurchaseItem).where(PurchaseItem.purchase_id == heir.id))
        session.delete(heir)
    assert shares(world)[2] == {"placed": 0, "held": 0, "refused": 1, "not_ours": 0}


def test_orders_that_the_shop_hides_for_their_age_are_not_called_missing(world: World) -> None:
    front = Front(world, "shopify")
    order = front.order()
    world.shopify.control(f"orders/{order}/age", {"days": 61})
    with world.container.database.transaction() as session:
        session.execute(sa.update(StoreOrder).values(placed_at=StoreOrder.placed_at - timedelta(days=61)))
        day = session.scalars(sa.select(StoreOrder.placed_at)).one().date()
    found = [one for back in (0, 1, 2) for one in reconcile.days(world.container, shop_id=1, day=day - timedelta(back))]
    assert {one["store"] for one in found} == {None}
    assert sum(one["gap"] for one in found) == 0
    assert sum(one["held"] for one in found) == 1


def test_a_shop_that_cannot_be_asked_says_so(world: World) -> None:
    Front(world, "shopify").order()
    world.shopify.control("faults", [{"op": "OrdersPlaced", "kind": "status", "status": 500, "times": 1000}])
    [found] = reconcile.days(world.container, shop_id=None, day=None)
    assert found["error"] == "try_later"
    with pytest.raises(WaybillError, match="does not answer"):
        reconcile.days(world.container, shop_id=1, day=None)
    with world.container.database.transaction() as session:
        session.execute(sa.update(Shop).values(account_full_at=None))
    look(world)
    with world.container.database.transaction() as session:
        shop = session.scalars(sa.select(Shop)).one()
        assert shop.account_error
        assert shop.account_full_at is None, "the week is compared when it can be"
        hour = timedelta(hours=1) / world.container.settings.time_scale
        session.execute(sa.update(Shop).values(account_failing_since=Shop.account_failing_since - hour))
    look(world)
    assert open_alerts(world, "shop_uncompared") != [], "else nobody would hear that it never runs"
    world.shopify.call("DELETE", "/_control/faults")
    look(world)
    assert open_alerts(world, "shop_uncompared") == []


def test_a_day_that_has_not_begun_is_refused(world: World) -> None:
    Front(world, "shopify").order()
    with pytest.raises(WaybillError, match="has not begun"):
        reconcile.days(world.container, shop_id=1, day=world.container.clock.now().date() + timedelta(days=3))


def test_a_day_that_has_not_begun_in_one_shop_is_told_of_the_others(world: World) -> None:
    Front(world, "shopify").order()
    world.woocommerce_shop()
    with world.container.database.transaction() as session:
        for shop_id, zone in ((1, "Etc/GMT+12"), (2, "Pacific/Kiritimati")):
            session.execute(sa.update(Shop).where(Shop.id == shop_id).values(timezone=zone))
    ahead = world.container.clock.now().astimezone(ZoneInfo("Pacific/Kiritimati")).date()
    first, second = reconcile.days(world.container, shop_id=None, day=ahead)
    assert (first["error"], first["shop"]) == ("future_day", 1)
    assert (second["balanced"], second["shop"]) == (True, 2)


def test_a_gap_ends_although_its_day_is_over_for_long(world: World) -> None:
    """Else an order that stood in a gap for minutes before midnight would be told as lost an hour later."""
    front = Front(world, "shopify")
    front.order()
    with world.container.database.transaction() as session:
        placed_at = StoreOrder.placed_at - timedelta(days=3)
        session.execute(sa.update(StoreOrder).values(placed_at=placed_at, external_id="4711"))
        day = session.scalars(sa.select(StoreOrder.placed_at)).one().date()
        session.add(OrderGap(shop_id=1, external_id="4711", kind="uncovered", day=day))
        session.execute(sa.update(Shop).values(account_full_at=sa.func.now()))
    world.shopify.control("faults", [{"op": "OrdersPlaced", "kind": "status", "status": 500, "times": 1}])
    look(world, hours=1.1)
    assert open_alerts(world) == [], "nobody knows whether it has ended"
    look(world, hours=1.1)
    with world.container.database.transaction() as session:
        ended = session.execute(sa.select(OrderGap.kind, OrderGap.ended_at)).all()
    assert ("uncovered", True) in [(kind, at is not None) for kind, at in ended]


def test_gaps_that_stay_are_looked_at_in_the_night_only(world: World) -> None:
    """Each such day is a listing of the shop, and nothing says how many there are."""
    Front(world, "shopify").order()
    now = world.container.clock.now()
    day = timedelta(days=1) / world.container.settings.time_scale
    with world.container.database.transaction() as session:
        for back, since in ((30, now - day / 2), (60, now - 2 * day)):
            gap = OrderGap(shop_id=1, external_id=f"{back}", kind="missing", day=now.date() - timedelta(days=back))
            session.add(gap)
            session.flush()
            gap.since = since
        shop = session.scalars(sa.select(Shop)).one()
    days = {
        nightly: accounting._days(world.container, shop, now.date(), now, nightly=nightly) for nightly in (False, True)
    }
    assert [(now.date() - one).days for one in days[False]] == [0, 1, 30]
    assert [(now.date() - one).days for one in days[True]] == [*range(7), 30, 60]


def test_a_day_of_more_orders_than_a_statement_takes_parameters(world: World, monkeypatch: pytest.MonkeyPatch) -> None:
    Front(world, "shopify").order()
    many = {f"{number}" for number in range(70_000)}
    monkeypatch.setattr(day_book, "_listed", lambda *_: many)
    with world.container.database.transaction() as session:
        shop = session.scalars(sa.select(Shop)).one()
    book = day_book.read(world.container, shop, world.container.clock.now().date())
    assert len(book.gaps) >= 70_000


def test_a_shop_that_is_not_there_is_told_as_such(world: World) -> None:
    with pytest.raises(WaybillError, match="There is no shop 99"):
        reconcile.days(world.container, shop_id=99, day=None)
