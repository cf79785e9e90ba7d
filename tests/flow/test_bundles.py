"""A bundle is one variant with several links: it is bought whole, as its links say when it is sent, or not at all."""

from __future__ import annotations

from typing import Any

from app.models import Purchase
from app.pipeline import readiness
from app.services import links, shops
from tests.flow.test_order_changes import SHOP, order
from tests.flow.world import BOTTLE, SOCKS, World


def shop(world: World) -> str:
    """A shop with a variant that is linked to nothing; gives the variant."""
    world.shopify_shop(SHOP)
    return world.shopify_variant(SHOP, "SET")


def link(world: World, variant: str, position: int, target: tuple[str, str]) -> dict[str, Any]:
    """What a merchant does."""
    product, sku_id = target
    return links.add(
        world.container, 1, variant=variant, product=product, sku_id=sku_id, position=position, actor="merchant:1"
    )


def bought(world: World) -> list[str]:
    """The SKUs of everything that the supplier created."""
    return sorted(str(item["sku_id"]) for line in world.created() for item in line["items"])


def test_nothing_is_bought_before_the_bundle_is_whole(world: World) -> None:
    variant = shop(world)
    order(world, variant)
    world.settle(until=lambda: world.reasons() == ["mapping_missing"], seconds=10)
    second = link(world, variant, 2, SOCKS)
    assert (second["missing_positions"], second["went_on"]) == ([1], [])
    world.settle()
    assert (world.reasons(), bought(world)) == (["mapping_missing"], [])
    first = link(world, variant, 1, BOTTLE)
    assert (first["missing_positions"], first["went_on"]) == ([], [1])
    world.settle(until=lambda: bool(world.created()), seconds=10)
    world.settle()
    assert bought(world) == sorted([BOTTLE[1], SOCKS[1]])


def test_a_purchase_that_waits_follows_its_links(world: World) -> None:
    """Each change reaches it, whatever else it waits for: another item, one item fewer, none, a whole one again."""
    variant = shop(world)
    world.pause_shop()
    link(world, variant, 1, BOTTLE)
    order(world, variant)
    world.settle(until=lambda: world.reasons() == ["shop_paused"], seconds=10)

    def named() -> list[str]:
        with world.container.database.transaction() as session:
            items = readiness.items_of(session, session.get_one(Purchase, 1))
            return [item.sku_id for item in sorted(items, key=lambda item: item.position)]

    more = link(world, variant, 2, SOCKS)
    assert named() == [BOTTLE[1], SOCKS[1]]
    link(world, variant, 1, SOCKS)
    assert named() == [SOCKS[1], SOCKS[1]]
    links.remove(world.container, more["id"], actor="merchant:1")
    assert named() == [SOCKS[1]]
    (only,) = links.listed(world.container)
    links.remove(world.container, only["id"], actor="merchant:1")
    assert named() == [""]
    resume(world)
    world.settle(until=lambda: world.reasons() == ["mapping_missing"], seconds=10)
    assert bought(world) == []
    assert link(world, variant, 1, BOTTLE)["went_on"] == [1]
    world.settle(until=lambda: bool(world.created()), seconds=10)
    assert bought(world) == [BOTTLE[1]]


def test_a_link_that_is_taken_away_stops_what_was_about_to_be_sent(world: World) -> None:
    variant = shop(world)
    made = link(world, variant, 1, BOTTLE)
    world.aliexpress.control("faults", [{"op": "product.get", "kind": "status", "status": 503, "times": -1}])
    order(world, variant)
    world.settle(until=lambda: world.reasons() == ["supplier_down"], seconds=10)
    assert world.states() == ["READY"]
    links.remove(world.container, made["id"], actor="merchant:1")
    assert world.reasons() == ["mapping_missing"]
    assert bought(world) == []


def resume(world: World) -> None:
    """The shop's owner lets it go on."""
    shops.resume(world.container, 1, actor="merchant:1")
