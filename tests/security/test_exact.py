"""Money and ids stay what they are, from the shop's order to the supplier's and back (S65)."""

from __future__ import annotations

import dataclasses
import json
from collections.abc import Iterator, Mapping
from decimal import Decimal
from pathlib import Path
from typing import Any

import pytest
import sqlalchemy as sa

from app import create_app
from app.models import SourceLine, StoreOrder, SupplierOrder
from app.registry import find
from app.services import rates
from tests.flow import world as flow
from tests.flow.world import BOTTLE, World, running

SHOP = "bottles.myshopify.com"


@pytest.fixture
def world(database_url: str, redis_url: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[World]:
    """A world whose supplier numbers its orders with 19 digits."""

    def long_numbers() -> dict[str, Any]:
        specs = find()
        plain = specs["aliexpress"].simulator

        def simulator(options: Mapping[str, str]) -> Any:
            return plain({**options, "id_digits": "19"})

        specs["aliexpress"] = dataclasses.replace(specs["aliexpress"], simulator=simulator)
        return specs

    monkeypatch.setattr(flow, "find", long_numbers)
    with running(database_url, redis_url, tmp_path) as made:
        yield made


def order_and_lines(world: World) -> tuple[StoreOrder, list[SourceLine]]:
    with world.container.database.transaction() as session:
        order = session.scalars(sa.select(StoreOrder)).one()
        return order, list(session.scalars(sa.select(SourceLine).order_by(SourceLine.id)))


@pytest.mark.security("S65")
@pytest.mark.parametrize(
    ("currency", "rate", "price", "minor"),
    [("USD", "1", "0.10", 10), ("JPY", "150.1", "3333", 3333), ("KWD", "0.3071", "19.901", 19901)],
)
def test_s65_shopify_prices_and_nineteen_digit_ids_are_exact_to_the_end(
    world: World, currency: str, rate: str, price: str, minor: int
) -> None:
    shop = world.shopify_shop(SHOP, currency=currency)
    if currency != "USD":
        rates.put(world.container, "USD", currency, Decimal(rate), source="test", actor="test")
    dear = world.shopify_variant(SHOP, "DEAR", price if currency != "USD" else "19.90")
    world.link(shop, dear, BOTTLE)
    more = (
        []
        if currency != "USD"
        else [
            {"title": "Sticker", "price": text, "quantity": 1, "requires_shipping": False} for text in ("0.10", "0.20")
        ]
    )
    made = world.shopify.control(
        "orders", {"shop": SHOP, "id": 9007199254740993123, "lines": [{"variant_id": dear, "quantity": 3}, *more]}
    )
    world.settle(until=lambda: world.states() == ["PLACED_UNPAID"], seconds=15)
    order, lines = order_and_lines(world)
    assert order.external_id == str(made["id"]).rsplit("/", 1)[-1] == "9007199254740993123"
    assert order.currency == currency
    if currency == "USD":
        assert [line.paid for line in lines] == [5970, 10, 20]
        assert order.total == 6000
    else:
        assert [line.paid for line in lines] == [minor * 3]
        assert order.total == minor * 3
    check_supplier_order(world)


@pytest.mark.security("S65")
@pytest.mark.parametrize(
    ("currency", "rate", "price", "minor"), [("JPY", "150.1", "3333", 3333), ("KWD", "0.3071", "19.901", 19901)]
)
def test_s65_woocommerce_prices_and_nineteen_digit_ids_are_exact_to_the_end(
    world: World, currency: str, rate: str, price: str, minor: int
) -> None:
    decimals = {"JPY": 0, "KWD": 3}[currency]
    shop = world.woocommerce_shop("socks", currency=currency, decimals=decimals)
    rates.put(world.container, "USD", currency, Decimal(rate), source="test", actor="test")
    product = world.woocommerce_product("socks", "BOTTLE", price)
    world.link(shop, product, BOTTLE)
    world.woocommerce_order("socks", [{"product_id": int(product), "quantity": 3}], currency=currency)
    world.settle(until=lambda: world.states() == ["PLACED_UNPAID"], seconds=15)
    order, lines = order_and_lines(world)
    assert order.currency == currency
    assert [line.paid for line in lines] == [minor * 3]
    check_supplier_order(world)


def check_supplier_order(world: World) -> None:
    """Nineteen digits here, there, in the link to pay and in what a person reads."""
    made = str(world.created()[0]["order_id"])
    assert len(made) == 19
    with world.container.database.transaction() as session:
        stored = session.scalars(sa.select(SupplierOrder)).one()
    assert stored.external_id == made
    total = Decimal(str(world.created()[0]["total"]))
    assert stored.total is not None
    assert Decimal(stored.total) == total * 100
    shown = create_app(world.container).test_cli_runner().invoke(args=["order", "show", made, "--json"])
    assert shown.exit_code == 0, shown.output
    assert made in json.dumps(json.loads(shown.stdout))
    world.aliexpress.control("pay", {"order_ids": [made]})
    world.settle(until=lambda: world.states() == ["PLACED_PAID"], seconds=15)
