"""The address of a shop as merchants type it."""

from __future__ import annotations

import pytest

from connectors.woocommerce.address import canonical, same_host


@pytest.mark.parametrize(
    ("typed", "expected"),
    [
        ("shop.example", "https://shop.example"),
        ("  HTTPS://Shop.Example/  ", "https://shop.example"),
        ("https://shop.example:443/Boutique//", "https://shop.example/Boutique"),
        ("https://shop.example./", "https://shop.example"),
        ("shop.example/store?utm=1#top", "https://shop.example/store"),
        ("https://shop.example/wp-admin/admin.php?page=wc", "https://shop.example"),
        ("https://shop.example/boutique/wp-json/", "https://shop.example/boutique"),
        ("https://bücher.example", "https://xn--bcher-kva.example"),
        ("https://ｓｈｏｐ。example", "https://shop.example"),  # full width is the point
        ("https://shop.example/läden", "https://shop.example/l%C3%A4den"),
        ("https://магазин.рф", "https://xn--80aairftm.xn--p1ai"),
    ],
)
def test_one_form_for_all_ways_of_typing(typed: str, expected: str) -> None:
    assert canonical(typed) == expected
    assert canonical(expected) == expected


def test_development_accepts_loopback_ports_and_http() -> None:
    assert canonical("http://127.0.0.1:8081/mug/", development=True, allow_http=True) == "http://127.0.0.1:8081/mug"
    assert canonical("https://localhost:9/", development=True) == "https://localhost:9"
    with pytest.raises(ValueError, match="https"):
        canonical("http://127.0.0.1:8081/mug/", development=True)


@pytest.mark.parametrize(
    "typed", ["", "   ", "http://shop.example", "https://", "https://shop.example/../x", "shop", "a b"]
)
def test_what_is_no_address_gets_a_text_for_the_merchant(typed: str) -> None:
    with pytest.raises(ValueError, match="shop") as caught:
        canonical(typed)
    assert len(str(caught.value)) > 20


def test_same_host_never_raises() -> None:
    assert same_host("https://a.example/x", "https://A.example/y")
    assert not same_host("https://a.example", "http://a.example")
    assert not same_host("https://[bad", "https://a.example")
