"""Every call of the connectors, made on real sessions (they go onto the tape) or on sessions that hear changed answers."""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping
from datetime import timedelta
from typing import Any

from requests.structures import CaseInsensitiveDict

from app import container as containers
from app.ports.errors import OutsideError
from app.ports.http import CallRecord, DialPolicy, HTTPAnswer, HTTPClient
from app.ports.storefront import Address, Parcel, ParcelLine, ShopAccess
from app.ports.supplier import PlaceItem, PlaceOrder
from app.registry import Connectors, find
from app.registry import build as build_connectors
from app.shop_access import open_account, open_shop
from tests.flow.world import BOTTLE
from tests.fuzz.nasties import MARKERS
from tests.fuzz.stage import Stage

Acts = dict[str, Callable[[], Any]]


class Canned(HTTPClient):
    """Answers from the tape, the one at the centre of the case changed. Nothing goes out."""

    def __init__(self, stage: Stage, change: Callable[[str, HTTPAnswer], HTTPAnswer]) -> None:
        self.records: list[CallRecord] = []
        super().__init__(DialPolicy(allow_private=True, allow_http=True), observer=self.records.append)
        self._stage = stage
        self._change = change
        self._now = ("", "")

    def call(self, vendor: str, operation: str) -> Any:
        """Remembers which call is being made."""
        self._now = (vendor, operation)
        return super().call(vendor, operation)

    def send_once(self, *given: Any, **named: Any) -> HTTPAnswer:
        """The answer of the tape to such a call; "not found" where the tape has none."""
        del given, named
        taped = self._stage.tape.get(self._now)
        nothing = HTTPAnswer(404, CaseInsensitiveDict({"Content-Type": "application/json"}), b"{}", 0.0)
        return self._change(self._now[1], taped.answer if taped else nothing)


def connectors(stage: Stage, http: HTTPClient) -> Connectors:
    """The world's connectors, on another HTTP client."""
    _, parts = containers.read_settings(stage.world.environment)
    return build_connectors(find(), parts, http)


def place_order() -> PlaceOrder:
    """One bottle to an address of markers."""
    address = Address(
        name=f"Zephyrine {MARKERS['name']}",
        line1=f"4711 {MARKERS['street']} Crescent",
        line2="",
        province_code="IL",
        city="Springfield",
        province="Illinois",
        postal_code="62701",
        country="US",
        phone="+1 217 555 0100",
        email=MARKERS["email"],
    )
    item = PlaceItem(BOTTLE[0], BOTTLE[1], "14:365458#Brown", 1, "CAINIAO_FULFILLMENT_STD")
    return PlaceOrder("1000001", address, (), (item,), autopay=False)


def acts(stage: Stage, built: Connectors, token: str, shops: Mapping[str, ShopAccess]) -> Acts:
    """Each call by name."""
    supplier = built.suppliers["aliexpress"]
    now = stage.world.container.clock.now()
    bought = str(stage.world.created()[0]["order_id"])
    account = supplier.session(token)
    found: Acts = {
        "aliexpress order": lambda: account.order(bought),
        "aliexpress parcels": lambda: account.parcels(bought),
        "aliexpress product": lambda: account.product(BOTTLE[0], country="US", currency="USD", language="en"),
        "aliexpress freight": lambda: account.freight(*BOTTLE, 1, country="US", currency="USD", language="en_US"),
        "aliexpress paid_orders": lambda: account.paid_orders(now - timedelta(days=1), now),
    }
    for name, access in shops.items():
        session = built.storefronts[name].session(access)
        order = stage.sql(
            "SELECT o.external_id, l.external_id FROM store_order o JOIN shop s ON s.id = o.shop_id"
            " JOIN source_line l ON l.order_id = o.id WHERE s.connector = %s ORDER BY o.id LIMIT 1",
            name,
        )[0]
        parcel = Parcel("parcel-1", "LP00000000000001", "Cainiao", "https://t.example/1", (ParcelLine(order[1], 1),))
        found |= {
            f"{name} profile": session.profile,
            f"{name} order": lambda session=session, order=order: session.order(order[0]),
            f"{name} orders_changed": lambda session=session: session.orders_changed(
                now - timedelta(days=1), now + timedelta(days=1), None
            ),
            f"{name} fulfilments": lambda session=session, order=order: session.fulfilments(order[0]),
            f"{name} hides": lambda session=session: session.hides(now - timedelta(days=90)),
            f"{name} variants": lambda session=session: session.variants(sku="BOTTLE"),
            f"{name} fulfil": lambda session=session, order=order, parcel=parcel: session.fulfil(order[0], parcel),
        }
    access = shops["woocommerce"]
    url = f"{stage.world.app.url}/webhooks/woocommerce/{'a' * 64}"
    woo = built.storefronts["woocommerce"].session(access)
    found["woocommerce check_webhooks"] = lambda: woo.check_webhooks(url)
    return found


def renewals(built: Connectors, stage: Stage, shops: Mapping[str, ShopAccess]) -> Acts:
    """The calls for tokens. On real sessions they would use the tokens up."""
    del stage
    supplier = built.suppliers["aliexpress"]
    return {
        "aliexpress exchange_code": lambda: supplier.exchange_code("code"),
        "aliexpress refresh": lambda: supplier.refresh(MARKERS["token"]),
        "shopify refresh": lambda: built.storefronts["shopify"].refresh(shops["shopify"]),
    }


def _shops(stage: Stage) -> dict[str, ShopAccess]:
    container = stage.world.container
    opened = [open_shop(container, shop_id) for (shop_id,) in stage.sql("SELECT id FROM shop ORDER BY id")]
    return {
        one.connector: ShopAccess(one.address, one.secrets, {k: str(v) for k, v in one.capabilities.items()})
        for one in opened
    }


def every_read(stage: Stage) -> Acts:
    """The calls on the world's own sessions."""
    container = stage.world.container
    token = open_account(container, 1).secrets["access_token"]
    real = acts(stage, container.connectors, token, _shops(stage))

    def quiet(act: Callable[[], Any]) -> Callable[[], Any]:
        def run() -> Any:
            try:
                return act()
            except OutsideError:
                return None

        return run

    return {name: quiet(act) for name, act in real.items()} | {"tokens": lambda: _tape_tokens(stage)}


def _tape_tokens(stage: Stage) -> None:
    """Token answers of an account and a shop of their own: what is taped dies with them."""
    world = stage.world
    other = world.aliexpress.control("accounts", {})
    world.container.connectors.suppliers["aliexpress"].refresh(other["refresh_token"])
    taped = stage.tape[_named(stage, "refresh")]
    stage.tape[taped.vendor, "auth.token.create"] = taped
    made = world.shopify.control("shops", {"domain": "spare.myshopify.com"})
    access = ShopAccess("spare.myshopify.com", {"refresh_token": made["refresh_token"]}, {})
    world.container.connectors.storefronts["shopify"].refresh(access)


def _named(stage: Stage, end: str) -> tuple[str, str]:
    return next(key for key in stage.tape if re.fullmatch(rf"auth\.token\.{end}", key[1]))


class Heard:
    """Connectors that hear changed answers: built once, the change is set for each case."""

    def __init__(self, stage: Stage) -> None:
        self.change: Callable[[str, HTTPAnswer], HTTPAnswer] = lambda _operation, answer: answer
        self.http = Canned(stage, lambda *heard: self.change(*heard))  # noqa: PLW0108 - the change is another one each time
        built = connectors(stage, self.http)
        shops = _shops(stage)
        self.token = MARKERS["token"]
        self.acts = acts(stage, built, self.token, shops) | renewals(built, stage, shops)
        self.supplier = built.suppliers["aliexpress"]
