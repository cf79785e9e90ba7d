"""Deliveries: signatures over raw bytes, the unsigned ping, and what bodies mean."""

from __future__ import annotations

import base64
import json
import time
from dataclasses import replace

import pytest

from app.ports.errors import BadDelivery
from app.ports.inbound import HintKind, InboundRequest
from connectors.woocommerce.webhooks import read_event, verify
from tests.connectors.woocommerce.harness import DATA, SECRET, inbound, recorded, sample, signed

SIGNED = sorted(path.stem for path in DATA.glob("webhook-*.json") if path.stem != "webhook-ping")


def refused(request: InboundRequest, secrets: list[str]) -> int:
    with pytest.raises(BadDelivery) as caught:
        verify(request, secrets)
    return caught.value.status


def with_header(request: InboundRequest, name: str, *values: str) -> InboundRequest:
    kept = tuple((key, value) for key, value in request.headers if key.lower() != name.lower())
    return replace(request, headers=(*kept, *((name, value) for value in values)))


@pytest.mark.parametrize("name", SIGNED)
def test_recorded_deliveries_are_accepted_byte_for_byte(name: str) -> None:
    for delivery in recorded(name):
        found = verify(inbound(delivery), [delivery["secret"]])
        assert found.topic == delivery["topic"]
        assert found.effect
        assert found.event_key is None


@pytest.mark.security("S01")
@pytest.mark.parametrize("name", SIGNED)
def test_s01_one_changed_byte_is_refused(name: str) -> None:
    for delivery in recorded(name):
        request = inbound(delivery)
        body = request.body[:-2] + b" " + request.body[-2:]
        assert refused(replace(request, body=body), [delivery["secret"]]) == 401


@pytest.mark.security("S02")
@pytest.mark.parametrize(
    "values",
    [
        (),
        ("",),
        ("AAAA", "BBBB"),
        ("not base64 at all!",),
        ("ü" * 44,),
        ("A" * 10_000,),
        ("=" * 44,),
        ("A" * 43 + "\n",),
    ],
)
def test_s02_odd_signature_headers_are_refused(values: tuple[str, ...]) -> None:
    assert refused(with_header(signed(b"{}"), "X-WC-Webhook-Signature", *values), [SECRET]) == 401


@pytest.mark.security("S02")
def test_s02_a_right_signature_sent_twice_is_refused() -> None:
    request = signed(b"{}")
    signature = request.header("X-WC-Webhook-Signature") or ""
    assert refused(with_header(request, "X-WC-Webhook-Signature", signature, signature), [SECRET]) == 401


@pytest.mark.security("S03")
@pytest.mark.parametrize(
    "body", [b"\xef\xbb\xbf{}", b'{"a":"\\u0000"}', b"  { }  ", b'{"a":"\\u00e4"}', b"{}\n", b"\xff"]
)
def test_s03_raw_bytes_are_verified_before_any_parsing(body: bytes) -> None:
    assert verify(signed(body), [SECRET]).effect


@pytest.mark.security("S05")
def test_s05_two_secrets_while_one_is_being_changed_and_never_a_third() -> None:
    assert verify(signed(b"{}", "old" * 12), [SECRET, "old" * 12]).effect
    assert refused(signed(b"{}", "third" * 8), [SECRET, "old" * 12]) == 401


@pytest.mark.security("S07")
@pytest.mark.parametrize("secrets", [[], [""], ["  "]])
def test_s07_a_shop_without_a_secret_accepts_nothing(secrets: list[str]) -> None:
    assert refused(signed(b"{}", secrets[0] if secrets else ""), secrets) == 401


@pytest.mark.security("S08")
def test_s08_the_recorded_ping_has_no_effect() -> None:
    found = verify(inbound(sample("webhook-ping")), [SECRET])
    assert not found.effect


@pytest.mark.security("S08")
@pytest.mark.parametrize(
    "body",
    [b"webhook_id=", b"webhook_id=7&x=1", b"webhook_id=7\n", b"webhook_id=a", b"x=1", b"", b"{}", b"webhook_id=%37"],
)
def test_s08_any_other_unsigned_form_is_refused(body: bytes) -> None:
    ping = inbound(sample("webhook-ping"))
    assert refused(replace(ping, body=body), [SECRET]) == 401


@pytest.mark.security("S08")
def test_s08_an_unsigned_ping_as_json_is_refused() -> None:
    request = InboundRequest("POST", (("Content-Type", "application/json"),), (), b"webhook_id=7")
    assert refused(request, [SECRET]) == 401


@pytest.mark.security("S12")
@pytest.mark.parametrize(
    ("name", "value"),
    [
        ("Content-Encoding", "gzip"),
        ("Content-Encoding", "br"),
        ("Content-Type", "multipart/form-data; boundary=x"),
        ("Content-Type", "application/xml"),
        ("Content-Type", "text/plain"),
        ("Content-Type", ""),
    ],
)
def test_s12_encoded_and_foreign_types_are_refused(name: str, value: str) -> None:
    assert refused(with_header(signed(b"{}"), name, value), [SECRET]) == 415


@pytest.mark.security("S13")
@pytest.mark.parametrize(
    "body",
    [
        b"[" * 100_000,
        b'{"id":' + b"9" * 5_000 + b"}",
        b'{"id":NaN}',
        b'{"id":Infinity}',
        b'{"id":1,"id":2}',
        b'{"id":"\\ud800"}',
        b'{"id":1,"name":"\\uDFFF"}',
        b'{"id":1e999}',
        b'{"id":1e999999999999999999999}',
        b'[{"id":1}]',
        b'{"id":12.0}',
        b'{"id":true}',
        b'{"id":0}',
        b'{"id":-4}',
        b'{"id":"\xd9\xa3"}',
        b"\xff\xfe",
        b"",
        b"null",
    ],
)
def test_s13_odd_json_is_put_aside_at_once(body: bytes) -> None:
    started = time.process_time()
    assert read_event("order.updated", body).kind is HintKind.NOTHING
    assert time.process_time() - started < 1


def test_two_orders_with_the_same_delivery_id_are_two_events() -> None:
    one, two = recorded("webhook-same-delivery-id")
    assert one["headers"]["X-WC-Webhook-Delivery-ID"] == two["headers"]["X-WC-Webhook-Delivery-ID"]
    refs = {read_event("order.created", item["body_raw"].encode()).ref for item in (one, two)}
    assert len(refs) == 2


@pytest.mark.parametrize(
    ("name", "kind", "ref"),
    [
        ("webhook-order.created", HintKind.ORDER, "47"),
        ("webhook-order.updated-own-write-echo", HintKind.ORDER, "47"),
        ("webhook-order.deleted", HintKind.ORDER_GONE, None),
        ("webhook-order.restored", HintKind.ORDER, None),
        ("webhook-order.updated-order-gone", HintKind.NOTHING, None),
        ("webhook-product.updated-variation", HintKind.PRODUCT, "13"),
        ("webhook-product.deleted", HintKind.PRODUCT, None),
        ("webhook-customer.created", HintKind.NOTHING, None),
    ],
)
def test_what_recorded_deliveries_are_about(name: str, kind: HintKind, ref: str | None) -> None:
    delivery = sample(name)
    hint = read_event(delivery["topic"], delivery["body_raw"].encode())
    assert hint.kind is kind
    if ref is not None:
        assert hint.ref == ref
    if kind is not HintKind.NOTHING:
        assert hint.ref == str(json.loads(delivery["body_raw"])["id"])


def test_an_error_envelope_names_its_code_and_a_draft_is_left_alone() -> None:
    gone = sample("webhook-order.updated-order-gone")
    assert (
        read_event("order.updated", gone["body_raw"].encode()).extra["error"]
        == "woocommerce_rest_shop_order_invalid_id"
    )
    draft = read_event("order.updated", b'{"id":9,"status":"checkout-draft"}')
    assert draft.kind is HintKind.NOTHING


def test_a_topic_that_is_no_topic_is_not_passed_on() -> None:
    request = with_header(signed(b"{}"), "X-WC-Webhook-Topic", "order.created\r\nx")
    assert verify(request, [SECRET]).topic == ""
    assert base64.b64decode(request.header("X-WC-Webhook-Signature") or "")
