"""The checks before anything is sent: the supplier's offer as it is now, against what the merchant allows."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from typing import Any

import pytest
import sqlalchemy as sa

from app.models import ProductLink, Purchase, Shop, StoreOrder
from app.pipeline.buy import preflight, step
from app.pipeline.buy.claim import claim
from app.ports.errors import OutcomeUnknown, Refused
from app.ports.supplier import PlaceOutcome, PlaceResult
from connectors.aliexpress.supplier import AliExpressSession
from tests.flow.test_claims import due, held_and_ready
from tests.flow.test_requests import act, asked  # noqa: F401 - a fixture
from tests.flow.world import World

Bend = Callable[[Any], Any]


def held(world: World) -> tuple[str, str]:
    """Claim what is ready and check it: where it goes, and why."""
    due(world)
    (mine,) = claim(world.container, 1)
    step.run(world.container, mine)
    purchase = world.purchases()[0]
    return purchase.state, purchase.reason


def tells(monkeypatch: pytest.MonkeyPatch, what: str, bend: Bend) -> None:
    """The supplier's product or freight is another one than the simulator has."""
    whole = getattr(AliExpressSession, what)
    monkeypatch.setattr(AliExpressSession, what, lambda self, *given, **more: bend(whole(self, *given, **more)))


def skus(**changed: Any) -> Bend:
    """A product whose SKUs are changed."""
    return lambda product: replace(product, skus=tuple(replace(sku, **changed) for sku in product.skus))


def options(**changed: Any) -> Bend:
    """Ways to ship that are changed."""
    return lambda offered: tuple(replace(option, **changed) for option in offered)


@pytest.mark.parametrize(
    ("what", "bend", "reason"),
    [
        ("product", lambda _: None, "product_gone"),
        ("product", lambda product: replace(product, on_sale=False), "product_gone"),
        ("product", skus(sku_id="1"), "mapping_changed"),
        ("product", skus(stock=0), "out_of_stock"),
        ("freight", lambda _: (), "not_shippable"),
        ("freight", options(stock=0), "out_of_stock"),
    ],
)
def test_what_cannot_be_bought_now_is_held(
    world: World, monkeypatch: pytest.MonkeyPatch, what: str, bend: Bend, reason: str
) -> None:
    held_and_ready(world)
    tells(monkeypatch, what, bend)
    assert held(world) == ("HELD", reason)
    assert world.calls_of_create() == 0


@pytest.mark.parametrize(
    ("what", "bend"),
    [
        ("product", skus(stock=1)),
        ("product", skus(stock=None)),
        ("freight", options(stock=1)),
        ("freight", options(stock=None)),
    ],
)
def test_one_piece_is_enough_for_one_and_what_is_not_told_is_no_obstacle(
    world: World, monkeypatch: pytest.MonkeyPatch, what: str, bend: Bend
) -> None:
    held_and_ready(world)
    tells(monkeypatch, what, bend)
    assert held(world)[0] == "PLACED_UNPAID"


@pytest.mark.parametrize(
    ("longest", "days", "state"),
    [(10, 10, "PLACED_UNPAID"), (10, 11, "HELD"), (10, None, "HELD"), (None, None, "PLACED_UNPAID")],
)
def test_nothing_is_ordered_that_may_take_longer_than_the_shop_allows(
    world: World, monkeypatch: pytest.MonkeyPatch, longest: int | None, days: int | None, state: str
) -> None:
    held_and_ready(world)
    with world.container.database.transaction() as session:
        session.execute(sa.update(Shop).values(max_delivery_days=longest))
    tells(monkeypatch, "freight", options(max_days=days))
    assert held(world)[0] == state
    if state == "HELD":
        assert world.purchases()[0].facts["days"] == longest


def test_the_service_that_the_merchant_chose_or_the_cheapest_then_quickest_tracked(
    world: World, monkeypatch: pytest.MonkeyPatch
) -> None:
    sent = list[str]()

    def place(_: Any, order: Any) -> PlaceResult:
        sent.append(order.items[0].service)
        return PlaceResult(PlaceOutcome.NOT_SENT, code="only looking")

    def ways(offered: tuple[Any, ...]) -> tuple[Any, ...]:
        first, fee = offered[0], offered[0].fee
        dear = replace(fee, minor=fee.minor + 1)
        return (
            replace(first, service="DEAR", fee=dear, max_days=1),
            replace(first, service="UNKNOWN", max_days=None),
            replace(first, service="SLOW", max_days=9),
            replace(first, service="LOST", max_days=5, tracked=False),
            replace(first, service="BEST", max_days=5, tracked=True),
        )

    held_and_ready(world)
    tells(monkeypatch, "freight", ways)
    monkeypatch.setattr(AliExpressSession, "place", place)
    for service, expected in (("", "BEST"), ("DEAR", "DEAR"), ("UNKNOWN", "UNKNOWN")):
        with world.container.database.transaction() as session:
            session.execute(sa.update(Purchase).values(service=service))
            session.execute(sa.update(ProductLink).values(service=service))
        assert held(world)[0] == "READY"
        assert sent.pop() == expected
    with world.container.database.transaction() as session:
        session.execute(sa.update(Purchase).values(service="NO_SUCH"))
    assert held(world) == ("HELD", "shipping_service")
    assert world.purchases()[0].facts["offered"] == "BEST, DEAR, LOST, SLOW, UNKNOWN"


def test_without_an_account_or_an_address_nobody_is_asked(world: World) -> None:
    held_and_ready(world)
    due(world)
    (mine,) = claim(world.container, 1)
    with world.container.database.transaction() as session:
        session.execute(sa.update(Purchase).values(account_id=None))
    with pytest.raises(preflight.Held) as said:
        preflight.check(world.container, mine)
    assert said.value.reason == "account_missing"
    with world.container.database.transaction() as session:
        session.execute(sa.update(Purchase).values(account_id=1))
        session.execute(sa.update(StoreOrder).values(address_sealed=None, address_problem="the shop hides it"))
    facts = preflight._load(world.container, mine)
    with pytest.raises(preflight.Held) as said:
        preflight._address(world.container, facts)
    assert (said.value.reason, said.value.facts) == ("address_missing", {"problem": "the shop hides it"})


def test_the_claim_is_renewed_after_a_third_of_its_time_and_given_up_when_lost(
    world: World, monkeypatch: pytest.MonkeyPatch
) -> None:
    held_and_ready(world)
    due(world)
    (mine,) = claim(world.container, 1)
    now, renewed = [0.0], list[float]()
    answer = [True]

    def renew(*_: Any) -> bool:
        renewed.append(now[0])
        return answer[0]

    monkeypatch.setattr(world.container.clock, "boottime", lambda: now[0])
    monkeypatch.setattr(preflight, "renew", renew)
    third = world.container.timers.claim_lease.total_seconds() / 3
    lease = preflight._Lease(world.container, mine)
    for moment in (third * 0.9, third, third * 1.9, third * 2):
        now[0] = moment
        lease.keep()
    assert renewed == [third, third * 2]
    answer[0], now[0] = False, third * 4
    with pytest.raises(preflight.LostClaim):
        lease.keep()


@pytest.mark.parametrize(
    ("error", "state", "reason"),
    [
        (Refused("taken_back", vendor="shopify"), "HELD", "waiting_request"),
        (OutcomeUnknown("read_timeout", vendor="shopify"), "READY", "storefront_down"),
    ],
)
def test_a_request_that_cannot_be_accepted_is_not_sent(
    world: World,
    asked: str,  # noqa: F811 - the fixture
    monkeypatch: pytest.MonkeyPatch,
    error: Exception,
    state: str,
    reason: str,
) -> None:
    def refuse(*_: Any) -> None:
        raise error

    monkeypatch.setattr(preflight, "with_shop", refuse)
    act(world, asked, "request_fulfillment")
    world.settle(until=lambda: world.states() == [state] and world.reasons() == [reason], seconds=20)
    assert world.calls_of_create() == 0


@pytest.mark.parametrize("slowly", [False, True])
def test_a_shop_that_was_asked_long_before_the_rest_is_asked_once_more(
    world: World, monkeypatch: pytest.MonkeyPatch, slowly: bool
) -> None:
    """The shop cancels while the supplier answers, and nobody reads the event. If that took long, we ask again.

    Before the price is judged: whether it may be paid automatically hangs on how old the quote is by then.
    """
    held_and_ready(world)
    due(world)
    (mine,) = claim(world.container, 1)
    timers, boottime, passed = world.container.timers, world.container.clock.boottime, [0.0]
    shorter = replace(timers, shop_age_most=timers.claim_lease / 2)  # else they are the same
    parts = replace(world.container, timers=shorter)
    monkeypatch.setattr(world.container.clock, "boottime", lambda: boottime() + passed[0])
    order, refresh, judge = list[str](), preflight.import_order.refresh, preflight._judge
    monkeypatch.setattr(
        preflight.import_order, "refresh", lambda *given, **more: (order.append("shop"), refresh(*given, **more))[1]
    )
    monkeypatch.setattr(preflight, "_judge", lambda *given: (order.append("judge"), judge(*given))[1])

    def cancelled_meanwhile(product: Any) -> Any:
        passed[0] = shorter.shop_age_most.total_seconds() / 3 if slowly else 0.0
        world.shopify.control(f"orders/{mine.order_ref}/cancel", {})
        return product

    tells(monkeypatch, "product", cancelled_meanwhile)
    step.run(parts, mine)
    assert order == (["shop", "shop", "judge"] if slowly else ["shop", "judge"])
    assert (world.states(), world.calls_of_create()) == ((["CANCELLED"], 0) if slowly else (["PLACED_UNPAID"], 1))


def test_the_time_that_a_slow_shop_takes_counts_in_the_claim(world: World, monkeypatch: pytest.MonkeyPatch) -> None:
    held_and_ready(world)
    due(world)
    (mine,) = claim(world.container, 1)
    boottime, passed, renewed = world.container.clock.boottime, [0.0], list[float]()
    monkeypatch.setattr(world.container.clock, "boottime", lambda: boottime() + passed[0])
    refresh, renew = preflight.import_order.refresh, preflight.renew

    def slow(*given: Any, **more: Any) -> Any:
        found = refresh(*given, **more)
        if not passed[0]:
            passed[0] = world.container.timers.claim_lease.total_seconds() / 3
        return found

    monkeypatch.setattr(preflight.import_order, "refresh", slow)
    monkeypatch.setattr(preflight, "renew", lambda *given: (renewed.append(passed[0]), renew(*given))[1])
    step.run(world.container, mine)
    assert len(renewed) == 1
    assert world.states() == ["PLACED_UNPAID"]


def test_a_claim_is_kept_before_and_after_the_shop_is_asked_once_more(
    world: World, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Both the work before it and the shop's own answer may have taken long. Only what changed is stored anew."""
    held_and_ready(world)
    due(world)
    (mine,) = claim(world.container, 1)
    done = list[object]()
    monkeypatch.setattr(preflight.import_order, "refresh", lambda *_, **more: done.append(more))
    lease = type("Lease", (), {"keep": lambda _: done.append("keep")})()
    preflight._ask_again(world.container, mine, lease)
    assert done == ["keep", {"only_changes": True}, "keep"]
