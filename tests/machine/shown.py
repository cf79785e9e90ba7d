"""I13: what the shops show of the parcels that the supplier shipped, by the ledgers of both sides."""

from __future__ import annotations

from collections import Counter, defaultdict
from dataclasses import dataclass
from typing import TYPE_CHECKING

from app.local.demo.ledgers import fulfilment
from tests.machine.holds import holds
from tests.machine.ledger import Bought
from tests.machine.shops import SHOPIFY, SLUG, WOOCOMMERCE, Order, sold_as

if TYPE_CHECKING:
    from tests.machine.play import Play

Place = tuple[str, str]
"""A shop and the id of an order in it."""


@dataclass(frozen=True)
class Shown:
    """A parcel as a shop was told of it: its number by now, the order it stands at, the pieces by line."""

    number: str
    place: Place
    lines: Counter[str]


def nothing_wrong(play: Play) -> None:
    """A shop shows what was shipped, once, at the order whose goods are in it, and no more pieces than are in it.

    Fewer are right where a piece was refunded or the shop shows it as sent otherwise. The ledger of the supplier was
    read. Raises `Broken`.
    """
    shipped = {number: bought for bought in play.ledger.orders.values() for number in bought.parcels}
    orders = {(order.shop, order.external_id): order for order in play.shops.orders}
    seen: set[str] = set()
    for one in _shown(play):
        bought = shipped.get(one.number)
        holds(bought is not None, f"I13: a shop shows parcel {one.number}, which nobody shipped")
        assert bought is not None
        holds(one.number not in seen, f"I13: parcel {one.number} is shown twice")
        seen.add(one.number)
        order = orders[one.place]
        holds(
            bought.name_hash == order.name_hash,
            f"I13: parcel {one.number} is shown at the order of {order.buyer}, whose goods are not in it",
        )
        pieces, inside = _pieces(one, order), _inside(bought, one.number)
        holds(pieces <= inside, f"I13: parcel {one.number} is shown with {dict(pieces)}, in it are {dict(inside)}")


def everything(play: Play) -> None:
    """Of orders that nobody changed, each parcel of goods that live is shown with all its pieces. Raises `Broken`."""
    nothing_wrong(play)
    shown, there = {one.number: one for one in _shown(play)}, _numbers_now(play)
    untouched = {one.name_hash: one for one in play.shops.orders if len(one.history) == 1 and not one.changed}
    for bought in play.ledger.orders.values():
        order = untouched.get(bought.name_hash)
        for number, raw in bought.parcels.items() if order is not None else ():
            assert order is not None
            if bought.closed & set(raw):
                continue
            holds(number in shown, f"I13: parcel {number} was shipped and is not shown")
            pieces, inside = _pieces(shown[number], order), _inside(bought, number)
            holds(pieces == inside, f"I13: parcel {number} is shown with {dict(pieces)}, in it are {dict(inside)}")
            current = there[order.shop, order.external_id] | bought.too_late
            holds(number in current, f"I13: parcel {number} is shown by a number that is no more")


def _shown(play: Play) -> list[Shown]:
    renumbered: dict[str, str] = {}
    for bought in play.ledger.orders.values():
        renumbered |= bought.renumbered
    found: list[Shown] = []
    for shop, server in ((SHOPIFY, play.world.shopify), (WOOCOMMERCE, play.world.woocommerce)):
        for line in server.control("ledger"):
            read = fulfilment(shop, line)
            if read is not None:
                number, order_id, pieces = read
                lines = Counter[str]()
                for line_id, count in pieces:
                    lines[line_id] += count
                found.append(Shown(_newest(number, renumbered), (shop, order_id), lines))
    return found


def _newest(number: str, renumbered: dict[str, str]) -> str:
    while number in renumbered:
        number = renumbered[number]
    return number


def _pieces(one: Shown, order: Order) -> Counter[str]:
    """By the SKU that each line is bought as."""
    skus = dict(order.lines)
    return Counter({skus[line_id]: count for line_id, count in one.lines.items()})


def _inside(bought: Bought, number: str) -> Counter[str]:
    inside = Counter[str]()
    for sku, count in bought.parcels[number].items():
        inside[sold_as(sku)] += count
    return inside


def _numbers_now(play: Play) -> dict[Place, set[str]]:
    """Tracking numbers that each order shows now."""
    found: dict[Place, set[str]] = defaultdict(set)
    for order in play.world.shopify.control("state")["orders"]:
        numbers = {str(info["number"]) for one in order["fulfillments"] for info in one["tracking"]}
        found[SHOPIFY, str(order["id"])] |= numbers
    for row in play.world.woocommerce.control("state")["shops"][SLUG]["fulfilments"].values():
        numbers = {str(meta["value"]) for meta in row["meta_data"] if meta["key"] == "_tracking_number"}
        found[WOOCOMMERCE, str(row["order_id"])] |= numbers
    return found
