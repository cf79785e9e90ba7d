"""T3 alone: each thing that is looked at once more before a send is committed, and what the commit writes down."""

from __future__ import annotations

from dataclasses import replace
from datetime import timedelta
from typing import Any

import pytest
import sqlalchemy as sa

from app.calls import Story
from app.models import (
    Attempt,
    Breaker,
    Interlock,
    PlacementFreeze,
    ProductLink,
    Purchase,
    SourceLine,
    Spend,
    StoreOrder,
)
from app.pipeline.buy import caps, commit
from app.pipeline.buy.claim import Claimed
from app.pipeline.buy.preflight import Plan
from app.ports.money import Money
from app.ports.storefront import Address
from app.ports.supplier import PlaceItem, PlaceOrder
from tests.pipeline.stage import ONE, TWO, Items, Stage

ADDRESS = Address("Ada Example", "1 Sample Street", "", "Springfield", "", "IL", "62701", "US", "+1 217 555 0100")


def claimed(stage: Stage, items: Items = TWO, **more: Any) -> Purchase:
    """A purchase that a worker has just now."""
    usual = {"fence": 3, "lease_until": stage.now + timedelta(hours=1), "lease_owner": "w"}
    return stage.purchase("CLAIMED", items, **{**usual, **more})


def plan(stage: Stage, purchase: Purchase, *, autopay: bool = False, **more: Any) -> Plan:
    """What the pre-flight made of it."""
    order, items = stage.session.get_one(StoreOrder, purchase.order_id), stage.items(purchase)
    wanted = tuple(PlaceItem(f"to {one.product_id}", one.sku_id, "14:29", one.pieces, "STANDARD") for one in items)
    usual: dict[str, Any] = {
        "order": PlaceOrder(purchase.out_order_id, ADDRESS, (), wanted, autopay=autopay),
        "account_id": stage.account.id,
        "token": "t",
        "quote": Money(1200, "USD"),
        "limit": Money(1800, "USD"),
        "quoted_at": stage.container.clock.now(),
        "quoted_boottime": stage.container.clock.boottime(),
        "shop_boottime": stage.container.clock.boottime(),
        "version": purchase.version,
        "source_version": order.source_version,
        "address_sealed": order.address_sealed,
        "address_override": order.address_override_sealed,
        "quantities": {one.id: one.quantity for one in items},
        "product_ids": {one.id: f"to {one.product_id}" for one in items},
        "attributes": {one.id: "14:29#now" for one in items},
    }
    return Plan(**{**usual, **more})


def passed(stage: Stage, purchase: Purchase, wanted: Plan | None = None) -> Attempt | tuple[str, str]:
    """The attempt, or where the purchase goes instead."""
    order = stage.session.get_one(StoreOrder, purchase.order_id)
    try:
        return commit._pass(stage.container, stage.session, purchase, order, wanted or plan(stage, purchase))
    except commit._Stop as stop:
        return stop.state, stop.reason


def test_the_commit_writes_down_exactly_what_is_sent(stage: Stage) -> None:
    mine, other = claimed(stage, checks=3), claimed(stage, (("P9", "S9", 1),))
    mine.alerted_at = mine.escalated_at = stage.now
    wanted = plan(stage, mine)
    first, second = stage.items(mine)
    made = passed(stage, mine, wanted)
    assert isinstance(made, Attempt)
    assert (made.outcome, made.purchase_id, made.fence, made.account_id) == ("OPEN", mine.id, 3, stage.account.id)
    assert (made.out_order_id, made.autopay, made.order_ids, made.code) == (mine.out_order_id, False, [], "")
    assert made.items == [["to P1", "S1", 2, first.id], ["to P2", "S2", 1, second.id]]
    assert made.request_hash == commit.request_hash(wanted)
    assert (first.order_product_id, first.sku_attributes, first.product_id) == ("to P1", "14:29#now", "P1")
    stage.session.refresh(mine)
    assert (mine.state, mine.checks, mine.autopay) == ("SENDING", 0, False)
    assert (mine.quote_minor, mine.quote_currency, mine.limit_minor) == (1200, "USD", 1800)
    assert mine.facts == {"quote": "12.00 USD", "limit": "18.00 USD", "attempt": made.id}
    assert (mine.alerted_at, mine.escalated_at, mine.quoted_at) == (None, None, wanted.quoted_at)
    timers = stage.container.timers
    for at, after in ((mine.sent_at, 0), (mine.sent_deadline, 30), (mine.check_at, 30), (mine.quarantine_until, 1800)):
        assert after <= stage.soon(at) < after + 25, (at, timers)
    locks = set(stage.session.execute(sa.select(Interlock.product_id, Interlock.sku_id, Interlock.purchase_id)))
    assert locks == {
        (product, sku, mine.id) for product, sku in (("P1", "S1"), ("to P1", "S1"), ("P2", "S2"), ("to P2", "S2"))
    }
    assert all(3700 < stage.soon(at) < 3800 for at in stage.session.scalars(sa.select(Interlock.release_at)))
    spend = stage.session.scalars(sa.select(Spend)).one()
    assert (spend.attempt_id, spend.shop_id, spend.quoted, spend.currency) == (made.id, stage.shop.id, 1200, "USD")
    assert (spend.state, spend.autopay, spend.settled, spend.day) == ("RESERVED", False, None, made.sent_at.date())
    assert (other.state, stage.items(other)[0].order_product_id) == ("CLAIMED", "P9")


def test_the_hash_names_what_is_sent_and_not_to_whom(stage: Stage) -> None:
    mine = claimed(stage)
    one = plan(stage, mine)
    seen = {commit.request_hash(one)}
    item = one.order.items[0]
    changes = ({"product_id": "x"}, {"sku_id": "x"}, {"sku_attributes": "x"}, {"quantity": 9}, {"service": "x"})
    for change in changes:
        seen.add(commit.request_hash(replace(one, order=replace(one.order, items=(replace(item, **change),)))))
    seen.add(commit.request_hash(replace(one, order=replace(one.order, autopay=True))))
    seen.add(commit.request_hash(replace(one, order=replace(one.order, out_order_id="x"))))
    assert len(seen) == 8
    elsewhere = replace(one, order=replace(one.order, address=replace(ADDRESS, city="Elsewhere")))
    assert commit.request_hash(elsewhere) in seen


def test_a_lease_that_is_over_stops_it(stage: Stage) -> None:
    mine = claimed(stage, lease_until=stage.now - timedelta(seconds=1))
    claimed(stage)
    assert passed(stage, mine) == ("READY", "")


@pytest.mark.parametrize(("age", "stops"), [(121, True), (110, False)])
def test_what_the_shop_told_more_than_two_minutes_ago_is_asked_again(stage: Stage, age: int, stops: bool) -> None:
    mine = claimed(stage)
    found = passed(stage, mine, plan(stage, mine, shop_boottime=stage.container.clock.boottime() - age))
    assert (found == ("READY", "storefront_down")) is stops


@pytest.mark.parametrize(("tries", "wait"), [(3, 8), (20, 300)])
def test_a_slow_shop_is_asked_again_ever_later(stage: Stage, tries: int, wait: int) -> None:
    mine = claimed(stage, tries=tries)
    committed, mine = whole(stage, mine, plan(stage, mine, shop_boottime=stage.container.clock.boottime() - 121))
    assert committed is None
    assert (mine.state, mine.reason, mine.facts) == ("READY", "storefront_down", {"code": "shop_slow"})
    assert wait - 1 < stage.soon(mine.run_at) < wait + 30


@pytest.mark.parametrize(("autopay", "age", "stops"), [(True, 61, True), (True, 50, False), (False, 61, False)])
def test_what_is_paid_at_once_needs_a_fresh_quote(stage: Stage, autopay: bool, age: int, stops: bool) -> None:
    stage.shop.autopay = True
    mine = claimed(stage)
    wanted = plan(stage, mine, autopay=autopay, quoted_boottime=stage.container.clock.boottime() - age)
    found = passed(stage, mine, wanted)
    assert (found == ("READY", "")) is stops
    if isinstance(found, Attempt):
        assert found.autopay is mine.autopay is autopay
        assert stage.session.scalars(sa.select(Spend.autopay)).one() is autopay


def test_breaker_and_freeze_stop_it(stage: Stage) -> None:
    mine = claimed(stage)
    one = stage.add(Breaker(scope="supplier:aliexpress", state="OPEN"))
    assert passed(stage, mine) == ("READY", "breaker_open")
    one.state = "CLOSED"
    stage.add(PlacementFreeze(reason="?", frozen_by="x"))
    assert passed(stage, mine) == ("READY", "placement_frozen")


@pytest.mark.parametrize(
    ("column", "value", "where"),
    [
        ("cancelled", True, ("CANCELLED", "cancelled_by_shop")),
        ("gone", True, ("CANCELLED", "cancelled_by_shop")),
        ("paid", False, ("HELD", "changed")),
        ("hold", "risk", ("HELD", "changed")),
        ("source_version", 7, ("HELD", "changed")),
        ("address_sealed", b"another", ("HELD", "changed")),
        ("address_override_sealed", b"another", ("HELD", "changed")),
    ],
)
def test_an_order_that_changed_since_the_checks_is_not_sent(
    stage: Stage, column: str, value: Any, where: tuple[str, str]
) -> None:
    mine = claimed(stage)
    wanted = plan(stage, mine)
    setattr(stage.session.get_one(StoreOrder, mine.order_id), column, value)
    assert passed(stage, mine, wanted) == where


def test_a_cancellation_that_came_for_the_purchase_is_heard(stage: Stage) -> None:
    assert passed(stage, claimed(stage, cancel_requested_at=stage.now)) == ("CANCELLED", "cancelled_by_shop")


def test_another_version_or_another_quantity_is_not_what_was_checked(stage: Stage) -> None:
    mine = claimed(stage)
    assert passed(stage, mine, plan(stage, mine, version=mine.version + 1)) == ("HELD", "changed")
    seen = {one.id: one.quantity + 1 for one in stage.items(mine)}
    assert passed(stage, mine, plan(stage, mine, quantities=seen)) == ("HELD", "changed")


def test_what_is_wanted_less_of_is_not_sent_but_a_bundles_further_items_count_no_storefront_pieces(
    stage: Stage,
) -> None:
    mine = claimed(stage, (("P1", "S1", 1), ("P2", "S2", 5)))
    for to_ship, where in ((1, None), (0, ("HELD", "changed"))):
        stage.session.execute(sa.text("UPDATE source_line SET to_ship = :n WHERE quantity = 1"), {"n": to_ship})
        stage.session.expire_all()
        with stage.session.begin_nested() as step:
            found = passed(stage, mine)
            assert isinstance(found, Attempt) if where is None else found == where
            step.rollback()
        stage.session.expire_all()
    further, first = stage.items(mine)
    further.position, further.source_line_id, further.quantity = 2, first.source_line_id, 6
    line = stage.session.get_one(SourceLine, first.source_line_id)
    stage.link(line, "P1", "S1", position=2)
    assert isinstance(passed(stage, mine), Attempt)


LIVE = [
    "SENDING",
    "UNKNOWN",
    "HUMAN",
    "PLACED_UNPAID",
    "PAY_BLOCKED",
    "PLACED_PAID",
    "PART_SHIPPED",
    "SHIPPED",
    "DELIVERED",
]
NOT_LIVE = [
    "DRAFT",
    "HELD",
    "READY",
    "CLAIMED",
    "VOID",
    "REJECTED",
    "EXPIRED",
    "SUPPLIER_CANCELLED",
    "REFUNDED",
    "CANCELLED",
]


@pytest.mark.parametrize("state", [*LIVE, *NOT_LIVE])
def test_pieces_of_live_parts_together_never_exceed_what_was_bought_and_not_refunded(stage: Stage, state: str) -> None:
    mine, other = claimed(stage, (("P1", "S1", 2),)), stage.purchase(state, (("P1", "S1", 2),))
    line = stage.items(mine)[0].source_line_id
    their = stage.items(other)[0]
    their.source_line_id, their.part, other.order_id = line, 2, mine.order_id
    stage.session.execute(sa.text("UPDATE source_line SET quantity = 5, refunded = 1, to_ship = 2"))
    stage.session.expire_all()
    with stage.session.begin_nested() as step:
        assert isinstance(passed(stage, mine), Attempt)
        step.rollback()
    stage.session.expire_all()
    stage.session.execute(sa.text("UPDATE source_line SET refunded = 2"))
    stage.session.expire_all()
    found = passed(stage, mine)
    if state in LIVE:
        assert found == ("HELD", "quantity_over")
    else:
        assert isinstance(found, Attempt)


def test_another_line_and_a_bundles_further_items_take_no_pieces(stage: Stage) -> None:
    mine, other = claimed(stage, (("P1", "S1", 2),)), stage.purchase("PLACED_PAID", (("P1", "S1", 2), ("P2", "S2", 2)))
    line = stage.items(mine)[0].source_line_id
    second = stage.items(other)[1]
    second.source_line_id, second.position = line, 2
    stage.session.flush()
    assert isinstance(passed(stage, mine), Attempt)


@pytest.mark.parametrize("names", [("P1", "S1"), ("to P1", "S1")])
@pytest.mark.parametrize("over", [False, True])
def test_one_unclear_send_of_a_sku_at_a_time(stage: Stage, names: tuple[str, str], over: bool) -> None:
    mine, other = claimed(stage), stage.purchase("UNKNOWN", outcome="UNKNOWN")
    release = stage.now + timedelta(hours=-1 if over else 1)
    stage.add(
        Interlock(
            account_id=stage.account.id, product_id=names[0], sku_id=names[1], purchase_id=other.id, release_at=release
        )
    )
    found = passed(stage, mine)
    assert isinstance(found, Attempt) if over else found == ("READY", "interlocked")
    owner = sa.select(Interlock.purchase_id).where(Interlock.product_id == names[0], Interlock.sku_id == names[1])
    assert stage.session.scalars(owner).one() == (mine.id if over else other.id)


def test_its_own_interlock_from_the_last_send_does_not_stop_it_and_the_holder_is_named(stage: Stage) -> None:
    mine, other = claimed(stage), stage.purchase("UNKNOWN", outcome="UNKNOWN")
    for product, owner in (("P1", mine), ("P7", other)):
        stage.add(
            Interlock(
                account_id=stage.account.id,
                product_id=product,
                sku_id="S1",
                purchase_id=owner.id,
                release_at=stage.now + timedelta(hours=1),
            )
        )
    assert isinstance(passed(stage, mine), Attempt)
    third = claimed(stage, ONE)
    with pytest.raises(commit._Stop) as stop:
        commit._interlock(stage.container, stage.session, third, stage.items(third))
    assert (stop.value.facts, stop.value.wait) == ({"purchase": mine.id}, 5.0)


@pytest.mark.parametrize(("state", "reason"), [("PAUSED", "shop_paused"), ("UNINSTALLED", "uninstalled")])
def test_a_shop_that_is_paused_or_gone_buys_nothing(stage: Stage, state: str, reason: str) -> None:
    stage.shop.state = state
    assert passed(stage, claimed(stage)) == ("HELD", reason)


def test_automatic_payment_that_was_switched_off_meanwhile_is_planned_anew(stage: Stage) -> None:
    mine = claimed(stage)
    assert passed(stage, mine, plan(stage, mine, autopay=True)) == ("READY", "changed")


def spent(stage: Stage, purchase: Purchase, **more: Any) -> None:
    """What another send has reserved."""
    attempt = stage.attempt(purchase, "NOT_SENT")
    values = {"quoted": 1000, **more}
    stage.session.execute(sa.update(Spend).where(Spend.attempt_id == attempt.id).values(**values))


@pytest.mark.parametrize("kind", ["order", "day"])
@pytest.mark.parametrize("autopay", [False, True])
def test_caps_count_what_is_reserved_and_settled_of_the_order_and_of_the_day(
    stage: Stage, kind: str, autopay: bool
) -> None:
    mine, other = claimed(stage), stage.purchase("PLACED_PAID", outcome="PLACED", quote_minor=1)
    yesterday = stage.now.date() - timedelta(days=1)
    if kind == "order":
        other.order_id = mine.order_id
    spent(stage, other, settled=700, quoted=9999, autopay=autopay)
    spent(stage, other, quoted=10**6, state="RELEASED", autopay=autopay)
    spent(stage, other, quoted=300, autopay=not autopay)
    spent(stage, stage.purchase("PLACED_PAID"), quoted=40, autopay=autopay, day=yesterday)
    spent(stage, stage.purchase("PLACED_PAID"), quoted=5, autopay=autopay, shop_id=stage.new_shop().id)
    stage.session.execute(sa.update(Spend).where(Spend.attempt_id == 1).values(state="RELEASED"))
    counted = 700 if autopay else 1000
    prefix = "autopay_" if autopay else ""
    for column in ("order_cap", "day_cap", "autopay_order_cap", "autopay_day_cap"):
        setattr(stage.shop, column, 10**9)
    today = stage.now.date()
    for cap, reached in ((counted + 1200, False), (counted + 1199, True)):
        setattr(stage.shop, f"{prefix}{kind}_cap", cap)
        found = caps.over(stage.session, stage.shop, mine.order_id, Money(1200, "USD"), today, autopay=autopay)
        assert (found is not None) is reached
        if found is not None:
            assert found.code == f"cap_{kind}"
    if autopay:
        found = caps.over(stage.session, stage.shop, mine.order_id, Money(1200, "USD"), today, autopay=False)
        assert found is None, "the caps of automatic payment are for automatic payment"


def test_a_cap_holds_it_with_the_sums_of_its_sentence(stage: Stage) -> None:
    stage.shop.order_cap = 1199
    mine = claimed(stage)
    with pytest.raises(commit._Stop) as stop:
        commit._reserve(stage.session, mine, stage.attempt(stage.purchase("READY"), "NOT_SENT"), plan(stage, mine))
    assert (stop.value.state, stop.value.reason) == ("HELD", "cap_order")
    assert stop.value.facts == {"limit": "11.99 USD", "spent": "0.00 USD", "cost": "12.00 USD"}


def test_no_more_than_four_sends_are_in_flight(stage: Stage) -> None:
    mine = claimed(stage)
    for _ in range(4):
        stage.purchase("SENDING")
    assert passed(stage, mine) == ("READY", "")


def whole(stage: Stage, mine: Purchase, wanted: Plan, fence: int = 3) -> tuple[commit.Committed | None, Purchase]:
    """The whole of T3, in transactions of its own."""
    given = Claimed(mine.id, fence, stage.now, 1, "aliexpress", mine.order_id, mine.shop_id, "1")
    with stage.outside():
        made = commit.commit(stage.container, given, wanted, Story())
    return made, stage.again(mine)


def test_what_passes_is_committed(stage: Stage) -> None:
    mine = claimed(stage)
    made, after = whole(stage, mine, plan(stage, mine))
    attempt = stage.session.scalars(sa.select(Attempt)).one()
    assert made == commit.Committed(attempt.id, mine.id, attempt.sent_at)
    assert after.state == "SENDING"


@pytest.mark.parametrize("how", ["another fence", "not claimed any more"])
def test_who_lost_the_claim_neither_sends_nor_moves_it(stage: Stage, how: str) -> None:
    mine = claimed(stage)
    wanted = plan(stage, mine, version=99)
    if how == "not claimed any more":
        mine.state = "READY"
    made, after = whole(stage, mine, wanted, 2 if how == "another fence" else 3)
    assert (made, after.state) == (None, "CLAIMED" if how == "another fence" else "READY")
    assert stage.session.scalar(sa.select(Attempt.id)) is None
    stop = commit._Stop("HELD", "changed")
    given = Claimed(mine.id, 2 if how == "another fence" else 3, stage.now, 1, "aliexpress", 1, 1, "1")
    with stage.outside():
        commit._put_back(stage.container, given, Story(), stop)
    assert stage.again(mine).reason == ""


def test_what_does_not_pass_leaves_nothing_but_where_the_purchase_goes(stage: Stage) -> None:
    mine, other = claimed(stage), stage.purchase("UNKNOWN", outcome="UNKNOWN")
    stage.add(
        Interlock(
            account_id=stage.account.id,
            product_id="P1",
            sku_id="S1",
            purchase_id=other.id,
            release_at=stage.now + timedelta(hours=1),
        )
    )
    made, after = whole(stage, mine, plan(stage, mine))
    assert (made, after.state, after.reason, after.facts) == (None, "READY", "interlocked", {"purchase": other.id})
    assert after.waiting_for == other.id
    assert -5 < stage.soon(after.waiting_since) < 60
    assert 4 < stage.soon(after.run_at) < 60
    assert stage.session.scalar(sa.select(Attempt.id).where(Attempt.purchase_id == mine.id)) is None
    assert stage.locked() == {other.id}


def test_what_is_held_is_looked_at_again_later(stage: Stage) -> None:
    stage.shop.state = "PAUSED"
    mine = claimed(stage)
    _, after = whole(stage, mine, plan(stage, mine))
    assert (after.state, after.reason, after.waiting_for) == ("HELD", "shop_paused", None)
    assert 600 < stage.soon(after.run_at) < 2000


@pytest.mark.parametrize(
    ("change", "stops"),
    [
        ({"product_id": "P9"}, True),
        ({"sku_id": "S9"}, True),
        ({"units": 2}, True),
        ({"position": 2}, True),
        ({"service": "PREMIUM"}, True),
        ({"title": "Another name", "sku_attributes": "14:30"}, False),
    ],
)
def test_what_is_linked_to_something_else_meanwhile_is_not_sent(
    stage: Stage, change: dict[str, Any], stops: bool
) -> None:
    """Who is claimed takes over no link: T3 looks at them itself."""
    mine, other = claimed(stage), claimed(stage, (("P8", "S8", 1),))
    _, line = stage.session.scalars(sa.select(SourceLine).where(SourceLine.order_id == mine.order_id)).all()
    for link in stage.session.scalars(sa.select(ProductLink).where(ProductLink.variant_id == line.variant_id)):
        for name, value in change.items():
            setattr(link, name, value)
    if "service" in change:  # of both lines: a purchase goes by one
        stage.session.execute(sa.update(ProductLink).values(**change))
    stage.session.flush()
    found = passed(stage, mine)
    assert found == ("HELD", "changed") if stops else isinstance(found, Attempt)
    if "service" not in change:
        assert isinstance(passed(stage, other), Attempt), "another one's links say nothing"


def test_what_is_linked_to_nothing_or_to_more_is_not_sent(stage: Stage) -> None:
    mine, more = claimed(stage, ONE), claimed(stage, (("P8", "S8", 1),))
    link = sa.select(ProductLink).join(SourceLine, SourceLine.variant_id == ProductLink.variant_id)
    stage.session.delete(stage.session.scalars(link.where(SourceLine.order_id == mine.order_id)).one())
    line = stage.session.scalars(sa.select(SourceLine).where(SourceLine.order_id == more.order_id)).one()
    stage.link(line, "P9", "S9", position=2)
    assert passed(stage, mine) == ("HELD", "changed")
    assert passed(stage, more) == ("HELD", "changed"), "a bundle now"
