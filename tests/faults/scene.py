"""A few orders of both shops on their whole way, in real processes that may die, with people who do what is asked."""

from __future__ import annotations

import hashlib
import time
from collections import Counter
from collections.abc import Callable, Sequence
from contextlib import ExitStack
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Self

import sqlalchemy as sa

from app.local.demo.cast import BLACK_LAMP, BROWN_BOTTLE, BRUSH, COPPER_CAN, LIGHTS, SOCKS, Goods
from app.models import Shop
from tests.faults.people import People
from tests.faults.points import Shot
from tests.faults.roles import Roles, Zygote
from tests.faults.verdict import problems
from tests.flow.world import World
from tests.mailbox import mail_server

SHOPIFY, WOOCOMMERCE = "shopify", "woocommerce"
DOMAIN, SLUG = "bottles.myshopify.com", "socks"
SCALE = 20.0
LOOK = 0.5
LONGEST = 150.0
"""Seconds after which a run that came to no end has failed: a lease of a dead worker lasts twelve."""
_SOLD = {SHOPIFY: (BROWN_BOTTLE, SOCKS, BRUSH), WOOCOMMERCE: (COPPER_CAN, LIGHTS, BLACK_LAMP)}


@dataclass
class Order:
    """A paid order of a shop. Buyers' names differ: the supplier's ledger tells by them for whom it created one."""

    shop: str
    buyer: str
    goods: tuple[tuple[Goods, int], ...]
    external_id: str = ""
    lines: dict[str, str] = field(default_factory=dict)

    @property
    def name_hash(self) -> str:
        """How the supplier's ledger names the buyer."""
        return hashlib.sha256(self.buyer.encode()).hexdigest()[:16]

    @property
    def wanted(self) -> Counter[str]:
        """Pieces by supplier SKU."""
        return Counter({goods.sku_id: pieces for goods, pieces in self.goods})


def orders() -> list[Order]:
    """What is bought, in this order: the first one's answer is lost after the supplier executed it."""
    return [
        Order(SHOPIFY, "Lost Reply", ((BROWN_BOTTLE, 1),)),
        Order(SHOPIFY, "Plain Shopify", ((SOCKS, 2), (BRUSH, 1))),
        Order(WOOCOMMERCE, "Two Sellers", ((COPPER_CAN, 1), (LIGHTS, 2))),
        Order(WOOCOMMERCE, "Thin Margin", ((BLACK_LAMP, 1),)),
    ]


class Scene:
    """Simulators in this process, the product in processes of its own. With a plan of where they die."""

    def __init__(
        self, database_url: str, redis_url: str, folder: Path, zygote: Zygote, plan: Sequence[Shot] = ()
    ) -> None:
        self._stack = ExitStack()
        self.folder = folder
        folder.mkdir(parents=True, exist_ok=True)
        (folder / "reached").touch()
        mails = self._stack.enter_context(mail_server())
        mail = {"MAIL_SERVER": "127.0.0.1", "MAIL_PORT": str(mails.port), "STAFF_EMAIL": "staff@example.test"}
        few = {"WORKER_THREADS": "6", "DATABASE_POOL": "8"}
        self.world = World(database_url, redis_url, folder, time_scale=SCALE, **mail, **few)
        self._stack.callback(self.world.close)
        self.world.app.stop()
        self.roles = Roles(zygote, self.world.environment, folder, self.world.app.port, plan)
        self._stack.callback(self.roles.close)
        self.orders = orders()
        self._plan = plan

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self._stack.close()

    @property
    def reached(self) -> set[str]:
        """Every point that a process came to."""
        return set((self.folder / "reached").read_text().splitlines())

    @property
    def fired(self) -> int:
        """How many shots of the plan were fired."""
        return sum((self.folder / f"fired-{number}").exists() for number in range(len(self._plan)))

    def verdict(self, *, bought: Sequence[dict[str, Any]] | None = None) -> list[str]:
        """What is wrong now; `bought` as in `problems`."""
        return problems(self.world, self.orders, bought=bought)

    def play(self) -> list[str]:
        """Make the orders, and wait until each stands where it must; gives what is wrong."""
        world, people = self.world, People(self.world)
        self._open_shops()
        first, *others = self.orders
        world.aliexpress.control("faults", [{"op": "order.create", "times": 1, "kind": "drop_after"}])
        self._buy(first)
        deadline = time.monotonic() + LONGEST
        self._wait(people, deadline, world.calls_of_create)
        for order in others:
            self._buy(order)
        self._wait(people, deadline, lambda: not self.verdict())
        if found := self.verdict():
            return [*found, world.tell()]
        time.sleep(0.5)  # what would be done twice is done now
        return self.verdict()

    def _wait(self, people: People, deadline: float, until: Callable[[], object]) -> None:
        while not until() and time.monotonic() < deadline:
            people.act()
            time.sleep(LOOK)

    def _open_shops(self) -> None:
        world = self.world
        shops = {SHOPIFY: world.shopify_shop(DOMAIN), WOOCOMMERCE: world.woocommerce_shop(SLUG, fulfilments=True)}
        for shop, sold in _SOLD.items():
            for goods in sold:
                price = "5.00" if goods is BLACK_LAMP else goods.price
                if shop == SHOPIFY:
                    variant = world.shopify_variant(DOMAIN, goods.sku, price)
                else:
                    variant = world.woocommerce_product(SLUG, goods.sku, price)
                world.link(shops[shop], variant, (goods.product_id, goods.sku_id))
        with world.container.database.transaction() as session:
            session.execute(sa.update(Shop).values(contact_email="owner@example.test"))

    def _buy(self, order: Order) -> None:
        first, last = order.buyer.split()
        lines = [{"sku": goods.sku, "quantity": pieces} for goods, pieces in order.goods]
        made: dict[str, Any]
        if order.shop == SHOPIFY:
            address = {"firstName": first, "lastName": last}
            made = self.world.shopify.control("orders", {"shop": DOMAIN, "lines": lines, "address": address})
            order.lines = {str(line["id"]): str(line["sku"]) for line in made["lines"]}
        else:
            made = self.world.woocommerce_order(SLUG, lines, **_billing(first, last))
            order.lines = {str(line["id"]): str(line["sku"]) for line in made["line_items"]}
        order.external_id = str(made["id"])


def _billing(first: str, last: str) -> dict[str, Any]:
    address = {
        "first_name": first,
        "last_name": last,
        "address_1": "1 Sample Street",
        "city": "Springfield",
        "state": "IL",
        "postcode": "62701",
        "country": "US",
        "phone": "+1 217 555 0100",
    }
    return {"billing": address}
