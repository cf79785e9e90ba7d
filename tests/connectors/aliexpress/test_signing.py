"""All published signature vectors."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest
from pydantic import ValidationError

from app.ports.errors import BadDelivery
from app.ports.http import DialPolicy, HTTPClient
from app.ports.inbound import HintKind, InboundRequest
from connectors.aliexpress.settings import AliExpressSettings
from connectors.aliexpress.signing import sign, sign_push, string_to_sign
from connectors.aliexpress.supplier import AliExpress

VECTORS = json.loads((Path(__file__).parent / "data" / "sign-vectors.json").read_text("utf-8"))
PUSHES = VECTORS["webhook"]["vectors"]


@pytest.mark.parametrize("case", VECTORS["sha256"], ids=lambda case: case["id"])
def test_sha256_vector(case: dict[str, Any]) -> None:
    """Python's and PHP's SDK agree on every one; Java drops blanks, as our client does before it signs."""
    assert string_to_sign(case["api"], case["params"]) == case["string_to_sign"]
    assert sign(case["app_secret"], case["api"], case["params"]) == case["sign"]
    if "sign_blank_values_dropped" in case:
        filled = {key: value for key, value in case["params"].items() if value.strip()}
        assert sign(case["app_secret"], case["api"], filled) == case["sign_blank_values_dropped"]


@pytest.mark.parametrize("case", VECTORS["java_sdk_full_requests"], ids=lambda case: case["id"])
def test_java_request(case: dict[str, Any]) -> None:
    """Complete requests of the official Java SDK."""
    assert sign(case["app_secret"], case["api"], case["params_sent_and_signed"]) == case["sign"]


def supplier(**changes: Any) -> AliExpress:
    """A supplier with the vectors' keys."""
    keys = {"aliexpress_app_key": PUSHES[0]["app_key"], "aliexpress_app_secret": PUSHES[0]["app_secret"]}
    return AliExpress(AliExpressSettings(**{**keys, **changes}), HTTPClient(DialPolicy()))


def push(body: bytes, *authorization: str) -> InboundRequest:
    """A push request."""
    return InboundRequest("POST", tuple(("authorization", value) for value in authorization), (), body)


@pytest.mark.parametrize("case", PUSHES)
def test_push_vector(case: dict[str, Any]) -> None:
    """Both vectors hold in either letter case; the published digest may lack leading digits."""
    body = case["raw_body"].encode()
    digest = sign_push(case["app_key"], case["app_secret"], body)
    assert digest == case["authorization_header_hex_lower"]
    assert supplier().verify_push(push(body, digest.upper())).verified


@pytest.mark.security
@pytest.mark.parametrize("header", ["", "00", "Bearer x", "é" * 64, "a" * 10_000])
def test_s02_wrong_push_signature_is_refused(header: str) -> None:
    """Anything but the right digest is a 401."""
    with pytest.raises(BadDelivery) as caught:
        supplier().verify_push(push(b"{}", header))
    assert caught.value.status == 401


@pytest.mark.security
def test_s02_repeated_push_signature_is_refused() -> None:
    """Two headers, even the right one twice, are not a signature."""
    digest = sign_push(PUSHES[0]["app_key"], PUSHES[0]["app_secret"], b"{}")
    with pytest.raises(BadDelivery):
        supplier().verify_push(push(b"{}", digest, digest))


def test_unsigned_push_is_taken_as_unverified() -> None:
    """Whether pushes are signed is unconfirmed: absent is accepted, and said so.

    Checking can be switched off.
    """
    assert not supplier().verify_push(push(b"{}")).verified
    assert not supplier(aliexpress_push_signature="off").verify_push(push(b"{}", "wrong")).verified


def test_read_push() -> None:
    """The order's number and the buyer, whatever the message type."""
    hint = supplier().read_push(PUSHES[0]["raw_body"].encode())
    assert (hint.kind, hint.ref, hint.account_ref) == (
        HintKind.SUPPLIER_ORDER,
        "1105933950463697",
        "1861703697",
    )
    assert hint.status == "OrderShipped"
    assert supplier().read_push(PUSHES[1]["raw_body"].encode()).kind is HintKind.NOTHING


@pytest.mark.security
@pytest.mark.parametrize(
    "body",
    [
        b"", b"null", b"[]", b"{", b'{"data":[]}', b'{"data":{"orderId":1.5}}', b'{"data":{"orderId":NaN}}',
        b"[" * 100_000, b'{"data":{"orderId":' + b"9" * 5_000 + b"}}", b'{"data":{"orderId":1e999}}',
        b'{"data":{"orderId":1},"data":{"orderId":2}}', b'{"data":{"orderId":"\\ud800"}}', b"\xff\xfe",
        b'{"data":{"orderId":-5}}',
    ],
)  # fmt: skip
def test_s13_odd_push_bodies_are_nothing(body: bytes) -> None:
    """No exception, no order."""
    assert supplier().read_push(body).kind is HintKind.NOTHING


@pytest.mark.security
def test_s65_nineteen_digit_order_id_is_exact() -> None:
    """Neither as number nor as text does an id lose a digit."""
    for body in (b'{"data":{"orderId":9007199254740993001}}', b'{"data":{"orderId":"9007199254740993001"}}'):
        assert supplier().read_push(body).ref == "9007199254740993001"


@pytest.mark.parametrize(
    "url", ["http://api-sg.aliexpress.com", "ftp://127.0.0.1", "https://a:b@x", "x", "https://h/?q=1"]
)
def test_wrong_api_url_is_refused(url: str) -> None:
    """http is for loopback only."""
    with pytest.raises(ValidationError):
        supplier(aliexpress_api_url=url)


def test_secret_is_not_shown() -> None:
    """Neither settings nor session show secrets."""
    made = supplier()
    assert PUSHES[0]["app_secret"] not in repr(made.settings)
    assert "token-canary" not in repr(made.session("token-canary"))
