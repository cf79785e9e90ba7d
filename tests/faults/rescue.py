"""Orders whose placing needs a person: found, not there, closed in part or whole, stopped and released.

Side by side in one script, so that one death may follow on any other; and each in a script of its own, which is short.
"""

from __future__ import annotations

import math
import time
from collections.abc import Sequence
from typing import TYPE_CHECKING

from app.local.demo.cast import (
    BLACK_LAMP,
    BROWN_BOTTLE,
    BRUSH,
    COPPER_CAN,
    GREEN_CAN,
    HOLDER,
    LIGHTS,
    SOCKS,
    WHITE_LAMP,
    Goods,
)  # fmt: skip
from tests.faults.market import SLUG
from tests.faults.orders import SHOPIFY, WOOCOMMERCE, Order
from tests.faults.stories import Story, beside

if TYPE_CHECKING:
    from tests.faults.scene import Scene

DOMAIN = "bottles.myshopify.com"
SOLD = {DOMAIN: (BRUSH, BROWN_BOTTLE, SOCKS), SLUG: (HOLDER, COPPER_CAN, GREEN_CAN, WHITE_LAMP, LIGHTS, BLACK_LAMP)}
TOLD = 8.0
"""Seconds after which a push was lost."""
PLACED = ("PLACED_UNPAID", "PLACED_PAID", "SHIPPED")
PARTS = ("found", "missing", "partly", "closed", "frozen")
"""What may happen in a round, between its first and its last order."""
HELD_BESIDE = (("missing",), ("frozen",))
"""Scripts in which another order is put off and held before that, and one after it."""


class Rescue:
    """A script, as `tests.faults.scene.Script` says. Every point at which people help to place is come to."""

    name = "rescue"
    hurries = True
    parts: tuple[str, ...] = PARTS
    rounds: tuple[str, ...] = ("One",)
    """The last names of each round's buyers."""

    def __init__(self, scene: Scene) -> None:
        self._scene = scene
        self._rounds = [_Round(scene, name, self.parts) for name in self.rounds]
        self.orders = [order for one in self._rounds for order in one.orders]

    def furnish(self) -> None:
        """Two shops of one account."""
        for name, goods in SOLD.items():
            self._scene.market.open(name, goods, cheap=(BLACK_LAMP,))
            self._scene.market.link(name, goods)

    def stories(self) -> list[Story]:
        """A round after the other."""
        return [self._all()]

    def _all(self) -> Story:
        for number, one in enumerate(self._rounds, start=1):
            yield from one.told(is_last=number == len(self._rounds))

    def wrong(self) -> list[str]:
        """Nothing beside what is true of every script."""
        return []


class Twice(Rescue):
    """The same once more: what comes early in a round may follow on what comes late."""

    name = "twice"
    rounds = ("One", "Two")


ALONE = [type(part.capitalize(), (Rescue,), {"name": part, "parts": (part,)}) for part in PARTS]
"""A script for each part."""


class _Round:
    """The orders of one round. Each fault is for the goods of one of them, so that they need not wait for each other."""

    def __init__(self, scene: Scene, name: str, parts: Sequence[str]) -> None:
        self._scene = scene
        self._parts = parts
        self.found = Order(WOOCOMMERCE, f"Found {name}", ((HOLDER, 1),))
        self.waiting = Order(WOOCOMMERCE, f"Waiting {name}", ((HOLDER, 1),))
        self.missing = Order(SHOPIFY, f"Missing {name}", ((BROWN_BOTTLE, 1),), domain=DOMAIN)
        self.partly = Order(WOOCOMMERCE, f"Partly {name}", ((COPPER_CAN, 1), (GREEN_CAN, 1)))
        self.closed = Order(WOOCOMMERCE, f"Closed {name}", ((WHITE_LAMP, 1),))
        self.frozen = Order(WOOCOMMERCE, f"Frozen {name}", ((LIGHTS, 1),))
        self.first = Order(SHOPIFY, f"First {name}", ((BRUSH, 1),), domain=DOMAIN)
        self.last = Order(SHOPIFY, f"Last {name}", ((SOCKS, 1),), domain=DOMAIN)
        self.again = [Order(WOOCOMMERCE, f"Again {name}", ((HOLDER, 1),))] if tuple(parts) == ("found",) else []
        held = ("Before", "After") if tuple(parts) in HELD_BESIDE else ()
        self.held = [Order(WOOCOMMERCE, f"{when} {name}", ((BLACK_LAMP, 1),)) for when in held]
        mine = {
            "found": [self.found, self.waiting], "missing": [self.missing], "partly": [self.partly],
            "closed": [self.closed], "frozen": [self.frozen],
        }  # fmt: skip
        self._ends = [self.first, self.last] if len(parts) == 1 else [self.last]
        self.orders = [*(order for part in parts for order in mine[part]), *self._ends, *self.held, *self.again]

    def told(self, *, is_last: bool) -> Story:
        """Stopped and released when the others are through, and at last an order that is unclear until its push comes.

        Where little happens, such an order comes first, too; else so many would be unclear at once that ordering stops.
        """
        for order in self.held[:1]:
            yield from self._held(order)
        if "found" in self._parts:
            yield from self._lost()
        others = {
            "found": self._resolved(), "missing": self._missing(), "partly": self._partly(), "closed": self._closed(),
        }  # fmt: skip
        first = [self._unclear(self.first, BRUSH)] if self.first in self._ends else []
        yield from beside(*first, *(story for part, story in others.items() if part in self._parts))
        for order in self.again:
            yield from self._lost_again(order)
        if "frozen" in self._parts:
            yield from self._frozen()
        for order in self.held[1:]:
            yield from self._held(order)
        self._unwell(SOCKS)
        yield from self._unclear(self.last, SOCKS) if is_last else self._bought(self.last)

    def _unclear(self, order: Order, goods: Goods) -> Story:
        self._fault(goods, "drop_after")
        yield from self._bought(order)

    def _bought(self, order: Order) -> Story:
        self._scene.market.buy(order)
        yield from self._placed(order)

    def _lost(self) -> Story:
        """The answer is cut off and its push is lost: the merchant finds the order in the list there.

        Another buyer's order for the same goods waits until then.
        """
        scene = self._scene
        scene.world.aliexpress.control("push", {"lost": 1})
        self._fault(HOLDER, "drop_after")
        scene.market.buy(self.found)
        yield from scene.until(lambda: not scene.is_faulty(about=HOLDER.product_id))
        scene.market.buy(self.waiting)

    def _lost_again(self, order: Order) -> Story:
        """Once more, when nothing else is on its way: the merchant, who died telling the first number, tells another."""
        scene = self._scene
        scene.world.aliexpress.control("push", {"lost": -1})
        self._fault(HOLDER, "drop_after")
        scene.market.buy(order)
        yield from scene.until(lambda: scene.stands(order, "UNKNOWN", "HUMAN"))
        scene.world.aliexpress.control("push", {"lost": 0})
        yield from self._placed(order)

    def _resolved(self) -> Story:
        yield from self._placed(self.found)
        yield from self._placed(self.waiting)

    def _missing(self) -> Story:
        """The call never arrives: the merchant sees that it is not there."""
        self._fault(BROWN_BOTTLE, "drop_before")
        self._scene.market.buy(self.missing)
        yield from self._placed(self.missing)

    def _held(self, order: Order) -> Story:
        """The supplier does not answer at first, and then costs too much: the merchant approves it (`People`)."""
        self._unwell(BLACK_LAMP)
        yield from self._bought(order)

    def _partly(self) -> Story:
        """Two supplier orders; the seller cancels one, and the merchant has just that bought again."""
        self._fault(COPPER_CAN, "split")
        yield from self._cancelled_once(self.partly, "PLACED_PAID")

    def _closed(self) -> Story:
        """The supplier does not answer at first; the seller cancels it, and the merchant has it bought again."""
        self._unwell(WHITE_LAMP)
        yield from self._cancelled_once(self.closed, "SUPPLIER_CANCELLED")

    def _cancelled_once(self, order: Order, stands: str) -> Story:
        scene, buyer = self._scene, order.name_hash
        scene.people.kept_back.add(buyer)
        scene.market.buy(order)
        yield from scene.until(lambda: scene.stands(order, "PLACED_PAID"))
        scene.world.aliexpress.control("cancel", {"order_id": scene.people.orders(buyer)[0]["order_id"]})
        yield from scene.until(lambda: scene.stands(order, stands))
        before = scene.purchases(order)  # more than one, where a dead worker's send was not there
        again = ("purchase", "again", before[-1].id)
        yield from scene.until_done(*again, holds=lambda: len(scene.purchases(order)) > len(before))
        scene.people.kept_back.remove(buyer)
        yield from scene.until(lambda: scene.purchases(order)[-1].state in PLACED)

    def _frozen(self) -> Story:
        """Meanwhile the merchant orders the same at the supplier for themselves; staff are told to look at that."""
        scene = self._scene
        freeze = ("placement", "freeze", "--reason", "a look at the prices", "--by", "ann")
        yield from scene.until_done(*freeze, holds=self._is_frozen)
        scene.market.buy(self.frozen)
        yield from scene.until(lambda: scene.stands(self.frozen, "READY"))
        by_hand = scene.people.order_by_hand(LIGHTS)
        yield from self._told_of(by_hand)
        release = ("placement", "release", "--by", "ann", "--second", "bob", "--despite")
        yield from scene.until_done(*release, holds=lambda: not self._is_frozen())
        yield from scene.until(lambda: scene.stands(self.frozen, "late_evidence"))
        yield from scene.until_done("orphan", "dismiss", by_hand, holds=lambda: by_hand not in self._orphans())
        retry = ("purchase", "retry", scene.purchases(self.frozen)[-1].id)
        yield from scene.until_done(*retry, holds=lambda: not scene.stands(self.frozen, "late_evidence"))
        yield from self._placed(self.frozen)

    def _told_of(self, number: str) -> Story:
        """Pushes may be lost while nobody listens: the merchant pays, the seller ships (`People`), and it arrives."""
        scene = self._scene
        for act in ({"pay": {"order_ids": [number]}}, {"deliver": {"order_id": number}}, {}):
            deadline = time.monotonic() + (TOLD if act else math.inf)
            yield from scene.until(lambda until=deadline: number in self._orphans() or time.monotonic() > until)
            if number in self._orphans():
                return
            for name, asked in act.items():
                scene.world.aliexpress.control(name, asked)

    def _orphans(self) -> set[str]:
        return {str(row["supplier_order"]) for row in self._scene.commands.give("orphan", "list").data}

    def _is_frozen(self) -> bool:
        return bool(self._scene.commands.give("placement", "status").data["frozen"])

    def _placed(self, order: Order) -> Story:
        return self._scene.until(lambda: self._scene.stands(order, *PLACED))

    def _fault(self, goods: Goods, kind: str) -> None:
        self._scene.fault(kind, about=goods.product_id)

    def _unwell(self, goods: Goods) -> None:
        self._scene.fails("product.get", about=goods.product_id)
