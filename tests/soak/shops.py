"""Sixteen shops of both storefronts, what they sell, and buyers who order at a steady rate."""

from __future__ import annotations

import random
import string
import threading
import time
from contextlib import suppress
from dataclasses import dataclass
from typing import Any

import sqlalchemy as sa

from app.container import Container
from app.local.control import Control, ControlError
from tests.flow.connecting import add_link, connect_account, connect_shop
from tests.soak.books import SHOPIFY, WOOCOMMERCE, Books
from tests.soak.regrets import Regrets

PAIRS = 8
"""Each pair is a Shopify shop and a WooCommerce shop that buy with the same account."""
PRODUCTS, SKUS = 12, 5
"""Products of an account's seller, and SKUs of each."""
MOST_LINES, FEWEST_LINES, MOST_PIECES = 12, 6, 3
_LETTERS = string.ascii_lowercase


@dataclass(frozen=True, slots=True)
class Shop:
    """A connected shop: where it is, its id in Waybill, its account at the supplier, and its variants."""

    kind: str
    name: str
    shop_id: int
    account: str
    variants: tuple[str, ...]


class Trade:
    """Opens the shops; then buys, until it is told to end."""

    def __init__(self, container: Container, controls: dict[str, Control], books: Books, seed: int) -> None:
        self._container, self._controls, self._books = container, controls, books
        self._random = random.Random(seed)
        self._over = threading.Event()
        self._thread: threading.Thread | None = None
        self._buyers = 0
        self.regrets = Regrets(controls, seed)
        self.shops: list[Shop] = []
        self.refused = 0
        self.waited = 0.0
        """Seconds for which nobody bought, because too much was open."""

    def open(self) -> None:
        """Make accounts, goods, shops and links."""
        for pair in range(PAIRS):
            rows = _goods(pair)
            self._controls["aliexpress"].post("products", rows)
            account = self._controls["aliexpress"].post("accounts", {"user_id": str(2_000_000_000 + pair)})
            self.shops += [self._shopify(pair, rows, account), self._woocommerce(pair, rows, account)]
        with self._container.database.transaction() as session:
            session.execute(sa.text("UPDATE shop SET day_cap = 1000000000000, order_cap = 1000000000"))

    def shop(self, shop_id: int) -> Shop:
        """The shop with this id in Waybill."""
        return next(shop for shop in self.shops if shop.shop_id == shop_id)

    def start(self, orders_a_minute: float, most_open: int) -> None:
        """Buy in a thread. `most_open`: orders that may be not bought yet, before buyers wait."""
        self.regrets.start()
        self._thread = threading.Thread(target=self._trade, args=(60 / orders_a_minute, most_open), daemon=True)
        self._thread.start()

    def end(self) -> None:
        """No more orders, and nobody who thinks better of one."""
        self._over.set()
        if self._thread is not None:
            self._thread.join()
            self.regrets.end()

    def _trade(self, pause: float, most_open: int) -> None:
        due = time.monotonic()
        while not self._over.wait(max(due - time.monotonic(), 0.0)):
            self._books.read()
            if len(self._books.not_bought()) >= most_open:
                self.waited += 0.5
                due = time.monotonic() + 0.5
                continue
            try:
                self._buy()
            except (OSError, ControlError):
                self.refused += 1
            due = max(due + pause, time.monotonic() - 5 * pause)

    def _buy(self) -> None:
        self._buyers += 1
        shop = self._random.choice(self.shops)
        first, last = "Ada", _surname(self._buyers)
        count = self._random.randint(FEWEST_LINES, MOST_LINES)
        chosen = [
            (variant, self._random.randint(1, MOST_PIECES)) for variant in self._random.sample(shop.variants, count)
        ]
        if shop.kind == SHOPIFY:
            lines = [{"variant_id": variant, "quantity": pieces} for variant, pieces in chosen]
            address = {"firstName": first, "lastName": last}
            made = self._controls[SHOPIFY].post("orders", {"shop": shop.name, "lines": lines, "address": address})
            ids = [str(line["id"]) for line in made["lines"]]
        else:
            lines = [{"product_id": int(variant), "quantity": pieces} for variant, pieces in chosen]
            wish = {"shop": shop.name, "lines": lines, "payment_method": "stripe", "billing": _billing(first, last)}
            made = self._controls[WOOCOMMERCE].post("orders", wish)
            ids = [str(line["id"]) for line in made["line_items"]]
        self.regrets.note(shop.kind, shop.name, str(made["id"]), ids)

    def _shopify(self, pair: int, rows: list[dict[str, Any]], account: dict[str, Any]) -> Shop:
        control, domain = self._controls[SHOPIFY], f"soak-{pair}.myshopify.com"
        made = control.post("shops", {"domain": domain})
        tokens = {name: made[name] for name in ("access_token", "refresh_token")}
        shop_id = connect_shop(self._container, SHOPIFY, domain, tokens)
        wish = [{"sku": sku["sku_id"], "price": "49.90"} for row in rows for sku in row["skus"]]
        product = control.post("products", {"shop": domain, "title": "Sample", "variants": wish})
        return self._finish(SHOPIFY, domain, shop_id, account, rows, [str(one["id"]) for one in product["variants"]])

    def _woocommerce(self, pair: int, rows: list[dict[str, Any]], account: dict[str, Any]) -> Shop:
        control, slug = self._controls[WOOCOMMERCE], f"soak-{pair}"
        made = control.post("shops", {"slug": slug, "currency": "USD", "fulfilments": True})
        keys = {"consumer_key": made["consumer_key"], "consumer_secret": made["consumer_secret"]}
        shop_id = connect_shop(self._container, WOOCOMMERCE, made["url"], keys)
        variants = []
        for sku in (sku for row in rows for sku in row["skus"]):
            wish = {"shop": slug, "name": "Sample", "type": "simple", "sku": sku["sku_id"], "regular_price": "49.90"}
            variants.append(str(control.post("products", wish)["id"]))
        return self._finish(WOOCOMMERCE, slug, shop_id, account, rows, variants)

    def _finish(
        self,
        kind: str,
        name: str,
        shop_id: int,
        account: dict[str, Any],
        rows: list[dict[str, Any]],
        variants: list[str],
    ) -> Shop:
        connect_account(self._container, shop_id, account)
        skus = [(row, sku) for row in rows for sku in row["skus"]]
        for variant, (row, sku) in zip(variants, skus, strict=True):
            self._books.skus[name, variant] = sku["sku_id"]
            more = {"sku_attributes": sku["sku_attr"], "seller_id": row["seller_id"]}
            add_link(self._container, shop_id, variant, row["product_id"], sku["sku_id"], **more)
        return Shop(kind, name, shop_id, str(account["user_id"]), tuple(variants))


def _goods(pair: int) -> list[dict[str, Any]]:
    """What one seller has: all that is bought with one account, so that an order needs one purchase."""
    return [
        {
            "product_id": str(1005007000000000 + pair * 1000 + number),
            "seller_id": str(1_200_000_000 + pair),
            "title": f"Soak product {number}",
            "skus": [
                {
                    "sku_id": str(12000037000000000 + pair * 100_000 + number * 100 + place),
                    "sku_attr": f"14:{100 + place}#Colour{place}",
                    "price": "7.19",
                    "stock": 10**8,
                }
                for place in range(SKUS)
            ],
        }
        for number in range(PRODUCTS)
    ]


def _surname(number: int) -> str:
    """A name without figures that nobody else has."""
    text = ""
    with suppress(IndexError):
        for _ in range(5):
            number, place = divmod(number, len(_LETTERS))
            text += _LETTERS[place]
    return f"Buyer{text}".capitalize()


def _billing(first: str, last: str) -> dict[str, str]:
    return {
        "first_name": first,
        "last_name": last,
        "address_1": "1 Sample Street",
        "city": "Springfield",
        "state": "IL",
        "postcode": "62701",
        "country": "US",
        "phone": "+1 217 555 0100",
    }
