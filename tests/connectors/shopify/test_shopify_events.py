"""What deliveries mean, and S13: odd JSON never raises and never takes long."""

from __future__ import annotations

import json
from typing import Any

import pytest

from app.ports.inbound import Hint, HintKind
from connectors.shopify.events import TOPICS, read_event
from tests.connectors.shopify.harness import SHARED

BIG = 9_007_199_254_740_993
FO = "gid://shopify/FulfillmentOrder/77"
FO_REF = f"fulfillment_order:{FO}"
MERGED = {"fulfillment_order_merges": {"fulfillment_order": {"id": FO}}}
MOVED = {"original_fulfillment_order": {"id": FO[:-1]}, "moved_fulfillment_order": {"id": FO}}
SAMPLES = SHARED / "reference" / "shopify-samples"


def hint(topic: str, payload: Any) -> Hint:
    return read_event(topic, json.dumps(payload).encode())


@pytest.mark.parametrize(
    ("topic", "payload", "kind", "ref"),
    [
        ("orders/create", {"id": BIG}, HintKind.ORDER, str(BIG)),
        ("orders/updated", {"id": BIG, "admin_graphql_api_id": "x"}, HintKind.ORDER, str(BIG)),
        ("orders/edited", {"order_edit": {"id": 1, "order_id": BIG}}, HintKind.ORDER, str(BIG)),
        ("orders/delete", {"id": BIG}, HintKind.ORDER_GONE, str(BIG)),
        ("refunds/create", {"id": 1, "order_id": BIG}, HintKind.ORDER, str(BIG)),
        ("fulfillments/update", {"id": 1, "order_id": BIG}, HintKind.ORDER, str(BIG)),
        ("orders/risk_assessment_changed", {"order_id": BIG}, HintKind.ORDER, str(BIG)),
        ("fulfillment_orders/order_routing_complete", {"fulfillment_order": {"id": FO}}, HintKind.ORDER, FO_REF),
        ("fulfillment_orders/merged", MERGED, HintKind.ORDER, FO_REF),
        ("fulfillment_orders/moved", MOVED, HintKind.ORDER, FO_REF),
        ("products/update", {"id": BIG}, HintKind.PRODUCT, str(BIG)),
        ("app/uninstalled", {"id": 1}, HintKind.UNINSTALLED, None),
        ("customers/redact", {"customer": {"id": 5}, "orders_to_redact": [1, 2]}, HintKind.PRIVACY, "5"),
        ("shop/redact", {"shop_domain": "A.myshopify.com"}, HintKind.PRIVACY, None),
        ("shop/update", {"id": 1}, HintKind.NOTHING, None),
    ],
)  # fmt: skip
def test_topics(topic: str, payload: Any, kind: HintKind, ref: str | None) -> None:
    found = hint(topic, payload)
    assert (found.kind, found.ref) == (kind, ref)


def test_what_a_hint_carries_along() -> None:
    assert hint("app/scopes_update", {"current": ["read_orders", 5]}).extra == {"scopes": "read_orders"}
    assert hint("customers/data_request", {"orders_requested": [3], "shop_domain": "A.x"}).extra == {
        "shop_domain": "a.x",
        "orders": "3",
    }
    assert hint("fulfillment_orders/moved", {"fulfillment_order": {"id": FO}}).extra == {"fulfillment_order": FO}


@pytest.mark.security("S13")
@pytest.mark.parametrize(
    "body",
    [
        b"[" * 100_000 + b"]" * 100_000,
        b'{"a":' * 100_000 + b"1" + b"}" * 100_000,
        b"[" * 100_000,
        b'{"id":' + b"9" * 5_000 + b"}",
        b'{"id":NaN}',
        b'{"id":Infinity}',
        b'{"id":1,"id":2}',
        b'{"id":1,"note":"\\ud800"}',
        b'{"id":1e999}',
        b'{"id":1e99999999999}',
        b'{"id":1.0}',
        b'{"id":1.5}',
        b'{"id":true}',
        b'{"id":-5}',
        b'{"id":[1]}',
        b'{"id":"1; drop"}',
        b'{"id":"\xd9\xa1"}',
        b"[1]",
        b"7",
        b"null",
        b"",
        b"\xff\xfe",
        b'{"order_edit":[]}',
        b'"' * 99_999,
        b'"\\' * 99_999,
        b"[" * 61 + b'"' + b'\\"' * 99_999,
        b"{" * 61 + b'"' + b'[\\"' * 99_999 + b"\\",
    ],
    ids=range(27),
)
def test_s13_odd_payloads_are_nothing(body: bytes) -> None:
    for topic in ("orders/updated", "orders/edited", "fulfillment_orders/moved", "refunds/create"):
        assert read_event(topic, body).kind is HintKind.NOTHING


def test_brackets_inside_texts_are_not_depth() -> None:
    found = hint("orders/updated", {"id": 5, "note": '[{"' * 1_000, "lines": [{"a": [{}]}] * 200})
    assert (found.kind, found.ref) == (HintKind.ORDER, "5")


@pytest.mark.skipif(not SAMPLES.exists(), reason="the shared samples are not beside this checkout")
@pytest.mark.parametrize("topic", TOPICS)
def test_published_examples_are_understood(topic: str) -> None:
    file = SAMPLES / f"{topic.replace('/', '-')}.json"
    if not file.exists():
        assert topic == "orders/risk_assessment_changed"
        return
    assert read_event(topic, file.read_bytes()).kind is not HintKind.NOTHING
