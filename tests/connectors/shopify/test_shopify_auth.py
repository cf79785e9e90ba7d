"""Query strings, session tokens and shop addresses: the vectors, S19, S20 and S41."""

from __future__ import annotations

from collections.abc import Mapping
from datetime import UTC, datetime
from typing import Any

import pytest
import time_machine

from connectors.shopify.addresses import base_url, canonical_address, gid, number_of, order_url
from connectors.shopify.auth import BadCredentialError, decode_session_token, verify_query
from connectors.shopify.settings import ShopifySettings
from tests.connectors.shopify.harness import VECTORS

QUERIES = [
    vector for vector in VECTORS["oauth_query_hmac"]["vectors"] if not vector["expect"].startswith("library-dependent")
]
TOKENS = VECTORS["session_token_jwt"]["vectors"]
OLD_SECRET = VECTORS["about"]["old_client_secret"].encode()


def query_holds(vector: Mapping[str, Any], *, secrets: tuple[bytes, ...] | None = None) -> bool:
    query = list(vector["params"].items())
    if vector["hmac"] is not None:
        query.append(("hmac", vector["hmac"]))
    try:
        verify_query(query, secrets or (vector["client_secret"].encode(),), datetime.fromtimestamp(vector["now"], UTC))
    except BadCredentialError:
        return False
    return True


@pytest.mark.security("S20")
@pytest.mark.parametrize("vector", QUERIES, ids=lambda vector: vector["name"])
def test_s20_query_vectors(vector: Mapping[str, Any]) -> None:
    assert query_holds(vector) is (vector["expect"] == "valid")


@pytest.mark.security("S20")
def test_s20_either_canonical_form_and_either_secret_is_taken_but_no_repeated_parameter() -> None:
    unusual = next(v for v in VECTORS["oauth_query_hmac"]["vectors"] if v["name"] == "special-chars-in-state")
    assert query_holds(unusual)
    assert query_holds({**unusual, "hmac": unusual["python_shopifyapi_hmac"]})
    good = QUERIES[0]
    secret = good["client_secret"].encode()
    assert query_holds(good, secrets=(b"new", secret))
    assert not query_holds(good, secrets=(b"new", b"newer"))
    query = [*good["params"].items(), ("hmac", good["hmac"]), ("shop", "exampleshop.myshopify.com")]
    with pytest.raises(BadCredentialError, match="repeated_parameter"):
        verify_query(query, (secret,), datetime.fromtimestamp(good["now"], UTC))


@pytest.mark.security("S41")
@pytest.mark.parametrize("vector", TOKENS, ids=lambda vector: vector["name"])
def test_s41_session_token_vectors(vector: Mapping[str, Any]) -> None:
    now = vector["now"] or 1_795_608_000
    secrets: tuple[bytes, ...] = (vector["client_secret"].encode(),)
    valid = vector["expect"].startswith("valid") and "previous secret" not in vector["expect"]
    with time_machine.travel(now, tick=False):
        if valid:
            caller = decode_session_token(vector["token"], vector["client_id"], secrets)
            assert caller.shop == "exampleshop.myshopify.com"
        else:
            with pytest.raises(BadCredentialError):
                decode_session_token(vector["token"], vector["client_id"], secrets)
        if "previous secret" in vector["expect"]:
            assert decode_session_token(vector["token"], vector["client_id"], (*secrets, OLD_SECRET)).user_id


@pytest.mark.security("S41")
@pytest.mark.parametrize("token", ["", "a", "a.b", "a.b.c", "é.é.é", "\x00", "e30.e30.e30", "a" * 10_000])
def test_s41_what_is_no_token_is_refused(token: str) -> None:
    with pytest.raises(BadCredentialError):
        decode_session_token(token, "client", (b"secret" * 6,))


@pytest.mark.security("S19")
@pytest.mark.parametrize(
    "typed",
    [
        "a.myshopify.com.evil.com",
        "evil.com/a.myshopify.com",
        "a.myshopify.com#x",
        "a.myshopify.com?x",
        "u@a.myshopify.com",
        "a.myshopify.com:443",
        "a%2emyshopify.com",
        "a\uff0emyshopify.com",
        "a\u3002myshopify.com",
        "a.myshopify.com\n",
        "\na.myshopify.com",
        " a.myshopify.com",
        "a.myshopify.com.",
        "-a.myshopify.com",
        "a_b.myshopify.com",
        "a.b.myshopify.com",
        ".myshopify.com",
        "myshopify.com",
        "http://a.myshopify.com",
        "https://https://a.myshopify.com",
        "https://a.myshopify.com/admin",
        "a.myshopify.com/",
        "\u212a.myshopify.com",
        "a.myshopify.io",
        "",
        "a" * 200 + ".myshopify.com",
    ],
)
def test_s19_other_forms_of_a_shop_are_refused(typed: str) -> None:
    with pytest.raises(ValueError, match="myshopify"):
        canonical_address(typed)


@pytest.mark.security("S19")
@pytest.mark.parametrize(
    "typed", ["a-1.myshopify.com", "A-1.MyShopify.com", "https://a-1.myshopify.com", "https://a-1.myshopify.com/"]
)
def test_s19_the_one_form(typed: str) -> None:
    assert canonical_address(typed) == "a-1.myshopify.com"


def test_ids_and_urls() -> None:
    assert gid("Order", "5") == "gid://shopify/Order/5" == gid("Order", "gid://shopify/Order/5")
    assert number_of("gid://shopify/LineItem/9007199254740993") == "9007199254740993"
    assert order_url("one.myshopify.com", "gid://shopify/Order/5") == "https://admin.shopify.com/store/one/orders/5"
    assert base_url("https://{shop}", "one.myshopify.com") == "https://one.myshopify.com"
    for kind, ref in (("Order", "gid://shopify/LineItem/5"), ("Order", "x"), ("Order", "5\n"), ("Order", "")):
        with pytest.raises(ValueError, match="Shopify"):
            gid(kind, ref)
    with pytest.raises(ValueError, match="shop"):
        base_url("https://{shop}", "evil.com")


def test_settings() -> None:
    base = {"shopify_client_id": "a", "shopify_client_secret": "b"}
    empty = {"shopify_client_secret_previous": "", "shopify_client_secret_previous_until": " "}
    settings = ShopifySettings(**base, **empty)
    assert settings.secrets(datetime(2030, 1, 1, tzinfo=UTC)) == (b"b",)
    assert settings.shopify_api_version == "2026-10"
    assert "b" not in str(settings.shopify_client_secret)
    for wrong in (
        {"shopify_api_version": "2026-11"},
        {"shopify_shop_url_template": "https://x"},
        {"shopify_client_id": ""},
    ):
        with pytest.raises(ValueError, match="validation error"):
            ShopifySettings(**{**base, **wrong})
