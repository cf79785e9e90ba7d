"""Reading orders, parcels, products and freight; tokens; pushes; the pages of the account holder."""

from __future__ import annotations

import http.client
import json
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any
from urllib.parse import parse_qs, urlencode, urlsplit

import pytest

from app.ports.errors import MerchantMustAct, OutcomeUnknown, Refused, TryLater
from app.ports.inbound import InboundRequest
from app.ports.money import Money
from app.ports.supplier import OrderPayment, OrderShipping
from connectors.aliexpress.supplier import AliExpress
from tests.connectors.aliexpress.harness import BOTTLE, BROWN, Running, place_order, running, until

GERMANY = {"country": "DE", "currency": "USD", "language": "en"}


def test_life_of_an_order(simulator: Running) -> None:
    session = simulator.session()
    (order_id,) = session.place(place_order()).order_ids
    order = session.order(order_id)
    assert order is not None
    assert (order.payment, order.shipping, order.closed) == (OrderPayment.UNPAID, OrderShipping.NONE, False)
    assert order.total == Money.parse("9.18", "USD")
    assert order.created_at is not None
    assert abs(order.created_at - datetime.now(UTC)) < timedelta(hours=2)
    assert order.pay_until == order.created_at + timedelta(seconds=1_036_800)
    assert [(item.product_id, item.sku_id, item.quantity) for item in order.items] == [(BOTTLE, BROWN, 1)]
    assert session.parcels(order_id) == ()

    simulator.control("pay", {"order_ids": [order_id]})
    order = session.order(order_id)
    assert order is not None
    assert (order.payment, order.shipping) == (OrderPayment.PAID, OrderShipping.NONE)
    assert order.paid_at is not None

    parcel = {"tracking_number": "LP001", "carrier": "AliExpress Selection Standard"}
    simulator.control("ship", {"order_id": order_id, "parcels": [parcel]})
    (seen,) = session.parcels(order_id)
    assert (seen.tracking_number, seen.provisional, seen.delivered) == ("LP001", True, False)
    assert [(item.product_id, item.sku_id, item.quantity) for item in seen.items] == [(BOTTLE, BROWN, 1)]
    simulator.control("renumber", {"order_id": order_id, "old": "LP001", "new": "00340434"})
    assert [(p.tracking_number, p.provisional) for p in session.parcels(order_id)] == [("00340434", False)]

    simulator.control("deliver", {"order_id": order_id})
    order = session.order(order_id)
    assert order is not None
    assert (order.shipping, order.closed) == (OrderShipping.DELIVERED, False)
    assert session.parcels(order_id)[0].delivered


def test_two_parcels_of_one_order(simulator: Running) -> None:
    session = simulator.session()
    three = replace(place_order().items[0], quantity=3)
    (order_id,) = session.place(place_order(items=(three,))).order_ids
    simulator.control("pay", {"order_id": order_id})
    part = {"product_id": BOTTLE, "sku_id": BROWN}
    simulator.control("ship", {"order_id": order_id, "parcels": [{"items": [{**part, "quantity": 1}]}]})
    order = session.order(order_id)
    assert order is not None
    assert order.shipping is OrderShipping.PART
    simulator.control("ship", {"order_id": order_id})
    assert [parcel.items[0].quantity for parcel in session.parcels(order_id)] == [1, 2]
    order = session.order(order_id)
    assert order is not None
    assert order.shipping is OrderShipping.SHIPPED


def test_too_new_foreign_and_unknown_orders_look_alike() -> None:
    with running({"readable_after": "10"}) as simulator:
        session, stranger = simulator.session(), simulator.session()
        (order_id,) = session.place(place_order()).order_ids
        assert session.order(order_id) is None
        simulator.control("advance", {"seconds": 10})
        assert session.order(order_id) is not None
        assert stranger.order(order_id) is None
        assert session.order("8100000000000001") is None


def test_closing_by_time_and_cancelling(simulator: Running) -> None:
    session = simulator.session()
    first, second, third = (session.place(place_order(str(number))).order_ids[0] for number in (1, 2, 3))
    simulator.control("pay", {"order_id": second})
    simulator.control("cancel", {"order_id": second})
    simulator.control("status", {"order_id": third, "order_status": "RISK_CONTROL"})
    simulator.control("advance", {"seconds": 1_036_801})
    session = simulator.supplier.session(simulator.control("accounts", {"user_id": _owner(simulator)})["access_token"])
    expired, cancelled = session.order(first), session.order(second)
    assert expired is not None
    assert (expired.payment, expired.closed, expired.pay_until) == (OrderPayment.UNPAID, True, None)
    assert cancelled is not None
    assert (cancelled.payment, cancelled.closed) == (OrderPayment.PAID, True)
    assert [line["by"] for line in simulator.ledger("close")] == ["timeout", "timeout"]


def _owner(simulator: Running) -> str:
    return str(simulator.ledger("create")[0]["account"])


@pytest.mark.parametrize(
    "status",
    ["PAYMENT_PROCESSING", "RISK_CONTROL", "RISK_CONTROL_HOLD", "WAIT_SELLER_EXAMINE_MONEY", "BRAND_NEW"],
)
def test_such_orders_are_being_checked(simulator: Running, status: str) -> None:
    session = simulator.session()
    (order_id,) = session.place(place_order()).order_ids
    simulator.control("status", {"order_id": order_id, "order_status": status})
    order = session.order(order_id)
    assert order is not None
    assert (order.payment, order.closed) == (OrderPayment.CHECKING, False)


def test_products(simulator: Running) -> None:
    session = simulator.session()
    bottle = session.product(BOTTLE, **GERMANY)
    assert bottle is not None
    assert (bottle.on_sale, bottle.seller_id, bottle.order_product_id) == (True, "1103800006", BOTTLE)
    sku = bottle.skus[0]
    assert (sku.sku_id, sku.attributes, sku.price, sku.stock, sku.title) == (
        BROWN, "14:365458#Brown", Money.parse("7.19", "USD"), 999, "Brown"
    )  # fmt: skip
    single = session.product("1005006000000010", **GERMANY)
    assert single is not None
    assert single.skus[0].attributes == ""
    assert session.product("1005009999999999", **GERMANY) is None
    simulator.control("products", {"product_id": BOTTLE, "not_for": ["DE"]})
    refused = session.product(BOTTLE, **GERMANY)
    assert refused is not None
    assert (refused.on_sale, refused.skus) == (False, ())


def test_freight(simulator: Running) -> None:
    session = simulator.session()
    options = session.freight(BOTTLE, BROWN, 1, **GERMANY)
    assert [(option.service, str(option.fee)) for option in options] == [
        ("CAINIAO_FULFILLMENT_STD", "1.99 USD"),
        ("CAINIAO_PREMIUM", "9.50 USD"),
    ]
    assert options[0].stock == 999
    assert session.freight("1005006000000003", "12000036000000301", 1, **GERMANY)[0].fee == Money.zero("USD")
    assert session.freight(BOTTLE, "12000036000000999", 1, **GERMANY) == ()
    simulator.control("products", {"product_id": BOTTLE, "freight": {"*": []}})
    assert session.freight(BOTTLE, BROWN, 1, **GERMANY) == ()


@pytest.mark.parametrize(
    ("kind", "params", "error"),
    [
        ("outage", {}, TryLater),
        ("cut", {}, TryLater),
        ("html", {}, TryLater),
        ("call_limit", {"seconds": 3}, TryLater),
        ("gateway", {"code": "15", "sub_code": "isp.service-unavailable"}, TryLater),
        ("gateway", {"code": "InternalError"}, TryLater),
        ("gateway", {"code": "IllegalAccessToken"}, MerchantMustAct),
        ("gateway", {"code": "IncompleteSignature"}, Refused),
        ("gateway", {"code": "NeverSeen"}, OutcomeUnknown),
        ("body", {"body": '{"aliexpress_ds_product_get_response":{"rsp_code":404}}'}, TryLater),
        ("body", {"body": '{"aliexpress_ds_product_get_response":{"rsp_code":999}}'}, OutcomeUnknown),
    ],
)
def test_errors_of_reads(simulator: Running, kind: str, params: dict[str, Any], error: type[Exception]) -> None:
    session = simulator.session()
    simulator.fault(kind, "product.get", **params)
    with pytest.raises(error) as caught:
        session.product(BOTTLE, **GERMANY)
    assert caught.value.vendor == "aliexpress"  # type: ignore[attr-defined]
    if kind == "call_limit":
        assert caught.value.retry_after == 3.0  # type: ignore[attr-defined]


def test_strangers_are_refused(simulator: Running) -> None:
    settings = simulator.supplier.settings
    for changes, error in (
        ({"aliexpress_app_key": "1"}, Refused),
        ({"aliexpress_app_secret": settings.aliexpress_app_secret.__class__("x")}, Refused),
    ):
        other = AliExpress(settings.model_copy(update=changes), simulator.supplier._client.http)
        with pytest.raises(error):
            other.session("t").product(BOTTLE, **GERMANY)
    late = AliExpress(settings, simulator.supplier._client.http, lambda: datetime.now(UTC) - timedelta(hours=3))
    with pytest.raises(OutcomeUnknown):
        late.session("t").product(BOTTLE, **GERMANY)
    with pytest.raises(MerchantMustAct) as caught:
        simulator.supplier.session("unknown-token").product(BOTTLE, **GERMANY)
    assert caught.value.reason == "token_dead"
    with pytest.raises(Refused):
        simulator.session(ds_joined=False).product(BOTTLE, **GERMANY)


def _get(simulator: Running, path: str, form: dict[str, str] | None = None) -> tuple[int, str, str]:
    connection = http.client.HTTPConnection("127.0.0.1", simulator.port, timeout=10)
    headers = {"Content-Type": "application/x-www-form-urlencoded"}
    connection.request("GET" if form is None else "POST", path, urlencode(form or {}), headers)
    answer = connection.getresponse()
    found = (answer.status, answer.getheader("Location") or "", answer.read().decode())
    connection.close()
    return found


def test_consent_and_tokens(simulator: Running) -> None:
    url = urlsplit(simulator.supplier.authorize_url("the-state", "http://127.0.0.1/callback"))
    status, _, page = _get(simulator, f"{url.path}?{url.query}")
    assert status == 200
    assert "buyer@example.test" in page
    form = {name: values[0] for name, values in parse_qs(url.query).items()} | {"user_id": "1861703697"}
    status, location, _ = _get(simulator, url.path, form)
    assert status == 302
    answer = parse_qs(urlsplit(location).query)
    assert answer["state"] == ["the-state"]
    grant = simulator.supplier.exchange_code(answer["code"][0])
    assert grant.user_id == "1861703697"
    assert grant.login == "buyer@example.test"
    assert grant.expires_at is not None
    assert timedelta(hours=23) < grant.expires_at - datetime.now(UTC) <= timedelta(hours=24)
    with pytest.raises(Refused):
        simulator.supplier.exchange_code(answer["code"][0])
    for secret in (grant.access_token, grant.refresh_token, "buyer@example.test"):
        assert str(secret) not in repr(grant) + json.dumps([record.answer for record in simulator.records])


def test_refresh_rotates_and_its_window_does_not_move(simulator: Running) -> None:
    first = simulator.control("accounts", {})
    grant = simulator.supplier.refresh(first["refresh_token"])
    assert grant.refresh_token not in {None, first["refresh_token"]}
    assert grant.refresh_expires_at is not None
    assert abs(grant.refresh_expires_at.timestamp() * 1000 - first["refresh_token_valid_time"]) < 2_000
    assert simulator.supplier.session(grant.access_token).product(BOTTLE, **GERMANY) is not None
    with pytest.raises(MerchantMustAct):
        simulator.supplier.session(first["access_token"]).product(BOTTLE, **GERMANY)
    with pytest.raises(MerchantMustAct):
        simulator.supplier.refresh(first["refresh_token"])
    simulator.fault("drop_after", "token.refresh")
    with pytest.raises(OutcomeUnknown):
        simulator.supplier.refresh(str(grant.refresh_token))
    with pytest.raises(MerchantMustAct):
        simulator.supplier.refresh(str(grant.refresh_token))


def test_paid_orders(simulator: Running) -> None:
    session = simulator.session()
    assert session.paid_orders(datetime.now(UTC), datetime.now(UTC)) == ()
    with running({"registered": "1"}, aliexpress_paid_orders="on") as other:
        session = other.session()
        ids = [session.place(place_order(str(number))).order_ids[0] for number in range(1, 4)]
        other.control("pay", {"order_ids": ids[:2]})
        window = (datetime.now(UTC) - timedelta(hours=1), datetime.now(UTC) + timedelta(hours=1))
        assert [row.order_id for row in session.paid_orders(*window)] == ids[:2]
    with running({}, aliexpress_paid_orders="on") as other, pytest.raises(Refused):
        other.session().paid_orders(*window)


def test_the_account_holder_pays_and_cancels_on_pages(simulator: Running) -> None:
    session = simulator.session()
    first, second = (session.place(place_order(str(number))).order_ids[0] for number in (1, 2))
    url = urlsplit(simulator.supplier.pay_url([first, second]))
    status, _, page = _get(simulator, f"{url.path}?{url.query}")
    assert status == 200
    assert "18.36 USD" in page
    assert _get(simulator, "/pay", {"order_ids": first})[0] == 302
    assert _get(simulator, "/orders/cancel", {"order_id": second})[0] == 302
    assert [line["order_id"] for line in simulator.ledger("pay")] == [first]
    url = urlsplit(simulator.supplier.order_url(second))
    assert "CANCELED" in _get(simulator, f"{url.path}?{url.query}")[2]
    assert first in _get(simulator, f"/orders?account={_owner(simulator)}")[2]


@contextmanager
def _receiver() -> Iterator[tuple[str, list[InboundRequest]]]:
    received: list[InboundRequest] = []

    class Handler(BaseHTTPRequestHandler):
        def do_POST(self) -> None:
            body = self.rfile.read(int(self.headers["Content-Length"]))
            received.append(InboundRequest("POST", tuple(self.headers.items()), (), body))
            self.send_response(200)
            self.send_header("Content-Length", "0")
            self.end_headers()

        def log_message(self, *_args: object) -> None:
            return

    server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.01}, daemon=True)
    thread.start()
    try:
        yield f"http://127.0.0.1:{server.server_port}/webhooks/aliexpress", received
    finally:
        server.shutdown()
        server.server_close()
        thread.join(5)


def test_pushes_signed_unsigned_lost_doubled_and_out_of_order() -> None:
    with _receiver() as (url, received), running({"push_url": url}) as simulator:
        session = simulator.session()
        (order_id,) = session.place(place_order()).order_ids
        until(lambda: len(received) == 1)
        assert simulator.supplier.verify_push(received[0]).verified
        hint = simulator.supplier.read_push(received[0].body)
        assert (hint.ref, hint.account_ref, hint.status) == (order_id, _owner(simulator), "OrderCreated")

        simulator.control("push", {"signed": False, "lost": 1, "copies": 2})
        simulator.control("pay", {"order_id": order_id})
        simulator.control("ship", {"order_id": order_id})
        until(lambda: len(received) == 3)
        assert {simulator.supplier.read_push(one.body).status for one in received[1:]} == {"OrderShipped"}
        assert not simulator.supplier.verify_push(received[1]).verified

        simulator.control("push", {"copies": 1, "reorder": True, "gap": 0.5})
        for number in (2, 3, 4, 5):
            session.place(place_order(str(number)))
        until(lambda: len(received) == 7)
        arrived = [simulator.supplier.read_push(one.body).ref for one in received[3:]]
        placed = [line["order_id"] for line in simulator.ledger("create")][1:]
        assert sorted(map(str, arrived)) == placed
        assert arrived != placed


def test_resolve_host(simulator: Running) -> None:
    simulator.supplier.resolve_host()
    settings = simulator.supplier.settings.model_copy(update={"aliexpress_api_url": "https://no-such-host.invalid"})
    with pytest.raises(TryLater):
        AliExpress(settings, simulator.supplier._client.http).resolve_host()
