"""Inbound signatures and headers: the vectors, and S01-S06, S10 and S12 of the checklist."""

from __future__ import annotations

import base64
import re
from collections.abc import Mapping
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pytest

from app.ports.errors import BadDelivery
from app.ports.inbound import InboundRequest
from connectors.shopify import addresses
from tests.connectors.shopify.harness import SHOP, VECTORS, delivery, sign, storefront

POSITIVE = VECTORS["webhook_body_hmac"]["positive"]
CASES = VECTORS["webhook_body_hmac"]["header_and_negative_cases"]


def status_of(request: InboundRequest, **settings: Any) -> int:
    try:
        storefront(**settings).verify(request, ())
    except BadDelivery as refusal:
        return refusal.status
    return 200


@pytest.mark.security("S03")
@pytest.mark.parametrize("vector", POSITIVE, ids=lambda vector: vector["name"])
def test_s03_vector_signatures_hold_over_the_raw_bytes(vector: Mapping[str, Any]) -> None:
    body = base64.b64decode(vector["raw_body_base64"])
    request = delivery(body, signature=vector["hmac_base64"])
    assert status_of(request, shopify_client_secret=vector["client_secret"]) == 200


@pytest.mark.parametrize("vector", CASES, ids=lambda vector: vector["name"])
def test_vector_cases(vector: Mapping[str, Any]) -> None:
    request = InboundRequest("POST", tuple(vector["headers"].items()), (), vector["raw_body"].encode())
    settings = {"shopify_client_secret": vector["client_secret"]}
    if "old_client_secret" in vector:
        assert status_of(request, **settings) == 401
        settings["shopify_client_secret_previous"] = vector["old_client_secret"]
    assert status_of(request, **settings) == vector["http_status_recommended"]


@pytest.mark.security("S01")
def test_s01_one_changed_byte_is_refused() -> None:
    body = b'{"id":820982911946154508}'
    assert status_of(delivery(body)) == 200
    for place in range(len(body)):
        changed = body[:place] + bytes([body[place] ^ 1]) + body[place + 1 :]
        assert status_of(delivery(changed, signature=sign(body))) == 401


@pytest.mark.security("S02")
@pytest.mark.parametrize(
    "signature",
    [
        "",
        " ",
        "x",
        "é" * 44,
        "*" * 44,
        "A" * 10_240,
        "A" * 44,
        sign(b"{}")[:-1],
        sign(b"{}") + "=",
        sign(b"{}") + ", x",
    ],
    ids=range(10),
)
def test_s02_malformed_signatures_are_refused(signature: str) -> None:
    assert status_of(delivery(b"{}", signature=signature)) == 401


@pytest.mark.security("S02")
def test_s02_a_signature_that_is_missing_or_comes_twice_is_refused() -> None:
    good = delivery(b"{}")
    pair = ("X-Shopify-Hmac-Sha256", sign(b"{}"))
    without = tuple(item for item in good.headers if item[0].lower() != pair[0].lower())
    assert status_of(InboundRequest("POST", without, (), b"{}")) == 401
    assert status_of(InboundRequest("POST", (*good.headers, pair), (), b"{}")) == 401
    assert status_of(InboundRequest("POST", (*good.headers, (pair[0], sign(b"x"))), (), b"{}")) == 401


@pytest.mark.security("S02")
def test_s02_both_spellings_must_agree() -> None:
    good = delivery(b"{}")
    same = ("shopify-hmac-sha256", sign(b"{}"))
    assert status_of(InboundRequest("POST", (*good.headers, same), (), b"{}")) == 200
    other = ("shopify-hmac-sha256", sign(b"{}", "another"))
    assert status_of(InboundRequest("POST", (*good.headers, other), (), b"{}")) == 401
    topic = ("shopify-topic", "orders/delete")
    assert status_of(InboundRequest("POST", (*good.headers, topic), (), b"{}")) == 400


@pytest.mark.security("S02")
def test_s02_the_unused_bits_of_the_last_digit_do_not_make_second_signatures() -> None:
    signature = sign(b"{}")
    alphabet = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/"
    twin = signature[:42] + alphabet[alphabet.index(signature[42]) ^ 1] + "="
    assert base64.b64decode(twin) == base64.b64decode(signature)
    assert status_of(delivery(b"{}", signature=twin)) == 401


@pytest.mark.security("S03")
@pytest.mark.parametrize(
    "body", [b"\xef\xbb\xbf{}", b'{"a":"\\u0000"}', b'  {"a": 1} \n', b"\x00", b"\xff\xfe", b"not json"]
)
def test_s03_odd_bytes_with_a_good_signature_are_accepted(body: bytes) -> None:
    assert status_of(delivery(body)) == 200


@pytest.mark.security("S04")
def test_s04_signatures_are_compared_in_constant_time() -> None:
    for file in Path(addresses.__file__).parent.glob("*.py"):
        text = file.read_text(encoding="utf-8")
        assert not re.search(r"(signature|digest|given|hmac\w*) ?[!=]= ", text), file.name


@pytest.mark.security("S05")
def test_s05_the_previous_secret_holds_until_its_end_and_a_third_never() -> None:
    old = delivery(b"{}", secret="old")
    rotation: dict[str, Any] = {"shopify_client_secret_previous": "old"}
    assert status_of(old) == 401
    assert status_of(old, **rotation) == 200
    assert status_of(delivery(b"{}"), **rotation) == 200
    assert status_of(delivery(b"{}", secret="third"), **rotation) == 401
    rotation["shopify_client_secret_previous_until"] = "2026-11-30"
    assert status_of(old, **rotation, now=datetime(2026, 11, 30, 23, 59, tzinfo=UTC)) == 200
    assert status_of(old, **rotation, now=datetime(2026, 12, 1, tzinfo=UTC)) == 401
    assert status_of(delivery(b"{}"), **rotation, now=datetime(2026, 12, 1, tzinfo=UTC)) == 200


@pytest.mark.security("S06")
def test_s06_the_key_names_the_body_so_that_a_replay_cannot_take_a_genuine_ones_place() -> None:
    front = storefront()
    genuine = front.verify(delivery(b'{"id":1}'), ())
    again = front.verify(delivery(b'{"id":1}'), ())
    replay = front.verify(delivery(b'{"id":2}'), ())
    other_shop = front.verify(delivery(b'{"id":1}', x_shopify_shop_domain="two.myshopify.com"), ())
    assert genuine.event_key == again.event_key
    assert len({genuine.event_key, replay.event_key, other_shop.event_key}) == 3
    assert genuine.shop_key == SHOP


@pytest.mark.security("S10")
def test_s10_a_delivery_without_a_usable_id_is_left_to_the_hash_of_its_body() -> None:
    front = storefront()
    for webhook_id in (None, "", "x" * 101, "a b"):
        assert front.verify(delivery(b"{}", x_shopify_webhook_id=webhook_id), ()).event_key is None


@pytest.mark.security("S12")
@pytest.mark.parametrize(
    "headers",
    [
        {"content_encoding": "gzip"},
        {"content_encoding": "br"},
        {"content_type": "text/plain"},
        {"content_type": "application/xml"},
        {"content_type": "multipart/form-data; boundary=x"},
    ],
    ids=lambda headers: "-".join(headers.values()),
)
def test_s12_other_encodings_and_types_are_refused(headers: Mapping[str, str]) -> None:
    assert status_of(delivery(b"{}", **headers)) == 415


@pytest.mark.parametrize(
    "shop", [None, "", "evil.com", "one.myshopify.com.evil.com", "one.myshopify.com, two.myshopify.com"]
)
def test_a_delivery_without_a_shop_is_refused(shop: str | None) -> None:
    assert status_of(delivery(b"{}", x_shopify_shop_domain=shop)) == 400
