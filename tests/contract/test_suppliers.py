"""One battery for every supplier that the registry finds."""

from __future__ import annotations

from typing import Any

import pytest

from app.domain.address import Prepared, prepare
from app.ports.errors import BadDelivery, MerchantMustAct
from app.ports.inbound import HintKind, InboundRequest
from app.ports.storefront import Address
from app.ports.supplier import OrderPayment, PayResult, PlaceItem, PlaceOrder, PlaceOutcome, Supplier
from app.registry import find
from tests.contract.nasties import NASTY_BODIES
from tests.contract.players import SUPPLIERS, SupplierPlayer
from tests.flow.world import World

NAMES = sorted(name for name, spec in find().items() if spec.kind == "supplier")
HOME = Address("Ada Example", "1 Sample Street", "", "Springfield", "Illinois", "IL", "62701", "US", "+1 217 555 0100")


@pytest.fixture(params=NAMES)
def name(request: pytest.FixtureRequest) -> str:
    return str(request.param)


@pytest.fixture
def player(name: str) -> SupplierPlayer:
    assert name in SUPPLIERS, f"add a player for {name} to tests/contract/players.py"
    return SUPPLIERS[name]


@pytest.fixture
def supplier(world: World, name: str) -> Supplier:
    return world.container.connectors.suppliers[name]


@pytest.fixture
def token(world: World) -> str:
    world.account = world.aliexpress.control("accounts", {})
    return str(world.account["access_token"])


def wish(session: Any, player: SupplierPlayer, number: str = "100000000000000001") -> PlaceOrder:
    """One piece, by the cheapest service."""
    product = session.product(player.product, country="US", currency="USD", language="en")
    sku = next(one for one in product.skus if one.sku_id == player.sku)
    service = session.freight(product.order_product_id, sku.sku_id, 1, country="US", currency="USD", language="en_US")[
        0
    ].service
    prepared = prepare(HOME)
    assert isinstance(prepared, Prepared)
    item = PlaceItem(product.order_product_id, sku.sku_id, sku.attributes, 1, service)
    return PlaceOrder(number, HOME, prepared.fields, (item,), autopay=False)


def test_order_is_created_unpaid_and_can_be_read(supplier: Supplier, player: SupplierPlayer, token: str) -> None:
    session = supplier.session(token)
    result = session.place(wish(session, player))
    assert (result.outcome, result.pay, len(result.order_ids)) == (PlaceOutcome.PLACED, PayResult.NOT_ASKED, 1)
    order = session.order(result.order_ids[0])
    assert order is not None
    assert (order.payment, order.closed, order.shipping.value) == (OrderPayment.UNPAID, False, "none")
    assert [(item.sku_id, item.quantity) for item in order.items] == [(player.sku, 1)]
    assert order.pay_until is not None
    assert order.created_at is not None
    assert session.parcels(result.order_ids[0]) == ()


def test_unknown_things_are_none(supplier: Supplier, token: str) -> None:
    session = supplier.session(token)
    assert session.order("8999999999999999") is None
    assert session.product("1005999999999999", country="US", currency="USD", language="en") is None


def test_dead_token_is_not_executed_when_placing_and_the_merchants_turn_when_reading(
    world: World, supplier: Supplier, player: SupplierPlayer, token: str
) -> None:
    session = supplier.session(token)
    order = wish(session, player)
    player.kill_token(world)
    result = session.place(order)
    assert (result.outcome, result.reason, result.order_ids) == (PlaceOutcome.NOT_EXECUTED, "token_dead", ())
    with pytest.raises(MerchantMustAct) as caught:
        session.order("8100000000000001")
    assert caught.value.reason == "token_dead"


def test_nobody_listens_means_not_sent(world: World, supplier: Supplier, player: SupplierPlayer, token: str) -> None:
    session = supplier.session(token)
    order = wish(session, player)
    with world.aliexpress.refusing():
        assert session.place(order).outcome == PlaceOutcome.NOT_SENT


def test_tokens_are_renewed(world: World, supplier: Supplier, token: str) -> None:
    grant = supplier.refresh(str(world.account["refresh_token"]))
    assert grant.access_token != token
    assert grant.expires_at is not None
    assert supplier.session(grant.access_token).order("8999999999999999") is None


def test_refused_refresh_is_the_merchants_turn(supplier: Supplier, token: str) -> None:
    with pytest.raises(MerchantMustAct):
        supplier.refresh("no-such-token-" + token[:4])


@pytest.mark.security
def test_s13_pushes_never_raise(supplier: Supplier) -> None:
    for body in NASTY_BODIES:
        assert supplier.read_push(body).kind in {HintKind.SUPPLIER_ORDER, HintKind.NOTHING}
        request = InboundRequest("POST", (("Authorization", "\u00e9" * 3),), (), body)
        with pytest.raises(BadDelivery):
            supplier.verify_push(request)
