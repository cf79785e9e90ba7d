"""Group A on the whole app: what arrives is checked, stored once, and worked off to its end whatever it holds."""

from __future__ import annotations

import gzip
import json
import time
from pathlib import Path
from typing import Any

import pytest
import redis
import sqlalchemy as sa
from limits import RateLimitItemPerMinute

from app.boot import prepare
from app.clock import SystemClock
from app.models import Audit, Evidence, Inbox
from app.pipeline import receive as receiving
from app.ports.errors import BadDelivery
from app.web import webhooks
from app.web.limits import BodyBudget, UnsignedLimit
from tests.flow.world import BOTTLE, World, running
from tests.security.sending import (
    JSON,
    Headers,
    order_body,
    post,
    push_body,
    push_headers,
    shopify,
    signature,
    without,
    woo_shop,
)

SHOP = "bottles.myshopify.com"
SHOPIFY = "/webhooks/shopify"
ALIEXPRESS = "/webhooks/aliexpress"


def rows(world: World) -> list[Inbox]:
    with world.container.database.transaction() as session:
        return list(session.scalars(sa.select(Inbox).order_by(Inbox.id)))


def send(world: World, body: bytes, headers: Headers, path: str = SHOPIFY) -> int:
    return post(world.app.url, path, body, headers).status


def refused(world: World, source: str = "shopify") -> int:
    text = post(world.app.url, "/metrics", b"", (), method="GET").body.decode()
    lines = [one for one in text.splitlines() if one.startswith("waybill_deliveries_refused_total")]
    return sum(int(float(one.split()[-1])) for one in lines if f'source="{source}"' in one)


def order_in_shop(world: World, domain: str, *, linked: bool = True) -> dict[str, Any]:
    """A paid order whose own webhooks were lost: only what the test sends tells of it."""
    world.shopify.control("webhook_url", {"url": ""})
    shop = world.shopify_shop(domain)
    variant = world.shopify_variant(domain, f"BOTTLE-{domain[0]}")
    if linked:
        world.link(shop, variant, BOTTLE)
    made: dict[str, Any] = world.shopify.control(
        "orders", {"shop": domain, "lines": [{"variant_id": variant, "quantity": 1}]}
    )
    return made


def number_of(order: dict[str, Any]) -> int:
    return int(str(order["id"]).rsplit("/", 1)[-1])


@pytest.mark.security("S01")
def test_s01_a_changed_byte_is_401_no_row_and_counted(world: World) -> None:
    world.shopify_shop(SHOP)
    body = order_body(7)
    before = refused(world)
    assert send(world, body.replace(b"7", b"8"), shopify(body)) == 401
    assert rows(world) == []
    assert refused(world) == before + 1


@pytest.mark.security("S02")
@pytest.mark.parametrize(
    "sent",
    [
        (),
        ("",),
        ("not base64 at all!!",),
        ("é" * 44,),
        ("A" * 10_000,),
        ("right", "right"),
        ("right", "AAAA"),
        ("AAAA", "right"),
    ],
    ids=["missing", "empty", "no-base64", "non-ascii", "long", "twice", "right-wrong", "wrong-right"],
)
def test_s02_odd_signature_headers_are_401_on_every_storefront(world: World, sent: tuple[str, ...]) -> None:
    world.shopify_shop(SHOP)
    world.woocommerce_shop("socks")
    shop = woo_shop(world, f"{world.woocommerce.url}/socks")
    body = order_body(7)
    for path, name, headers, secret in (
        (SHOPIFY, "X-Shopify-Hmac-Sha256", shopify(body), "simulated-secret"),
        (shop.path, "X-WC-Webhook-Signature", shop.headers(body), shop.secret),
    ):
        values = [signature(secret, body) if value == "right" else value for value in sent]
        assert send(world, body, (*without(headers, name), *((name, value) for value in values)), path) == 401
    assert rows(world) == []


@pytest.mark.security("S03")
@pytest.mark.parametrize(
    "body",
    [
        b'\xef\xbb\xbf{"id":7}',
        b'{"id":7,"a":"\\u0000"}',
        b' {"id" : 7 }\r\n ',
        b'{"id":7,"a":"\\u00e9"}\n',
        b"\x00\xff",
    ],
    ids=["bom", "nul", "spaces", "escaped", "no-json"],
)
def test_s03_odd_bytes_with_a_good_signature_are_stored_as_they_came(world: World, body: bytes) -> None:
    shop = world.shopify_shop(SHOP)
    assert send(world, body, shopify(body)) == 200
    (row,) = rows(world)
    assert receiving.open_body(world.container, "shopify", shop, row.body or b"") == body


@pytest.mark.security("S05")
@pytest.mark.parametrize(("until", "old"), [("2999-01-01", 200), ("2020-01-01", 401)])
def test_s05_the_previous_secret_holds_until_its_end_date(
    database_url: str, redis_url: str, tmp_path: Path, until: str, old: int
) -> None:
    extra = {"SHOPIFY_CLIENT_SECRET_PREVIOUS": "old-secret", "SHOPIFY_CLIENT_SECRET_PREVIOUS_UNTIL": until}
    with running(database_url, redis_url, tmp_path, **extra) as world:
        world.shopify_shop(SHOP)
        body = order_body(7)
        assert send(world, body, shopify(body)) == 200
        assert send(world, body, shopify(body, secret="old-secret")) == old
        assert send(world, body, shopify(body, secret="third-secret")) == 401


@pytest.mark.security("S06")
def test_s06_a_body_of_shop_a_under_shop_bs_name_changes_nothing_in_b(world: World) -> None:
    other = world.shopify_shop("other.myshopify.com")
    order = order_in_shop(world, SHOP)
    body = order_body(number_of(order))
    assert send(world, body, shopify(body, domain="other.myshopify.com")) == 200
    world.settle()
    assert world.orders() == []
    assert [row.result for row in rows(world)] == ["this shop has no such order"]
    with world.container.database.transaction() as session:
        noted = session.scalars(sa.select(Audit).where(Audit.action == "hint_without_order")).all()
    assert [(one.entity, one.entity_id) for one in noted] == [("shop", other)]


@pytest.mark.security("S07")
def test_s07_the_url_token_names_the_shop_and_the_source_header_does_not(world: World) -> None:
    world.woocommerce_shop("socks")
    world.woocommerce_shop("hats")
    socks = woo_shop(world, f"{world.woocommerce.url}/socks")
    hats = woo_shop(world, f"{world.woocommerce.url}/hats")
    body = order_body(7)
    claims = ("X-WC-Webhook-Source", f"{world.woocommerce.url}/hats/")
    assert send(world, body, (*socks.headers(body), claims), hats.path) == 401
    assert send(world, body, (*socks.headers(body), claims), socks.path) == 200
    for path in ("/webhooks/woocommerce/" + "0" * 64, "/webhooks/woocommerce/" + "a" * 5000, "/webhooks/woocommerce"):
        assert send(world, body, socks.headers(body), path) == 404
    assert [row.shop_id for row in rows(world)] == [1]


@pytest.mark.security("S08")
def test_s08_the_activation_ping_has_no_effect_and_other_forms_are_401(world: World) -> None:
    world.woocommerce_shop("socks")
    path = woo_shop(world, f"{world.woocommerce.url}/socks").path
    form = (("Content-Type", "application/x-www-form-urlencoded"),)
    before = len(rows(world))
    assert send(world, b"webhook_id=7", form, path) == 200
    for other in (b"webhook_id=7&id=1", b"webhook_id=", b"webhook_id=x", b'{"id":7}', b""):
        assert send(world, other, form, path) == 401
    assert len(rows(world)) == before


@pytest.mark.security("S09")
def test_s09_a_forged_push_changes_no_state_and_an_unknown_id_ends_as_foreign(world: World) -> None:
    world.shopify_shop(SHOP)
    variant = world.shopify_variant(SHOP, "BOTTLE")
    world.link(1, variant, BOTTLE)
    world.shopify.control("orders", {"shop": SHOP, "lines": [{"variant_id": variant, "quantity": 1}]})
    world.settle(until=lambda: world.states() == ["PLACED_UNPAID"])
    world.aliexpress.control("push", {"lost": 1000})
    real = world.created()[0]["order_id"]
    forged = push_body(str(real), orderStatus="PaymentAuthorized")
    foreign = push_body("8181818181818181", orderStatus="PaymentAuthorized")
    assert send(world, forged, (JSON,), ALIEXPRESS) == 200
    assert send(world, foreign, (JSON,), ALIEXPRESS) == 200
    world.settle(seconds=20, until=lambda: all(row.state == "DONE" for row in rows(world)) or hurry(world))
    assert world.states() == ["PLACED_UNPAID"]
    last = [row for row in rows(world) if row.source == "aliexpress"][-1]
    assert last.result.startswith("foreign")
    assert last.verified is False
    with world.container.database.transaction() as session:
        kept = session.scalars(sa.select(Evidence).where(Evidence.supplier_order_ref == "8181818181818181")).all()
    assert [one.detail["verified"] for one in kept] == [False]


def hurry(world: World) -> bool:
    """Move the retries of stored deliveries forward."""
    with world.container.database.transaction() as session:
        session.execute(sa.text("UPDATE inbox SET run_at = now() WHERE state = 'DUE'"))
    return False


@pytest.mark.security("S10")
def test_s10_a_thousand_copies_and_a_late_one_have_one_effect(world: World) -> None:
    order = order_in_shop(world, SHOP)
    body = order_body(number_of(order))
    headers = shopify(body)
    assert {send(world, body, headers) for _ in range(1000)} == {200}
    world.settle(until=lambda: world.states() == ["PLACED_UNPAID"], seconds=20)
    with world.container.database.transaction() as session:
        session.execute(sa.text("UPDATE inbox SET received_at = received_at - interval '30 days'"))
    assert send(world, body, headers) == 200
    world.settle()
    (row,) = [one for one in rows(world) if one.source == "shopify"]
    assert (row.seen, row.state) == (1001, "DONE")
    assert len(world.created()) == 1
    assert world.calls_of_create() == 1


@pytest.mark.security("S11")
def test_s11_many_large_bodies_share_a_bounded_amount_of_memory() -> None:
    budget = BodyBudget(most=5_000_000, small=65_536)
    with budget.body() as first, budget.body() as second, budget.body() as third:
        first(65_537)
        first(2_000_000)
        second(2_000_000)
        with pytest.raises(BadDelivery) as refusal:
            third(2_000_000)
        third(60_000)  # what a shop usually sends goes on
        third(1_000_000)
    assert refusal.value.status == 503
    with budget.body() as alone:  # all was given back
        alone(5_000_000)


@pytest.mark.security("S12")
@pytest.mark.parametrize(
    "headers",
    [
        (JSON, ("Content-Encoding", "gzip")),
        (JSON, ("Content-Encoding", "identity, gzip")),
        (("Content-Type", "multipart/form-data; boundary=x"),),
        (("Content-Type", "application/xml"),),
        (("Content-Type", "text/plain"),),
        (),
    ],
    ids=["gzip", "list", "multipart", "xml", "text", "none"],
)
def test_s12_encoded_and_foreign_types_are_415(world: World, headers: Headers) -> None:
    world.shopify_shop(SHOP)
    world.woocommerce_shop("socks")
    shop = woo_shop(world, f"{world.woocommerce.url}/socks")
    before = len(rows(world))
    body = gzip.compress(b"0" * 5_000_000)
    assert send(world, body, (*without(shopify(body), "Content-Type"), *headers)) == 415
    assert send(world, body, (*without(shop.headers(body), "Content-Type"), *headers), shop.path) == 415
    assert len(rows(world)) == before


@pytest.mark.security("S12")
def test_s12_pushes_of_any_type_are_stored_unverified_up_to_64_kb(world: World) -> None:
    for kind in ("application/x-www-form-urlencoded", "text/plain", "application/xml", "multipart/form-data"):
        assert send(world, kind.encode(), (("Content-Type", kind),), ALIEXPRESS) == 200
    assert send(world, b"untyped", (), ALIEXPRESS) == 200
    assert send(world, b"x" * 65_536, (), ALIEXPRESS) == 200
    assert send(world, b"x" * 65_537, (), ALIEXPRESS) == 413
    bomb = gzip.compress(b"0" * 5_000_000)
    assert send(world, bomb, (("Content-Encoding", "gzip"),), ALIEXPRESS) == 415
    assert [row.verified for row in rows(world)] == [False] * 6
    world.settle()
    assert {row.state for row in rows(world)} <= {"DONE", "ODD"}


@pytest.mark.security("S12")
def test_s12_unsigned_pushes_are_limited_and_signed_ones_are_not(world: World, monkeypatch: pytest.MonkeyPatch) -> None:
    limit = UnsignedLimit(world.environment["REDIS_URL"], SystemClock(), item=RateLimitItemPerMinute(3))
    monkeypatch.setattr(webhooks, "UnsignedLimit", lambda *_: limit)
    client = fresh_client(world)
    statuses = [client.post(ALIEXPRESS, data=push_body(str(10**15 + n))).status_code for n in range(6)]
    assert statuses == [200, 200, 200, 429, 429, 429]
    signed = push_body("1111222233334444")
    assert client.post(ALIEXPRESS, data=signed, headers=dict(push_headers(signed))).status_code == 200
    assert len(rows(world)) == 4


@pytest.mark.security("S12")
def test_s12_without_redis_the_limit_counts_in_the_process_and_costs_no_time(monkeypatch: pytest.MonkeyPatch) -> None:
    limit = UnsignedLimit("redis://:x@127.0.0.1:1/0", SystemClock(), item=RateLimitItemPerMinute(50), pause=3600)
    whole, asked = limit._shared.hit, list[str]()

    def hit(item: Any, source: str) -> bool:
        asked.append(source)
        return whole(item, source)

    monkeypatch.setattr(limit._shared, "hit", hit)
    for _ in range(50):
        limit.take("aliexpress")
    with pytest.raises(BadDelivery) as refusal:
        limit.take("aliexpress")
    assert refusal.value.status == 429
    assert asked == ["aliexpress"], "one finds out that Redis is away; nobody else waits for it"


@pytest.mark.security("S12")
def test_s12_processes_share_the_limit_through_redis(redis_url: str) -> None:
    one, two = (UnsignedLimit(redis_url, SystemClock(), item=RateLimitItemPerMinute(4)) for _ in range(2))
    for _ in range(2):
        one.take("aliexpress")
        two.take("aliexpress")
    for limit in (one, two):
        with pytest.raises(BadDelivery):
            limit.take("aliexpress")
    with redis.Redis.from_url(redis_url) as client:
        assert client.keys("*")


def fresh_client(world: World) -> Any:
    """A second web process's app, as a test client."""
    from app import create_app  # noqa: PLC0415 - after the test has changed what it reads

    prepare(world.container)
    return create_app(world.container).test_client()


NASTY = {
    "deep": b"[" * 100_000,
    "deep-object": b'{"id":1,"a":' + b'{"a":' * 100_000 + b"1" + b"}" * 100_001,
    "long-integer": b'{"id":' + b"9" * 5_000 + b"}",
    "nan": b'{"id":NaN}',
    "infinity": b'{"id":-Infinity}',
    "twice": b'{"id":1,"id":2}',
    "surrogate": b'{"id":1,"name":"\\ud800"}',
    "surrogate-id": b'{"id":"\\ud800"}',
    "huge-float": b'{"id":1e999}',
    "float-id": b'{"id":1.5}',
    "float-whole": b'{"id":12345678901234567.0}',
    "list": b"[1,2]",
    "null": b"null",
    "text": b'"7"',
    "nul": b'{"id":"7\\u0000"}',
    "no-utf8": b'{"id":7,"a":"\xff\xfe"}',
    "empty-object": b"{}",
    "true": b'{"id":true}',
    "negative": b'{"id":-7}',
    "zero": b'{"id":0}',
    "long-text-id": json.dumps({"id": "9" * 3000}).encode(),
    "not-json": b"<html>",
}


@pytest.mark.security("S13")
def test_s13_odd_json_is_stored_and_worked_off_on_every_storefront(world: World) -> None:
    world.shopify_shop(SHOP)
    world.woocommerce_shop("socks")
    shop = woo_shop(world, f"{world.woocommerce.url}/socks")
    for body in NASTY.values():
        begun = time.monotonic()
        for topic in ("orders/create", "orders/edited", "refunds/create", "customers/redact", "products/update"):
            assert send(world, body, shopify(body, topic=topic)) == 200
        for topic in ("order.updated", "order.deleted", "product.updated"):
            assert send(world, body, shop.headers(body, topic), shop.path) == 200
        assert time.monotonic() - begun < 60  # only what hangs takes so long
    world.settle(seconds=30)
    stuck = [(row.topic, row.state, row.result) for row in rows(world) if row.state not in {"DONE", "ODD"}]
    assert stuck == []
    assert world.orders() == []


PUSHES = {
    **NASTY,
    "order-float": b'{"data":{"orderId":8.1e15}}',
    "order-list": b'{"data":{"orderId":[1]}}',
    "data-list": b'{"data":[{"orderId":1}]}',
    "nul-status": b'{"data":{"orderId":"8181818181818182","orderStatus":"Paid\\u0000"}}',
    "surrogate-status": b'{"data":{"orderId":"8181818181818183","orderStatus":"\\udfff"}}',
    "nul-buyer": b'{"data":{"orderId":"8181818181818184","buyerId":"1\\u0000"}}',
    "nul-type": b'{"message_type":"5\\u0000","data":{"orderId":"8181818181818185"}}',
    "long-status": json.dumps({"data": {"orderId": "8181818181818186", "orderStatus": "x" * 50_000}}).encode(),
}


@pytest.mark.security("S13")
@pytest.mark.parametrize("name", sorted(PUSHES))
def test_s13_odd_pushes_are_stored_and_worked_off(world: World, name: str) -> None:
    world.shopify_shop(SHOP)
    body = PUSHES[name][:65_536]
    assert send(world, body, push_headers(body), ALIEXPRESS) == 200
    world.settle(seconds=10, until=lambda: rows(world)[0].state in {"DONE", "ODD"} or hurry(world))
    assert world.purchases() == []
