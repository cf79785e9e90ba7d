"""One battery for every storefront that the registry finds."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from datetime import timedelta
from itertools import product
from typing import Any

import pytest

from app.ports.errors import BadDelivery, MerchantMustAct
from app.ports.inbound import HintKind, InboundRequest
from app.ports.money import Money
from app.ports.storefront import Fulfilment, Parcel, ParcelLine, StorefrontSession, StoreOrder
from app.registry import find
from app.shop_access import with_shop
from tests.contract.nasties import NASTY_BODIES
from tests.contract.players import STOREFRONTS, StorefrontPlayer
from tests.flow.world import World

NAMES = sorted(name for name, spec in find().items() if spec.kind == "storefront")


@pytest.fixture(params=NAMES)
def name(request: pytest.FixtureRequest) -> str:
    return str(request.param)


@pytest.fixture
def player(name: str) -> StorefrontPlayer:
    assert name in STOREFRONTS, f"add a player for {name} to tests/contract/players.py"
    return STOREFRONTS[name]


@pytest.fixture
def shop(world: World, player: StorefrontPlayer) -> Callable[[Callable[[StorefrontSession], Any]], Any]:
    shop_id = player.shop(world)
    return lambda act: with_shop(world.container, shop_id, act)


def parcel(order: StoreOrder, number: str = "TRACK-1") -> Parcel:
    """A parcel with everything of an order."""
    lines = tuple(ParcelLine(line.id, line.quantity) for line in order.lines)
    return Parcel("p1", number, "Cainiao", f"https://track.example/{number}", lines)


def test_order_is_read_as_it_stands(world: World, player: StorefrontPlayer, shop: Any) -> None:
    variant = player.product(world, "SKU-1")
    number = player.order(world, variant, 2)
    order = shop(lambda session: session.order(number))
    assert (order.id, order.paid, order.cancelled, order.gone, order.currency) == (number, True, False, False, "USD")
    line = order.lines[0]
    assert (line.variant_id, line.sku, line.quantity, line.to_ship, line.refunded) == (variant, "SKU-1", 2, 2, 0)
    assert line.paid == Money.parse("39.80", "USD")
    assert order.address is not None
    assert order.address.country == "US"
    assert order.version > 0
    assert order.updated_at.tzinfo is not None


def test_what_the_shop_kept_is_what_was_paid_less_what_went_back(
    world: World, player: StorefrontPlayer, shop: Any
) -> None:
    number = player.order(world, player.product(world, "SKU-1"), 2)
    assert shop(lambda session: session.order(number)).kept == Money.parse("39.80", "USD")
    player.refund(world, number, "30.00")
    order = shop(lambda session: session.order(number))
    assert (order.kept, order.lines[0].refunded) == (Money.parse("9.80", "USD"), 0)


def test_unknown_order_is_none(shop: Any) -> None:
    assert shop(lambda session: session.order("999999999")) is None
    assert shop(lambda session: session.order("not-an-id")) is None


def test_changed_orders_are_listed(world: World, player: StorefrontPlayer, shop: Any) -> None:
    number = player.order(world, player.product(world, "SKU-1"), 1)
    now = world.container.clock.now()
    page = shop(lambda session: session.orders_changed(now - timedelta(hours=1), now + timedelta(minutes=1), None))
    assert number in {ref.id for ref in page.orders}


def test_placed_orders_are_listed_by_the_time_at_which_they_were_placed(
    world: World, player: StorefrontPlayer, shop: Any
) -> None:
    number = player.order(world, player.product(world, "SKU-1"), 1)
    placed = shop(lambda session: session.order(number)).created_at.replace(microsecond=0)
    second = timedelta(seconds=1)

    def listed(since: timedelta, until: timedelta) -> tuple[str, ...]:
        return shop(lambda session: session.orders_placed(placed + since, placed + until, None)).ids

    assert number in listed(0 * second, second), "its own second"
    assert number not in listed(second, 60 * second)
    assert number not in listed(-60 * second, 0 * second), "the end is not within"


def test_parcel_is_shown_once_however_often_it_is_asked(world: World, player: StorefrontPlayer, shop: Any) -> None:
    number = player.order(world, player.product(world, "SKU-1"), 2)
    order = shop(lambda session: session.order(number))
    first = shop(lambda session: session.fulfil(number, parcel(order)))
    second = shop(lambda session: session.fulfil(number, parcel(order)))
    assert first.id == second.id
    assert len(shop(lambda session: session.fulfilments(number))) == 1
    after = shop(lambda session: session.order(number))
    assert [line.to_ship for line in after.lines] == [0]


def test_two_parcels_of_one_number_and_one_line_are_both_shown(
    world: World, player: StorefrontPlayer, shop: Any
) -> None:
    """Two supplier orders in one bag, each with a piece of the line."""
    number = player.order(world, player.product(world, "SKU-1"), 2)
    order = shop(lambda session: session.order(number))
    piece = (ParcelLine(order.lines[0].id, 1),)
    first = replace(parcel(order), lines=piece)
    made = shop(lambda session: session.fulfil(number, first))
    its = Fulfilment(made.id, (first.tracking_number,), piece)
    second = replace(first, key="p2", others=(its,))
    shown = {shop(lambda session: session.fulfil(number, second)).id for _ in range(2)}
    assert len({made.id, *shown}) == 2
    assert [line.to_ship for line in shop(lambda session: session.order(number)).lines] == [0]


def test_new_number_updates_and_never_adds(world: World, player: StorefrontPlayer, shop: Any) -> None:
    number = player.order(world, player.product(world, "SKU-1"), 1)
    order = shop(lambda session: session.order(number))
    made = shop(lambda session: session.fulfil(number, parcel(order)))
    renewed = replace(parcel(order), tracking_number="TRACK-2")
    shop(lambda session: session.update_tracking(number, made.id, renewed))
    shown = shop(lambda session: session.fulfilments(number))
    assert [one.tracking_numbers for one in shown] == [("TRACK-2",)]


def test_variants_are_found_by_sku_and_id(world: World, player: StorefrontPlayer, shop: Any) -> None:
    variant = player.product(world, "SKU-1")
    assert [one.variant_id for one in shop(lambda session: session.variants(sku="SKU-1"))] == [variant]
    assert [one.sku for one in shop(lambda session: session.variants(variant_id=variant))] == ["SKU-1"]
    assert shop(lambda session: session.variants(sku="NO-SUCH")) == ()


def test_dead_keys_are_the_merchants_turn(world: World, player: StorefrontPlayer, shop: Any) -> None:
    player.kill_keys(world)
    with pytest.raises(MerchantMustAct) as caught:
        shop(lambda session: session.order("1"))
    assert caught.value.reason == "shop_token_dead"


def test_unsigned_and_badly_signed_deliveries_are_refused(world: World, name: str) -> None:
    storefront = world.container.connectors.storefronts[name]
    for headers in ((), (("X-Shopify-Hmac-Sha256", "AAAA"), ("X-WC-Webhook-Signature", "AAAA"))):
        request = InboundRequest("POST", (("Content-Type", "application/json"), *headers), (), b'{"id":1}')
        with pytest.raises(BadDelivery) as caught:
            storefront.verify(request, ("x" * 40,))
        assert caught.value.status == 401


@pytest.mark.security
def test_s13_events_never_raise(world: World, name: str) -> None:
    storefront = world.container.connectors.storefronts[name]
    for body, topic in product(NASTY_BODIES, ("orders/create", "order.created", "refunds/create", "x" * 300, "")):
        assert storefront.read_event(topic, body).kind in HintKind


def test_bad_addresses_are_refused_in_words(world: World, name: str) -> None:
    for typed in ("", " ", "javascript:alert(1)", "https://user:pw@shop.example", "ftp://shop.example"):
        with pytest.raises(ValueError, match=r"\w+ \w+"):
            world.container.connectors.storefronts[name].canonical_address(typed)
